"""The `safe-reporting` command: every part of the product, from one place."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from services.cli import (
    audit,
    audit_reconcile,
    audit_retention,
    audit_totals,
    bench,
    broker,
    consent,
    demo,
    duty,
    evaluate,
    gate,
    keys,
    leak,
    policy,
    quarantine,
    records,
    replay,
    safety,
    samples,
    schema,
    top,
    topology,
)
from services.kernel.errors import ConfigError, Exit, SafeReportingError, UnreachableError
from services.kernel.kafka import service
from services.kernel.kafka.client import ClientError, translate
from services.kernel.kafka.explain import explain
from services.kernel.settings import load_settings
from services.kernel.telemetry import log_unhandled, where

app = typer.Typer(
    name="safe-reporting",
    help="Victims and witnesses can report crime without the report becoming an immigration referral.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.command()(samples.samples)
app.command()(records.redact)
app.command()(records.detect)
app.command()(evaluate.evaluate)
app.add_typer(topology.app, name="topology", help="Topics, groups and permissions: plan, apply, check.")
app.add_typer(schema.app, name="schema", help="Feed schemas: check them, show the plan of one.")
app.add_typer(policy.app, name="policy", help="What may leave: check, test, explain, tabulate, compare, prove.")
app.add_typer(consent.app, name="consent", help="What a person allowed: record it, withdraw it.")
app.add_typer(duty.app, name="duty", help="What a statutory duty demands: list it, release it as two persons.")
app.add_typer(quarantine.app, name="quarantine", help="What failed closed: list it, open one with its key.")
app.add_typer(safety.app, name="safety", help="Records held whole: list them, say that you looked at the source.")
app.add_typer(broker.app, name="broker", help="Certificates, passwords and accounts of a broker and its clients.")
app.add_typer(audit.app, name="audit", help="The ledger: search, prove, export, reconcile with the topics.")
for command in (audit_retention.expire, audit_retention.hold, audit_retention.lift, audit_retention.holds):
    audit.app.command()(command)
audit.app.command()(audit_retention.subject)
audit.app.command()(audit_totals.totals)
audit.app.command()(audit_reconcile.reconcile)
app.add_typer(leak.app, name="leak", help="Something got out: trace it, recall it, keep the clock, prove it.")
app.add_typer(replay.app, name="replay", help="Retained records through today's detector and policy: what changes.")
app.add_typer(gate.app, name="gate", help="Stop everything that leaves at once; open again as two persons.")
app.add_typer(keys.app, name="keys", help="Keys of a deployment.")
app.add_typer(bench.app, name="bench", help="Measure throughput and latency.")

Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes to run; each holds one slot.")]


@app.command()
def redactor(workers: Workers = 1) -> None:
    """Run the redactor: agency topics in, redacted records out. Settings are SR_* variables."""
    _run("redactor", workers)


@app.command()
def router(workers: Workers = 1) -> None:
    """Run the router: redacted records in, partner topics out. Settings are SR_* variables."""
    _run("router", workers)


@app.command()
def ledger() -> None:
    """Run the ledger service: entries of the topic into the signed log. `SR_LEDGER_DATABASE` names the database."""
    _run("ledger", 1)


@app.command()
def monitor() -> None:
    """Run the monitor: the ledger in, figures, metrics and alerts out. Settings are SR_* variables."""
    _run("monitor", 1)


@app.command()
def canary() -> None:
    """Run the canary service: plant records, watch that they arrive without what was planted, close the gate if not."""
    _run("canary", 1)


@app.command()
def desk() -> None:
    """Run the safety desk: every record held whole is known, escalates until a person looked, and is told of."""
    _run("desk", 1)


app.command()(top.top)


def _run(name: str, workers: int) -> None:
    if workers > 1:
        raise typer.Exit(service.run_workers(f"services.{name}.main", count=workers))
    import importlib

    start = importlib.import_module(f"services.{name}.main").start
    try:
        code = service.main(start, settings=load_settings)
    except Exception as error:  # noqa: BLE001 - a service says it in its log
        log_unhandled(type(error), error, None)
        code = Exit.BUG
    raise typer.Exit(code)


def main() -> None:
    """Run the command; an error is one message and its exit code, never a traceback."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - a traceback could show a record
        sys.exit(_told(error))


def _told(error: Exception) -> int:
    """Say what went wrong and return the exit code; of what nobody expected, type and place alone."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    if isinstance(error, ClientError):
        cause = _cause()
        error = ConfigError("settings", [cause]) if cause else translate(error, "asking the broker")
    if isinstance(error, SafeReportingError):
        console.print(f"error: {error}")
        if error.code == UnreachableError.code and (cause := _cause()):
            console.print(f"cause: {cause}")
        return error.exit
    if isinstance(error, OSError) and error.strerror:
        console.print(f"error: {f'`{error.filename}`: ' if error.filename else ''}{error.strerror}")
        return Exit.USAGE
    if isinstance(error, UnicodeDecodeError):
        console.print("error: a file or the input is not text in UTF-8")
        return Exit.USAGE
    if isinstance(error, UnicodeEncodeError):
        console.print("error: an argument is not text in UTF-8, or the output takes less than that")
        return Exit.USAGE
    console.print(f"error: a fault of this program: {type(error).__name__} at {where(error)}")
    return Exit.BUG


def _cause() -> str | None:
    """What keeps this command from the broker, where that can be told."""
    try:
        return explain(load_settings().kafka_config(), seconds=3.0)
    except SafeReportingError:
        return None


if __name__ == "__main__":
    main()
