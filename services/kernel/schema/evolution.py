"""What changed between two versions of a schema, and whether its version number says so.

Minor versions add: a property, a value of an enumeration, a type. Everything else is a major version: a reader of the
old schema could fail on, or misread, what the new one allows. Words for people may change freely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import orjson

from services.kernel.errors import ConfigError

_VERSION = re.compile(r":(\d+)\.(\d+)$")
_WORDS = frozenset({"$id", "$schema", "title", "description", "$comment", "examples"})
#: Keywords whose value is a schema, or holds schemas by name.
_ONE = frozenset({"items", "if", "then", "else", "not", "additionalProperties"})
_NAMED = frozenset({"properties", "$defs"})
_LISTED = frozenset({"oneOf", "anyOf", "allOf"})


class Grade(IntEnum):
    """How far a change reaches."""

    NONE = 0
    MINOR = 1
    MAJOR = 2


def faults(before: Path, after: Path) -> list[str]:
    """Why the schemas below `after` may not follow those below `before`; files are compared by name.

    A file that is gone, a change that the version does not say, a version that went back.

    Raises:
        ConfigError: a file is no schema.
    """
    found = []
    for old in sorted(before.rglob("*.json")):
        name = old.relative_to(before)
        new = after / name
        if not new.exists():
            found.append(f"`{name}` is gone: its readers have no schema any more")
            continue
        found += [f"`{name}`: {fault}" for fault in _faults(_schema(old), _schema(new))]
    return found


def _schema(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ConfigError("schemas", [f"`{path}` is not JSON: {error}"]) from error
    if not isinstance(found, dict):
        raise ConfigError("schemas", [f"`{path}` is no schema: not an object"])
    return found


def changes(old: Any, new: Any, at: str = "") -> Iterator[tuple[Grade, str]]:
    """Every change from one schema to another, with where it is."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        if old != new:
            yield Grade.MAJOR, f"`{at or '/'}` changed"
        return
    for key in sorted((set(old) | set(new)) - _WORDS):
        yield from _keyword(key, old.get(key), new.get(key), f"{at}/{key}", present=(key in old, key in new))


def _keyword(key: str, old: Any, new: Any, at: str, *, present: tuple[bool, bool]) -> Iterator[tuple[Grade, str]]:
    if key in _NAMED and all(present):
        for name in sorted(set(old) | set(new)):
            if name not in old:
                yield Grade.MINOR, f"`{at}/{name}` is new"
            elif name not in new:
                yield Grade.MAJOR, f"`{at}/{name}` is gone"
            else:
                yield from changes(old[name], new[name], f"{at}/{name}")
    elif key in _ONE and all(present):
        yield from changes(old, new, at)
    elif key in _LISTED and all(present) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from changes(one, other, f"{at}/{place}")
    elif key in ("enum", "type") and all(present):
        yield from _values(old, new, at)
    elif key == "required" and all(present):
        if set(old) - set(new):
            yield Grade.MAJOR, f"`{at}` no longer asks for `{'`, `'.join(sorted(set(old) - set(new)))}`"
        elif set(new) - set(old):
            yield Grade.MINOR, f"`{at}` asks for more"
    elif old != new:
        yield Grade.MAJOR, f"`{at}` changed"


def _values(old: Any, new: Any, at: str) -> Iterator[tuple[Grade, str]]:
    one, other = (list(value) if isinstance(value, list) else [value] for value in (old, new))
    if gone := [value for value in one if value not in other]:
        yield Grade.MAJOR, f"`{at}` lost `{'`, `'.join(map(str, gone))}`"
    elif added := [value for value in other if value not in one]:
        yield Grade.MINOR, f"`{at}` took in `{'`, `'.join(map(str, added))}`"


def _faults(old: Any, new: Any) -> Iterator[str]:
    was, now = _version(old), _version(new)
    if was is None or now is None:
        return
    if now < was:
        yield f"version {now[0]}.{now[1]} is below {was[0]}.{was[1]}"
        return
    said = Grade.MAJOR if now[0] > was[0] else Grade.MINOR if now > was else Grade.NONE
    yield from (
        f"{what}: that is a {grade.name.lower()} version, and {now[0]}.{now[1]} follows {was[0]}.{was[1]}"
        for grade, what in changes(old, new)
        if grade > said
    )


def _version(schema: Any) -> tuple[int, int] | None:
    found = _VERSION.search(str(schema.get("$id", "")))
    return (int(found.group(1)), int(found.group(2))) if found else None
