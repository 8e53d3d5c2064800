"""The trained tokenizer against an implementation of byte-level BPE in plain Python, and against the text itself."""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from replication.config import UserError
from replication.corpus import tokenizer

# The cut of GPT-2, from its published encoder.
WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
TEXTS = ["the cat sat on the mat; the rat sat on the cat.\n" * 3, "for number in range(10):\n    print(number, 123456)\n" * 2,
         "naïve café — 日本語, 'tis the cat's 🙂\t\t\n"]


@cache
def byte_signs() -> dict[int, str]:
    """GPT-2's printable sign for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + number) for number, byte in enumerate(others)}


def words(text: str) -> list[tuple[str, ...]]:
    return [tuple(byte_signs()[byte] for byte in word.encode()) for word in WORDS.findall(text)]


def merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for sign in word:
        if merged and (merged[-1], sign) == pair:
            merged[-1] += sign
        else:
            merged.append(sign)
    return tuple(merged)


def plain_train(texts: list[str], d_vocab: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Merge the most frequent pair, among equals the one with the smallest ids, until the vocabulary is full."""
    ids = {tokenizer.END: 0} | {sign: number for number, sign in enumerate(sorted(byte_signs().values()), start=1)}
    counts = Counter(word for text in texts for word in words(text))
    merges: list[tuple[str, str]] = []
    while len(ids) < d_vocab:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in counts.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], ids[pair[0]], ids[pair[1]]))
        ids["".join(best)] = len(ids)
        merges.append(best)
        new: Counter[tuple[str, ...]] = Counter()
        for word, count in counts.items():
            new[merge(word, best)] += count
        counts = new
    return ids, merges


def plain_encode(text: str, ids: dict[str, int], merges: list[tuple[str, str]]) -> list[int]:
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    found = []
    for word in words(text):
        while known := [pair for pair in pairwise(word) if pair in ranks]:
            word = merge(word, min(known, key=ranks.__getitem__))
        found += [ids[sign] for sign in word]
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.train(TEXTS, 300).save(str(path))
    return tokenizer.load(path)


@pytest.fixture(scope="module")
def plain():
    return plain_train(TEXTS, 300)


def test_vocabulary_and_merges_are_equal(trained, plain):
    assert trained.get_vocab() == plain[0]
    assert trained.get_vocab_size() == 300


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text(alphabet="the catson 12.\n'é", max_size=60)))
def test_encoding_is_equal(trained, plain, text):
    assert trained.encode(text).ids == plain_encode(text, *plain)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100))
def test_decoding_gives_the_text_back(trained, text):
    for one in (text, text + tokenizer.END + text, f" {text}\n\n  "):
        ids = trained.encode(one).ids
        assert tokenizer.end_of_text(trained) not in ids
        assert trained.decode(ids, skip_special_tokens=False) == one


def test_every_byte_has_a_token(trained):
    assert set(byte_signs().values()) <= set(trained.get_vocab())
    assert trained.token_to_id(tokenizer.END) == 0


def test_training_twice_is_equal():
    assert tokenizer.train(TEXTS, 300).to_str() == tokenizer.train(iter(TEXTS), 300).to_str()


def test_few_pairs_give_a_smaller_vocabulary():
    assert tokenizer.train(["ab"], 400).get_vocab_size() == 258


def test_first_takes_until_there_is_enough():
    assert list(tokenizer.first(["aa", "é", "c", "d"], 4)) == ["aa", "é"]
    assert list(tokenizer.first(["aaaa", "b"], 1)) == ["aaaa"]


def test_named_by_path(trained, tmp_path):
    path = tmp_path / "other.json"
    trained.enable_truncation(4)
    trained.save(str(path))
    trained.no_truncation()
    text = "the cat sat on the mat and the rat"
    assert tokenizer.named(str(path)).encode(text).ids == trained.encode(text).ids


def test_bad_named_tokenizers(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"none\.json is missing"):
        tokenizer.named(str(tmp_path / "none.json"))
    path = tmp_path / "bad.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"bad\.json is not a tokenizer"):
        tokenizer.named(str(path))
    from tokenizers import models

    Tokenizer(models.BPE()).save(str(path))
    with pytest.raises(UserError, match=r"bad\.json has no token that ends a text"):
        tokenizer.named(str(path))

    def offline(name):
        raise Exception("no such host\nmore")  # what the library raises

    monkeypatch.setattr(tokenizer, "Tokenizer", type("Offline", (), {"from_pretrained": staticmethod(offline)}))
    with pytest.raises(UserError, match=r"the tokenizer owner/name cannot be read from the Hugging Face Hub \(no such host\); without a network set"):
        tokenizer.named("owner/name")
