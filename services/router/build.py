"""Builds the router's step from settings: called in the child process, and by the command."""

from __future__ import annotations

from importlib.metadata import version

from services.kernel import keys
from services.kernel.sealing import Sealer
from services.kernel.settings import Settings
from services.router.step import RouterStep, load_rules


def build_step(settings: Settings) -> RouterStep:
    """Load policies, partners, views and keys. The redactor's private key is not among them.

    Raises:
        ConfigError: listing the faults of what could not be loaded.
    """
    rules = load_rules(schemas_dir=settings.schemas_dir, policies_dir=settings.policies_dir, profile=settings.profile)
    partners = [partner.id for partner in rules.registry.partners]
    found = keys.load(settings.keys_dir, ["attest-pub", "seal-pub", *(f"partner-{name}" for name in partners)])
    attest, seal = found["attest-pub"], found["seal-pub"]
    return RouterStep(
        rules=rules,
        attest_keys={attest.id: keys.public_key(attest)},
        partner_keys={name: keys.secret(found[f"partner-{name}"]) for name in partners},
        sealer=Sealer(seal.material.decode("ascii", "replace"), key_id=seal.id),
        versions={"router": version("safe-reporting")},
    )
