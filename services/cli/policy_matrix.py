"""The matrix of partners, feeds and roles as a table, a page, CSV and JSON."""

from __future__ import annotations

import csv as csv_module
import dataclasses
import html as html_module
import json
import sys

from rich.table import Table

from services.cli.shown import show
from services.kernel.vocabulary import Role
from services.router.matrix import ALL, NONE, Row, matrix
from services.router.situation import World

_ROLES = tuple(role.value for role in Role)
_HEAD = ("partner", "feed", "view", *_ROLES, "joinable with")
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#0b0c0c}
table{border-collapse:collapse;width:100%}caption{text-align:left;font-weight:700;font-size:1.3rem;margin-bottom:.6rem}
th,td{border:1px solid #b1b4b6;padding:.35rem .5rem;text-align:left;vertical-align:top;font-size:.85rem}
thead th{background:#f3f2f1;position:sticky;top:0}
td.all{background:#cce2d8}td.no{color:#505a5f}td.some{background:#fff7bf}"""


def table(world: World) -> None:
    """A table for the terminal: roles that get the same share a line of their own."""
    shown = Table("partner", "feed", "who is in it", "records that reach it", "joinable with", title=_title(world))
    last = ""
    for row in matrix(world):
        groups: dict[str, list[str]] = {}
        for role, cell in row.cells.items():
            groups.setdefault(cell, []).append(role)
        for number, (cell, roles) in enumerate(groups.items()):
            who = "everybody" if len(groups) == 1 else ", ".join(roles)
            name = "" if row.partner == last else row.partner
            joins = "\n".join(row.joinable) if number == 0 else ""
            shown.add_row(name, row.feed if number == 0 else "", who, cell, joins)
            last = row.partner
        shown.add_section()
    show(shown)


def csv(world: World) -> None:
    """Comma-separated, one line a partner and feed."""
    writer = csv_module.writer(sys.stdout)
    writer.writerow(_HEAD)
    for row in matrix(world):
        writer.writerow(_cells(row))


def document(world: World) -> None:
    """JSON."""
    rows = [dataclasses.asdict(row) for row in matrix(world)]
    print(json.dumps({"day": world.day.isoformat(), "policy": world.policies.digest, "rows": rows}, indent=2))


def html(world: World) -> None:
    """One page without script, to be read or printed."""
    head = "".join(f'<th scope="col">{html_module.escape(name.replace("_", " "))}</th>' for name in _HEAD)
    body = "\n".join(_line(row) for row in matrix(world))
    print(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Policy matrix</title><style>{_STYLE}'
        f"</style></head><body><table><caption>{html_module.escape(_title(world))}</caption><thead><tr>{head}</tr>"
        f"</thead><tbody>{body}</tbody></table></body></html>"
    )


def _title(world: World) -> str:
    return f"What reaches whom on {world.day}, policy {world.policies.digest}"


def _cells(row: Row) -> list[str]:
    return [row.partner, row.feed, row.view, *(row.cells[role] for role in _ROLES), "; ".join(row.joinable)]


def _line(row: Row) -> str:
    cells = _cells(row)
    made = [f'<th scope="row">{html_module.escape(cells[0])}</th>']
    for place, cell in enumerate(cells[1:], 1):
        kind = {ALL: "all", NONE: "no"}.get(cell, "some") if 3 <= place < 3 + len(_ROLES) else ""
        made.append(
            f'<td class="{kind}">{html_module.escape(cell)}</td>' if kind else f"<td>{html_module.escape(cell)}</td>"
        )
    return f"<tr>{''.join(made)}</tr>"
