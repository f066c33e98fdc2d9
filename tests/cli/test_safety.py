"""`safety list` where a topic of the desk cannot be read to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import safety as command
from services.cli.app import app
from services.kernel import safety
from services.kernel.errors import Exit, UnreachableError
from services.kernel.kafka.reader import NotWholeError
from services.kernel.record import Inbound
from services.kernel.safety import Risk
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import Reason

HUNG = "reading `ops.safety`: not at its end after 60 s; a transaction is open in partition 1"


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """`ops.safety` holds one hold; reading the topic that is named ends with an error."""
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    hold = safety.hold(("redacted", 0, 1), 0, Reason.FAULT, agency=None, feed=None, risk=Risk.UNKNOWN)

    def ends(which: str, error: Exception) -> None:
        def read_all(_: Any, topic: str, **__: Any) -> Iterator[Inbound]:
            if topic == safety.TOPIC:
                yield Inbound(topic, 0, 0, 9, None, SensitiveBytes(hold.value or b""))
            if topic == which:
                raise error

        monkeypatch.setattr(command, "read_all", read_all)

    return ends


@pytest.mark.parametrize("which", [safety.TOPIC, safety.ACKNOWLEDGED, "control"])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_what_the_other_partitions_hold_is_shown_where_one_hangs(
    topics: Callable[[str, Exception], None], which: str, more: tuple[str, ...]
) -> None:
    topics(which, NotWholeError(HUNG))
    done = CliRunner().invoke(app, ["safety", "list", *more])
    assert done.exit_code == Exit.UNREACHABLE
    assert safety.hold_id(("redacted", 0, 1)) in done.stdout
    assert ("about 1" in done.stdout) is not bool(more)
    assert f"not whole: {HUNG}" in done.stderr


def test_a_broker_that_is_away_is_no_list(topics: Callable[[str, Exception], None]) -> None:
    topics(safety.TOPIC, UnreachableError("reading `ops.safety`: _TRANSPORT"))
    done = CliRunner().invoke(app, ["safety", "list"])
    assert isinstance(done.exception, UnreachableError)
    assert done.stdout == ""
