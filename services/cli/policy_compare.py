"""The same records under two profiles: redacted once, routed twice, sent nowhere."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from services.kernel.keys import init_dev, load, public_key
from services.kernel.record import Batch, Message, delivered
from services.kernel.samples import load_samples
from services.kernel.sealing import Sealer
from services.kernel.settings import load_settings
from services.redactor.build import build_step
from services.router.residual import Residual
from services.router.situation import World
from services.router.step import RouterStep, Rules


@dataclass(slots=True)
class Compared:
    """How many records of each feed went to each partner under the first and the second profile."""

    records: int = 0
    counts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def differing(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Only partners and feeds for which the profiles differ."""
        return {place: pair for place, pair in self.counts.items() if pair[0] != pair[1]}

    def table(self, first: str, second: str) -> Table:
        """For the terminal; what differs is marked."""
        shown = Table("partner", "feed", first, second, "", title=f"{self.records} records under two profiles")
        for (partner, feed), (one, other) in sorted(self.counts.items()):
            shown.add_row(partner, feed, str(one), str(other), "" if one == other else "differs")
        return shown

    def summary(self, first: str, second: str) -> str:
        """What the second would have sent to immigration enforcement, in one sentence."""
        one, other = (
            sum(p[n] for (who, _), p in self.counts.items() if who == "immigration-enforcement") for n in (0, 1)
        )
        return (
            f"To immigration enforcement: {one} of {self.records} records under `{first}`, {other} under `{second}`. "
            "The records are redacted in both; a profile decides who receives, not what is removed."
        )

    def document(self, first: str, second: str) -> dict[str, Any]:
        """For `--json`."""
        rows = [
            {"partner": partner, "feed": feed, first: one, second: other}
            for (partner, feed), (one, other) in sorted(self.counts.items())
        ]
        return {"records": self.records, "rows": rows}


def compare(first: World, second: World, samples: Path, residual: Residual) -> Compared:
    """Redact every sample with keys of this run alone, then route it under both.

    Raises:
        ConfigError: a sample file that cannot be read.
    """
    messages = [sample.message() for sample in load_samples(samples)]
    with tempfile.TemporaryDirectory() as folder:
        keys_dir = Path(folder)
        init_dev(keys_dir, [])
        redacted = _redacted(messages, keys_dir)
        found = load(keys_dir, ["attest-pub", "seal-pub", "lock-pub"])
        attest = found["attest-pub"]
        sealer = Sealer.of(found["seal-pub"], found["lock-pub"])
        steps = [
            RouterStep(
                rules=Rules(world.registry, world.areas, world.policies, world.views, residual),
                attest_keys={attest.id: public_key(attest)},
                partner_keys={partner.id: secrets.token_bytes(32) for partner in world.registry.partners},
                sealer=sealer,
                versions={},
            )
            for world in (first, second)
        ]
        counts = [_count(step, redacted) for step in steps]
    places = sorted(set(counts[0]) | set(counts[1]))
    return Compared(len(redacted), {place: (counts[0][place], counts[1][place]) for place in places})


def _redacted(messages: list[Message], keys_dir: Path) -> list[Message]:
    """What the redactor would send of each record; one that fails closed is left out."""
    step = build_step(load_settings(keys_dir=keys_dir))
    now = int(time.time() * 1000)
    made = []
    for offset, message in enumerate(messages):
        outcome = step(delivered(message, offset=offset, now=now), Batch(now=now))
        made += [sent for sent in outcome.messages if sent.topic == "redacted"]
    return made


def _count(step: RouterStep, redacted: list[Message]) -> Counter[tuple[str, str]]:
    """Records that each partner and feed would receive; those that receive none count zero."""
    now = int(time.time() * 1000)
    counts: Counter[tuple[str, str]] = Counter()
    for offset, message in enumerate(redacted):
        outcome = step(delivered(message, offset=offset, now=now), Batch(now=now))
        for decision in outcome.decisions:
            counts[decision.partner, outcome.feed or ""] += decision.effect == "allow"
    return counts
