"""Tables of what others wrote, whose control characters and markup do not act; and questions to who sits there."""

from __future__ import annotations

import unicodedata
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.kernel.errors import ConfigError

#: Categories of characters that a terminal obeys instead of showing them.
_ACTING = ("Cc", "Cf", "Zl", "Zp")


def harmless(text: str) -> str:
    """`text` with its control characters escaped; line breaks and tabs stay."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in _ACTING else char.encode("unicode_escape").decode()
        for char in text
    )


def show(table: Table, *, width: int | None = None) -> None:
    """Print a table whose words are data."""
    _Console(markup=False, emoji=False, highlight=False, width=width).print(table)


def ask(what: str, *, hidden: bool = False) -> str:
    """What somebody types; asked on standard error, for what is written may go elsewhere.

    Raises:
        ConfigError: nothing was typed before the end of the input, or before Ctrl-C.
    """
    try:
        return str(typer.prompt(what, hide_input=hidden, err=True))
    except typer.Abort as error:
        raise ConfigError("input", [f"not given: {what}; it is read from the terminal or standard input"]) from error


class _Console(Console):
    def render_str(self, text: str, **how: Any) -> Text:
        """Every cell and title comes through here."""
        return super().render_str(harmless(text), **how)
