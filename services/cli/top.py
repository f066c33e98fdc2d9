"""`safe-reporting top`: what the monitor sees, live in a terminal, or once for a script."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from services.cli.top_data import ask, check_address
from services.cli.top_frame import By, Memory, frame
from services.kernel.errors import Exit
from services.monitor.windows import Size


def top(
    monitor: Annotated[str, typer.Option("--monitor", help="Where the monitor's pages are.")] = "http://127.0.0.1:9108",
    desk: Annotated[str | None, typer.Option("--desk", help="Where the safety desk's pages are.")] = None,
    window: Annotated[Size, typer.Option("--window", help="The window that is shown first.")] = Size.MINUTE,
    by: Annotated[By, typer.Option("--by", help="What the flow is divided by first.")] = By.FEED,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit: 0 fine, 1 not, 3 no answer.")] = False,
) -> None:
    """What flows, waits and is alerted, from the monitor's pages every two seconds. `?` is what it does not know.

    With `--once` the exit code is 1 also where the monitor stands still, or does not know whether anything is wrong;
    with `--desk` also where the gate is closed, a hold escalated, or the desk does not answer.
    """
    if once:
        memory = Memory(datetime.now(UTC))
        seen = ask(monitor, desk)
        memory.take(seen)
        for line in frame(memory, window, by, seen.at, alerts=None):
            print(line.plain.rstrip())
        held = desk is None or (seen.held is not None and seen.held.fine)
        raise typer.Exit(Exit.DONE if seen.fine and held else Exit.FOUND)
    check_address("--monitor", monitor)
    if desk is not None:
        check_address("--desk", desk)
    from services.cli.top_app import Top

    Top(monitor, window, by, desk).run()
