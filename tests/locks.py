"""The outer lock of the tests: what the ledger service would hold."""

from __future__ import annotations

import pyrage

_IDENTITY = pyrage.x25519.Identity.generate()
LOCK_IDENTITY = str(_IDENTITY)
LOCK = str(_IDENTITY.to_public())
