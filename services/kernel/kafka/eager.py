"""A Faust service that waits with one task for what seldom has to be waited for."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

from mode import Service
from mode.services import WaitArgT, WaitResults


class EagerService(Service):
    """Begins the first of what it waits for, and makes tasks for the others where it is not done at once.

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
            begun = await _begun(first)
        except BaseException:
            _leave(others)
            raise
        if not begun.done():
            return await super().wait_first(begun, *others, timeout=timeout)
        _leave(others)
        return WaitResults([first], [begun.result()], False)


def _leave(unawaited: list[WaitArgT]) -> None:
    for one in unawaited:
        if isinstance(one, types.CoroutineType):
            one.close()


if sys.version_info >= (3, 12):

    async def _begun(coroutine: types.CoroutineType[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that took its first step here, and is done where that was all."""
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)

else:

    async def _begun(coroutine: types.CoroutineType[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that took its first step in one turn of the loop, and is done where that was all."""
        task = asyncio.get_running_loop().create_task(coroutine)
        try:
            await asyncio.sleep(0)
        except BaseException:
            task.cancel()
            raise
        return task
