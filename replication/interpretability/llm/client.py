"""Asks a language model behind an endpoint that speaks chat completions, or only its cache.

The official SDK does what a network needs: a timeout for each attempt, and further attempts after a timeout, a lost
connection, 408, 409, 429 and 5xx, after pauses that double up to 8 s or that `Retry-After` names (up to two minutes).
What it says of a failure is never passed on, since it may quote an address or a key.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from replication.config import Settings, UserError
from replication.interpretability.llm.cache import Cache, Reply, key
from replication.interpretability.protocol import ExplainerError

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

Messages: TypeAlias = Sequence[Mapping[str, str]]
MODEL, KEY, BASE_URL = "OPENAI_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"
HOSTED = "https://api.openai.com/v1"  # where a key without an address belongs
PRICES = {"prompt_tokens": "OPENAI_PRICE_PROMPT", "completion_tokens": "OPENAI_PRICE_COMPLETION"}
TEMPERATURE, MAX_TOKENS = 0, 4096  # room for 540 numbers, 100 answers or a long reasoning; what takes more is cut off
COUNTED = ("requests", "unreported", *PRICES)


class Client:
    """One model, asked through the cache. May be called from several threads.

    `send` answers a request that the cache does not hold, and is None where there is no endpoint.
    """

    def __init__(self, *, model: str, seed: int, cache: Cache, send: Callable[[Mapping[str, Any]], Any] | None, concurrency: int) -> None:
        self.model, self.seed, self.cache, self.send = model, seed, cache, send
        self.slots, self.lock = threading.BoundedSemaphore(concurrency), threading.Lock()
        self.counts = {source: dict.fromkeys(COUNTED, 0) for source in ("asked", "cached")}
        self.answered_by: set[str] = set()

    def ask(self, messages: Messages) -> str:
        """What the model says to `messages`.

        Raises ExplainerError where there is no whole answer, UserError where no request can be answered.
        """
        request = {"model": self.model, "messages": list(messages), "temperature": TEMPERATURE, "seed": self.seed, "max_tokens": MAX_TOKENS}
        digest = key(request)
        reply = self.cache.get(digest)
        source = "cached" if reply else "asked"
        if reply is None:
            if self.send is None:
                raise ExplainerError("not in the cache, and there is no endpoint")
            with self.slots:
                reply = _reply(self.send(request), model=self.model, request=digest)
            self.cache.put(reply)
        self._count(reply, source)
        return _answer(reply)

    def _count(self, reply: Reply, source: str) -> None:
        with self.lock:
            counts = self.counts[source]
            counts["requests"] += 1
            counts["unreported"] += reply.prompt_tokens is None or reply.completion_tokens is None
            counts["prompt_tokens"] += reply.prompt_tokens or 0
            counts["completion_tokens"] += reply.completion_tokens or 0
            self.answered_by.add(reply.answered_by)

    def usage(self) -> dict[str, Any]:
        """What was used so far: the model and, of replies `asked` for now and of `cached` ones, requests and tokens.

        `unreported` counts replies without a count of tokens. `cost` is there when both prices are (`prices`).
        """
        per_million = prices()
        with self.lock:
            used: dict[str, Any] = {source: dict(counts) for source, counts in self.counts.items()}
            answered_by = sorted(self.answered_by)
        if per_million:
            for counts in used.values():
                counts["cost"] = sum(counts[kind] * price for kind, price in per_million.items()) / 1e6
        return {"model": self.model, "answered_by": answered_by, **used}


def from_environment(settings: Settings, cache: Cache) -> Client:
    """The client that the environment describes. Raises UserError when neither an endpoint nor the cache can answer."""
    asked = settings.interpretability
    assert asked
    prices()
    secret, address = os.environ.get(KEY, "").strip(), os.environ.get(BASE_URL, "").strip()
    model, kept = named(cache), cache.models()
    if not model:
        held = f"holds replies of {', '.join(kept)}" if kept else "holds no replies"
        raise UserError(f"interpretability.llm is true, but {MODEL} is not set and {cache.folder} {held}; set {MODEL}, or interpretability.llm to false")
    if not secret and not address and model not in kept:
        raise UserError(f"interpretability.llm is true, but neither {KEY} nor {BASE_URL} is set and {cache.folder} holds no reply of {model}; "
                        "set one of them, or interpretability.llm to false")
    send = _endpoint(secret, address or HOSTED, timeout=asked.timeout, retries=asked.retries) if secret or address else None
    return Client(model=model, seed=settings.seed, cache=cache, send=send, concurrency=asked.concurrency)


def named(cache: Cache) -> str:
    """The model that the environment names, else the only one whose replies are kept; empty where neither says it. Raises ArtifactError."""
    if given := os.environ.get(MODEL, "").strip():
        return given
    kept = cache.models()
    return kept[0] if len(kept) == 1 else ""


def prices() -> dict[str, float]:
    """Prices of a million tokens of each kind, in any currency; empty unless both are set. Raises UserError for what is no price."""
    given = {kind: os.environ.get(variable, "") for kind, variable in PRICES.items()}
    if not all(given.values()):
        return {}
    for kind, value in given.items():
        if not re.fullmatch(r"\d*\.?\d+", value):
            raise UserError(f"{PRICES[kind]} is {value!r}, but must be the price of a million tokens, such as 0.15")
    return {kind: float(value) for kind, value in given.items()}


def _endpoint(secret: str, address: str, *, timeout: float, retries: int) -> Callable[[Mapping[str, Any]], Any]:
    """Sends a request and returns the body of the answer, parsed; None where it is not JSON."""
    if not (secret.isascii() and secret.isprintable()):
        raise UserError(f"{KEY} holds characters that no key has; copy it again")
    if not _is_plain_url(address):
        raise UserError(f"{BASE_URL} is no address such as http://localhost:8000/v1, without a user or password")
    try:
        import openai
    except ModuleNotFoundError:
        raise UserError("a language model is asked through the package openai, which is not installed; `pip install replication[llm]`") from None
    # a local server asks for no key, but the SDK does
    sdk = openai.OpenAI(api_key=secret or "none", base_url=address, timeout=timeout, max_retries=retries)

    def send(request: Mapping[str, Any]) -> Any:
        try:
            response = _post(sdk, request)
        except openai.APITimeoutError:
            raise ExplainerError(f"late: no reply in {timeout:g} s") from None
        except openai.APIConnectionError:
            raise UserError(f"the language model cannot be reached; see {BASE_URL} (replies so far are kept: run again to go on)") from None
        except openai.APIStatusError as error:
            raise _failure(error) from None
        try:
            return response.http_response.json()
        except ValueError:
            return None

    return send


def _post(sdk: "OpenAI", request: Mapping[str, Any]) -> Any:
    return sdk.chat.completions.with_raw_response.create(**request)


def _is_plain_url(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def _failure(error: "APIStatusError") -> Exception:
    """What an HTTP status means: a run that cannot go on, or one request that was not answered."""
    kept = "(replies so far are kept: run again to go on)"
    code = error.code if isinstance(error.code, str) and re.fullmatch("[a-z_]{1,40}", error.code) else ""
    what = f"HTTP {error.status_code}" + (f", {code}" if code else "")
    match error.status_code:
        case 401:
            return UserError(f"the endpoint does not accept the key ({what}); see {KEY} {kept}")
        case 404:
            return UserError(f"the endpoint does not know the model or the address ({what}); see {MODEL} and {BASE_URL} {kept}")
        case 429:
            return UserError(f"the endpoint still takes no more requests after every attempt ({what}); lower interpretability.concurrency, "
                             f"raise interpretability.retries, or see the account {kept}")
        case _:
            return ExplainerError(f"no reply: {what}")


def _reply(body: Any, *, model: str, request: str) -> Reply:
    """A chat completion's body as a reply. Raises ExplainerError for a body of another kind."""
    try:
        choice, usage = body["choices"][0], body.get("usage") or {}
        message = choice["message"]
        text, refusal = message.get("content") or "", message.get("refusal") or ""
        finish, answered_by = choice.get("finish_reason") or "", body.get("model") or model
        tokens = [usage.get(kind) for kind in PRICES]
    except (TypeError, LookupError, AttributeError):
        raise ExplainerError("malformed: not a chat completion") from None
    if not all(isinstance(part, str) for part in (text, refusal, finish, answered_by)) or not all(n is None or isinstance(n, int) for n in tokens):
        raise ExplainerError("malformed: not a chat completion")
    # half of a surrogate pair is JSON, but no text that could be sent or written
    text, refusal, finish, answered_by = (part.encode("utf-8", "replace").decode() for part in (text, refusal, finish, answered_by))
    return Reply(model=model, request=request, answered_by=answered_by, text=text, refusal=refusal, finish_reason=finish, prompt_tokens=tokens[0],
                 completion_tokens=tokens[1])


def _answer(reply: Reply) -> str:
    """The text after any thoughts that the endpoint left in it. Raises ExplainerError for what is no whole answer."""
    if reply.refusal or reply.finish_reason == "content_filter":
        raise ExplainerError("refused")
    if reply.finish_reason == "length":
        raise ExplainerError(f"cut off after {MAX_TOKENS} tokens or at the end of the model's context")
    text = reply.text.rpartition("</think>")[2].strip()
    if not text:
        raise ExplainerError("empty")
    return text
