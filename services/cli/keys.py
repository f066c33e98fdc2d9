"""`safe-reporting keys`: a set for development, sealing keys by period, and the end of one, which is an erasure."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from typing import Annotated

import pyrage
import typer

from services.cli.policy_sign import private_key
from services.cli.quarantine import Second, SecondKey
from services.kernel import ledger
from services.kernel.approval import Request, demand, sign
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import send
from services.kernel.kafka.topology import load_topology
from services.kernel.keys import init_dev
from services.kernel.private import write_private
from services.kernel.record import Message
from services.kernel.sealing import Sealer, open_sealed
from services.kernel.settings import load_settings

app = typer.Typer(no_args_is_help=True)

_PERIOD = re.compile(r"\d{4}-(?:\d{2}|q[1-4])")
Period = Annotated[str, typer.Argument(help="The period, such as 2026-12 or 2026-q4.")]
Vault = Annotated[Path, typer.Option("--vault", help="Compliance's own folder; no service reads it.")]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Folder for the keys; made with mode 0700.")],
    dev: Annotated[bool, typer.Option("--dev", help="Yes, these keys are for development.")] = False,
) -> None:
    """Make every key that a development set-up needs; existing ones stay as they are."""
    if not dev:
        raise ConfigError("keys", ["say `--dev`: production keys are made apart, each where it is used"])
    made = init_dev(directory, load_topology(load_settings().topology_file).partners)
    print(f"{len(made)} keys made in {directory}")
    print(f"the identity that opens quarantine is in {directory / 'compliance'}: no service may read that folder")


@app.command()
def rotate(
    period: Period,
    vault: Vault,
    services: Annotated[Path, typer.Option("--services", help="The services' folder of keys: gets the recipient.")],
) -> None:
    """Make the sealing key of a new period: the identity for compliance, the recipient for the services.

    Services seal to the last recipient by name, so a period's name sorts behind the one before; they take it up at
    their next start.
    """
    if not _PERIOD.fullmatch(period):
        raise ConfigError("keys rotate", [f"`{period}` is no period: 2026-12, or 2026-q4"])
    if not services.is_dir():
        raise ConfigError("keys rotate", [f"`{services}` is no folder"])
    private, public = vault / f"seal-identity.{period}", services / f"seal-pub.{period}"
    there = [path for path in (private, public) if path.exists()]
    last = max((path.name for path in services.glob("seal-pub.*") if path.suffix != ".dev"), default="")
    if there or last >= public.name:
        raise ConfigError("keys rotate", [f"`{there[0] if there else last}` is there already, or sorts behind"])
    vault.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = pyrage.x25519.Identity.generate()
    try:  # the identity first: nothing may be sealed to one that is not on the disk
        write_private(private, f"{identity}\n")
        write_private(public, f"{identity.to_public()}\n")
    except OSError:
        public.unlink(missing_ok=True)
        private.unlink(missing_ok=True)
        raise
    for path in services.glob("seal-pub.dev"):
        path.unlink()
    print(f"`{private}` opens what is sealed from the services' next start on; restart them one by one")


@app.command()
def destroy(
    period: Period,
    vault: Vault,
    by: Annotated[str, typer.Option("--by", help="Your staff id. It goes into the ledger.")],
    second: Second,
    second_key: SecondKey,
    recipient: Annotated[Path, typer.Option("--recipient", help="The period's recipient.")],
) -> None:
    """Destroy a period's identity: what was sealed in it can never be opened again. That is its erasure.

    1. A second person signs it. 2. The entry goes to the ledger. 3. The file is overwritten and removed. 4. What is
    sealed to that period's recipient is shown not to open with anything that is left.
    """
    settings = load_settings()
    path = vault / f"seal-identity.{period}"
    if not path.is_file():
        raise ConfigError("keys destroy", [f"`{path}` is not there"])
    sealed = Sealer(recipient.read_text().strip(), key_id=period, lock=recipient.read_text().strip()).seal(b"probe")
    try:
        open_sealed(sealed, path.read_text().strip())
    except RefusedError as error:
        raise RefusedError(f"`{recipient}` is not the recipient of `{path}`") from error
    now, reference = int(time.time() * 1000), f"seal-identity/{period}"
    request = Request("consult", hashlib.sha256(f"destroy {reference}".encode()).hexdigest(), persons=1)  # 1
    approval = sign(request, private_key(second_key), by=second, reason="destroy", reference=reference, now=now)
    demand(request, [approval], approvers=load_approvers(settings.approvers_file), now=now)
    if second == by:
        raise RefusedError("the second person is the first")
    send(settings.kafka_config(), [(_entry(by, second, reference, now), 0)])  # 2
    size = path.stat().st_size
    with path.open("r+b") as file:  # 3
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    _show_failing(sealed, vault)  # 4
    print(f"destroyed; nothing in `{vault}` opens what was sealed in {period}. Destroy its backups as well")


def _entry(by: str, second: str, reference: str, now: int) -> Message:
    return ledger.destroyed(None, by=by, why="expiry", second=second, reference=reference, now=now)


def _show_failing(sealed: bytes, vault: Path) -> None:
    """Try every identity that is left; one that opens it is a copy.

    Raises:
        RefusedError: one opens it.
    """
    for path in sorted(vault.glob("seal-identity.*")):
        try:
            open_sealed(sealed, path.read_text().strip())
        except RefusedError:
            continue
        raise RefusedError(f"`{path}` still opens it: it is a copy of what was destroyed")
