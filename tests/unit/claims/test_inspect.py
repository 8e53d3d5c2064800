"""Commands for people, through the front door's parser."""

import argparse

import pytest

from replication import inspect
from replication.artifacts import Layout
from replication.claims import reference
from replication.claims.inputs import PROJECT
from replication.config import UserError
from replication.resolution import load


def call(*words):
    parser = argparse.ArgumentParser()
    inspect.register(parser.add_subparsers())
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.plain(arguments)


@pytest.fixture
def frozen(make, tmp_path):
    reference.freeze([make("a"), make("b", seed=1, shift=3), make("c", seed=2, shift=6)], tmp_path / "frozen")
    return tmp_path / "frozen"


def test_verify_passes_what_was_written(run, capsys):
    assert call("verify", run) == 0
    assert "3 of 3 artifacts are what was written" in capsys.readouterr().out


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "break_meta", "empty_meta"])
def test_verify_finds_harm(run, harm, capsys):
    path = run / "features" / "A" / "1" / "evaluation.json"
    data = bytearray(path.read_bytes())
    match harm:
        case "flip":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "truncate":
            path.write_bytes(data[:-10])
        case "remove":
            path.unlink()
        case "break_meta":
            (path.parent / "meta.json").write_text("{")
        case "empty_meta":
            (path.parent / "meta.json").write_text('{"stage": "features"}')
    assert call("verify", run) == 1
    out = capsys.readouterr().out
    assert str(path.parent) in out and "2 of 3 artifacts" in out


def test_verify_refuses_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        call("verify", tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no artifact"):
        call("verify", tmp_path)


def test_claims_prints_this_run_beside_published_and_reference(run, frozen, capsys):
    assert call("claims", run, "--reference", frozen) == 0
    out = capsys.readouterr().out
    assert "live_features.dead" in out and "168 ± 50" in out and "agrees" in out
    assert "3 numbers inside their tolerance, 0 left it, 0 new" in out


def test_check_fails_when_a_number_left_and_only_then(make, frozen, capsys):
    assert call("claims", make("good", seed=4, shift=2), "--check", "--reference", frozen) == 0
    bad = make("bad", shift=100)
    assert call("claims", bad, "--reference", frozen) == 0
    assert call("claims", bad, "--check", "--reference", frozen) == 1
    out = capsys.readouterr().out
    assert "left" in out and "99 % prediction interval" in out


def test_check_fails_when_a_number_vanished(make, frozen, capsys):
    gone = make("gone", numbers={"live_features": {"dead": {"value": 150, "unit": "features"}}})
    assert call("claims", gone, "--check", "--reference", frozen) == 1
    assert "missing" in capsys.readouterr().out


def test_on_another_corpus_comparisons_are_marked_and_nothing_fails(make, frozen, capsys):
    other = make("other", shift=100, corpus={"source": "local", "documents": 1, "bytes": 2, "manifest_sha256": "beef"})
    assert call("claims", other, "--check", "--reference", frozen) == 0
    assert "different corpus" in capsys.readouterr().out


def test_without_a_reference_there_is_nothing_to_check(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("claims", run) == 0
    assert "no reference is frozen for toy" in capsys.readouterr().out
    with pytest.raises(UserError, match="nothing to check against"):
        call("claims", run, "--check")
    with pytest.raises(UserError, match="is missing"):
        call("claims", run, "--reference", tmp_path / "nowhere")


def test_freeze_writes_the_reference_that_claims_finds(make, tmp_path, monkeypatch, capsys):
    runs = [make("a"), make("b", seed=1, shift=3)]
    monkeypatch.chdir(tmp_path)
    assert call("freeze", *runs) == 0
    assert "fewer than 3 seeds" in capsys.readouterr().out
    assert (tmp_path / "results" / "reference" / "toy" / "numbers.csv").is_file()
    assert call("claims", runs[0], "--check") == 0


def test_summary_shows_dictionaries_verdicts_and_places(run, capsys):
    assert call("summary", run) == 0
    out = capsys.readouterr().out
    assert "A/1" in out and "B/1" in out and "12.25" in out and "87.0 %" in out and "240" in out
    assert "2 agrees, 0 differs" in out
    assert str(Layout(run).claims()) in out and "claims.html" in out
    assert str(Layout(run).report()) not in out  # it is not there
    Layout(run).macros().write_text("")
    assert call("summary", run) == 0
    assert "a LaTeX macro for each number" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds no evaluated dictionary"):
        call("summary", run / "studies")


def test_config_shows_checks_explains_and_lists_departures(capsys):
    path = PROJECT / "config" / "laptop.yaml"
    assert call("config", "check", path) == 0
    assert load(path).hash() in capsys.readouterr().out
    assert call("config", "show", path) == 0
    assert '"d_mlp": 256' in capsys.readouterr().out
    assert call("config", "explain") == 0
    assert "sae: A sparse autoencoder" in capsys.readouterr().out
    assert call("config", "departures", path) == 0
    assert "| neurons | 512 | 256 |" in capsys.readouterr().out
    with pytest.raises(UserError, match="config check needs a file"):
        call("config", "check")
    with pytest.raises(UserError, match="does not exist"):
        call("config", "check", PROJECT / "config" / "nowhere.yaml")


def test_the_hash_of_a_runs_settings_is_the_hash_of_its_config():
    config = load(PROJECT / "config" / "smoke.yaml")
    everything = config.settings("corpus", "activations", "features", "interpretability", "studies", "contexts", models=list(config.models),
                                 dictionaries=list(config.dictionaries))
    assert everything.hash() == config.hash()
