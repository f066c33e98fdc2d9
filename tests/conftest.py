"""Order of the run: what needs no broker first, then the broker, then kills and restarts."""

from __future__ import annotations

import os

import pytest

#: Every process that a test starts says where it was when it crashed.
os.environ.setdefault("PYTHONFAULTHANDLER", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast lanes first, so that a fault shows early."""
    items.sort(key=lambda item: 2 * bool(item.get_closest_marker("chaos")) + bool(item.get_closest_marker("kafka")))
