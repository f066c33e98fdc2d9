"""The pages of the monitor."""

from __future__ import annotations

from typing import Any, Protocol

from services.kernel.web import Page
from services.monitor.windows import Size

_MOST = {Size.MINUTE: 120, Size.QUARTER: 192, Size.DAY: 36}


class View(Protocol):
    """What is answered from."""

    def mark(self) -> Any: ...
    def healthy(self) -> bool: ...
    def behind(self) -> int | None: ...
    def figures(self, size: Size, count: int) -> dict[str, Any]: ...


def pages(view: View) -> dict[str, Page]:
    """`/healthz` is 503 where nothing moves while there is lag, `/readyz` until the figures are read.

    `/figures?window=1m|15m|1d&count=N` gives figures, where null is what is not known.
    """

    def health(_: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        fine = view.healthy()
        return 200 if fine else 503, {"progress": fine, "behind": view.behind()}

    def ready(_: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        ready = view.mark() is not None
        return 200 if ready else 503, {"ready": ready}

    def figures(query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        try:
            size = Size(query.get("window", ["1m"])[0])
            count = int(query.get("count", ["15"])[0])
        except ValueError:
            return 400, {"error": "`window` is 1m, 15m or 1d and `count` a number"}
        return 200, view.figures(size, max(1, min(count, _MOST[size])))

    return {"/healthz": health, "/readyz": ready, "/figures": figures}
