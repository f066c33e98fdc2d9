"""Made-up entries, as redactor and router write them, and a log made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel import ledger
from services.kernel.paths import ROOT
from services.kernel.record import Decision, Inbound, Outcome
from services.kernel.vocabulary import OutcomeKind, Reason
from services.ledger.entries import Leaf, Reader
from services.ledger.note import Checkpoint, Signed, sign
from services.ledger.store import Store, grow

NOW = 1_795_000_000_000
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
ORIGIN = "test.example/log"
READER = Reader(ROOT / "schemas")
BASIS = "DPA 2018 s.35"


def record(number: int) -> str:
    return hashlib.sha256(f"record {number}".encode()).hexdigest()[:32]


def key(partner: str, number: int) -> str:
    return hashlib.sha256(f"{partner} {number}".encode()).hexdigest()[:32]


def entries(
    count: int, start: int = 0, *, feed: str = "agency.gmp.police-crime", routed_from: str = "redacted"
) -> Iterator[bytes]:
    """`count` bodies: a redacted record, then what the router did with it; every tenth is withheld.

    `feed` and `routed_from` are the topics that they name.
    """
    for number in range(start, start + count):
        about, routed = number // 2, bool(number % 2)
        topic = routed_from if routed else feed
        source = Inbound(topic, about % 4, about // 4, NOW, None, None)
        if not routed:
            outcome = Outcome(OutcomeKind.REDACTED, record=record(about), agency="gmp", feed="police-crime")
        elif about % 10 == 0:
            outcome = Outcome(OutcomeKind.WITHHELD, Reason.FORBIDDEN, record=record(about), agency="gmp")
        else:
            made = [
                Decision(partner, "view", "allow", (f"permit-{partner}",), BASIS, key(partner, about))
                for partner in ("victim-support-gm", "idva-service")
            ]
            denied = Decision("immigration-enforcement", "none", "deny", ("never",), BASIS)
            outcome = Outcome(OutcomeKind.FORWARDED, record=record(about), agency="gmp", decisions=(*made, denied))
        service = "router" if routed else "redactor"
        message = ledger.entry(
            source, outcome, service=service, slot=0, previous=about // 4 - 1, now=NOW + number * 1000
        )
        yield message.value or b""


def leaves(bodies: list[bytes], start: int = 0) -> list[Leaf]:
    return [READER.read(body, position, NOW) for position, body in enumerate(bodies, start)]


def append(store: Store, bodies: list[bytes], *, signed: bool = True) -> Signed | None:
    """Append as the service does, in one batch."""
    before = store.state()
    made = leaves(bodies, before.next_offset)
    after, kept, _ = grow(before, made, before.next_offset + len(bodies))
    statement = sign(Checkpoint(ORIGIN, after.size, after.frontier.root()), KEY) if signed else None
    store.append(before, after, made, kept, signed=statement, now=NOW)
    return statement


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


class Meanwhile:
    """Reads entries like `READER`, and appends `bodies` to the log at the first, as a service that runs beside."""

    def __init__(self, database: str, bodies: list[bytes]) -> None:
        self._database, self._bodies = database, bodies

    def read(self, body: bytes, position: int, time: int) -> Leaf:
        bodies, self._bodies = self._bodies, []
        if bodies:
            with Store(self._database) as other:
                append(other, bodies)
        return READER.read(body, position, time)
