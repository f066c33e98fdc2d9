"""`safe-reporting leak`: something got out. Trace it, recall it, keep the clock, and prove what was done."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.cli import leak_pack
from services.cli.audit import opened_store
from services.cli.leak_trace import CLOCK, Copy, Trace, finder, trace
from services.cli.log_wait import caught_up
from services.cli.shown import ask, show
from services.evaluation.gold import CLASSES
from services.kernel import keys, ledger, supersede
from services.kernel.attestation import HEADER, AttestationError
from services.kernel.attestation import verify as verify_attestation
from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.jsonio import UNREADABLE
from services.kernel.kafka.reader import read_all, send, send_together
from services.kernel.kafka.topology import load_topology
from services.kernel.ledger import rfc3339
from services.kernel.record import Message
from services.kernel.settings import Settings, load_settings
from services.kernel.whole import demand_writable, write_whole
from services.ledger import recall as recalls
from services.ledger.store import Store
from services.router.partners import ConsentRule, load_partners

app = typer.Typer(no_args_is_help=True)

#: The account that these commands run as.
NAME = "cli-leak"
T = TypeVar("T")
#: Records of one transaction.
_TOGETHER = 50

File = Annotated[Path, typer.Argument(help="The trace: made by `leak trace`, kept up to date by the others.")]
By = Annotated[str, typer.Option("--by", help="Your staff id.")]


@app.command("trace")
def trace_(
    file: Annotated[Path, typer.Argument(help="File to write the trace to; must not be there.")],
    by: By,
    record: Annotated[
        list[str] | None, typer.Option("--record", help="Pseudonym of a record to trace as well.")
    ] = None,
    no_term: Annotated[bool, typer.Option("--no-term", help="Trace the named records alone.")] = False,
    aware: Annotated[str | None, typer.Option("--aware", help="When it became known; by default now (UTC).")] = None,
) -> None:
    """Find every copy that holds a term, and every delivery of those records. The term is asked for, never an argument.

    What is written names positions, keys and pseudonyms, neither the term nor any text; 72 hours run from `--aware`.
    """
    settings = load_settings()
    if file.exists():
        raise ConfigError("leak trace", [f"`{file}` is there already: each trace has its own"])
    if no_term and not record:
        raise ConfigError("leak trace", ["`--no-term` needs a `--record`"])
    if wrong := [one for one in record or () if not re.fullmatch(ledger.PSEUDONYM, one)]:
        raise ConfigError("leak trace", [f"`{one}` is no pseudonym of a record: hex digits" for one in wrong])
    known = _moment(aware)
    demand_writable(file)
    holds = None if no_term else finder(ask("term that should not have left", hidden=True))
    console = Console(stderr=True, highlight=False)
    with opened_store(settings) as store:
        found = trace(
            settings.kafka_config(), store, load_topology(settings.topology_file).partners, name=NAME, holds=holds,
            records=frozenset(record or ()), by=by, aware=known, progress=console.print,
        )  # fmt: skip
    _write(file, found)
    _show(found)


@app.command("recall")
def recall_(file: File, by: By) -> None:
    """Ask every recipient to delete every copy, and take it out of the topics. Needs no second person: it only stops.

    Partners get a `supersede` message without a reason, then a tombstone; each with its entry in one transaction.
    Running it again recalls what an interrupted run left, and takes into the trace what it recalled. Where the log is
    behind its topic, what it knows is recalled, and the command fails.
    """
    settings = load_settings()
    found = _read(file)
    with opened_store(settings) as store:
        late = _late(settings, store)
        with store.connection() as connection:
            records = sorted({one.record for one in found.sent})
            copies = [one for record in records for one in recalls.outstanding(connection, record)]
            for record in records:
                found.recalled |= {"/".join(place): at for place, at in recalls.recalled(connection, record).items()}
    copies += [_unknown(copy) for copy in found.unknown if f"{copy.partner}/{copy.key}" not in found.recalled]
    _write(file, found)
    sent: list[str] = []
    for part in _recall(settings, copies, reference=found.id, by=by):
        found.recalled |= part
        _write(file, found)
        sent += part
    print(f"recalled {len(sent)} copies from {len({place.split('/')[0] for place in sent})} partners")
    print(f"{len(found.recalled)} of this trace are recalled; the 72 hours end {found.deadline}")
    if late is not None:
        raise UnreachableError(f"what the log did not know is not recalled, run it again: {late}")


@app.command()
def receipt(
    file: File, by: By, partner: Annotated[str, typer.Option("--partner", help="Who says that its copies are gone.")]
) -> None:
    """Take down that a partner has deleted its copies; with its entry, one for each recall."""
    settings, found = load_settings(), _read(file)
    if partner not in found.recipients:
        raise ConfigError("leak receipt", [f"`{partner}` got nothing of it: {', '.join(found.recipients)}"])
    last = max((at for place, at in found.recalled.items() if place.startswith(f"{partner}/")), default="")
    if found.receipts.get(partner, "") > last:
        raise ConfigError("leak receipt", [f"`{partner}`: taken down already, {found.receipts[partner]}"])
    demand_writable(file)
    now = int(time.time() * 1000)
    send(settings.kafka_config(), [(ledger.receipt(partner, reference=found.id, by=by, now=now), 0)])
    found.receipts[partner] = rfc3339(now)
    _write(file, found)
    missing = [name for name in found.recipients if name not in found.receipts]
    print(f"taken down; {'all have answered' if not missing else 'not yet: ' + ', '.join(missing)}")


@app.command()
def case(
    file: File,
    out: Annotated[Path, typer.Argument(help="File of gold lines to add the case to.")],
    kind: Annotated[str, typer.Option("--type", help="Class of the mention, as in the annotation guide.")],
) -> None:
    """Add a regression case for the detector: your paraphrase, with the mention in [[ ]]. No five words of the source.

    The sentence is asked for. What runs in the same five words as a copy in the topics is refused.
    """
    settings, found = load_settings(), _read(file)
    if kind not in CLASSES:
        raise ConfigError("leak case", [f"`{kind}` is no class of the annotation: {', '.join(CLASSES)}"])
    demand_writable(file)
    demand_writable(out)
    text = ask("paraphrase, with the mention in [[ ]]")
    line = leak_pack.gold_line(text, kind, id_=f"leak-{found.id}")
    leak_pack.refuse_runs(str(line["text"]), leak_pack.sources(settings.kafka_config(), found, name=NAME))
    lines = out.read_bytes() if out.exists() else b""
    write_whole(out, lines + orjson.dumps(line) + b"\n")
    found.case = True
    _write(file, found)
    print(f"added to `{out}`; `safe-reporting evaluate` shows whether the detector finds it now")


@app.command()
def pack(
    file: File, folder: Annotated[Path, typer.Argument(help="Folder to write; must be empty or not there.")]
) -> None:
    """Make the evidence pack: timeline, recipients, receipts, versions, and the ledger's entries with their proofs.

    `safe-reporting audit verify FOLDER/ledger` verifies it, and so does anybody by the README in it.
    """
    settings, found = load_settings(), _read(file)
    with opened_store(settings) as store:
        count = leak_pack.write(folder, found, store, keys.public_keys(settings.keys_dir, "ledger"))
    print(f"evidence pack in `{folder}`: {count} entries of the ledger with proofs, {len(found.recipients)} recipients")
    if missing := [name for name in found.recipients if name not in found.receipts]:
        print(f"no receipt yet from {', '.join(missing)}")


@app.command()
def due(
    by: By,
    every: Annotated[int, typer.Option("--every", min=0, help="Do it again after these seconds; 0: once.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is due.")] = False,
) -> None:
    """Recall what the newest decision would not let out: a suspect became a victim, an area closed, a consent went."""
    ledger.check(by=by)
    settings = load_settings()
    while True:
        with opened_store(settings) as store:
            caught_up(store, settings.kafka_config(), name=NAME)
            found = _due(settings, store)
        if dry_run:
            for one in found:
                print(json.dumps({"record": one.record, "partner": one.partner, "let_out": one.time}))
        else:
            sent = sum(map(len, _recall(settings, found, reference=f"due/{secrets.token_hex(8)}", by=by)))
            print(f"recalled {sent} copies")
        if not every:
            return
        time.sleep(every)


@app.command()
def drill(
    records: Annotated[
        int, typer.Option("--records", min=100, help="Records among which the miss is planted.")
    ] = 10_000,
    folder: Annotated[Path | None, typer.Option("--folder", help="Keep trace and evidence pack here.")] = None,
) -> None:
    """Plant a term that the detector does not know, let it out, and show that all of it is found and comes back."""
    from services.cli.drill import drill as run

    run(records, folder)


def _due(settings: Settings, store: Store) -> list[recalls.Delivery]:
    with store.connection() as connection:
        found = {one.place: one for one in recalls.overtaken(connection)}
        needing = _needing_consent(settings)
        if asked := [one for one in recalls.withdrawn(connection) if needing(one[1])]:
            held = records_of(settings, {subject for subject, _, _ in asked})
            found |= {one.place: one for one in recalls.without_consent(connection, asked, held)}
    return list(found.values())


def _needing_consent(settings: Settings) -> Callable[[str], bool]:
    """Whether a partner's topic needs consent: to the others nothing went because of one. An unknown one needs it."""
    partners = load_partners(settings.policies_dir / "partners.yaml").by_id
    free = {partner.id for partner in partners.values() if partner.consent is ConsentRule.NONE}
    return lambda id_: id_ not in free


def records_of(settings: Settings, subjects: set[str], *, name: str = NAME) -> dict[str, set[str]]:
    """In which retained records these persons stand: the redactor's signed claims say so."""
    public = keys.load(settings.keys_dir, ["attest-pub"])["attest-pub"]
    known = {public.id: keys.public_key(public)}
    found: dict[str, set[str]] = {}
    for record in read_all(settings.kafka_config(), "redacted", name=name, deadline=600.0):
        try:
            value = record.value.reveal() if record.value is not None else b""
            claims = verify_attestation(record.header(HEADER), value, known)
        except AttestationError:
            continue
        for subject in subjects.intersection(claims.subjects):
            found.setdefault(subject, set()).add(claims.record)
    return found


def _recall(
    settings: Settings, sent: Iterable[recalls.Delivery], *, reference: str, by: str
) -> Iterator[dict[str, str]]:
    """Send what recalls each copy; after each transaction the places that it recalled, `partner/key`, and when."""
    wanted: dict[object, dict[str, recalls.Delivery]] = {}
    for one in sent:
        wanted.setdefault(one.record or one.source, {})[f"{one.partner}/{one.key}"] = one
    for part in _parts(list(wanted.items())):
        now = int(time.time() * 1000)
        messages: list[tuple[Message, int]] = []
        recalled: list[str] = []
        for _, copies in part:
            some = next(iter(copies.values()))
            for one in copies.values():
                topic, partition = f"partner.{one.partner}", one.source[1]
                messages += [(message, partition) for message in supersede.messages(topic, one.key, now=now)]
            places = [(one.partner, one.key) for one in copies.values()]
            entry = ledger.recall(some.record or None, places, source=some.source, reference=reference, by=by, now=now)
            messages.append((entry, 0))
            recalled += copies
        send_together(settings.kafka_config(), messages, name=NAME)
        yield dict.fromkeys(recalled, rfc3339(now))


def _late(settings: Settings, store: Store) -> UnreachableError | None:
    """Why the log does not know all that its topic holds; None where it does."""
    try:
        caught_up(store, settings.kafka_config(), name=NAME)
    except UnreachableError as error:
        return error
    return None


def _unknown(copy: Copy) -> recalls.Delivery:
    """What is recalled of a copy that no entry let out: it is known by its own place alone."""
    source = f"partner.{copy.partner}", copy.partition, copy.offset
    return recalls.Delivery("", copy.partner, "", copy.key, source, "", -1, (), ())


def _parts(items: list[T]) -> Iterator[list[T]]:
    for at in range(0, len(items), _TOGETHER):
        yield items[at : at + _TOGETHER]


def _read(file: Path) -> Trace:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Trace)
    except OSError as error:
        raise ConfigError("leak", [f"`{file}`: {error.strerror}"]) from error
    except UNREADABLE as error:
        raise ConfigError("leak", [f"`{file}` is no trace: `leak trace` makes one"]) from error


def _write(file: Path, found: Trace) -> None:
    write_whole(file, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


def _moment(text: str | None) -> str:
    try:
        moment = datetime.now(UTC) if text is None else datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        _ = moment + CLOCK
    except (ValueError, OverflowError) as error:
        raise ConfigError("leak trace", [f"`{text}` is no time: 2026-11-25T08:00Z"]) from error
    return rfc3339(int(moment.timestamp() * 1000))


def _show(found: Trace) -> None:
    table = Table("partner", "copies that hold it", "what it got of these records", title=f"trace {found.id}")
    for partner, got in found.recipients.items():
        held = sum(copy.partner == partner for copy in found.copies)
        table.add_row(partner, str(held), str(got))
    show(table)
    unknown = sum(copy.record is None for copy in found.copies)
    strange = unknown - len(found.unknown)
    records = len({one.record for one in found.sent})
    print(f"{records} records, {len(found.sent)} deliveries; the 72 hours end {found.deadline}")
    if unknown:
        print(f"{unknown} copies have no entry in the ledger: `safe-reporting audit reconcile`")
    if strange:
        print(f"{strange} of them have a key that no entry can name: `leak recall` leaves them to the broker's tools")
