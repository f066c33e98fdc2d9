"""The gate as the desk sees it: while it is closed records wait unseen, and that is one item of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.kernel.approval import Approver
from services.kernel.gate import GateState, Heard
from services.kernel.kafka.lag import Position
from services.kernel.record import Inbound

#: What its item is called where a hold has its id.
NAME = "gate"


class ClosedGate(GateState):
    """The gate as the router has it, and what waits behind it.

    Attributes:
        waiting: records that wait behind it; None where that is not known.
    """

    def __init__(self, approvers: Mapping[str, Approver]) -> None:
        super().__init__(approvers)
        self.waiting: int | None = None

    def hear(self, record: Inbound) -> Heard:
        """Take in a message of `control`."""
        heard = super().hear(record)
        if heard is Heard.OPENED:
            self.waiting = None
        return heard


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
