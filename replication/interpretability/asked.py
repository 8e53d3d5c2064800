"""Which language model a run asks, as a rule's parameter: with another one it is asked anew."""

from pathlib import Path


def asked(replies: Path) -> str:
    """The model that the environment names, or whose replies are kept in this folder. The address is left out, since kept replies have none."""
    from replication.interpretability.llm import client  # half a second, which only a run with a language model spends
    from replication.interpretability.llm.cache import Cache

    return client.named(Cache(replies))
