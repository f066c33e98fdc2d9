"""Builds the router's step from settings: called in the child process, and by the command."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from services.kernel import keys
from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.sealing import Sealer
from services.kernel.settings import Settings
from services.kernel.vocabulary import Reason
from services.router.lease import PolicySets
from services.router.step import RouterStep, load_rules


class SwitchingStep:
    """One router step for each policy set; a batch is decided by the set that its facts name.

    Without a policy in the facts it is the set of `policies_dir`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sets = PolicySets(settings.policies_dir, settings.policy_sets_dir, lambda *_: None)
        self._own = _step(settings, settings.policies_dir, "default")
        self._steps: dict[tuple[str, str], RouterStep] = {}

    def __call__(self, record: Inbound, batch: Batch) -> Outcome:
        """Route one record by the set in force."""
        return self._for(batch)(record, batch)

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        """The outcome of a record that is set aside whole."""
        return self._own.quarantine(record, reason)

    def _for(self, batch: Batch) -> RouterStep:
        sha256 = batch.facts.get("policy")
        if sha256 is None:
            return self._own
        place = sha256, batch.facts["profile"]
        if place not in self._steps:
            folder = self._sets.folder(sha256)
            step = _step(self._settings, folder, place[1]) if folder else None
            if step is None or self._sets.folder(sha256) != folder:
                raise LookupError("the policy set in force is not here any more, or changed while it was read")
            self._steps[place] = step
        return self._steps[place]


def build_step(settings: Settings) -> SwitchingStep:
    """Load policies, partners, views and keys. The redactor's private key is not among them.

    Raises:
        ConfigError: listing the faults of what could not be loaded.
    """
    return SwitchingStep(settings)


def _step(settings: Settings, policies_dir: Path, profile: str) -> RouterStep:
    rules = load_rules(schemas_dir=settings.schemas_dir, policies_dir=policies_dir, profile=profile)
    partners = [partner.id for partner in rules.registry.partners]
    found = keys.load(
        settings.keys_dir, ["attest-pub", "seal-pub", "lock-pub", *(f"partner-{name}" for name in partners)]
    )
    attest, seal = found["attest-pub"], found["seal-pub"]
    return RouterStep(
        rules=rules,
        attest_keys={attest.id: keys.public_key(attest)},
        partner_keys={name: keys.secret(found[f"partner-{name}"]) for name in partners},
        sealer=Sealer.of(seal, found["lock-pub"]),
        versions={"router": version("safe-reporting")},
    )
