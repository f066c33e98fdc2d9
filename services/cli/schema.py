"""`safe-reporting schema`: check the feed schemas, and show what becomes of each field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from services.cli.shown import show
from services.kernel.errors import ConfigError, Exit
from services.kernel.paths import ROOT
from services.kernel.schema import load_feeds
from services.kernel.schema.evolution import faults

app = typer.Typer(no_args_is_help=True)

Schemas = Annotated[Path, typer.Option("--schemas", help="Folder with tags.yaml and feeds/.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]


@app.command()
def check(
    schemas: Schemas = ROOT / "schemas",
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Folder of the schemas before this change.")
    ] = None,
) -> None:
    """Load every feed schema; with `--previous`, say what changed without its version saying so (exit 1)."""
    feeds = load_feeds(schemas)
    for plan in feeds.plans.values():
        print(f"ok {plan.schema_id}  {len(plan.leaves)} leaves  plan {plan.digest[:12]}")
    if previous is not None and not any(previous.rglob("*.json")):
        raise ConfigError("schemas", [f"`{previous}` holds no schema to compare with"])
    found = faults(previous, schemas) if previous else []
    for fault in found:
        print(f"fault: {fault}")
    if found:
        raise typer.Exit(Exit.FOUND)


@app.command()
def plan(feed: str, schemas: Schemas = ROOT / "schemas", as_json: AsJson = False) -> None:
    """Show for every field of FEED what the redactor does: for a protected person, and for another."""
    found = load_feeds(schemas).named(feed)
    rows = [(path, leaf.tag.value, leaf.protected.value, leaf.unprotected.value) for path, leaf in found.leaves.items()]
    if as_json:
        names = ("path", "tag", "protected", "unprotected")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    table = Table("field", "tag", "protected person", "unprotected person", title=found.schema_id)
    for row in rows:
        table.add_row(*row)
    show(table)
