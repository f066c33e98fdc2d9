"""`audit reconcile`: has every record its outcome? The topics themselves against the log, once or without end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.cli.audit import NAME, opened_store
from services.cli.log_wait import caught_up
from services.cli.policy_sign import private_key
from services.cli.shown import show
from services.kernel import ledger
from services.kernel.errors import ConfigError, Exit, RefusedError
from services.kernel.kafka.reader import send
from services.kernel.kafka.stretch import Stretch
from services.kernel.kafka.topology import Topology, load_topology
from services.kernel.ledger import rfc3339
from services.kernel.record import Message
from services.kernel.settings import Settings, load_settings
from services.kernel.whole import demand_writable, write_whole
from services.ledger import publish, tree
from services.ledger import reconcile as reconciling
from services.ledger.entries import CHAINED
from services.ledger.reconcile import LEDGER, Compared, Delivered, Hashed, Logged, Settled
from services.ledger.store import Hashes, Store

#: Where a topic begins that is not there any more.
_GONE = 1 << 62
_NO_KEY = "`--state` and `--publish` need `--sign-with`: what the next pass trusts is signed"
_T = TypeVar("_T")


class _Step(Protocol):
    """Passes items through and shows how many there were."""

    def __call__(self, name: str, items: Iterable[_T]) -> Iterator[_T]: ...


def reconcile(
    sign_with: Annotated[
        Path | None, typer.Option("--sign-with", help="Private key that signs how far each partition is reconciled.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Who reconciles, in the signed statement.")] = "auditor",
    state: Annotated[
        Path | None, typer.Option("--state", help="File of the last signed statement: go on from there, and renew it.")
    ] = None,
    publish_it: Annotated[
        bool, typer.Option("--publish", help="Send the statement to `ledger.checkpoint` too: the monitor shows it.")
    ] = False,
    every: Annotated[int, typer.Option("--every", min=0, help="Do it again after these seconds; 0: once.")] = 0,
    patience: Annotated[int, typer.Option("--patience", min=1, help="Seconds to wait for the ledger service.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
) -> None:
    """Read the topics themselves and show that every record has exactly one entry. Exit 1 where one has not.

    With `--every` or `--state` each pass reads only what came since the last one.
    """
    settings = load_settings()
    key = private_key(sign_with) if sign_with is not None else None
    if key is None and (state is not None or publish_it):
        raise ConfigError("audit reconcile", [_NO_KEY])
    if state is not None:
        demand_writable(state)
    topology = load_topology(settings.topology_file)
    with opened_store(settings) as store:
        settled = _last(state, key, store)
        while True:
            done = compare(settings, topology, store, settled, patience=patience)
            _tell(done, as_json)
            if not done.whole:
                raise typer.Exit(Exit.FOUND)
            settled = done.settled
            if key is not None:
                text = reconciling.statement(settled, name=name, stamp=rfc3339(int(time.time() * 1000)), key=key)
                print(json.dumps({"statement": text}) if as_json else text, end="\n" if as_json else "")
                _keep(text, state, settings.kafka_config() if publish_it else None)
            if not every:
                return
            time.sleep(every)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass found. `settled` is for the next."""

    compared: list[Compared]
    partners: list[Delivered]
    logged: Logged
    settled: Settled

    @property
    def whole(self) -> bool:
        """Whether every record has one entry, every copy one that let it out, and every entry is in the log."""
        let_out = not any(one.unknown for one in self.partners)
        return let_out and self.logged.whole and all(one.whole for one in self.compared)


def compare(settings: Settings, topology: Topology, store: Store, settled: Settled, *, patience: float) -> Pass:
    """Compare what came since `settled`.

    1. Read keys of the partner topics, and hashes of `ledger`.
    2. Wait until the log holds all that the ledger topic held by then; read the log.
    3. Read the input topics from behind what was compared.
    4. Compare sets.

    Raises:
        SafeReportingError: broker or database unreachable, or the log is behind its topic for `patience` seconds.
    """
    config = settings.kafka_config()
    counts = {topic.name: topic.partitions for topic in topology.topics}
    with _progress() as step:
        out = [*(f"partner.{partner}" for partner in topology.partners), ledger.TOPIC]
        sent = Stretch(config, {(t, n): settled.read.get((t, n), 0) for t in out for n in range(counts[t])}, name=NAME)
        keys: dict[str, list[bytes | None]] = {}
        entries = Hashed()
        for record in step("partner topics and ledger", sent.records()):  # 1
            if record.topic == ledger.TOPIC:
                entries.add(record.offset, tree.leaf_hash(record.value.reveal() if record.value is not None else b""))
                continue
            held = keys.setdefault(record.topic.removeprefix("partner."), [])
            held.append(record.key.reveal() if record.key is not None else None)
        caught_up(store, config, name=NAME, patience=patience)  # 2
        with store.connection() as connection:
            said = reconciling.said(connection, settled, watched=lambda rows: step("the log", rows))
        wanted = {(s, t.name, n) for s in CHAINED for t in topology.topics_of(s) for n in range(t.partitions)}
        places = sorted(wanted | set(said.offsets))
        starts = {place[1:]: settled.offsets.get(place, -1) + 1 for place in places if place[1] in counts}
        read = Stretch(config, starts, name=NAME)
        there: dict[tuple[str, int], list[int]] = {}
        for record in step("input topics", read.records()):  # 3
            there.setdefault((record.topic, record.partition), []).append(record.offset)
    compared = [  # 4
        reconciling.compare(
            place, said.offsets.get(place, ()), there.get(place[1:], ()),
            oldest=read.firsts.get(place[1:], _GONE), settled=settled.offsets.get(place, -1),
            skipped=said.skipped.get(place, ()),
        )
        for place in places
    ]  # fmt: skip
    partners = [reconciling.delivered(p, made, said.keys.get(p, ())) for p, made in sorted(keys.items())]
    logged = reconciling.logged(
        entries, said.leaf_hashes,
        start=settled.read.get(LEDGER, 0), oldest=sent.firsts[LEDGER], end=sent.ends[LEDGER],
    )  # fmt: skip
    offsets = {one.place: one.upto for one in compared if one.upto >= 0}
    return Pass(compared, partners, logged, Settled(said.leaves, said.root, settled.leaves, offsets, sent.ends))


def _last(state: Path | None, key: Ed25519PrivateKey | None, store: Store) -> Settled:
    """What the statement in the file says, if there is one and this log still is the one that it speaks of."""
    if state is None or key is None or not state.exists():
        return Settled()
    try:
        text = state.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("audit reconcile", [f"`{state}` is no file of a statement"]) from error
    settled = reconciling.read_statement(text, key.public_key())
    with store.connection() as connection:
        try:
            same = tree.frontier(Hashes(connection), settled.leaves).root() == settled.root
        except ValueError:  # it is shorter, or has holes
            same = False
    if not same:
        raise RefusedError("this log is not the one of the last statement: run `audit verify`, and ask the witness")
    return settled


def _keep(text: str, state: Path | None, config: Mapping[str, str] | None) -> None:
    """Replace the file whole, and send it."""
    if state is not None:
        write_whole(state, text.encode())
    if config is not None:
        send(config, [(Message(publish.TOPIC, reconciling.KEY, text.encode()), 0)])


@contextmanager
def _progress() -> Iterator[_Step]:
    """Counts what is read on a terminal; elsewhere nothing is shown."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def step(name: str, items: Iterable[_T]) -> Iterator[_T]:
            return iter(progress.track(items, description=name))

        yield step


def _tell(done: Pass, as_json: bool) -> None:
    if as_json:
        for line in (*map(asdict, done.compared), *map(asdict, done.partners), asdict(done.logged)):
            print(json.dumps(line))
        return
    table = Table("service", "topic", "partition", "to", "records", "missing", "extra", "doubled", "waiting", "expired")
    for row in done.compared:
        service, topic, partition = row.place
        numbers = (len(row.missing), len(row.extra), len(row.doubled), row.waiting, row.expired)
        if row.records or any(numbers):
            table.add_row(service, topic, str(partition), str(row.upto), str(row.records), *map(str, numbers))
    show(table, width=None if Console().is_terminal else 110)
    for row in done.compared:
        for what, offsets in (("no entry", row.missing), ("no record", row.extra), ("two entries", row.doubled)):
            if offsets:
                first = ", ".join(map(str, offsets[:5]))
                print(f"{row.place[1]}[{row.place[2]}]: {what} for offset {first}" + (" …" if offsets[5:] else ""))
        if row.unread:
            print(f"{row.place[1]}[{row.place[2]}]: {row.unread} offsets expired that {row.place[0]} did not read")
    for one in done.partners:
        if one.unknown:
            print(f"partner.{one.partner}: {one.unknown} of {one.keys} keys that no entry let out")
    for what, offsets in (
        ("messages are not in the log", done.logged.lost),
        ("entries of the log are not what the topic says", done.logged.changed),
        ("entries of the log are not in the topic", done.logged.invented),
    ):
        if offsets:
            print(f"{ledger.TOPIC}: {len(offsets)} {what}, from offset {offsets[0]}")
    print(f"{sum(one.keys for one in done.partners)} keys in {len(done.partners)} partner topics")
