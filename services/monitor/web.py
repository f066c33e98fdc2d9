"""HTTP of the monitor, in a thread of its own: it answers also where the reader hangs."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import orjson
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.monitor.windows import Size

_MOST = {Size.MINUTE: 120, Size.QUARTER: 192, Size.DAY: 36}


class View(Protocol):
    """What is answered from."""

    def mark(self) -> Any: ...
    def healthy(self) -> bool: ...
    def behind(self) -> int | None: ...
    def figures(self, size: Size, count: int) -> dict[str, Any]: ...


def answer(path: str, view: View, registry: CollectorRegistry = REGISTRY) -> tuple[int, str, bytes]:
    """Status, content type and body for the path of a GET request.

    `/metrics`; `/healthz` 503 where nothing moves while there is lag; `/readyz` 503 until the figures are read;
    `/figures?window=1m|15m|1d&count=N` as JSON, where null is what is not known.
    """
    parts = urlsplit(path)
    if parts.path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    if parts.path == "/healthz":
        fine = view.healthy()
        return _json(200 if fine else 503, {"progress": fine, "behind": view.behind()})
    if parts.path == "/readyz":
        ready = view.mark() is not None
        return _json(200 if ready else 503, {"ready": ready})
    if parts.path == "/figures":
        return _figures(parse_qs(parts.query), view)
    return _json(404, {"error": "no such page: /metrics /healthz /readyz /figures"})


def _figures(query: dict[str, list[str]], view: View) -> tuple[int, str, bytes]:
    try:
        size = Size(query.get("window", ["1m"])[0])
        count = int(query.get("count", ["15"])[0])
    except ValueError:
        return _json(400, {"error": "`window` is 1m, 15m or 1d and `count` a number"})
    return _json(200, view.figures(size, max(1, min(count, _MOST[size]))))


def _json(status: int, body: dict[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", orjson.dumps(body)


def serve(port: int, view: View) -> ThreadingHTTPServer | None:
    """Serve on every interface in a daemon thread; port 0 serves nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path, view)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Requests are not logged."""

    if not port:
        return None
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104 - as the other services serve metrics
    threading.Thread(target=server.serve_forever, daemon=True, name="web").start()
    return server
