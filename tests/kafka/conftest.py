"""One real broker for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.cli.pipeline import Pipeline
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedKafka]:
    """A running Apache Kafka with the topology applied. Tests make their own topics as `admin`."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        yield kafka


@pytest.fixture
def own() -> Iterator[EmbeddedKafka]:
    """A broker of a test's own: nobody else writes, and its topics may expire."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        yield kafka


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """A pipeline on a broker of its own, for a module that closes the gate; others have their own."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(kafka, routers=2, restart=True) as made:
            yield made
