"""A Faust service whose waits begin at once, and make no task where there is nothing to wait for."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any

from mode import Service
from mode.services import WaitArgT, WaitResults


class EagerService(Service):
    """Takes the first step of what it waits for itself, as the eager tasks of Python 3.12 do.

    Faust's consumer hands each record over in a wait of two: until there is room for it, or the flow is suspended.
    Nearly always there is room; Faust makes four tasks for each record all the same. `safe-reporting bench monitor`
    shows what that takes.
    """

    async def wait_first(self, *coros: WaitArgT, timeout: Any = None) -> WaitResults:
        """The first of `coros` to end, as in Faust; the very first of them wins where it ends without waiting."""
        first, *others = coros
        if not isinstance(first, types.CoroutineType):
            return await super().wait_first(*coros, timeout=timeout)
        try:
            waits_for = first.send(None)
        except BaseException as end:
            for other in others:
                if isinstance(other, types.CoroutineType):
                    other.close()
            if not isinstance(end, StopIteration):
                raise
            return WaitResults([first], [end.value], False)
        return await super().wait_first(_rest(first, waits_for), *others, timeout=timeout)


async def _rest(begun: Coroutine[Any, Any, Any], waits_for: asyncio.Future[Any] | None) -> Any:
    """What is left of a coroutine that was begun, and waits."""
    return await _going_on(begun, waits_for)


@types.coroutine
def _going_on(
    begun: Coroutine[Any, Any, Any], waits_for: asyncio.Future[Any] | None
) -> Generator[asyncio.Future[Any] | None, None, Any]:
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    return (yield from begun.__await__())
