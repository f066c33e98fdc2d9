"""`safe-reporting bench router`: decisions a second beside Cedar alone, and one router worker through a real broker."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

import cedarpy
import typer
from rich.console import Console
from rich.table import Table

from services.cli.bench_parts import numbered, throughput
from services.cli.pipeline import Pipeline
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.london import london_day
from services.kernel.paths import ROOT
from services.kernel.samples import load_samples
from services.router import lint
from services.router.facts import FEEDS, MARKERS, Facts, entity
from services.router.partners import Partner
from services.router.profiles import load_profile
from services.router.situation import Situation, World


def router(
    records: Annotated[int, typer.Option(min=500, help="Records of the run through the broker.")] = 4000,
    decisions: Annotated[int, typer.Option(min=1000, help="Decisions of the runs without a broker.")] = 20000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure decisions without a broker (cold, remembered, Cedar alone), then one router worker on an embedded one."""
    console = Console(highlight=False, stderr=True)
    figures = _decisions(decisions)
    console.print("decisions measured; starting a broker")
    with EmbeddedKafka(on_progress=console.print) as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(broker, redactors=1, routers=0) as pipeline:
            console.print(f"{records} records go through one redactor")
            pipeline.send(list(numbered(load_samples(ROOT / "samples"), records)))
            pipeline.wait(records, seconds=600, routed=False)
            console.print("starting one router on what it redacted")
            with Pipeline(broker, redactors=0, routers=1, keys_dir=pipeline.keys_dir) as alone:
                alone.wait(records, seconds=600)
            figures |= throughput(broker, "router")
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("figure", "value", title="Decisions in this process; one router worker through one broker")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}")
    Console().print(table)


def _decisions(count: int) -> dict[str, float]:
    """Decisions a second in one process: all facts new to it, all known to it, and Cedar in batches of 500."""
    world = World(
        *lint.load(ROOT / "policies", ROOT / "schemas", "default"),
        london_day(int(datetime.now(UTC).timestamp() * 1000)),
    )
    asked = list(itertools.islice(_asked(world), count))
    distinct = len({(partner.id, facts) for partner, facts in asked})
    fresh = load_profile(ROOT / "policies", "default", for_service=True)

    def through_the_guard() -> None:
        for partner, facts in asked:
            fresh.decide(partner.id, partner.view, facts)

    cold = _seconds(through_the_guard)
    warm = _seconds(through_the_guard)
    policies = cedarpy.PolicySet.from_json_str(
        json.dumps({"staticPolicies": fresh.static, "templates": {}, "templateLinks": []})
    )
    entities = cedarpy.Entities.from_json_str("[]", fresh.schema)
    requests = [
        {
            "principal": entity("Partner", partner.id),
            "action": entity("Action", "receive"),
            "resource": entity("View", partner.view),
            "context": facts.context(),
        }
        for partner, facts in asked
    ]

    def by_cedar_alone() -> None:
        for at in range(0, len(requests), 500):
            cedarpy.is_authorized_batch(requests[at : at + 500], policies, entities, fresh.schema)

    return {
        "partners": len(world.registry.partners),
        "distinct_requests": distinct,
        "decisions_a_second_cold": distinct / cold,
        "decisions_a_second_remembered": len(asked) / warm,
        "decisions_a_second_cedar_alone_in_batches": len(requests) / _seconds(by_cedar_alone),
    }


def _asked(world: World) -> Iterator[tuple[Partner, Facts]]:
    """Facts of records of every feed, agency, borough, role and pair of markers, for each partner that subscribes."""
    roles = (("victim",), ("witness",), ("victim", "suspect"), ("victim", "child"), ("suspect",))
    places = itertools.product(itertools.combinations(MARKERS, 2), roles, FEEDS, ("Manchester", "unknown"))
    for markers, held, feed, area in places:
        for agency in sorted({name for partner in world.registry.partners for name in partner.agencies}):
            situation = Situation(
                feed=feed, agency=agency, area=area, roles=held, markers=markers, child="child" in held
            )
            yield from ((answer.partner, answer.facts) for answer in world.answers(situation).values())


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
