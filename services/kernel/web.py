"""HTTP beside a service, in a thread of its own: it answers also where the service hangs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import structlog
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from services.kernel import telemetry
from services.kernel.errors import UnreachableError
from services.kernel.progress import Progress

log = structlog.get_logger()

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


def standard(progress: Progress) -> dict[str, Page]:
    """The pages that every service has."""
    return {"/healthz": lambda _: progress.health(), "/readyz": lambda _: progress.ready()}


class _Server(ThreadingHTTPServer):
    """Tells of a request that failed by its place alone; a client that hangs up is none."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's arguments
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            log.error("page_failed", code=type(error).__name__, where=telemetry.where(error))


def serve(port: int, pages: Mapping[str, Page], *collectors: Collector) -> ThreadingHTTPServer | None:
    """Serve on every interface in a daemon thread, with the collectors' metrics; port 0 serves nothing.

    Raises:
        UnreachableError: another process has the port.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # of a client that says nothing

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
        server = _Server(("0.0.0.0", port), Handler)  # noqa: S104 - a scraper comes from another machine
    except OSError as error:
        raise UnreachableError(f"port {port} of `SR_METRICS_PORT`: {error.strerror}") from error
    for collector in collectors:
        REGISTRY.register(collector)
    threading.Thread(target=server.serve_forever, daemon=True, name="web").start()
    return server
