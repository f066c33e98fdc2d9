"""Text inside text: base64 and hexadecimal runs that decode to words, and those that nobody can read."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}(?![A-Za-z0-9+/_=-])")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?(?:[0-9a-fA-F]{2}[ :]?){5,}(?![0-9A-Za-z])")
#: What stands in a page in place of a file: a picture, a scanned card.
_DATA = re.compile(
    r"data:[\w.+-]{0,40}/?[\w.+-]{0,80}(?:;[\w.+=-]{1,40}){0,4};base64,(?:[A-Za-z0-9+/_=%-]|\r?\n(?=[A-Za-z0-9+/]{20}))*",
    re.IGNORECASE,
)
#: The end of a file in lines: shorter than the lines before it.
_TAIL = re.compile(r"\r?\n[A-Za-z0-9+/]{1,75}={1,2}(?![A-Za-z0-9+/=])")
_SYLLABLES = re.compile(r"[a-z]{4,}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_DEPTH = 3
#: Characters from which on a text in another script is no chance.
_CHANCE = 8
#: Shorter runs are words, numbers and names of files.
_LONG = 40
#: Digits of the usual hashes.
_HASHES = frozenset({32, 40, 56, 64, 96, 128})


def decoded(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """Each readable text hidden in `text`, at most three layers deep."""
    for _, _, data in _runs(text):
        for inner in _readable(data):
            yield inner
            if depth > 1:
                yield from decoded(inner, depth - 1)


def opaque(text: str, common: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Where a long run stands that decodes to nothing that can be read: a file, another language, too many layers.

    `common` holds frequent English words.
    """
    at = 0
    for match in _DATA.finditer(text):
        yield match.span()
    for start, end, data in _runs(text):
        if start >= at and end - start >= _LONG and _mixed(text[start:end]) and not _english(data, common, _DEPTH):
            tail = _TAIL.match(text, end)
            at = tail.end() if tail else end
            yield start, at


def _runs(text: str) -> Iterator[tuple[int, int, bytes]]:
    """Every run of base64 or hexadecimal digits, with what it stands for."""
    for match in _BASE64.finditer(text):
        run = match.group()
        if run.isalpha() and (run.islower() or run.isupper() or run.istitle()):
            continue
        if run.count("-") + run.count("_") > max(2, len(run) // 12) or run.isdigit():
            continue
        yield *match.span(), _base64(run)
    for match in _HEX.finditer(text):
        run = re.sub(r"^0x|[ :]", "", match.group())
        if len(run) % 2 == 0 and re.search(r"[a-fA-F]", run):
            yield *match.span(), bytes.fromhex(run)


def _mixed(run: str) -> bool:
    """Whether a run is written like data, not like a path, a number or a hash."""
    digits = re.sub(r"^0x|[ :]", "", run)
    if re.fullmatch(r"[0-9a-fA-F]+", digits):
        return len(digits) not in _HASHES and not digits.isdigit()
    few = len(run) // 8
    upper, lower = sum(map(str.isupper, run)), sum(map(str.islower, run))
    if sum(map(len, _SYLLABLES.findall(run))) > 0.4 * len(run):
        return False
    return upper >= few and lower >= few and run.count("/") <= few and re.search(r"[\d+/=]", run) is not None


def _english(data: bytes, common: frozenset[str], depth: int) -> bool:
    """Whether bytes are English, or too short to say."""
    texts = list(_readable(data))
    if not texts:
        return False
    for text in texts:
        inner = [one for start, end, one in _runs(text) if end - start >= _LONG and _mixed(text[start:end])]
        if inner:
            return depth > 1 and all(_english(one, common, depth - 1) for one in inner)
    words = [word.lower() for word in _WORD.findall(texts[0])]
    return len(words) < 3 or any(word in common for word in words)


def _base64(run: str) -> bytes:
    plain = run.rstrip("=").replace("-", "+").replace("_", "/")
    plain = plain[: len(plain) - 1] if len(plain) % 4 == 1 else plain
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _readable(data: bytes) -> Iterator[str]:
    """What bytes say as text. UTF-16 of any bytes gives letters: there only those of alphabets count.

    A short reference (`RX1234567`) may stand for a letter of another script by chance: so short, only ASCII is text.
    """
    for encoding, last in (("utf-8", "\U0010ffff"), ("utf-16-le", "\u07ff")):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        plain = sum(char <= last and (char.isalnum() or char in " .,;:'\"-/{}[]+=?!<>\r\n") for char in text)
        if len(text) >= (5 if text.isascii() else _CHANCE) and plain >= 0.9 * len(text):
            yield text
