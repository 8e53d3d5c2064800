"""A server for one rater on this machine: it gives out the page and writes every answer into the rater's file.

It listens on 127.0.0.1 only and answers only requests that name it, so that no page of another site can read or write ratings.
"""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from replication.config import UserError
from replication.rating import ratings, rubric
from replication.rating.page import Task, render

HOST = "127.0.0.1"
LARGEST = 1_000_000  # bytes of a request
SENT = ("shown", "interval", *rubric.KEYS, "explanation")
ASIDE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


class Refused(Exception):
    """A request that is answered with a status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class RatingServer(ThreadingHTTPServer):
    """Serves a task at `http://127.0.0.1:<server_port>/` and keeps ratings in `path`; port 0 takes a free one. Raises UserError."""

    daemon_threads = True
    request_queue_size = 64  # connections that wait: with the usual 5, some of many at once are refused

    def __init__(self, task: Task, path: Path, port: int = 0) -> None:
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port} cannot be used ({error}); leave --port out for a free one") from None
        self.task, self.path, self.units = task, path, task.named()
        self.writing = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """What a browser on this machine may call the server."""
        return tuple(f"{host}:{self.server_port}" for host in (HOST, "localhost"))

    def page(self) -> str:
        """The page with what was rated so far."""
        with self.writing:
            return render(self.task, ratings.rows_of(self.path), served=True)

    def save(self, body: bytes) -> int:
        """Rows of a request into the file; returns how many it has then. Raises Refused, and writes nothing, when one of them is wrong."""
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, "the request is not JSON") from None
        if not isinstance(sent, list) or not sent:
            raise Refused(400, "the request is not a list of ratings")
        rows = [self._row(one, place) for place, one in enumerate(sent, start=1)]
        with self.writing:
            return len(ratings.merge(self.path, rows))

    def _row(self, sent: Any, place: int) -> ratings.Row:
        if not isinstance(sent, dict) or set(sent) != set(SENT):
            raise Refused(400, f"rating {place} does not have exactly the fields {', '.join(SENT)}")
        unit = self.units.get(sent["shown"]) if isinstance(sent["shown"], str) else None
        if unit is None or sent["interval"] not in unit.intervals:
            raise Refused(400, f"rating {place} is of no interval that this page asks about")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        wrong = rubric.fault(sent)
        row = sent | {"unit": unit.name, "total": 0 if wrong else rubric.total(sent), "seed": self.task.seed, "rated_at": now}
        if wrong := wrong or ratings.fault(row):
            raise Refused(400, f"rating {place}: {wrong}")
        return row | {"explanation": " ".join(row["explanation"].split())}


class Handler(BaseHTTPRequestHandler):
    """GET / is the page, POST /ratings saves."""

    server: RatingServer
    timeout = 30
    server_version = "rating"
    sys_version = ""

    def do_GET(self) -> None:
        """The page."""
        def page() -> str:
            if self.path != "/":
                raise Refused(404, "there is only the page at /")
            return self.server.page()

        self._answer(page, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Ratings as JSON."""
        def saved() -> str:
            if self.path != "/ratings":
                raise Refused(404, "ratings go to /ratings")
            if self.headers.get_content_type() != "application/json":
                raise Refused(400, "ratings come as application/json")
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > LARGEST:
                raise Refused(400, f"the request says no length up to {LARGEST} bytes")
            return str(self.server.save(self.rfile.read(int(length))))

        self._answer(saved, "text/plain; charset=utf-8")

    def _answer(self, make: Any, kind: str) -> None:
        try:
            self._check_sender()
            status, text = 200, make()
        except Refused as error:
            status, text, kind = error.status, str(error), "text/plain; charset=utf-8"
        except (UserError, OSError) as error:
            status, text, kind = 500, str(error), "text/plain; charset=utf-8"
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **ASIDE}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _check_sender(self) -> None:
        if self.headers.get("Host") not in self.server.names:
            raise Refused(403, f"this server answers to {self.server.names[0]} only")
        if self.headers.get("Origin") not in (None, *(f"http://{name}" for name in self.server.names)):
            raise Refused(403, "a page of another origin cannot use this server")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not logged."""
