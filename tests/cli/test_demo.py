"""`demo` ends with what the ledger showed: an entry that is missing or doubled is no success."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import demo
from services.cli.app import app
from services.kernel import keys
from services.kernel.errors import Exit


def entries(count: int) -> list[dict[str, Any]]:
    """What the redactor says of `count` records of one partition, all of them set aside."""
    return [
        {
            "service": "redactor", "outcome": "quarantined", "decisions": [],
            "source": {"topic": "agency.gmp.marac", "partition": 0, "offset": number, "previous": number - 1},
        }
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("left_out", "code"), [((), Exit.DONE), ((3,), Exit.FOUND), ((-1,), Exit.FOUND)], ids=["whole", "gap", "too few"]
)
def test_a_broken_chain_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left_out: tuple[int, ...], code: int
) -> None:
    keys.init_dev(tmp_path, [])
    sent: list[object] = []

    def said() -> list[dict[str, Any]]:
        made = entries(len(sent))
        for at in left_out:
            del made[at]
        return made

    pipeline = SimpleNamespace(
        send=sent.extend, wait=lambda *_, **__: None, entries=said, read=lambda _: [], keys_dir=tmp_path
    )

    @contextmanager
    def given(*_: object, **__: object) -> Iterator[Any]:
        yield pipeline

    monkeypatch.setattr(demo, "EmbeddedKafka", lambda **_: given_broker())
    monkeypatch.setattr(demo, "apply", lambda *_, **__: None)
    monkeypatch.setattr(demo, "Pipeline", given)
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == code, (done.output, done.exception)
    assert ("BROKEN" in done.output) == bool(left_out)


@contextmanager
def given_broker() -> Iterator[Any]:
    yield SimpleNamespace(client_config=lambda _: {})
