"""A language model on this machine: a real HTTP server that speaks chat completions and says what a test wants."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "sk-planted-Secret-0123456789"
STRINGS = [" the", " cat", " sat", "\n", " on", '"', "\\xe2", "<|endoftext|>", "\u00a0", " mat"]
CAT = 1


def completion(text, **changes):
    """The body of a chat completion."""
    message = {"role": "assistant", "content": text} | changes.pop("message", {})
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "served-model",
            "choices": [{"index": 0, "message": message, "finish_reason": changes.pop("finish_reason", "stop")}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}} | changes


class Endpoint(ThreadingHTTPServer):
    """Answers with `answer(request, number)`: a text, the body of a completion, or (status, headers, body)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = lambda request, number: "nothing"
        self.asked, self.keys, self.times, self.lock, self.under_way, self.most = [], [], [], threading.Lock(), 0, 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server, request = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append(request)
            server.keys.append(self.headers["Authorization"])
            server.times.append(time.monotonic())
            server.under_way += 1
            server.most, number = max(server.most, server.under_way), len(server.asked)
        said = server.answer(request, number)
        with server.lock:
            server.under_way -= 1
        status, headers, body = said if isinstance(said, tuple) else (200, {}, completion(said) if isinstance(said, str) else said)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # the client did not wait
            pass

    def log_message(self, *_):
        pass
