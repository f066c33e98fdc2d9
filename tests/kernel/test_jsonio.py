"""The strict reader: every bad input has its reason, every good one comes back unchanged."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.jsonio import DEFAULT_LIMITS, BadJson, Limits, canonical, parse
from services.kernel.vocabulary import Reason

BAD = [
    pytest.param(b"", Reason.NOT_JSON, id="nothing"),
    pytest.param(b"  ", Reason.NOT_JSON, id="only spaces"),
    pytest.param(b"not json", Reason.NOT_JSON, id="words"),
    pytest.param(b'{"a":1} {"b":2}', Reason.NOT_JSON, id="two values"),
    pytest.param(b'{"a":1,}', Reason.NOT_JSON, id="comma at the end"),
    pytest.param(b"{'a':1}", Reason.NOT_JSON, id="single quotes"),
    pytest.param(b'{"a":"\x01"}', Reason.NOT_JSON, id="control character"),
    pytest.param(b'{"a":"\\x41"}', Reason.NOT_JSON, id="unknown escape"),
    pytest.param(b"\xef\xbb\xbf{}", Reason.NOT_JSON, id="byte order mark"),
    pytest.param('{"a":1}'.encode("utf-16"), Reason.NOT_UTF8, id="utf-16"),
    pytest.param(b'{"a":"\xff"}', Reason.NOT_UTF8, id="not utf-8"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', Reason.NOT_UTF8, id="surrogate in utf-8"),
    pytest.param(b'{"a":"\xc0\xaf"}', Reason.NOT_UTF8, id="overlong utf-8"),
    pytest.param(b'{"a":"\\ud800"}', Reason.LONE_SURROGATE, id="high half"),
    pytest.param(b'{"a":"\\uDC00 x"}', Reason.LONE_SURROGATE, id="low half"),
    pytest.param(b'{"\\udfff":1}', Reason.LONE_SURROGATE, id="half in a key"),
    pytest.param(b'{"a":1,"a":2}', Reason.DUPLICATE_KEY, id="duplicate key"),
    pytest.param(b'[{"b":{"a":1,"\\u0061":2}}]', Reason.DUPLICATE_KEY, id="duplicate key by escape"),
    pytest.param(b"NaN", Reason.BAD_NUMBER, id="nan"),
    pytest.param(b'{"a":-Infinity}', Reason.BAD_NUMBER, id="minus infinity"),
    pytest.param(b"[1e999]", Reason.BAD_NUMBER, id="infinite by exponent"),
    pytest.param(b"[" + b"9" * 400 + b"]", Reason.BAD_NUMBER, id="400 digits"),
    pytest.param(b"[" + b"9" * 5000 + b"]", Reason.BAD_NUMBER, id="5000 digits"),
    pytest.param(b"[0." + b"1" * 400 + b"]", Reason.BAD_NUMBER, id="400 decimals"),
    pytest.param(str(2**53 + 1).encode(), Reason.BAD_NUMBER, id="beyond 2^53"),
    pytest.param(b"[" * 10_000 + b"]" * 10_000, Reason.TOO_DEEP, id="10,000 levels"),
    pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Reason.TOO_DEEP, id="10,000 objects"),
    pytest.param(b"[" * 500_000, Reason.TOO_DEEP, id="never closed"),
    pytest.param(b"[" * 65 + b"]" * 65, Reason.TOO_DEEP, id="one level too deep"),
    pytest.param(b"[" + b",".join([b"1"] * 20_001) + b"]", Reason.TOO_MANY_LEAVES, id="one leaf too many"),
    pytest.param(b'"' + b"x" * DEFAULT_LIMITS.size + b'"', Reason.OVERSIZE, id="over 1 MiB"),
    pytest.param(b'\\"' + b"[" * 400_000, Reason.TOO_DEEP, id="escape outside a string"),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
def test_bad_input_has_its_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(BadJson) as caught:
        parse(data)
    assert caught.value.reason is reason
    assert str(caught.value) == reason.value


def test_a_million_leaves_are_refused_before_they_are_parsed() -> None:
    data = b"[" + b"1," * 999_999 + b"1]"
    started = time.perf_counter()
    with pytest.raises(BadJson) as caught:
        parse(data, Limits(size=16 * 1024 * 1024))
    assert caught.value.reason is Reason.TOO_MANY_LEAVES
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 64 + b"]" * 64,
        b"[" + b",".join([b"1"] * 20_000) + b"]",
        b'{"a":"[[[[{{{{,,,,\\"[[[["}',
        b'{"a":"\\\\","b":"[\\\\\\"["}',
        b'{"a":"\\ud83d\\ude00","b":"\\\\ud800"}',
        b"[9007199254740992,-9007199254740992,1e300,-0.5]",
    ],
)
def test_good_input_at_the_edge(data: bytes) -> None:
    assert parse(data) == json.loads(data)


def test_brackets_inside_strings_do_not_count() -> None:
    text = "[" * 100 + "," * 30_000
    assert parse(json.dumps({"a": text}).encode()) == {"a": text}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


@given(VALUES, st.booleans())
def test_what_is_written_is_read_back(value: object, escape: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=escape).encode()) == value
    assert parse(canonical(value)) == value


@given(st.binary(max_size=300))
def test_bytes_never_raise_anything_else(data: bytes) -> None:
    try:
        value = parse(data)
    except BadJson:
        return
    assert value == json.loads(data)


def test_canonical_sorts_keys() -> None:
    assert canonical({"b": 1, "a": {"z": "é", "y": None}}) == '{"a":{"y":null,"z":"é"},"b":1}'.encode()
