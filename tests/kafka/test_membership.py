"""A member of a group whose slot was taken by another ends: it would get no record any more, and no error either."""

from __future__ import annotations

import time

import pytest

from services.kernel.errors import UnreachableError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.follow import Follow

pytestmark = pytest.mark.kafka


def test_a_member_that_another_one_fenced_does_not_stand_still(broker: EmbeddedKafka) -> None:
    config = broker.client_config("admin")
    first = Follow(config, "ops.alert", group="fenced-here", slot=0)
    joined(first)
    second = Follow(config, "ops.alert", group="fenced-here", slot=0)
    try:
        with pytest.raises(UnreachableError, match=r"cannot go on, a new process can .*fenced"):
            joined(second, beside=first)
    finally:
        second.close()


def joined(member: Follow, *, beside: Follow | None = None) -> None:
    """Return when a member has its part of the topic; one that is read `beside` it until a minute is over."""
    ends = time.monotonic() + 60
    while beside is not None or not member.joined:
        assert time.monotonic() < ends, "a minute is over"
        for one in (member, beside):
            if one is not None:
                one.take(0.1)
