"""Sealed detail of an outcome: what only compliance may read, one record at a time."""

from __future__ import annotations

import zlib

import msgspec

from services.kernel.errors import RefusedError
from services.kernel.jsonio import UNREADABLE
from services.kernel.sealing import BLOCK, FRAME, Sealer

#: Path, class, rule, start, end: where a mask stands in the redacted text.
MaskDetail = tuple[str, str, str, int, int]
#: More entries than fit one block, however well they deflate.
_MOST = 2048


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The exact reason, masks, fields that no schema knows, and leaves dropped by cause. No text.

    `drift` holds the first paths only, `dropped["drift"]` counts the leaves of all. `more` counts the masks, held
    texts and drift paths that had no room, the last of each.
    """

    reason: str | None = None
    masks: tuple[MaskDetail, ...] = ()
    held: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    dropped: dict[str, int] = {}
    leaves_in: int = 0
    leaves_out: int = 0
    risk: tuple[str, ...] = ()
    more: int = 0


def seal_detail(detail: Detail, sealer: Sealer) -> bytes:
    """Age bytes of `detail`: always one padding block, whatever was masked, so that the size tells nothing.

    Deflated first; what still has no room is left out and counted.
    """
    kept, limit = detail, _MOST
    while len(packed := _packed(kept)) > BLOCK - FRAME:
        limit = limit * 7 // 8
        kept = _cut(detail, limit)
    return sealer.seal(packed)


def _cut(detail: Detail, limit: int) -> Detail:
    """The first `limit` entries of each list, with the others counted."""
    masks, held, drift = detail.masks[:limit], detail.held[:limit], detail.drift[:limit]
    left = len(detail.masks) + len(detail.held) + len(detail.drift) - len(masks) - len(held) - len(drift)
    return msgspec.structs.replace(detail, masks=masks, held=held, drift=drift, more=left)


def _packed(detail: Detail) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(detail), 1)


def read_detail(opened: bytes) -> Detail:
    """The detail in what `open_sealed` returned.

    Raises:
        RefusedError: the bytes are not sealed detail.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(opened), type=Detail)
    except (zlib.error, *UNREADABLE) as error:
        raise RefusedError("what is sealed is no detail of an entry: somebody else made it") from error
