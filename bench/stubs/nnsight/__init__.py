"""Stands in for nnsight, so that dictionary_learning can be imported without it.

dictionary_learning imports nnsight's LanguageModel at import time, for its activation buffer and its evaluation; its
trainers never touch it. The real nnsight asks for torchvision, whose wheel brings a CUDA build of torch of some gigabytes.
"""

from typing import NoReturn


class LanguageModel:
    """A name to import; it is never made here."""

    def __init__(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError("bench/stubs/nnsight only lets dictionary_learning be imported; install nnsight to load a model with it")
