"""What is sent without waiting: told where it is lost, and never in the way."""

from __future__ import annotations

import time

from services.kernel.kafka.post import Post
from services.kernel.record import Message


def test_what_no_broker_takes_is_told_and_waits_for_nobody() -> None:
    post, lost = Post({"bootstrap.servers": "127.0.0.1:1"}, deadline=1.0), list[str]()
    began = time.monotonic()
    for number in range(20):
        post.send(Message("agency.a.marac", None, b"{}"), number % 3, lost.append)
    assert time.monotonic() - began < 0.9
    ends = time.monotonic() + 10
    while len(lost) < 20 and time.monotonic() < ends:
        post.look()
        time.sleep(0.02)
    assert lost == ["_MSG_TIMED_OUT"] * 20
    post.close()


def test_what_is_too_large_for_any_topic_is_told_at_once() -> None:
    post, lost = Post({"bootstrap.servers": "127.0.0.1:1"}, deadline=0.3), list[str]()
    post.send(Message("agency.a.marac", None, b" " * (18 * 1024 * 1024)), 0, lost.append)
    assert lost == ["MSG_SIZE_TOO_LARGE"]
    post.close()
