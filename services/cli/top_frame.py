"""The lines of `safe-reporting top`. What is not known is `?`; what is old is dim and says of when it is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from itertools import groupby

from rich.text import Text

from services.cli.top_data import (
    Alert,
    Held,
    Seen,
    Waiting,
    Window,
    by_feed,
    by_partner,
    feeds_of,
    partners_of,
    total,
)
from services.monitor.alerts import Event
from services.monitor.report import Known
from services.monitor.windows import Size

#: Seconds after which an answer is old.
OLD_S = 6.0
#: Seconds without a move after which a group's lag is coloured.
_STILL_S = 60.0
_ALERTS_SHOWN = 4
_URGENT = (
    Event.MASKS_FALLEN, Event.NO_POSITION, Event.QUARANTINE_BURST, Event.RETENTION_QUARTER, Event.LAG_UNKNOWN,
    Event.NO_PROGRESS, Event.LAG_AGE, Event.LAG_RECORDS,
)  # fmt: skip
_LENGTH = {Size.MINUTE: "1 minute", Size.QUARTER: "15 minutes", Size.DAY: "1 day"}
_KNOWN = {
    Known.WHOLE: "whole",
    Known.SO_FAR: "so far",
    Known.PARTIAL: "in part (the ledger begins later)",
    Known.UNKNOWN: "? not known",
}


class By(StrEnum):
    """What the flow is divided by."""

    FEED = "feed"
    PARTNER = "partner"


_COLUMNS = {By.FEED: ("in", "forwarded", "withheld", "quarantined"), By.PARTNER: ("decided", "forwarded", "withheld")}


class Memory:
    """What was seen last, since when it is not answered or not known, and every name that was seen."""

    def __init__(self, now: datetime) -> None:
        self.seen: Seen | None = None
        self.lost: str | None = None
        self.answered = now
        self.unknown_since: datetime | None = now
        self.names: dict[By, set[str]] = {By.FEED: set(), By.PARTNER: set()}

    def take(self, seen: Seen) -> None:
        """Take in an answer."""
        self.seen, self.lost, self.answered = seen, None, seen.at
        self.unknown_since = None if seen.knows else self.unknown_since or seen.at
        self.names[By.FEED] |= feeds_of(seen)
        self.names[By.PARTNER] |= partners_of(seen)

    def is_old(self, now: datetime) -> bool:
        """Whether the monitor does not answer any more."""
        return self.lost is not None or (now - self.answered).total_seconds() > OLD_S


def frame(memory: Memory, size: Size, by: By, now: datetime, *, alerts: int | None = _ALERTS_SHOWN) -> list[Text]:
    """Every line; `alerts` is how many of them are shown, None for all."""
    old, seen = memory.is_old(now), memory.seen
    lines = [Text("")] if seen is None else _body(memory, seen, size, by, alerts)
    if old:
        lines = [Text(line.plain, "dim") for line in lines]
    return [state(memory, now), *lines]


def state(memory: Memory, now: datetime) -> Text:
    """The first line: the monitor's state, and how far behind it is."""
    seen, at = memory.seen, f"{now:%H:%M:%S} UTC"
    if memory.is_old(now):
        ago = f"since {memory.answered:%H:%M:%S} UTC ({span((now - memory.answered).total_seconds())})"
        rest = "nothing is known" if seen is None else "figures below are OLD"
        return _joined(("NO ANSWER", "bold red"), f"{ago}: {rest}", at)
    if seen is None:
        return _joined(("ASKING", "bold"), "nothing is known yet", at)
    since = f"{memory.unknown_since:%H:%M:%S} UTC" if memory.unknown_since else "?"
    if not seen.page.ready:
        return _joined(("NOT READY", "bold yellow"), f"since {since}: reads, or another has the ledger", at)
    if seen.page.behind is None:
        return _joined(("BEHIND ?", "bold yellow"), f"since {since}: the end of the ledger is not known", at)
    behind = f"{seen.page.behind:,} offsets behind the ledger"
    if not seen.progress:
        return _joined(("STANDS STILL", "bold red"), behind, at)
    return _joined(("READING", "bold yellow") if seen.page.behind else ("UP TO DATE", "bold green"), behind, at)


def _joined(word: tuple[str, str], rest: str, at: str) -> Text:
    return Text.assemble(word, "  ", rest, " " * max(2, 79 - len(word[0]) - 2 - len(rest) - len(at)), (at, "dim"))


def _body(memory: Memory, seen: Seen, size: Size, by: By, alerts: int | None) -> list[Text]:
    chains = seen.page.chains
    faults = [None, None] if chains is None else [sum(c.gaps for c in chains), sum(c.doubles for c in chains)]
    gaps = f"ledger gaps {_number(faults[0])}, doubles {_number(faults[1])}"
    held = seen.held
    grave = held is not None and not held.fine
    return [
        Text.assemble((f"{gaps}   ", "bold red" if any(faults) else ""), (_held(held), "bold red" if grave else "dim")),
        *_alerts(seen.page.conditions, alerts),
        Text(""),
        *_lags(seen.page.lag),
        Text(""),
        *_flow(seen.windows[size], size, by, sorted(memory.names[by])),
    ]


def _held(held: Held | None) -> str:
    """The gate, and records held whole that nobody looked at."""
    if held is None:
        return "gate, holds: ? (see gate state, safety list)"
    wait = "" if held.gate is None else f" ({_number(held.gate.records)} wait)"
    return f"gate {'closed' if held.gate else 'open'}{wait}, holds {sum(held.open.values()):,}, {held.late:,} escalated"


def _alerts(found: list[Alert] | None, shown: int | None) -> list[Text]:
    """Conditions that are alike share a line: the greatest of their numbers, how many places, the first place."""
    if not found:
        return [Text.assemble(("ALERTS", "bold"), "  ", ("? not known", "yellow") if found is None else "none")]
    order = sorted(found, key=_urgency)
    groups = [list(alike) for _, alike in groupby(order, key=lambda a: (a.severity, a.event, a.about))]
    hidden = 0 if shown is None else max(0, len(groups) - shown)
    more = f"; {hidden} more kinds: safe-reporting top --once" if hidden else ""
    lines = [Text.assemble(("ALERTS", "bold red"), f"  {len(found)} active{more}")]
    for alike in groups[:shown]:
        first, most = alike[0], max((a.count for a in alike if a.count is not None), default=None)
        count = "" if most is None else f"{most:,}{' s' if first.event == Event.LAG_AGE else ''}"
        place = "" if first.topic is None else first.topic.removeprefix("agency.")
        place += "" if first.partition is None else f"/{first.partition}"
        serious = first.severity == "critical"
        words = f"  {'CRIT' if serious else 'warn'} {clean(first.event, 17):17} {clean(first.about, 8):8} {count:>8}"
        lines.append(Text(f"{words}{len(alike):>3}x {clean(place, 60)}", "red" if serious else "yellow"))
    return lines


def _urgency(alert: Alert) -> tuple[bool, int, str, str, str, int]:
    """Critical ones first, then causes before what follows from them."""
    rank = _URGENT.index(alert.event) if alert.event in _URGENT else len(_URGENT)
    return alert.severity != "critical", rank, alert.event, alert.about, alert.topic or "", alert.partition or 0


def _lags(found: list[Waiting] | None) -> list[Text]:
    if found is None:
        return [Text.assemble(("LAG", "bold"), "  ", ("? not known", "yellow"))]
    lines = [Text(f"{'LAG':10}{'records':>11}{'age':>16}  {'most in':39}", "bold underline")]
    for group in sorted({one.group for one in found}):
        mine = [one for one in found if one.group == group]
        lost = [one for one in mine if one.records is None]
        worst = (lost or sorted(mine, key=lambda one: (-(one.records or 0), -one.age_at_least)))[0]
        records = None if lost else sum(one.records or 0 for one in mine)
        place = "" if records == 0 else f"{worst.topic}/{worst.partition}"
        style = "red" if lost else "yellow" if max(one.still for one in mine) >= _STILL_S else ""
        line = f"  {clean(group, 8):8}{_number(records):>11}{_age(mine):>16}  {clean(place, 60)}"
        lines.append(Text(line, style))
    return lines


def _flow(window: Window, size: Size, by: By, names: list[str]) -> list[Text]:
    rows = (by_feed if by is By.FEED else by_partner)(window, names)
    widths = {column: max(10, len(column) + 2) for column in _COLUMNS[by]}
    when = f"{_LENGTH[size]} from {window.start:%d %b %H:%M} UTC, {_KNOWN[window.known]}"
    titles = "".join(f"{column:>{width}}" for column, width in widths.items())
    lines = [Text.assemble((f"FLOW BY {by.upper()}", "bold"), f"  {when}"), Text(f"  {'':32}{titles}", "underline")]
    for name, numbers in [("all", total(window, rows, len(widths))), *sorted(rows.items())]:
        line = Text(f"  {clean(name, 32):32}", "bold" if name == "all" else "")
        for number, width in zip(numbers, widths.values(), strict=True):
            line.append(f"{_number(number):>{width}}", "yellow" if number is None else "" if number else "dim")
        lines.append(line)
    return lines


def _age(found: list[Waiting]) -> str:
    """The greatest age; only a bound below it where one is not known."""
    if any(one.records is None and one.known for one in found):
        return "no position"
    if not all(one.known for one in found):
        return "? not known"
    if any(one.age is None for one in found):
        return f"at least {span(max(one.age_at_least for one in found))}"
    return span(max(one.age or 0.0 for one in found))


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def span(seconds: float) -> str:
    """A time in the unit that it is best read in."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def clean(word: str, width: int) -> str:
    """A word of the ledger, without what would move a terminal's cursor."""
    return "".join(c if c.isascii() and c.isprintable() else "." for c in word)[:width]
