"""Builds the redactor's step from settings: called in the child process, and by the command."""

from __future__ import annotations

from importlib.metadata import version

from services.kernel import keys
from services.kernel.schema import load_feeds
from services.kernel.sealing import Sealer
from services.kernel.settings import Settings
from services.redactor.step import RedactorStep, Secrets
from services.redactor.text import readable
from services.redactor.text.engine import TextEngine


def build_step(settings: Settings) -> RedactorStep:
    """Load schemas, keys and the text engine, which tests itself.

    Raises:
        ConfigError: listing the faults of what could not be loaded.
    """
    found = keys.load(settings.keys_dir, ["pseudonym", "attest", "seal-pub", "lock-pub"])
    attest, seal = found["attest"], found["seal-pub"]
    readable.prepare()
    planted = keys.load(settings.keys_dir, ["canary-pub"]) if any(settings.keys_dir.glob("canary-pub.*")) else {}
    canaries = {key.id: keys.public_key(key) for key in planted.values()}
    return RedactorStep(
        feeds=load_feeds(settings.schemas_dir),
        engine=TextEngine.build(),
        secrets=Secrets(keys.secret(found["pseudonym"]), keys.private_key(attest), attest.id, canaries),
        sealer=Sealer.of(seal, found["lock-pub"]),
        versions={"redactor": version("safe-reporting")},
    )
