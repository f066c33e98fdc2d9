"""Bad input, each kind once, with a marker planted in it that must not come out anywhere."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson

from services.kernel.record import Message
from services.kernel.samples import Sample


def bad_inputs(sample: Sample, mark: str) -> dict[str, Message]:
    """Name of the fault to a message that has it; `sample` is a good police-crime record."""
    whole = sample.message()
    headers = dict(whole.headers)

    def body(value: bytes | None) -> Message:
        return Message(whole.topic, None, value, whole.headers)

    def changed(change: Callable[[Any], None]) -> Message:
        value = copy.deepcopy(sample.value)
        change(value)
        return body(orjson.dumps(value))

    def header(**values: bytes | None) -> Message:
        pairs = {**headers, **values}
        kept = tuple((name, value) for name, value in pairs.items() if value is not None)
        return Message(whole.topic, None, whole.value, kept)

    marked = mark.encode()
    text = b'{"incident": {"narrative": "%s %s"}}'
    return {
        "not json": body(b'{"incident": "%s"' % marked),
        "a list, not an object": body(orjson.dumps([mark])),
        "wrong shape": changed(lambda v: v.update(persons=mark)),
        "wrong type in a coded field": changed(lambda v: v["incident"].update(area=mark)),
        "unknown schema": header(ce_dataschema=f"urn:safe-reporting:{mark}:1.0".encode()),
        "unknown version": header(ce_dataschema=b"urn:safe-reporting:police-crime:9.9"),
        "missing header": header(ce_type=None),
        "no headers": Message(whole.topic, None, whole.value, ()),
        "header of another feed": header(ce_type=b"safe-reporting.marac"),
        "ten megabytes": body(b'{"padding": "' + marked + b"x" * 10_000_000 + b'"}'),
        "ten thousand levels": body(b"[" * 10_000 + orjson.dumps(mark) + b"]" * 10_000),
        "a million leaves": body(b'{"a": ["%s"' % marked + b",1" * 1_000_000 + b"]}"),
        "many leaves within the size": body(b'{"a": ["%s"' % marked + b",1" * 400_000 + b"]}"),
        "nan": body(b'{"x": NaN, "y": "%s"}' % marked),
        "infinity": body(b'{"x": 1e999, "y": "%s"}' % marked),
        "huge integer": body(b'{"x": %s, "y": "%s"}' % (b"9" * 400, marked)),
        "invalid utf-8": body(text % (marked, b"\xff\xfe\xc3\x28")),
        "lone surrogate": body(text % (marked, rb"\ud800")),
        "duplicate key": body(b'{"incident": {}, "incident": {"narrative": "%s"}}' % marked),
        "empty": body(b""),
        "blank": body(b"  \n"),
        "tombstone": Message(whole.topic, marked, None, whole.headers),
    }
