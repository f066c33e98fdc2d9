"""Reading JSON that an agency sent: strict, bounded before it is parsed; and writing canonical JSON."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import NoReturn

import msgspec
import orjson

from services.kernel.vocabulary import Reason

#: Largest integer that every JSON reader holds exactly (RFC 8259, section 6).
MAX_INTEGER = 2**53

#: What a typed decoder raises of bytes that are no such JSON: other than it wants, not UTF-8, nested too deep.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_NOT_BRACKETS = {code: None for code in range(128) if chr(code) not in "[]{}"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record may measure: bytes, levels of nesting, scalar values, digits of a number."""

    size: int = 1024 * 1024
    depth: int = 64
    leaves: int = 20_000
    digits: int = 64


DEFAULT_LIMITS = Limits()


class BadJson(Exception):  # noqa: N818 - the name says what it is about
    """The bytes are not JSON as this service accepts it; the message is the reason, never the bytes."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


def parse(data: bytes, limits: Limits = DEFAULT_LIMITS) -> object:
    """Return the value of `data`.

    1. Size, then UTF-8.
    2. Depth and number of leaves, by a linear look at the punctuation alone: nothing recurses yet.
    3. Parse; a duplicate key, NaN, Infinity or a number out of range refuses.
    4. Refuse strings with half of a surrogate pair.

    Raises:
        BadJson: with the exact reason.
    """
    if len(data) > limits.size:  # 1
        raise BadJson(Reason.OVERSIZE)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson(Reason.NOT_UTF8) from None
    _measure(text, limits)  # 2
    try:  # 3
        value: object = _decoder(limits.digits).decode(text)
    except (ValueError, RecursionError):
        raise BadJson(Reason.NOT_JSON) from None
    if _SURROGATE_ESCAPE.search(text):  # 4
        _refuse_lone_surrogates(value)
    return value


def canonical(value: object) -> bytes:
    """The one form in which values are hashed, signed and sent: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _measure(text: str, limits: Limits) -> None:
    """Refuse too many leaves or levels. In JSON the leaves are the commas outside strings, plus one."""
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    if outside.count(",") + 1 > limits.leaves:
        raise BadJson(Reason.TOO_MANY_LEAVES)
    depth = 0
    for bracket in outside.translate(_NOT_BRACKETS):
        if bracket in "[{":
            depth += 1
            if depth > limits.depth:
                raise BadJson(Reason.TOO_DEEP)
        else:
            depth -= 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadJson(Reason.DUPLICATE_KEY)
    return made


def _constant(_: str) -> NoReturn:
    raise BadJson(Reason.BAD_NUMBER)


_DECODERS: dict[int, json.JSONDecoder] = {}


def _decoder(digits: int) -> json.JSONDecoder:
    """The decoder for numbers of at most `digits` characters, made once."""

    def integer(text: str) -> int:
        if len(text) > digits or abs(number := int(text)) > MAX_INTEGER:
            raise BadJson(Reason.BAD_NUMBER)
        return number

    def real(text: str) -> float:
        if len(text) > digits or not math.isfinite(number := float(text)):
            raise BadJson(Reason.BAD_NUMBER)
        return number

    if digits not in _DECODERS:
        _DECODERS[digits] = json.JSONDecoder(
            object_pairs_hook=_object, parse_int=integer, parse_float=real, parse_constant=_constant
        )
    return _DECODERS[digits]


def _refuse_lone_surrogates(value: object) -> None:
    """`json` joins whole pairs and lets halves through; UTF-8 has no form for a half."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadJson(Reason.LONE_SURROGATE) from None
