"""Sealed detail: read back by the right key alone, and of one size."""

from __future__ import annotations

import hashlib

import pyrage
import pytest

from services.kernel.detail import Detail, read_detail, seal_detail
from services.kernel.errors import RefusedError
from services.kernel.sealing import BLOCK, FRAME, Sealer, open_sealed
from tests.locks import LOCK

IDENTITY = pyrage.x25519.Identity.generate()
SEALER = Sealer(str(IDENTITY.to_public()), key_id="test", lock=LOCK)


@pytest.mark.parametrize("masks", [0, 1, 60])
def test_detail_comes_back_and_fills_one_block(masks: int) -> None:
    detail = Detail(
        reason="text_held",
        masks=tuple(("/incident/narrative", "NATIONALITY", "demonym", place, place + 9) for place in range(masks)),
        drift=("/unknown",),
        dropped={"plan": 3, "drift": 1},
        leaves_in=9,
        leaves_out=5,
    )
    sealed = seal_detail(detail, SEALER)
    assert read_detail(open_sealed(sealed, str(IDENTITY))) == detail
    # a fresh age header varies a little in length; the block inside does not.
    assert BLOCK < len(sealed) < BLOCK + 500


def masks(count: int) -> tuple[tuple[str, str, str, int, int], ...]:
    return tuple((f"/enquiryLog/{n % 97}/{n}", "NATIONALITY", f"rule{n % 7}", n * 31, n * 31 + 9) for n in range(count))


@pytest.mark.parametrize(
    "detail",
    [
        Detail(),
        Detail(masks=masks(200)),
        Detail(masks=masks(2_000)),
        Detail(masks=masks(50_000)),
        Detail(masks=masks(300), held=tuple(f"/statements/{n}/text" for n in range(300))),
        Detail(drift=tuple(hashlib.sha256(b"%d" % n).hexdigest() * 3 for n in range(50))),
        Detail(masks=(("/a" * 400, "NATIONALITY", "lexicon", 0, 9),) * 5),
    ],
    ids=lambda detail: f"{len(detail.masks)} masks, {len(detail.held)} held, {len(detail.drift)} drift",
)
def test_the_size_tells_nothing_however_much_was_masked(detail: Detail) -> None:
    sealed = []

    class Recorder(Sealer):
        def seal(self, data: bytes) -> bytes:
            sealed.append(len(data))
            return super().seal(data)

    made = seal_detail(detail, Recorder(str(IDENTITY.to_public()), key_id="test", lock=LOCK))
    assert sealed[0] <= BLOCK - FRAME
    assert BLOCK < len(made) < BLOCK + 500
    found = read_detail(open_sealed(made, str(IDENTITY)))
    assert found.masks == detail.masks[: len(found.masks)]
    lost = sum(len(getattr(detail, name)) - len(getattr(found, name)) for name in ("masks", "held", "drift"))
    assert found.more == lost
    assert not lost or sealed[0] > BLOCK // 2


def test_another_identity_opens_nothing() -> None:
    with pytest.raises(RefusedError):
        open_sealed(seal_detail(Detail(), SEALER), str(pyrage.x25519.Identity.generate()))


@pytest.mark.parametrize("data", [b"", b"x" * 40])
def test_what_is_no_detail_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match="no detail of an entry"):
        read_detail(data)
