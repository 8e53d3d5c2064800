"""Replies of a language model by what was asked: a resumed run asks only what is missing, others score again without a key.

A request is what decides a reply: model, messages and sampling values, never an address or a key. Its SHA-256 names
the file, `<first two digits>/<digest>.json`. A reply is kept as it came, also one that answers nothing, since asking
again until an answer fits would be choosing among answers. Requests that failed have no reply and are not kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replication.artifacts import ArtifactError, read_json, write_json


@dataclass(frozen=True)
class Reply:
    """What a model said, and what it took.

    `model` is what was asked for, `answered_by` what the endpoint says it is; `prompt_tokens` and `completion_tokens` are
    None where the endpoint does not count.
    """

    model: str
    request: str
    answered_by: str
    text: str
    refusal: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None


def key(request: Mapping[str, Any]) -> str:
    """SHA-256 of a request, as hex; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


class Cache:
    """A folder of replies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the reply to a request lies."""
        return self.folder / digest[:2] / f"{digest}.json"

    def get(self, digest: str) -> Reply | None:
        """The reply to a request, None where there is none. Raises ArtifactError when the file is not what was written."""
        path = self.path(digest)
        return _read(path) if path.is_file() else None

    def put(self, reply: Reply) -> None:
        """Keep a reply; the file appears whole or not at all."""
        write_json(self.path(reply.request), asdict(reply))

    def models(self) -> list[str]:
        """The models that were asked, in alphabetical order. Raises ArtifactError as `get` does."""
        return sorted({_read(path).model for path in self.folder.glob("??/*.json")})


def _read(path: Path) -> Reply:
    try:
        reply = Reply(**read_json(path))
    except (ArtifactError, TypeError):
        reply = None
    if reply is None or reply.request != path.stem:
        raise ArtifactError(f"{path} is not a reply as it was kept; delete it and it is asked for again")
    return reply
