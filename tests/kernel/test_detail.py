"""Sealed detail: read back by the right key alone, and of one size."""

from __future__ import annotations

import pyrage
import pytest

from services.kernel.detail import Detail, read_detail, seal_detail
from services.kernel.errors import RefusedError
from services.kernel.sealing import BLOCK, Sealer, open_sealed

IDENTITY = pyrage.x25519.Identity.generate()
SEALER = Sealer(str(IDENTITY.to_public()), key_id="test")


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


def test_another_identity_opens_nothing() -> None:
    with pytest.raises(RefusedError):
        open_sealed(seal_detail(Detail(), SEALER), str(pyrage.x25519.Identity.generate()))


@pytest.mark.parametrize("data", [b"", b"x" * 40])
def test_what_is_no_detail_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not sealed detail"):
        read_detail(data)
