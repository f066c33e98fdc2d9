"""Sealed detail of an outcome: what only compliance may read, one record at a time."""

from __future__ import annotations

import zlib

import msgspec

from services.kernel.sealing import Sealer

#: Path, class, rule, start, end: where a mask stands in the redacted text.
MaskDetail = tuple[str, str, str, int, int]


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The exact reason, masks, fields that no schema knows, and leaves dropped by cause. No text.

    `drift` holds the first paths only, `dropped["drift"]` counts the leaves of all.
    """

    reason: str | None = None
    masks: tuple[MaskDetail, ...] = ()
    held: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    dropped: dict[str, int] = {}
    leaves_in: int = 0
    leaves_out: int = 0
    risk: tuple[str, ...] = ()


def seal_detail(detail: Detail, sealer: Sealer) -> bytes:
    """Age bytes of `detail`. Deflated first, so that it fits one padding block whatever was masked."""
    return sealer.seal(zlib.compress(msgspec.msgpack.encode(detail), 1))


def read_detail(opened: bytes) -> Detail:
    """The detail in what `open_sealed` returned.

    Raises:
        ValueError: the bytes are not sealed detail.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(opened), type=Detail)
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError("not sealed detail") from error
