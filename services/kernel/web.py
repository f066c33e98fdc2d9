"""HTTP beside a service, in a thread of its own: it answers also where the service hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.kernel.errors import UnreachableError

#: Makes a page: status and JSON body from the query.
Page = Callable[[dict[str, list[str]]], tuple[int, dict[str, Any]]]


def answer(path: str, pages: Mapping[str, Page], registry: CollectorRegistry = REGISTRY) -> tuple[int, str, bytes]:
    """Status, content type and body for the path of a GET request: `/metrics`, or one of `pages`."""
    parts = urlsplit(path)
    if parts.path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    page = pages.get(parts.path)
    known = " ".join(("/metrics", *pages))
    status, body = page(parse_qs(parts.query)) if page else (404, {"error": f"no such page: {known}"})
    return status, "application/json", orjson.dumps(body)


def serve(port: int, pages: Mapping[str, Page]) -> ThreadingHTTPServer | None:
    """Serve on every interface in a daemon thread; port 0 serves nothing.

    Raises:
        UnreachableError: another process has the port.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path, pages)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Requests are not logged."""

    if not port:
        return None
    try:
        server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104 - a scraper comes from another machine
    except OSError as error:
        raise UnreachableError(f"port {port} of `SR_METRICS_PORT`: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True, name="web").start()
    return server
