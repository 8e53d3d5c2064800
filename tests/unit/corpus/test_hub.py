import itertools
from collections import Counter

import datasets
import pytest

from replication.config import Corpus, UserError
from replication.corpus import hub
from replication.progress import Progress

CORPUS = Corpus(source="hub", name="owner/texts", max_bytes=25)


def take(monkeypatch, rows, corpus=CORPUS):
    asked = {}

    def load_dataset(name, subset, **options):
        asked.update(name=name, subset=subset, **options)
        return rows

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    skipped = Counter()
    return list(hub.texts(corpus, skipped, Progress())), skipped, asked


def test_an_endless_dataset_is_read_until_there_is_enough(monkeypatch):
    rows = ({"text": " " if number == 1 else f"text {number:03}"} for number in itertools.count())
    found, skipped, asked = take(monkeypatch, rows)
    assert found == [("owner/texts:0", "text 000"), ("owner/texts:2", "text 002"), ("owner/texts:3", "text 003"), ("owner/texts:4", "text 004")]
    assert skipped == {"empty": 1}
    assert asked == {"name": "owner/texts", "subset": None, "split": "train", "streaming": not datasets.config.HF_HUB_OFFLINE}


def test_a_missing_field_names_the_columns(monkeypatch):
    with pytest.raises(UserError, match=r"row 0 of the dataset owner/texts has no text in 'text'; set corpus.text_field to one of content, meta"):
        take(monkeypatch, [{"content": "a", "meta": 1}])


def broken_stream():
    yield {"text": "a"}
    raise ConnectionError("reset by peer\nand more")


def test_a_broken_stream_is_one_sentence(monkeypatch):
    with pytest.raises(UserError, match=r"the dataset owner/texts cannot be read from the Hugging Face Hub \(ConnectionError: reset by peer\)") as caught:
        take(monkeypatch, broken_stream())
    assert "installed or local" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_network_names_the_dataset_and_the_way_round(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(UserError, match=r"the dataset owner/texts cannot be read .*set corpus.source to installed or local"):
        list(hub.texts(CORPUS, Counter(), Progress()))
