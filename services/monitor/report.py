"""Figures for people and programs: windows with what is known of them, and what is not known said so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from services.kernel.ledger import rfc3339
from services.monitor import buckets
from services.monitor.state import Mark, chain_of, read_chain, read_figures
from services.monitor.windows import Figures, Place, Size, add_up

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Known(StrEnum):
    """What is known of a window."""

    WHOLE = "whole"  # every entry of it was taken in; late ones may still change it
    SO_FAR = "so_far"  # it is not over
    PARTIAL = "partial"  # the ledger as it was first seen begins inside it
    UNKNOWN = "unknown"  # the monitor has not read so far, or never saw that time


class Reach(NamedTuple):
    """The time in milliseconds that the figures speak of: from the first entry taken in to `until`.

    `until` is now where the monitor is at the end of the ledger, the time of the newest entry where it is behind,
    and None where it does not know.
    """

    known_from: int
    until: int | None


def reach(mark: Mark, *, at_end: bool | None, now: int) -> Reach:
    """The reach of a mark, when the monitor has (or has not, or does not know) read the ledger to its end at `now`.

    Args:
        now: milliseconds since the epoch, when the end was asked for.
    """
    if at_end is None or mark.known_from < 0:
        return Reach(mark.known_from, None)
    return Reach(mark.known_from, now if at_end else mark.newest)


def known(start: int, size: Size, at: Reach) -> Known:
    """What is known of the window that begins at `start`."""
    if at.until is None or start >= at.until or start + size.ms <= at.known_from:
        return Known.UNKNOWN
    if start < at.known_from:
        return Known.PARTIAL
    return Known.WHOLE if start + size.ms <= at.until else Known.SO_FAR


def cells(items: Iterable[tuple[bytes, bytes]], size: Size, starts: Iterable[int]) -> dict[Place, Figures]:
    """The cells of some windows."""
    wanted = frozenset(starts)
    found = {}
    for key, value in items:
        where = Place.of(key)
        if where is not None and where.size is size and where.start in wanted:
            found[where] = read_figures(value)
    return found


def last_starts(size: Size, *, now: int, count: int) -> list[int]:
    """Beginnings of the window under way and those before it, newest first."""
    first = now - now % size.ms
    return [first - number * size.ms for number in range(count)]


def window(start: int, size: Size, at: Reach, parts: Mapping[Place, Figures]) -> dict[str, Any]:
    """One window as JSON; its figures are null where nothing is known."""
    state = known(start, size, at)
    mine = {where: figures for where, figures in parts.items() if where.start == start}
    return {
        "window": size,
        "start": rfc3339(start),
        "end": rfc3339(start + size.ms),
        "known": state,
        "cells": None
        if state is Known.UNKNOWN
        else [
            {"service": where.service, "agency": where.agency, "feed": where.feed, **figures_json(figures)}
            for where, figures in sorted(mine.items(), key=lambda pair: pair[0].key)
        ],
        "total": None if state is Known.UNKNOWN else figures_json(add_up(mine.values())),
    }


def figures_json(figures: Figures) -> dict[str, Any]:
    """Figures as JSON. Times are milliseconds: the bound of a bucket that is not exceeded."""
    return {
        "entries": figures.entries,
        "outcomes": dict(sorted(figures.outcomes.items())),
        "partners": {
            partner: {"allow": allowed, "deny": denied}
            for partner, (allowed, denied) in sorted(figures.partners.items())
        },
        "processing_ms": times(figures.processing, figures.processing_unknown),
        "end_to_end_ms": times(figures.end_to_end, figures.end_to_end_unknown),
        "late": figures.late,
        "ahead": figures.ahead,
    }


def times(counts: list[int], unknown: int) -> dict[str, Any]:
    """Quantiles, null where there is nothing to say; `longer` where a quantile is beyond the last bound."""
    made: dict[str, Any] = {"known": sum(counts), "unknown": unknown, "buckets": counts}
    for name, share in QUANTILES.items():
        bound, within = buckets.quantile(counts, share)
        made[name] = bound if within else ("longer" if bound else None)
    return made


def chains(items: Iterable[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """Every chain as JSON; `missing` are the latest ranges of offsets without an entry."""
    made = []
    for key, value in sorted(items):
        where = chain_of(key)
        if where is None:
            continue
        chain = read_chain(value)
        made.append(
            {
                "service": where[0], "topic": where[1], "partition": where[2], "last": chain.last,
                "entries": chain.entries, "gaps": chain.gaps, "doubles": chain.doubles, "unlinked": chain.unlinked,
                "missing": [list(pair) for pair in chain.missing],
            }
        )  # fmt: skip
    return made
