"""`safe-reporting bench drift`: false alarms and delay of the drift alarm on simulated producers."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterator
from random import Random
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from services.kernel.errors import ConfigError
from services.kernel.tally import Counter, Tally, read
from services.monitor.drift import Chart, State
from services.monitor.tallies import ROUNDING

_DAY_MS, _TICK_MS = 86_400_000, 600_000
#: A Monday, at midnight UTC.
_START = 1_789_948_800_000
#: Days before a change, and days until one that was not seen counts as missed.
_BEFORE, _MOST = 42, 42
#: How far a day, and a week, lies from the producer's own rhythm: standard deviation of the log odds.
_BY_DAY, _BY_WEEK = 0.2, 0.1
#: Changes of the odds of a masked record.
CHANGES = {"nothing is masked": 0.0, "odds halved": 0.5, "odds two thirds": 2 / 3, "odds doubled": 2.0}


class World(NamedTuple):
    """A producer: records a day, and the share of them that is masked."""

    a_day: int
    rate: float


def drift(
    days: Annotated[int, typer.Option(min=60, help="Days without a change, for each producer.")] = 365,
    producers: Annotated[int, typer.Option(min=2, help="Simulated producers of each size.")] = 20,
    rate: Annotated[float, typer.Option(min=0.02, max=0.98, help="Share of records that are masked.")] = 0.5,
    sizes: Annotated[str, typer.Option(help="Records a day, with commas between.")] = "30,100,1000",
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Simulate producers with a rhythm of day and week: how often the alarm errs, and how soon it sees a change."""
    console = Console(highlight=False, stderr=True)
    made = []
    for a_day in _numbers(sizes):
        world, chance = World(a_day, rate), Random(f"{seed}/{a_day}")
        steps = track(range(producers), description=f"{a_day} records a day", console=console)
        made.append({"records_a_day": a_day, **_measured(world, days, [chance.random() for _ in steps])})
    if as_json:
        print(json.dumps(made, indent=2))
        return
    table = Table("records a day", "false alarms a year", "change", "seen", "delay, hours", "delay, records")
    for size in made:
        for number, (change, seen) in enumerate(size["changes"].items()):
            first = [f"{size['records_a_day']:,}", f"{size['false_alarms_a_year']:.2f}"] if number == 0 else ["", ""]
            table.add_row(*first, change, f"{seen['seen']:.0%}", _span(seen["hours"]), _span(seen["records"]))
    table.caption = "delay: median and nine in ten, of those seen"
    Console().print(table)


def _numbers(sizes: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*", sizes):
        raise ConfigError("bench drift", [f"`{sizes}`: write numbers with commas between, as in `30,100`"])
    return [int(size) for size in sizes.split(",")]


def _span(pair: list[float] | None) -> str:
    return "-" if pair is None else f"{pair[0]:,.1f}  {pair[1]:,.1f}"


def _measured(world: World, days: int, seeds: list[float]) -> dict[str, Any]:
    false = sum(false_alarms(world, days, Random(seed)) for seed in seeds)
    changes = {}
    for name, odds in CHANGES.items():
        delays = [delay(world, odds, Random(seed)) for seed in seeds]
        seen = [delay for delay in delays if delay is not None]
        changes[name] = {
            "seen": len(seen) / len(seeds),
            "hours": _quantiles([ms / 3_600_000 for ms, _ in seen]),
            "records": _quantiles([float(records) for _, records in seen]),
        }
    return {"false_alarms_a_year": false / (len(seeds) * days / 365), "changes": changes}


def _quantiles(values: list[float]) -> list[float] | None:
    return (
        [statistics.median(values), statistics.quantiles(values, n=10, method="inclusive")[-1]]
        if len(values) > 1
        else None
    )


def false_alarms(world: World, days: int, chance: Random) -> int:
    """Beginnings of alarms in so many days without a change."""
    chart, alarms, before = Chart(rounding=ROUNDING), 0, False
    for at, tally, _ in _tallies(world, chance, days):
        chart.take(at, tally.records, tally.masked)
        now = chart.read().state in (State.FALLEN, State.RISEN)
        alarms += now and not before
        before = now
    return alarms


def delay(world: World, odds: float, chance: Random) -> tuple[int, int] | None:
    """Milliseconds and records from a change to the alarm of its side; None where it was not seen."""
    begins = _START + int((_BEFORE + chance.random() * 7) * _DAY_MS)
    chart, sent = Chart(rounding=ROUNDING), None
    for at, tally, number in _tallies(world, chance, _BEFORE + 7 + _MOST, begins=begins, odds=odds):
        chart.take(at, tally.records, tally.masked)
        if at >= begins:
            sent = number - tally.records if sent is None else sent
            if chart.read().state is (State.FALLEN if odds < 1 else State.RISEN):
                return at - begins, number - sent
    return None


def _tallies(
    world: World, chance: Random, days: int, *, begins: int | None = None, odds: float = 1.0
) -> Iterator[tuple[int, Tally, int]]:
    """Tallies of a producer as a redactor makes them, with their times and the number of records so far."""
    counter, number, week = Counter(), 0, 0.0
    middle = math.log(world.rate / (1 - world.rate))
    for day in range(days):
        week = chance.gauss(0, _BY_WEEK) if day % 7 == 0 else week
        weekend, level = day % 7 >= 5, middle + week + chance.gauss(0, _BY_DAY)
        for tick in range(_DAY_MS // _TICK_MS):
            hour = math.sin((tick * _TICK_MS / _DAY_MS - 0.35) * 2 * math.pi)
            many = world.a_day * (_TICK_MS / _DAY_MS) * (1 + 0.8 * hour) * (0.7 if weekend else 1.12)
            start = _START + day * _DAY_MS + tick * _TICK_MS
            log_odds = level + 0.3 * hour + (0.3 if weekend else 0.0)
            share = 1 / (1 + math.exp(-log_odds))
            for place in range(_poisson(many, chance)):
                at, number = start + place, number + 1
                now = share if begins is None or at < begins else odds * share / (1 - share + odds * share)
                masked = chance.random() < now
                made = counter.count(("made", 0, number), ("a", "b"), masked=masked, unknown_field=False, now=at)
                tally = read(made.value) if made is not None and made.value else None
                if tally is not None:
                    yield at, tally, number


def _poisson(mean: float, chance: Random) -> int:
    """A number of arrivals; by the normal approximation where there are many."""
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, number, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        number, product = number + 1, product * chance.random()
    return number
