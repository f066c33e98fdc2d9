"""The command tree as a document: `docs/commands.md` equals what this prints (a test holds it)."""

from __future__ import annotations

from typing import Any

import typer


def document(app: typer.Typer) -> str:
    """Markdown of every command with its arguments and options."""
    lines = [
        "# Commands",
        "",
        "Made from the command itself: `python -m services.cli.commands > docs/commands.md`.",
        "",
    ]
    codes = "0 done · 1 a check found something · 2 usage or settings · 3 not reachable · 4 refused"
    lines += [f"Exit codes: {codes} · 5 a fault of this program.", ""]
    root = typer.main.get_command(app)
    for path, command in _walk(root, "safe-reporting"):
        lines += [f"## `{path}`", "", (command.help or "").split("\n\n")[0].replace("\n", " "), ""]
        options = [p for p in command.params if p.name != "help"]
        for parameter in options:
            names = ", ".join(f"`{name if name.startswith('-') else name.upper()}`" for name in parameter.opts)
            help_text = getattr(parameter, "help", None) or "see the description"
            lines.append(f"- {names}: {help_text}")
        lines += [""] if options else []
    return "\n".join(lines).rstrip() + "\n"


def _walk(command: Any, path: str) -> list[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if not children:
        return [(path, command)]
    return [found for name in sorted(children) for found in _walk(children[name], f"{path} {name}")]


if __name__ == "__main__":
    from services.cli.app import app

    print(document(app), end="")
