"""`safe-reporting safety`: records held whole, whose source a person must look at, and the word that one did."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from services.cli.shown import show
from services.cli.top_frame import span
from services.desk import closed
from services.desk.closed import ClosedGate
from services.desk.desk import gate_row, row
from services.desk.main import pace_of, waiting_of
from services.desk.register import Item, Pace, Register
from services.kernel import gate, ledger, safety
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, Exit
from services.kernel.kafka.reader import NotWholeError, read_all, send_together
from services.kernel.ledger import rfc3339
from services.kernel.record import Message
from services.kernel.safety import Acknowledgement
from services.kernel.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True)

#: The account that these commands run as.
NAME = "cli-safety"
#: So many characters of an id say which hold is meant, if no other begins so.
_SHORTEST = 4


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Those too that somebody acknowledged.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what nobody acknowledged, oldest first: where the record stands, how grave, how far it went. No content.

    The closed gate is one item: records wait behind it unseen. Where a topic cannot be read to its end, because a
    transaction hangs in one of its partitions, what the others hold is shown, and the exit code is 3.
    """
    settings, now = load_settings(), int(time.time() * 1000)
    unread: list[str] = []
    register, pace = _register(settings.kafka_config(), holds=unread, said=unread), pace_of(settings)
    shut = None
    with _noting(unread):
        shut = _gate(settings, pace, now=now)
    items = sorted(register.open() + (register.closed() if everything else []), key=lambda item: item.order)
    rows = [_row(item, register, pace, now=now) for item in items]
    if as_json:
        for one in ([shut] if shut else []) + rows:
            print(json.dumps(one))
        _end(unread)
        return
    still = f"{'about ' if unread else ''}{len(register.open())}"
    show(_table(rows, still=still))
    if shut:
        records = "? records wait" if shut["records"] is None else f"about {shut['records']:,} records wait"
        print(f"gate closed since {shut['raised']}: {records}, level {shut['level']}")
    if register.unreadable:
        print(f"{register.unreadable} messages are neither holds nor acknowledgements")
    _end(unread)


@app.command()
def acknowledge(
    ids: Annotated[list[str], typer.Argument(help="Ids as `safety list` shows them; a beginning that is enough.")],
    by: Annotated[str, typer.Option("--by", help="Your staff id. It goes into the ledger.")],
    reference: Annotated[str, typer.Option("--reference", help="Number of the case. It goes into the ledger.")],
) -> None:
    """Say that you looked at the source of a hold. Its entry of the ledger is written with it, and nothing is opened.

    What was acknowledged before stays as it is. Where a transaction hangs among the holds, one that could be read is
    acknowledged by its whole id.
    """
    config, now = load_settings().kafka_config(), int(time.time() * 1000)
    unread: list[str] = []
    register = _register(config, holds=unread)
    chosen = _chosen(register, ids, unread)
    messages: list[tuple[Message, int]] = []
    said = []
    for item in chosen:
        id_ = item.hold.id
        if (before := register.acknowledgement(id_)) is not None:
            said.append(f"{id_} was acknowledged by {before.by} at {before.time}, {before.reference}")
            continue
        messages += [(one, 0) for one in _messages(item, by=by.strip(), reference=reference.strip(), now=now)]
        said.append(f"{id_} acknowledged")
    if messages:
        send_together(config, messages, name=NAME)
    print("\n".join(said))
    _tell(unread)


def _messages(item: Item, *, by: str, reference: str, now: int) -> tuple[Message, Message]:
    """The acknowledgement and its entry.

    Raises:
        ConfigError: `by` or `reference` is not of the form that the ledger has.
    """
    hold = item.hold
    fields = {"id": hold.id, "time": rfc3339(now), "by": by, "reference": reference, "v": 1}
    try:
        made = msgspec.convert(fields, Acknowledgement)
    except msgspec.ValidationError as error:
        fault = "`--by` and `--reference`: 1 to 64 letters, digits and `. _ -`, and in a reference `/`, no spaces"
        raise ConfigError("safety acknowledge", [fault]) from error
    source = hold.source.topic, hold.source.partition, hold.source.offset
    entry = ledger.looked(source, agency=hold.agency, feed=hold.feed, by=by, reference=reference, now=now)
    return made.message, entry


def _chosen(register: Register, ids: list[str], unread: list[str]) -> list[Item]:
    """The holds that are meant, each once. Where some are `unread`, a beginning does not say which.

    Raises:
        ConfigError: naming every id that is none, or is that of several.
    """
    found: dict[str, Item] = {}
    faults = []
    for id_ in ids:
        items = register.named(id_) if len(id_) >= _SHORTEST else []
        if unread and [item.hold.id for item in items] != [id_] and id_ != closed.NAME:
            faults.append(f"`{id_}` is no whole id of a hold that could be read; not whole: {unread[0]}")
        elif len(items) == 1:
            found[items[0].hold.id] = items[0]
        elif id_ == closed.NAME:
            faults.append("the closed gate is not acknowledged: it ends when two persons open it, `gate open`")
        elif items:
            faults.append(f"`{id_}` is the beginning of {len(items)} holds: give more of it")
        else:
            faults.append(f"`{id_}` is no hold: `safety list --all` shows their ids; {_SHORTEST} characters are enough")
    if faults:
        raise ConfigError("safety acknowledge", faults)
    return list(found.values())


def _register(config: Mapping[str, str], *, holds: list[str], said: list[str] | None = None) -> Register:
    """Holds and acknowledgements, as the topics have them now; what is not whole is noted in `holds` and `said`.

    Raises:
        NotWholeError: acknowledgements could not be read to their end, and there is no `said`.
    """
    register = Register()
    with _noting(holds):
        for record in read_all(config, safety.TOPIC, name=NAME):
            register.hear_hold(record)
    with _noting(said):
        for record in read_all(config, safety.ACKNOWLEDGED, name=NAME):
            register.hear_acknowledgement(record)
    return register


@contextmanager
def _noting(unread: list[str] | None) -> Iterator[None]:
    """Go on with what was read of a topic whose end did not come, and note it."""
    try:
        yield
    except NotWholeError as error:
        if unread is None:
            raise
        unread.append(str(error))


def _tell(unread: list[str]) -> None:
    for fault in unread:
        print(f"not whole: {fault}", file=sys.stderr)


def _end(unread: list[str]) -> None:
    """Say what is not whole; then the list is not what it is for."""
    _tell(unread)
    if unread:
        raise typer.Exit(Exit.UNREACHABLE)


def _gate(settings: Settings, pace: Pace, *, now: int) -> dict[str, Any] | None:
    config, shut = settings.kafka_config(), ClosedGate(load_approvers(settings.approvers_file))
    for record in read_all(config, gate.TOPIC, name=NAME):
        shut.hear(record)
    records = waiting_of(config, settings) if shut.since is not None else None
    return gate_row(shut.since, records, pace, now=now)


def _row(item: Item, register: Register, pace: Pace, *, now: int) -> dict[str, Any]:
    said = register.acknowledgement(item.hold.id)
    told = {"by": said.by, "at": said.time, "reference": said.reference} if said else None
    return {**row(item, pace, now=now), **({"level": None} if said else {}), "acknowledged": told}


def _table(rows: list[dict[str, Any]], *, still: str) -> Table:
    """The topic of a record names its agency and feed. An id is never cut, however narrow the terminal."""
    table = Table(title=f"held whole, not looked at: {still}", box=None, padding=(0, 1, 0, 0))
    table.add_column("id", no_wrap=True)
    for name in ("age", "risk", "reason", "level"):
        table.add_column(name, no_wrap=True)
    table.add_column("topic/partition/offset", overflow="fold")
    if any(one["acknowledged"] for one in rows):
        table.add_column("acknowledged by", overflow="fold")
    for one in rows:
        said = one["acknowledged"]
        table.add_row(
            one["id"], span(one["age_seconds"]), one["risk"], one["reason"], "" if said else str(one["level"]),
            f"{one['topic']}/{one['partition']}/{one['offset']}",
            *([f"{said['by']}, {said['reference']}"] if said else []),
        )  # fmt: skip
    return table
