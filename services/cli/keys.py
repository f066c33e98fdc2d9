"""`safe-reporting keys`: make a set of keys for development."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.kernel.errors import ConfigError
from services.kernel.kafka.topology import load_topology
from services.kernel.keys import init_dev

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `init` a subcommand."""


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Folder for the keys; made with mode 0700.")],
    dev: Annotated[bool, typer.Option("--dev", help="Yes, these keys are for development.")] = False,
) -> None:
    """Make every key that a development set-up needs; existing ones stay as they are."""
    if not dev:
        raise ConfigError("keys", ["say `--dev`: production keys are made apart, each where it is used"])
    made = init_dev(directory, load_topology().partners)
    print(f"{len(made)} keys made in {directory}")
    print(f"the identity that opens quarantine is in {directory / 'compliance'}: no service may read that folder")
