"""What the redactor's tests share: a small text engine, a step with made keys, records out of samples."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel.detail import Detail, read_detail
from services.kernel.mask import TOKEN
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.schema import Feeds, load_feeds, load_tags
from services.kernel.schema.tags import Tags
from services.kernel.sealing import Sealer, open_sealed, unlock
from services.kernel.sensitive import SensitiveBytes
from services.redactor.step import RedactorStep, Secrets
from tests.locks import LOCK, LOCK_IDENTITY

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_770_000_000_000  # 2026-02-02
BATCH = Batch(now=NOW)
IDENTITY = pyrage.x25519.Identity.generate()
ATTEST = Ed25519PrivateKey.generate()
PUBLIC_KEYS = {"test": ATTEST.public_key()}


@dataclass(frozen=True)
class FakeMask:
    start: int
    end: int
    entity: str = "NATIONALITY"
    rule: str = "fake"


@dataclass(frozen=True)
class FakeRedaction:
    text: str
    masks: tuple[FakeMask, ...] = ()
    vouchers: tuple[Any, ...] = ()
    held: bool = False
    risk: frozenset[str] = frozenset()


class FakeEngine:
    """Hides the made-up nationality `Fooish`, cannot read `zzz`, hears a threat in `kill`."""

    version = "fake-1"

    def redact(self, text: str, kind: Any, protected: bool) -> FakeRedaction:
        if "zzz" in text:
            return FakeRedaction(TOKEN, (FakeMask(0, len(TOKEN), "UNREADABLE"),), held=True)
        risk = frozenset(code for word, code in (("kill", "kill_or_harm"), ("spy", "coercive_control")) if word in text)
        if not protected:
            return FakeRedaction(text, risk=risk)
        made = re.sub("Fooish", TOKEN, text)
        masks = tuple(FakeMask(found.start(), found.end()) for found in re.finditer(re.escape(TOKEN), made))
        return FakeRedaction(made, masks, risk=risk)


@cache
def tags() -> Tags:
    return load_tags(ROOT / "schemas" / "tags.yaml")


@cache
def feeds() -> Feeds:
    return load_feeds(ROOT / "schemas")


def make_step(engine: Any = None, **changes: Any) -> RedactorStep:
    options: dict[str, Any] = {
        "feeds": feeds(),
        "engine": engine or FakeEngine(),
        "secrets": Secrets(b"p" * 32, ATTEST, "test"),
        "sealer": Sealer(str(IDENTITY.to_public()), key_id="test", lock=LOCK),
        "versions": {"redactor": "0"},
    }
    return RedactorStep(**{**options, **changes})


@cache
def samples() -> dict[str, dict[str, Any]]:
    lines = [line for path in sorted((ROOT / "samples").glob("*.jsonl")) for line in path.read_text().splitlines()]
    return {sample["name"]: sample for sample in map(json.loads, lines)}


def inbound(sample: dict[str, Any], offset: int = 0, **changes: Any) -> Inbound:
    """The sample as Kafka would deliver it."""
    record = Inbound(
        sample["topic"],
        0,
        offset,
        NOW - 1000,
        SensitiveBytes(sample["key"].encode()) if sample["key"] else None,
        SensitiveBytes(json.dumps(sample["value"], ensure_ascii=False).encode()),
        tuple((name, SensitiveBytes(value.encode())) for name, value in sample["headers"].items()),
    )
    return msgspec.structs.replace(record, **changes)


def crime(value: Any = None, *, raw: bytes | None = None, **changes: Any) -> Inbound:
    """A police crime record with `value`, or with the bytes `raw`."""
    data = json.dumps(value).encode() if raw is None else raw
    sample = samples()["police-crime-02"]
    return inbound(sample, value=SensitiveBytes(data), **changes)


def small_crime(**persons_or_incident: Any) -> dict[str, Any]:
    return {"record": {"id": "CR-1"}, "incident": {"area": "E08000003"}, **persons_or_incident}


def opened(outcome: Outcome) -> Detail:
    return read_detail(open_sealed(outcome.detail, str(IDENTITY)))


def unsealed(message: Message) -> bytes:
    assert message.value is not None
    return open_sealed(unlock(message.value, LOCK_IDENTITY), str(IDENTITY))


def redacted(outcome: Outcome) -> Any:
    """The redacted value of an outcome that has one."""
    assert outcome.kind == "redacted", outcome.reason
    message = outcome.messages[0]
    assert message.value is not None
    return json.loads(message.value)
