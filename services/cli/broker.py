"""`safe-reporting broker`: what a broker needs before it starts, and the accounts that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.kernel.errors import ConfigError
from services.kernel.kafka.accounts import ensure
from services.kernel.kafka.certificates import make
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.topology_file import INNER
from services.kernel.settings import load_settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def main() -> None:
    """What a broker needs before it starts, and the accounts that it knows."""


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
    made = make(folder, nodes={node: names}, principals=(*sorted(INNER), *principals))
    print(
        f"`{folder}`: {'a new authority' if made.authority else 'the authority was there'}, {made.nodes} node, "
        f"{made.certificates} client certificates and {made.passwords} passwords made"
    )


@app.command()
def accounts(
    folder: Annotated[Path, typer.Argument(help="The folder `clients` of `broker secrets`: passwords by account.")],
) -> None:
    """Make the accounts that the broker lacks, as its administrator, and name those that nothing here asks for."""
    principals = load_topology(load_settings().topology_file).principal_names
    missing = [name for name in principals if not (folder / name / "password").is_file()]
    if missing:
        raise ConfigError("broker accounts", [f"`{folder / name / 'password'}` is not there" for name in missing])
    passwords = {name: (folder / name / "password").read_text().strip() for name in principals}
    made, others = ensure(load_settings().kafka_config(), passwords)
    print(f"{made} accounts made, {len(principals) - made} were there")
    for name in others:
        print(f"`{name}` is on the broker and not in the topology: nothing here grants it anything")
