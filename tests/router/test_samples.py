"""Every sample through redactor and router: what is clean leaves, and a broken redactor is caught."""

from __future__ import annotations

import functools
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel.mask import VoucherReason
from services.kernel.paths import ROOT
from services.kernel.record import Inbound, Outcome
from services.kernel.schema import load_feeds
from services.kernel.sealing import Sealer
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import EntityClass, OutcomeKind, Reason
from services.redactor.step import RedactorStep, Secrets
from services.redactor.text.engine import TextEngine
from services.redactor.text.model import Kind, Redaction, Voucher
from services.router.residual_words import load_words
from tests.locks import LOCK
from tests.router.helpers import IDENTITY, NOW, SIGNER, batch, make_step

#: Classes of which the router's own list must know the plain words, whatever the grammar around them.
PLAIN = frozenset({EntityClass.NATIONALITY, EntityClass.LANGUAGE})


@functools.cache
def engine() -> TextEngine:
    return TextEngine.build()


class Mutant:
    """An engine that leaves every text as it came; what it found it calls a look-alike, or says nothing."""

    version = "mutant"

    def __init__(self, reason: VoucherReason | None) -> None:
        self.reason = reason
        self.leaked: set[EntityClass] = set()

    def redact(self, text: str, kind: Kind, protected: bool) -> Redaction:
        spans = engine().detect(text, kind)
        self.leaked |= {span.entity for span in spans if kind is Kind.NARRATIVE}
        vouchers = tuple(Voucher(span.start, span.end, self.reason) for span in spans) if self.reason else ()
        return Redaction(text, (), vouchers)


def samples() -> list[dict[str, Any]]:
    files = sorted((ROOT / "samples").glob("*.jsonl"))
    return [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


def redact(sample: dict[str, Any], own: Any) -> Inbound | None:
    """The redacted record of a sample as the router receives it; None where it was set aside."""
    step = RedactorStep(
        feeds=feeds(),
        engine=own,
        secrets=Secrets(b"\3" * 32, Ed25519PrivateKey.from_private_bytes(SIGNER.private_bytes_raw()), "test"),
        sealer=Sealer(str(IDENTITY.to_public()), key_id="test", lock=LOCK),
        versions={},
    )
    headers = tuple((name, SensitiveBytes(value.encode())) for name, value in sample["headers"].items())
    value = SensitiveBytes(orjson.dumps(sample["value"]))
    outcome = step(Inbound(sample["topic"], 0, 0, NOW, None, value, headers), batch())
    for message in outcome.messages:
        if message.topic == "redacted":
            held = tuple((name, SensitiveBytes(header)) for name, header in message.headers)
            return Inbound("redacted", 0, 0, NOW, None, SensitiveBytes(message.value or b""), held)
    return None


@functools.cache
def feeds() -> Any:
    return load_feeds(ROOT / "schemas")


@pytest.fixture(scope="module")
def route() -> Any:
    step = make_step()

    def routed(sample: dict[str, Any], own: Any) -> Outcome | None:
        record = redact(sample, own)
        return step(record, batch()) if record else None

    return routed


NAMES = [sample["name"] for sample in samples()]


@pytest.mark.parametrize("sample", samples(), ids=NAMES)
def test_no_sample_is_held_back_by_the_residual_scan(route: Any, sample: dict[str, Any]) -> None:
    outcome = route(sample, engine())
    if outcome is not None:
        assert outcome.reason not in (Reason.RESIDUAL, Reason.VIEW_INVALID, Reason.POLICY_ERROR)
        assert not any(message.topic == "partner.immigration-enforcement" for message in outcome.messages)


@pytest.mark.parametrize("reason", [None, *sorted(VoucherReason)])
def test_a_redactor_that_masks_nothing_is_caught(route: Any, reason: VoucherReason | None) -> None:
    caught = leaks = 0
    for sample in samples():
        mutant = Mutant(reason)
        outcome = route(sample, mutant)
        text_views = outcome is not None and any(
            d.partner in ("victim-support-gm", "idva-service") for d in outcome.decisions
        )
        if outcome is None or not text_views or not mutant.leaked & PLAIN:
            continue
        leaks += 1
        caught += outcome.kind is OutcomeKind.WITHHELD and outcome.reason is Reason.RESIDUAL
    assert leaks >= 5
    assert caught >= leaks * 0.9


def test_no_code_beside_a_name_holds_a_record_back_because_the_redactor_does_not_know_it() -> None:
    for code in sorted(load_words().codes):
        for name in (f"Ali {code.upper()}", f"Ali ({code.upper()})"):
            assert "[removed]" in engine().redact(name, Kind.NAME).text, name
