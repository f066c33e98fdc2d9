"""Open what is sealed twice: entries first, answers of the ledger service, then the reader's own identity."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.cli.policy_sign import private_key
from services.kernel import consult
from services.kernel.approval import sign
from services.kernel.consult import Source
from services.kernel.detail import Detail, read_detail
from services.kernel.errors import ConfigError, RefusedError, SafeReportingError
from services.kernel.kafka.reader import read_all, send
from services.kernel.record import Message
from services.kernel.sealing import open_sealed

_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Readers:
    """Who looks, why, and who is the second person with which private key."""

    by: str
    why: str
    second: str
    key: Path
    reference: str = "consultation"


def send_first(config: Mapping[str, str], entries: Sequence[Message]) -> None:
    """Send the entries of who looks and why, before anything is opened.

    Raises:
        SafeReportingError: the ledger's topic did not take them; nothing may be opened.
    """
    try:
        send(config, [(entry, 0) for entry in entries])
    except SafeReportingError as error:
        error.args = (f"not opened, because the ledger did not take the entry: {error}",)
        raise


def read_identity(path: Path) -> str:
    """The age identity in a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError("identity", [f"`{path}`: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError("identity", [f"`{path}` is no age identity"]) from error


def detail_of(sealed: str, identity: str) -> Detail:
    """The detail that an entry has sealed.

    Raises:
        RefusedError: the identity does not open it, or it is none.
    """
    try:
        data = base64.b64decode(sealed)
    except ValueError as error:
        raise RefusedError("what is sealed is no detail of an entry: somebody else made it") from error
    return read_detail(open_sealed(data, identity))


def open_one(config: Mapping[str, str], source: Source, readers: Readers, identity: str, *, name: str) -> bytes:
    """What stands at one position; as `open_all`, but what is not opened is raised."""
    (found,) = open_all(config, [source], readers, identity, name=name)
    if isinstance(found, RefusedError):
        raise found
    return found


def open_all(
    config: Mapping[str, str], sources: Sequence[Source], readers: Readers, identity: str, *, name: str
) -> list[bytes | RefusedError]:
    """What stands at each position, in their order, or why it is not opened.

    1. The second person signs each position; the entries go to the ledger.
    2. The ledger service answers once they are in the log; no answer: nothing is opened.
    3. The identity opens what is left.

    Args:
        name: prefix of the group names, which the principal's permissions must cover.

    Raises:
        RefusedError: the ledger service does not answer.
        SafeReportingError: the ledger's topic did not take the entries.
    """
    now, key = int(time.time() * 1000), private_key(readers.key)
    asked = {}
    for source in sources:
        wanted = consult.request(source, by=readers.by, why=readers.why)
        approval = sign(wanted, key, by=readers.second, reason=readers.why, reference=readers.reference, now=now)
        id_, entry = consult.ask(source, approval, by=readers.by, why=readers.why, now=now)
        asked[id_] = entry
    send_first(config, list(asked.values()))  # 1
    answers = _answers(config, set(asked), name)  # 2
    return [_opened(answers[id_], identity) for id_ in asked]  # 3


def _opened(answer: bytes | str, identity: str) -> bytes | RefusedError:
    """What the identity opens, or why it is not opened: an answer that is text is the ledger service's refusal."""
    if isinstance(answer, str):
        return RefusedError(f"not opened: {answer}")
    try:
        return open_sealed(answer, identity)
    except RefusedError as error:
        return error


def _answers(config: Mapping[str, str], wanted: set[str], name: str) -> dict[str, bytes | str]:
    ends = time.monotonic() + _PATIENCE
    found: dict[str, bytes | str] = {}
    while wanted - found.keys():
        if time.monotonic() > ends:
            raise RefusedError("not opened: the entry is written, but the ledger service does not answer; is it up?")
        for record in read_all(config, consult.TOPIC, name=name):
            id_ = record.key.reveal().decode("ascii", "replace") if record.key is not None else ""
            if id_ in wanted:
                refused = record.header(consult.REFUSED)
                value = record.value.reveal() if record.value is not None else b""
                found[id_] = refused.decode("utf-8", "replace") if refused else value
        time.sleep(0.1)
    return found
