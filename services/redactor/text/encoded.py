"""Text inside text: base64 and hexadecimal runs that decode to words."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}(?![A-Za-z0-9+/_=-])")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?(?:[0-9a-fA-F]{2}[ :]?){5,}(?![0-9A-Za-z])")
_DEPTH = 3


def decoded(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """Each readable text hidden in `text`, at most three layers deep."""
    for match in _BASE64.finditer(text):
        run = match.group()
        if run.isalpha() and (run.islower() or run.isupper() or run.istitle()):
            continue
        if run.count("-") + run.count("_") > 2 or run.isdigit():
            continue
        yield from _readable(_base64(run), depth)
    for match in _HEX.finditer(text):
        run = re.sub(r"^0x|[ :]", "", match.group())
        if len(run) % 2 == 0 and re.search(r"[a-fA-F]", run):
            yield from _readable(bytes.fromhex(run), depth)


def _base64(run: str) -> bytes:
    plain = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _readable(data: bytes, depth: int) -> Iterator[str]:
    for encoding in ("utf-8", "utf-16-le"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        plain = sum(char.isascii() and (char.isalnum() or char in " .,;:'\"-/{}[]\n") for char in text)
        if len(text) >= 5 and plain >= 0.9 * len(text):
            yield text
            if depth > 1:
                yield from decoded(text, depth - 1)
