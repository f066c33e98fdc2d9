"""The live screen of `safe-reporting top`; apart, because its library takes a while to load."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from services.cli.top_data import Seen, ask
from services.cli.top_frame import By, Memory, frame
from services.kernel.errors import UnreachableError
from services.monitor.windows import Size

EVERY_S = 2.0


class Top(App[None]):
    """Asks in a thread of its own, so that keys answer while the monitor does not."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "VerticalScroll { scrollbar-size-vertical: 1; } Static { width: auto; height: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("tab", "turn", "feeds/partners", priority=True),
        Binding("1", "window('1m')", "minute"),
        Binding("2", "window('15m')", "15 min"),
        Binding("3", "window('1d')", "day"),
    ]

    def __init__(self, monitor: str, window: Size, by: By, desk: str | None = None) -> None:
        super().__init__(ansi_color=True)
        self.desk = desk
        self.monitor, self.window, self.by = monitor, window, by
        self.memory = Memory(datetime.now(UTC))
        self._asking = False

    def compose(self) -> ComposeResult:
        """The first line stays; the rest scrolls."""
        yield Static(id="state")
        with VerticalScroll():
            yield Static(id="body")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to ask, and to show how old the figures are."""
        self.set_interval(EVERY_S, self.poll)
        self.set_interval(1.0, self.show)
        self.poll()
        self.show()

    def poll(self) -> None:
        """Ask, unless the last question is still open."""
        if not self._asking:
            self._asking = True
            self.run_worker(self._ask, thread=True)

    def _ask(self) -> None:
        answer: Seen | str
        try:
            answer = ask(self.monitor, self.desk)
        except UnreachableError as error:
            answer = str(error)
        self.call_from_thread(self._take, answer)

    def _take(self, answer: Seen | str) -> None:
        self._asking = False
        if isinstance(answer, Seen):
            self.memory.take(answer)
        else:
            self.memory.lost = answer
        self.show()

    def show(self) -> None:
        """Draw what is known now."""
        first, *rest = frame(self.memory, self.window, self.by, datetime.now(UTC))
        if self.memory.lost is not None:
            rest.insert(0, Text(self.memory.lost, "red"))
        self.query_one("#state", Static).update(first)
        self.query_one("#body", Static).update(Text("\n").join(rest))

    def action_turn(self) -> None:
        """Feeds or partners."""
        self.by = By.PARTNER if self.by is By.FEED else By.FEED
        self.show()

    def action_window(self, size: str) -> None:
        """Another window."""
        self.window = Size(size)
        self.show()
