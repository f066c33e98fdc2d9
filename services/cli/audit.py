"""`safe-reporting audit`: what happened to which record, and the proof that the ledger says all of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.cli.policy_sign import private_key
from services.cli.quarantine import Why
from services.cli.shown import show
from services.cli.unlock import detail_of, read_identity, send_first
from services.kernel import keys, ledger
from services.kernel.approval import milliseconds
from services.kernel.errors import ConfigError, Exit, RefusedError
from services.kernel.settings import Settings, load_settings
from services.ledger import export as exports
from services.ledger import note, tree
from services.ledger.entries import Reader, let_out
from services.ledger.note import Checkpoint, Signed
from services.ledger.search import Found, Query, leaf, search
from services.ledger.store import Hashes, Store
from services.ledger.verify import Report
from services.ledger.verify import verify as verify_store
from services.ledger.witness import Witness

app = typer.Typer(no_args_is_help=True)

NAME = "cli-auditor"

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]
Since = Annotated[str | None, typer.Option("--since", help="From this time on: 2026-11-25, 2026-11-25T08:00Z.")]
Until = Annotated[str | None, typer.Option("--until", help="Before this time.")]
Agency = Annotated[str | None, typer.Option("--agency", help="Agency that sent the record.")]
Feed = Annotated[str | None, typer.Option("--feed", help="Feed of the record.")]
Partner = Annotated[str | None, typer.Option("--partner", help="Partner that got something out of it.")]
Service = Annotated[str | None, typer.Option("--service", help="Who wrote the entry: redactor, router, compliance …")]
Outcome = Annotated[str | None, typer.Option("--outcome", help="redacted, forwarded, withheld, quarantined …")]
Reason = Annotated[str | None, typer.Option("--reason", help="Coarse reason: format, content, policy, system.")]
Policy = Annotated[str | None, typer.Option("--policy", help="Id of a policy that decided.")]
Version = Annotated[str | None, typer.Option("--version", help="Version of detector, schema or policy set.")]
Record = Annotated[str | None, typer.Option("--record", help="Pseudonym of the record: hex digits.")]
LogKey = Annotated[
    Path | None,
    typer.Option("--log-key", help="The log's public key, 64 hex digits; else the keys folder's."),
]


@app.command("search")
def search_(
    since: Since = None,
    until: Until = None,
    agency: Agency = None,
    feed: Feed = None,
    partner: Partner = None,
    service: Service = None,
    outcome: Outcome = None,
    reason: Reason = None,
    policy: Policy = None,
    version: Version = None,
    record: Record = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show no more than these.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Find entries of the ledger, without a key: time, who, whose, what became of it. No content, no exact reason."""
    query = _query(since, until, agency, feed, partner, service, outcome, reason, policy, version, record)
    shown: list[Found] = []
    more = False
    with opened_store() as store, store.connection() as connection, _undamaged():
        for found in search(connection, query):
            more = len(shown) == limit
            if more:
                break
            shown.append(found)
    if as_json:
        for found in shown:
            print(json.dumps({"leaf": found.leaf, "fault": found.fault, "entry": found.entry}))
        return
    table = Table("leaf", "time", "service", "agency", "feed", "outcome", "reason", "record", "let out to")
    for found in shown:
        table.add_row(str(found.leaf), *_cells(found))
    show(table)
    print(f"{len(shown)} entries" + (f"; there are more: `--limit` above {limit}" if more else ""))


@app.command()
def verify(
    folder: Annotated[Path | None, typer.Argument(help="An export; without it the whole log in the database.")] = None,
    log_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--log-key", help="The log's public key, 64 hex digits, older ones first; else the keys folder's."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="A checkpoint kept elsewhere, such as a witness's: the log must hold it."),
    ] = None,
    witnesses: Annotated[
        list[str] | None,
        typer.Option("--witness", help="NAME=KEY (public, 64 hex digits): must have cosigned that checkpoint."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that the log, or an export, is what was signed. Exit 1 names the first difference and what explains it.

    A database that was rolled back to an earlier state is whole by itself: only `--checkpoint` shows it.
    """
    settings = load_settings()
    *older, key = _log_keys(settings, log_key or [])
    reader = Reader(settings.schemas_dir)
    if (checkpoint is None and witnesses) or (checkpoint is not None and folder is not None):
        raise ConfigError("audit verify", ["`--checkpoint` goes with the log in the database, `--witness` with it"])
    if folder is not None:
        report = exports.verify(folder, key, reader, older=older)
    else:
        outside = _outside(settings, checkpoint, [*older, key], witnesses or []) if checkpoint is not None else None
        with opened_store(settings) as store:
            size = store.state().size
            console = Console(stderr=True)
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                task = progress.add_task("leaves", total=size)
                report = verify_store(
                    store, key, reader, older=older, origin=settings.ledger_origin, outside=outside,
                    progress=lambda done: progress.update(task, completed=done),
                )  # fmt: skip
    _tell(report, as_json)
    if report.findings:
        raise typer.Exit(Exit.FOUND)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write; must be empty or not there.")],
    since: Since = None,
    until: Until = None,
    agency: Agency = None,
    feed: Feed = None,
    partner: Partner = None,
    service: Service = None,
    outcome: Outcome = None,
    reason: Reason = None,
    policy: Policy = None,
    version: Version = None,
    record: Record = None,
    log_key: LogKey = None,
) -> None:
    """Write entries with proofs, checkpoint and key, so that a third party can verify them without this software."""
    settings = load_settings()
    query = _query(since, until, agency, feed, partner, service, outcome, reason, policy, version, record)
    known = _log_keys(settings, [log_key] if log_key is not None else [])
    with opened_store(settings) as store, store.connection() as connection, _undamaged():
        signed = _last(store)
        key = note.verify(signed, *known)  # of a new one the log may not have made use yet
        done = exports.write(folder, search(connection, query), hashes=Hashes(connection), signed=signed, key=key)
    print(f"{done.entries} entries of a log of {done.size} in `{folder}`; its README.txt says how to verify them")


@app.command()
def statement(
    record: Annotated[str, typer.Argument(help="Pseudonym of the record: hex digits.")],
    as_json: AsJson = False,
) -> None:
    """What was done with a record, in the words of DPA 2018 s.62: operation, when, by whom, to whom, on what basis."""
    with opened_store() as store, store.connection() as connection, _undamaged():
        rows = [row for found in search(connection, _query(record=record)) for row in statement_rows(found)]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table("operation", "time", "by", "to", "basis", title=f"record {record}")
    for row in rows:
        table.add_row(row["operation"], row["time"], row["by"], row["to"], row["basis"])
    show(table)


@app.command("open")
def open_(
    number: Annotated[int, typer.Argument(help="Number of the leaf, as in `audit search`.", min=0, max=2**63 - 1)],
    identity: Annotated[Path, typer.Option("--identity", help="File with the age identity it was sealed to.")],
    by: Annotated[str, typer.Option("--by", help="Who opens it: your staff id. It goes into the ledger.")],
    why: Annotated[Why, typer.Option("--why", help="On what ground. It goes into the ledger.")],
) -> None:
    """Open the sealed detail of one entry: exact reason, classes, where masks stand. First who and why are an entry."""
    settings, secret = load_settings(), read_identity(identity)
    with opened_store(settings) as store, store.connection() as connection:
        found = leaf(connection, number)
    if found is None or found.entry is None or not found.entry["sealed"]:
        raise ConfigError("audit open", [f"leaf {number} is not there, was erased, or has no sealed detail"])
    source = found.entry["source"]
    place = (source["topic"], source["partition"], source["offset"])
    entry = ledger.opened(place, by=by, why=why.value, now=int(time.time() * 1000))
    send_first(settings.kafka_config(), [entry])
    detail = detail_of(found.entry["sealed"], secret)
    print(json.dumps(msgspec.to_builtins(detail), indent=2))


@app.command()
def witness(
    state: Annotated[Path, typer.Option("--state", help="What you cosigned last; keep it away from the log.")],
    key: Annotated[Path, typer.Option("--key", help="File of the witness's private key: 64 hex digits.")],
    name: Annotated[str, typer.Option("--name", help="Name of the witness.")],
    log_key: LogKey = None,
) -> None:
    """Look at the newest checkpoint and cosign it; refuse a log that forked or shrank. Prints the cosigned note."""
    settings = load_settings()
    watching = Witness(state, private_key(key), name=name, log_key=_log_key(settings, log_key))
    with opened_store(settings) as store, store.connection() as connection, _undamaged():
        signed, last = _last(store), watching.last
        proof: list[bytes] = []
        if last is not None and 0 < last.size < signed.checkpoint.size:
            proof = tree.consistency(Hashes(connection), last.size, signed.checkpoint.size)
    print(watching.look(signed, proof, seconds=int(time.time())).note, end="")


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        found = [{"leaf": f.leaf, "what": f.what.name.lower(), "detail": f.detail} for f in report.findings]
        numbers = {name: getattr(report, name) for name in ("leaves", "checkpoints", "erased", "kept_aside", "waiting")}
        print(json.dumps({**numbers, "findings": found}))
        return
    for finding in report.findings:
        where = "the log" if finding.leaf is None else f"leaf {finding.leaf}"
        print(f"{where}: {finding.what}" + (f" ({finding.detail})" if finding.detail else ""))
    if report.more:
        print(f"and {report.more} more")
    said = f"{report.leaves} leaves, {report.checkpoints} checkpoints, {report.erased} erased"
    aside = f", {report.kept_aside} kept aside: no entries by the schema" if report.kept_aside else ""
    waits = f", the last {report.waiting} wait for their checkpoint" if report.waiting and not report.findings else ""
    print(f"{'NOT WHOLE' if report.findings else 'whole'}: {said}{aside}{waits}")


@contextmanager
def opened_store(settings: Settings | None = None) -> Iterator[Store]:
    """The ledger's database of the settings, which the service has made.

    Raises:
        ConfigError: none is set, or it holds no ledger.
    """
    with Store((settings or load_settings()).ledger_url(), create=False) as store:
        yield store


@contextmanager
def _undamaged() -> Iterator[None]:
    """Say in one line that a log which somebody damaged cannot be asked.

    Raises:
        RefusedError: leaves or hashes are not there, or an entry is none.
    """
    try:
        yield
    except UnicodeEncodeError:  # of an argument
        raise
    except ValueError as error:
        raise RefusedError(f"the log in the database is damaged ({error}): `audit verify` says where") from error


def _last(store: Store) -> Signed:
    found = store.checkpoints()
    if not found:
        raise ConfigError("audit", ["the log has no checkpoint yet: is the ledger service running?"])
    return note.read(found[-1])


def _outside(settings: Settings, path: Path, log_keys: list[Ed25519PublicKey], witnesses: list[str]) -> Checkpoint:
    """A checkpoint from a file, signed by this log and cosigned by `witnesses` (NAME=KEY)."""
    known = {}
    for given in witnesses:
        name, _, digits = given.rpartition("=")
        known[name] = keys.public_key(keys.Key(name, "witness", digits.encode()))
    try:
        signed = note.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("audit verify", [f"`{path}` cannot be read: {error}"]) from error
    note.verify(signed, *log_keys)
    if signed.checkpoint.origin != settings.ledger_origin:
        raise RefusedError(f"the checkpoint is of the log `{signed.checkpoint.origin}`: see `SR_LEDGER_ORIGIN`")
    if missing := sorted(known.keys() - note.witnesses(signed, known).keys()):
        raise RefusedError(f"the checkpoint is not cosigned by {', '.join(f'`{name}`' for name in missing)}")
    return signed.checkpoint


def _log_keys(settings: Settings, paths: list[Path]) -> list[Ed25519PublicKey]:
    """The log's public keys, oldest first; without `paths` all that the keys folder holds."""
    return [_log_key(settings, path) for path in paths] or keys.public_keys(settings.keys_dir, "ledger")


def _log_key(settings: Settings, path: Path | None) -> Ed25519PublicKey:
    if path is None:
        return keys.public_keys(settings.keys_dir, "ledger")[-1]
    try:
        return keys.public_key(keys.from_file(path))
    except OSError as error:
        raise ConfigError("audit", [f"`{path}`: {error.strerror}"]) from error


def _query(
    since: str | None = None, until: str | None = None, agency: str | None = None, feed: str | None = None,
    partner: str | None = None, service: str | None = None, outcome: str | None = None, reason: str | None = None,
    policy: str | None = None, version: str | None = None, record: str | None = None,
) -> Query:  # fmt: skip
    if record is not None and not re.fullmatch(ledger.PSEUDONYM, record.lower()):  # a part of one would find nothing
        raise ConfigError("audit", [f"`{record}` is no pseudonym: 16 to 64 hex digits, two for each byte"])
    return Query(
        _moment(since), _moment(until), agency, feed, partner, service, outcome, reason, policy, version, record
    )


def _moment(text: str | None) -> int | None:
    """Milliseconds of a time; a date is its first moment, and what names no zone is UTC."""
    if text is None:
        return None
    full = text if "T" in text else f"{text}T00:00"
    found = milliseconds(full) if milliseconds(full) is not None else milliseconds(f"{full}+00:00")
    if found is None:
        raise ConfigError("audit", [f"`{text}` is no time: 2026-11-25, or 2026-11-25T08:00Z"])
    return found


def _cells(found: Found) -> list[str]:
    entry = found.entry
    if entry is None:
        return ["", "", "", "", "erased" if found.fault is None else f"no entry: {found.fault}", "", "", ""]
    out = [decision["partner"] for decision in let_out(entry)]
    names = ("time", "service", "agency", "feed", "outcome", "reason", "record")
    return [*(str(entry[name] or "") for name in names), ", ".join(out)]


def statement_rows(found: Found) -> Iterator[dict[str, Any]]:
    """One line for each operation; a disclosure has one for each partner that got something, a canary's none."""
    entry = found.entry
    if entry is None:
        yield {"operation": "erased", "time": "", "by": "", "to": "", "basis": ""}
        return
    by = entry.get("by") or ", ".join(entry.get("approved_by", ())) or entry["instance"]
    basis = "canary" if "canary" in entry else entry.get("why") or ""
    line = {"operation": entry["operation"], "time": entry["time"], "by": by, "to": "", "basis": basis}
    out = let_out(entry)
    for decision in out:
        yield {**line, "to": decision["partner"], "basis": decision["basis"]}
    if not out:
        yield line
