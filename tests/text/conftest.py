"""One engine for all tests of the text part: building it proves every rule."""

from __future__ import annotations

import pytest

from services.redactor.text.engine import TextEngine


@pytest.fixture(scope="session")
def engine() -> TextEngine:
    """The engine as the service builds it."""
    return TextEngine.build()
