"""Waits that begin at once give what Faust's own give: each scenario is run on both."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest
from mode import Service

from services.kernel.kafka.eager import EagerService

BOTH = pytest.mark.parametrize("kind", [Service, EagerService])


class Handing:
    """A record that is handed over: waits for room where `room` is given, and notes how far it came."""

    def __init__(self, room: asyncio.Event | None = None, *, fails: bool = False) -> None:
        self.steps: list[str] = []
        self._room, self._fails = room, fails

    async def over(self) -> str:
        self.steps.append("begun")
        try:
            if self._room is not None:
                await self._room.wait()
                await asyncio.sleep(0)
                await asyncio.sleep(0.01)
            if self._fails:
                raise LookupError
            self.steps.append("ended")
            return "handed over"
        finally:
            self.steps.append("left")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario, debug=True)
    gc.collect()  # a coroutine that nobody awaited is a warning, and so a failure


@BOTH
def test_what_need_not_wait_ends(kind: type[Any]) -> None:
    async def scenario() -> None:
        handing = Handing()
        found = await kind().wait_first(handing.over(), asyncio.Event().wait())
        assert (found.results, found.stopped) == (["handed over"], False)
        assert handing.steps == ["begun", "ended", "left"]

    run(scenario())


def test_what_need_not_wait_makes_one_task_at_most() -> None:
    async def scenario() -> None:
        made: list[object] = []

        def factory(loop: asyncio.AbstractEventLoop, coro: Any, **settings: Any) -> asyncio.Task[Any]:
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **settings)

        asyncio.get_running_loop().set_task_factory(factory)
        await EagerService().wait_first(Handing().over(), asyncio.Event().wait())
        assert len(made) <= 1
        made.clear()
        await Service().wait_first(Handing().over(), asyncio.Event().wait())
        assert len(made) == 4

    run(scenario())


@BOTH
def test_what_waits_with_a_deadline_of_its_own_meets_it_alone(kind: type[Any]) -> None:
    async def impatient() -> str:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            return "met"
        return "ended"

    async def scenario() -> None:
        found = await kind().wait_first(impatient(), asyncio.Event().wait())
        assert found.results == ["met"]

    run(scenario())


@BOTH
def test_what_waits_goes_on_where_it_was(kind: type[Any]) -> None:
    async def scenario() -> None:
        room = asyncio.Event()
        handing = Handing(room)
        asyncio.get_running_loop().call_later(0.02, room.set)
        found = await kind().wait_first(handing.over(), asyncio.Event().wait())
        assert (found.results, found.stopped) == (["handed over"], False)
        assert handing.steps == ["begun", "ended", "left"]

    run(scenario())


@BOTH
def test_the_other_ends_what_waits(kind: type[Any]) -> None:
    async def scenario() -> None:
        suspended = asyncio.Event()
        handing = Handing(asyncio.Event())
        asyncio.get_running_loop().call_later(0.02, suspended.set)
        found = await kind().wait_first(handing.over(), suspended.wait())
        await asyncio.sleep(0.01)
        assert (found.results, found.stopped) == ([True], False)
        assert handing.steps == ["begun", "left"]

    run(scenario())


@BOTH
def test_a_stop_ends_what_waits(kind: type[Any]) -> None:
    async def scenario() -> None:
        service, handing = kind(), Handing(asyncio.Event())
        asyncio.get_running_loop().call_later(0.02, service._stopped.set)
        found = await service.wait_first(handing.over(), asyncio.Event().wait())
        await asyncio.sleep(0.01)
        assert (found.results, found.stopped, handing.steps) == ([], True, ["begun", "left"])

    run(scenario())


@BOTH
@pytest.mark.parametrize("late", [False, True])
def test_a_fault_is_raised(kind: type[Any], late: bool) -> None:
    async def scenario() -> None:
        room = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, room.set)
        handing = Handing(room if late else None, fails=True)
        with pytest.raises(LookupError):
            await kind().wait_first(handing.over(), asyncio.Event().wait())
        assert handing.steps == ["begun", "left"]

    run(scenario())


@BOTH
def test_it_can_be_cancelled(kind: type[Any]) -> None:
    async def scenario() -> None:
        handing = Handing(asyncio.Event())
        waiting = asyncio.ensure_future(kind().wait_first(handing.over(), asyncio.Event().wait()))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0.01)
        assert handing.steps == ["begun", "left"]

    run(scenario())


@BOTH
def test_events_are_waited_for_as_before(kind: type[Any]) -> None:
    async def scenario() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, event.set)
        assert (await kind().wait_first(event, asyncio.Event())).done == [event]
        assert (await kind().wait_first(asyncio.Event(), timeout=0.01)).stopped

    run(scenario())
