"""Replies on disk: found by what was asked, whole or not at all."""

import pytest

from replication.artifacts import ArtifactError
from replication.interpretability.llm.cache import Cache, Reply, key

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "é"}], "temperature": 0, "seed": 1, "max_tokens": 5}


def reply(digest, model="m"):
    return Reply(model=model, request=digest, answered_by="served", text="cats\u2028", refusal="", finish_reason="stop", prompt_tokens=None, completion_tokens=3)


def test_a_reply_is_read_back_from_the_file_that_its_request_names(tmp_path):
    cache, digest = Cache(tmp_path), key(REQUEST)
    assert cache.get(digest) is None and cache.models() == []
    cache.put(reply(digest))
    assert cache.get(digest) == reply(digest)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [f"{digest[:2]}/{digest}.json"]


def test_the_key_is_of_everything_that_decides_a_reply_and_of_nothing_else():
    assert key(REQUEST) == key(dict(reversed(REQUEST.items())))
    other = [REQUEST | {"model": "n"}, REQUEST | {"messages": [{"role": "user", "content": "e"}]}, REQUEST | {"temperature": 1}, REQUEST | {"seed": 2},
             REQUEST | {"max_tokens": 6}]
    assert len({key(each) for each in [REQUEST, *other]}) == 6
    assert len(key(REQUEST)) == 64


def test_models_are_those_that_were_asked(tmp_path):
    cache = Cache(tmp_path)
    for number, model in enumerate(["b", "a", "b"]):
        cache.put(reply(key({"number": number}), model))
    assert cache.models() == ["a", "b"]


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"text": "cats"}'])
def test_a_broken_file_is_named(tmp_path, broken):
    cache, digest = Cache(tmp_path), key(REQUEST)
    cache.path(digest).parent.mkdir()
    cache.path(digest).write_text(broken)
    with pytest.raises(ArtifactError, match=f"{digest}.json is not a reply as it was kept; delete it"):
        cache.get(digest)


def test_a_reply_to_another_request_is_not_taken(tmp_path):
    cache, digest = Cache(tmp_path), key(REQUEST)
    cache.put(reply(digest))
    cache.path(digest).rename(cache.path(digest).with_name("f" * 64 + ".json"))
    with pytest.raises(ArtifactError, match="is not a reply as it was kept"):
        Cache(tmp_path).models()
