"""A Hugging Face Hub on this machine: a real HTTP server that has datasets, and that fails as a test wants."""

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `files` (path to bytes) as the one dataset `name`.

    `fault(request, number)` is asked before each answer: None lets it pass, a number is a status to answer instead, a number
    with headers likewise, and `("drop", share)` sends that share of the body and cuts the connection. What lies under a path
    lies under `/elsewhere` and that path too, for redirections.
    """

    daemon_threads = True

    def __init__(self, name, files, fault=lambda request, number: None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.files, self.fault, self.revision = name, files, fault, REVISION
        self.asked, self.sent, self.lock = [], 0, threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def entry(self, path):
        return {"type": "file", "path": path, "size": len(self.files[path]), "oid": hashlib.sha1(self.files[path]).hexdigest()}

    def read(self, method, target):
        """Status, headers and body of an answer."""
        parts = urlsplit(target)
        path = unquote(parts.path).removeprefix("/elsewhere")
        api, resolve = f"/api/datasets/{self.name}", f"/datasets/{self.name}/resolve/"
        if path == api or path in (f"{api}/revision/main", f"{api}/revision/{self.revision}"):
            siblings = [{"rfilename": file} for file in self.files]
            return 200, {}, json.dumps({"id": self.name, "sha": self.revision, "private": False, "tags": [], "siblings": siblings}).encode()
        for revision in ("main", self.revision):
            if path.startswith(f"{api}/tree/{revision}"):
                folder = path.removeprefix(f"{api}/tree/{revision}").strip("/")
                return 200, {}, json.dumps(self.tree(folder, "true" in parse_qs(parts.query).get("recursive", [""])[0].lower())).encode()
            if path == f"{api}/paths-info/{revision}":
                asked = method[1]
                wanted = [unquote(pair.partition("=")[2]) for pair in asked.split("&") if pair.startswith("paths=")] if not asked.startswith("{") else json.loads(asked)["paths"]
                return 200, {}, json.dumps([self.entry(file) for file in wanted if file in self.files]).encode()
            if path.startswith(resolve + revision + "/"):
                file = path.removeprefix(resolve + revision + "/")
                if file not in self.files:
                    return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.revision}, b""
                return 200, {"X-Repo-Commit": self.revision, "ETag": f'"{self.entry(file)["oid"]}"', "Accept-Ranges": "bytes"}, self.files[file]
        return 404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "not found"}'

    def tree(self, folder, recursive):
        inside = [file for file in self.files if not folder or file.startswith(folder + "/")]
        files = [self.entry(file) for file in inside if recursive or "/" not in file[len(folder) :].strip("/")]
        folders = {file.rpartition("/")[0] for file in inside} - {folder, ""}
        return [{"type": "directory", "path": name, "size": 0, "oid": REVISION} for name in sorted(folders)] + files


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply("")

    do_HEAD = do_GET

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def reply(self, content):
        hub, request = self.server, f"{self.command} {self.path}"
        with hub.lock:
            hub.asked.append(request)
            fault = hub.fault(request, len(hub.asked))
        cut, instead = isinstance(fault, tuple) and fault[0] == "drop", (fault, {}) if isinstance(fault, int) else fault
        status, headers, body = hub.read((self.command, content), self.path) if cut or fault is None else (*instead, b"")
        if status == 200 and (span := self.headers.get("Range")):
            start, _, end = span.removeprefix("bytes=").partition("-")
            whole, body = len(body), body[int(start) : int(end) + 1 if end else None]
            status, headers = 206, headers | {"Content-Range": f"bytes {start}-{int(start) + len(body) - 1}/{whole}"}
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = body[: int(len(body) * fault[1])] if cut else body
        try:
            self.wfile.write(body)
            if cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
        except OSError:  # the client did not wait
            pass
        with hub.lock:
            hub.sent += len(body)

    def log_message(self, *_):
        pass
