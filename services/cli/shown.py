"""What others wrote, for the terminal of who reads it: neither control characters nor Rich's own markup act."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

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


class _Console(Console):
    def render_str(self, text: str, **how: Any) -> Text:
        """Every cell and title comes through here."""
        return super().render_str(harmless(text), **how)
