"""Normalise a text for detection, with a map back to the characters of the source.

Only detection reads the normalised text; what is not masked leaves as it came.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

# Letters of other scripts that pass for Latin ones (Unicode TR39 confusables, the common part).
_CONFUSABLE = dict(
    zip(
        "аеорсухіјѕԁɡһԛԝѵкмтвнгпАВЕКМНОРСТУХІЈЅԌԚԜαοινρυκτχγεηΑΒΕΖΗΙΚΜΝΟΡΤΥΧӏӀօոսհցքɑɩʟɴʀʏᴀʙᴄᴅᴇꜰɢʜɪᴊᴋᴍᴏᴘꜱᴛᴜᴠᴡᴢ",
        "aeopcyxijsdghqwvkmtbhrnABEKMHOPCTYXIJSGQWaoivpuktxyenABEZHIKMNOPTYXlIonuhgqailnryabcdefghijkmopstuvwz",
        strict=True,
    )
)
_LETTER = {
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "ı": "i",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "þ": "th",
    "ħ": "h",
    "ŋ": "n",
    "‘": "'",
    "’": "'",
    "ʼ": "'",
    "`": "'",
    "´": "'",
    "“": '"',
    "”": '"',
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "−": "-",
    "•": " ",
    "·": " ",
}
_BLOCK_TAG = re.compile(r"</?(?:br|p|div|li|ul|ol|td|tr|th|table|h[1-6]|span)\b", re.IGNORECASE)
_CHARACTERS = (
    r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,10});(?:#?\w{1,8};)?"
    r"|(?:%[0-9a-fA-F]{2})+|(?:%u[0-9a-fA-F]{4})+|(?:=[89A-F][0-9A-F](?:=\r?\n)?){2,}"
    r"|(?:\\+u(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\}))+|(?:\\+x[0-9a-fA-F]{2})+|\\+[nrtbf\"'/\\]"
)
_CHARACTER = re.compile(_CHARACTERS)
_ENCODED = re.compile(
    _CHARACTERS + r"|</?[a-zA-Z][^<>]{0,120}>|<!--[^<>]{0,120}-->|(?<=[A-Za-z])(?:\*\*|~~|__)(?=[A-Za-z])"
    r"|(?<=[A-Za-z])-[ \t]*\r?\n[ \t]*(?=[a-z])"
    r"|(?:(?<=[a-z])[A-Z]|(?<=[A-Za-z])_)(?=\w{0,40}[\"'\\\])\s]{0,4}[:=|])"
    r"|â€[^\x00-\x7f]?|Â[\xa0-\xbf]|ðŸ[^\x00-\x7f]{0,2}"
)
_MAY_BE_ENCODED = re.compile(
    r"â€|Â[\xa0-\xbf]|ðŸ|"
    r"&[#a-zA-Z]|%u?[0-9a-fA-F]{2}|=[89A-F][0-9A-F]|\\[unrtxbf\"'/\\]|<[a-zA-Z/!]|\*\*|~~|__|-[ \t]*\r?\n"
    r"|[a-z][A-Z_]\w{0,40}[\"'\\\])\s]{0,4}[:=|]|[A-Z]_\w{0,40}[\"'\\\])\s]{0,4}[:=|]"
)
#: What a tag says beside its looks: `<field name="nationality">`, not `style="font-family: Georgia"`.
_LOOKS = re.compile(
    r"""\b(?:(?:style|class|face|id|xmlns[:\w]*)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)|src\s*=\s*["']?cid:[^"'\s>]*)""",
    re.IGNORECASE,
)
_TAG_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+")
#: Tags of HTML that stand inside a line and are words of the lexicon otherwise.
_INLINE = frozenset({"abbr", "cite", "code", "data", "font", "label", "mark", "small", "strong", "time"})
_UNIT = re.compile(r"[u{]([0-9a-fA-F]{1,6})")
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")
_QUOTED = re.compile(r"""(?:title|alt|value|content|placeholder|label)\s*=\s*["']([^"'<>]*)""", re.IGNORECASE)
_SPACED = re.compile(r"(?<![A-Za-z0-9])[A-Za-z](?:[ .\-_*,/|]{1,3}[A-Za-z]){2,}(?![A-Za-z0-9])")
_LEET = re.compile(
    r"(?<![\w@$!|])(?=[A-Za-z013457@$!|]*[013457@$!|])"
    r"(?=(?:[^A-Za-z]{0,20}[A-Za-z]){3})[A-Za-z013457@$!|]{4,}"
)
_MAY_BE_LEET = re.compile(r"[a-z][013457@$!|]|[013457@$!|][a-z]")
_LEET_MAP = str.maketrans("013457@$!|", "oieastasil")


@dataclass(frozen=True, slots=True)
class Normal:
    """`text` keeps case, `low` is lower-case without accents; both of one length.

    `starts` and `ends` give for each character its place in the source; None: the same place.
    """

    text: str
    low: str
    starts: tuple[int, ...] | None = None
    ends: tuple[int, ...] | None = None

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the source behind `start:end`; `end` is at least `start + 1`."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


@lru_cache(maxsize=8192)
def fold(char: str) -> str:
    """One character as detection reads it: NFKC, no accent, no invisible, confusables as Latin."""
    if char in _LETTER:
        return _LETTER[char]
    if char in _CONFUSABLE:
        return _CONFUSABLE[char]
    category = unicodedata.category(char)
    if category in ("Cf", "Mn", "Me", "Cs", "Cc") and char not in "\n\t\r":
        return "" if category != "Cc" else " "
    if category == "Zs":
        return " "
    parts = (part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
    return "".join(_LETTER.get(part, _CONFUSABLE.get(part, part)) for part in parts)


def normalise(text: str, known: Callable[[str], bool]) -> Normal:
    """Normalise `text`. `known` says whether a lower-case word stands in the lexicon."""
    encoded = _MAY_BE_ENCODED.search(text) is not None
    if not encoded:
        strange = {char for char in text if char > "\x7f"} if not text.isascii() else set()
        strange |= {char for char in "\x00\x08\x0b\x0c\x1f\x7f`" if char in text}
        if all(len(fold(char)) == 1 for char in strange):
            folded = text.translate({ord(char): fold(char) for char in strange}) if strange else text
            return _letters(Normal(text=folded, low=_lower(folded)), known)
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def put(piece: str, start: int, end: int) -> None:
        for char in piece:
            for part in fold(char):
                chars.append(part)
                starts.append(start)
                ends.append(end)

    at = 0
    for match in _ENCODED.finditer(text) if encoded else ():
        for index in range(at, match.start()):
            put(text[index], index, index + 1)
        put(_decode(match.group(), known), match.start(), match.end())
        at = match.end()
    for index in range(at, len(text)):
        put(text[index], index, index + 1)
    joined = "".join(chars)
    return _letters(Normal(joined, _lower(joined), tuple(starts), tuple(ends)), known)


def _lower(text: str) -> str:
    low = text.lower()
    return low if len(low) == len(text) else "".join(char.lower()[:1] or char for char in text)


def _decode(piece: str, known: Callable[[str], bool]) -> str:
    """The text that an entity, escape, percent run, tag, broken line or joint of a compound label stands for."""
    if piece == "_":
        return " "
    if piece[0] in "âÂð":  # UTF-8 that was read as cp1252: a quote, a hard space, an emoji
        try:
            return piece.encode("cp1252").decode("utf-8")
        except UnicodeError:
            return " "
    if piece[0] in "-*~_" or piece.startswith("<!"):
        return ""
    if piece[0] == "<":
        return _tag(piece, known)
    if piece.isalpha():  # `countryOfBirth`
        return " " + piece
    return _characters(piece)


def _characters(piece: str) -> str:
    """The characters that an entity, percent run or escape stands for."""
    if piece[0] == "&":
        for _ in range(3):
            piece = html.unescape(piece)
        return piece
    if piece[0] == "=" or "x" in piece:
        data = bytes.fromhex("".join(re.findall(r"(?<=[x=])[0-9a-fA-F]{2}", piece)))
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace")
    if units := _UNIT.findall(piece):
        text = "".join(chr(int(unit, 16)) for unit in units if int(unit, 16) <= sys.maxunicode)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unquote(piece, errors="replace") if piece[0] == "%" else " "


def plain(text: str) -> str:
    """The text as a browser would show it: characters for what stands for them, no tags. Offsets are lost."""
    if _MAY_BE_ENCODED.search(text) is None:
        return text
    read = _CHARACTER.sub(lambda match: _characters(match.group()), text)
    return _TAG.sub(lambda match: " " + " ".join(_QUOTED.findall(match.group())) + " ", read)


def _tag(piece: str, known: Callable[[str], bool]) -> str:
    """What a tag says where a word of the lexicon stands in it: `nationality: ` before its value, `; ` after it."""
    said = _CHARACTER.sub(lambda match: _characters(match.group()), _LOOKS.sub("", piece.strip("<>/ ")))
    name, _, rest = said.partition(" ")
    words = _TAG_WORD.findall("" if name.lower() in _INLINE else name) + _TAG_WORD.findall(rest)
    if any(len(word) > 2 and known(word.lower()) for word in words):
        return "; " if piece.startswith("</") else f" {' '.join(_TAG_WORD.findall(name))} {rest}: "
    return " " if _BLOCK_TAG.match(piece) else ""


def _letters(normal: Normal, known: Callable[[str], bool]) -> Normal:
    """Join spaced letters (`N R P F`) and read digits that stand for letters (`n1gerian`)."""
    low = normal.low
    if _MAY_BE_LEET.search(low) and _LEET.search(low):
        low = _LEET.sub(lambda m: t if known(t := m.group().translate(_LEET_MAP)) else m.group(), low)
        normal = Normal(normal.text, low, normal.starts, normal.ends)
    if _SPACED.search(low) is None:
        return normal
    keep: list[int] = []
    at = 0
    for match in _SPACED.finditer(low):
        letters = [index for index in range(match.start(), match.end()) if low[index].isalpha()]
        word = "".join(low[index] for index in letters)
        head: list[int] = []
        if not known(word) and known(word[1:]):  # `a P O L I S H lady`
            head, letters = [letters[0], letters[0] + 1], letters[1:]
        elif not known(word):
            continue
        keep.extend(range(at, match.start()))
        keep.extend(head + letters)
        at = match.end()
    if at == 0:
        return normal
    keep.extend(range(at, len(low)))
    starts = normal.starts or tuple(range(len(low)))
    ends = normal.ends or tuple(range(1, len(low) + 1))
    return Normal(
        "".join(normal.text[i] for i in keep),
        "".join(low[i] for i in keep),
        tuple(starts[i] for i in keep),
        tuple(ends[i] for i in keep),
    )
