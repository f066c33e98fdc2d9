"""What comes out of librdkafka, as the project's own types."""

from __future__ import annotations

from typing import Any

import pytest

from services.kernel.kafka.client import inbound
from services.kernel.sensitive import SensitiveBytes


class Delivered:
    """A message as confluent-kafka gives it; `headers` may be an error that it raises."""

    def __init__(self, headers: Any, *, key: bytes | None = b"k", value: bytes | None = b"v") -> None:
        self._headers, self._key, self._value = headers, key, value

    def headers(self) -> Any:
        if isinstance(self._headers, Exception):
            raise self._headers
        return self._headers

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def topic(self) -> str:
        return "agency.gmp.police-crime"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 9

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_770_000_000_000


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"ce_\xff", 3, 4, "invalid start byte"), SystemError("error return")]
)
def test_a_header_name_that_is_not_utf8_makes_all_headers_unknown(error: Exception) -> None:
    record = inbound(Delivered(error))
    assert record.headers == ()
    assert (record.topic, record.partition, record.offset) == ("agency.gmp.police-crime", 3, 9)
    assert record.value == SensitiveBytes(b"v")
    assert record.header("ce_type") is None


@pytest.mark.parametrize("headers", [None, []])
def test_no_headers(headers: Any) -> None:
    assert inbound(Delivered(headers)).headers == ()


def test_headers_keep_order_doubles_and_empty_values() -> None:
    record = inbound(Delivered([("a", b"1"), ("b", None), ("a", b"2"), ("c", b"3")], key=None, value=None))
    assert record.headers == (
        ("a", SensitiveBytes(b"1")), ("b", None), ("a", SensitiveBytes(b"2")), ("c", SensitiveBytes(b"3")),
    )  # fmt: skip
    assert [record.header(name) for name in "abcd"] == [None, None, b"3", None]
    assert record.key is None
    assert record.value is None
