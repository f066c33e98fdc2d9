"""The gate as the desk sees it: while it is closed records wait unseen, and that is one item of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from services.kernel.approval import Approver
from services.kernel.gate import KEY, Gate
from services.kernel.kafka.lag import Position
from services.kernel.record import Inbound

#: What its item is called where a hold has its id.
NAME = "gate"


class ClosedGate:
    """Since when the gate is closed. It opens by two persons' signatures alone, as for the router.

    Attributes:
        since: when the broker took the closing, milliseconds since the epoch; None while it is open.
        waiting: records that wait behind it; None where that is not known.
    """

    def __init__(self, approvers: Mapping[str, Approver]) -> None:
        self._approvers = approvers
        self.since: int | None = None
        self.waiting: int | None = None

    def hear(self, record: Inbound) -> None:
        """Take in a message of `control`; those that are not about the gate, or cannot be read, change nothing."""
        if record.key is None or record.key.reveal() != KEY or record.value is None:
            return
        try:
            said = msgspec.json.decode(record.value.reveal(), type=Gate)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if said.state == "closed":
            self.since = record.timestamp if self.since is None else self.since
        elif said.opens(self._approvers, record.timestamp):
            self.since = self.waiting = None


def waiting(positions: Iterable[Position]) -> int | None:
    """Records that a group has not handled; None where a partition has no position, or nobody says where it ends.

    The redactor writes in transactions, and each leaves a mark of its own in its partition: one of lag is none, and
    a larger number is that of the records and of the marks between them.
    """
    total = 0
    for position in positions:
        if position.committed is None or position.end is None:
            return None
        lag = max(0, position.end - position.committed)
        total += 0 if lag == 1 else lag
    return total
