"""`safe-reporting broker`: what a broker needs before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.kernel.kafka.certificates import make
from services.kernel.kafka.topology import load_topology
from services.kernel.settings import load_settings

app = typer.Typer(no_args_is_help=True)

#: Accounts of the broker itself.
_INNER = ("broker", "controller")


@app.callback()
def main() -> None:
    """What a broker needs before it starts."""


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(help="Folder for certificates, keys and passwords; never commit it.")],
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Name or address by which clients reach the broker; repeat it.")
    ] = None,
    node: Annotated[str, typer.Option("--node", help="Name of the broker node.")] = "kafka",
) -> None:
    """Make an authority, a node's certificate, and certificate and password of each account of the topology.

    What is there and holds for another month stays; a second run adds what lacks.
    """
    names = dict.fromkeys((node, *(host or ()), "localhost", "127.0.0.1"))
    principals = load_topology(load_settings().topology_file).principal_names
    made = make(folder, nodes={node: names}, principals=(*_INNER, *principals))
    print(
        f"`{folder}`: {'a new authority' if made.authority else 'the authority was there'}, {made.nodes} node, "
        f"{made.certificates} client certificates and {made.passwords} passwords made"
    )
