"""An endpoint on this machine, and the explainer that asks it."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from replication.config import Interpretability, Settings
from replication.features.examples import NO_TOKEN
from replication.interpretability import llm
from replication.interpretability.protocol import OUT_OF_CONTEXT, RANDOM, TOP, Evidence, Windows
from tests.chat import CAT, SECRET, STRINGS, Endpoint


@pytest.fixture
def endpoint(monkeypatch):
    """A running endpoint, which the environment names."""
    server = Endpoint()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_PRICE_PROMPT", "OPENAI_PRICE_COMPLETION"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_MODEL", "asked-model")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def alone(monkeypatch):
    """Takes the endpoint, the key and the model away."""
    def forget():
        for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"):
            monkeypatch.delenv(name, raising=False)
    return forget


@pytest.fixture
def made(tmp_path):
    """Makes the explainer, with replies in `tmp_path / "state"`."""
    def make(retries=0, timeout=30.0, **changes):
        settings = Settings(run="tiny", seed=3, interpretability=Interpretability(llm=True, retries=retries, timeout=timeout, **changes))
        return llm.make(settings, SimpleNamespace(strings=STRINGS), state=tmp_path / "state")
    return make


@pytest.fixture
def evidence():
    """Three windows of a unit that fires on " cat"."""
    tokens = np.array([[0, CAT, 2], [NO_TOKEN, 5, 6], [4, CAT, 3]], dtype=np.int32)
    windows = Windows(tokens, np.where(tokens == CAT, 9, 0).astype(np.int8), np.array([TOP, RANDOM, OUT_OF_CONTEXT], dtype=np.int8))
    return Evidence(windows, positive=np.array([2, 4], dtype=np.int32), negative=np.array([7], dtype=np.int32))
