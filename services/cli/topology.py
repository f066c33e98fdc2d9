"""`safe-reporting topology`: what a broker lacks, bring it there, check that it still is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from services.cli.shown import show
from services.kernel.errors import Exit
from services.kernel.kafka import topology as kafka
from services.kernel.kafka.topology import Change, ChangeKind
from services.kernel.settings import load_settings

app = typer.Typer(no_args_is_help=True)

File = Annotated[
    Path | None, typer.Option("--file", help="Topology file; by default `SR_TOPOLOGY_FILE`.", show_default=False)
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", help="Profile of the file, how many copies the data has; by default `SR_TOPOLOGY_PROFILE`.",
        show_default=False,
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]


@app.command()
def plan(file: File = None, profile: Profile = None, as_json: AsJson = False) -> None:
    """Show what apply would do; change nothing. Exit 4 where apply would refuse."""
    changes = _differences(file, profile)
    _show(changes, as_json, empty="nothing to do: the broker is as the file says")
    if any(change.kind is ChangeKind.REFUSED for change in changes):
        raise typer.Exit(Exit.REFUSED)


@app.command()
def apply(file: File = None, profile: Profile = None, as_json: AsJson = False) -> None:
    """Make topics, settings, permissions and the first offsets of groups as the file says."""
    settings = load_settings()
    topology = kafka.load_topology(file or settings.topology_file)
    done = kafka.apply(settings.kafka_config(), topology, profile=profile or settings.topology_profile)
    _show(done, as_json, empty="nothing to do: the broker is as the file says")


@app.command()
def check(file: File = None, profile: Profile = None, as_json: AsJson = False) -> None:
    """Compare the broker with the file, its accounts too. Exit 1 for any difference, and for what it does not tell."""
    changes = _differences(file, profile)
    _show(changes, as_json, empty="ok: the broker is as the file says")
    if changes:
        raise typer.Exit(Exit.FOUND)


def _differences(file: Path | None, profile: str | None) -> list[Change]:
    settings = load_settings()
    topology = kafka.load_topology(file or settings.topology_file)
    return kafka.check(settings.kafka_config(), topology, profile=profile or settings.topology_profile)


def _show(changes: Sequence[Change], as_json: bool, *, empty: str) -> None:
    if as_json:
        rows = [{"kind": str(c.kind), "name": c.name, "detail": c.detail} for c in changes]
        print(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    if not changes:
        print(empty)
        return
    table = Table("change", "name", "detail")
    for change in changes:
        table.add_row(str(change.kind), change.name, change.detail)
    show(table)
