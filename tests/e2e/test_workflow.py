"""The workflow as its users know it."""

import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest
import yaml

from replication import Run
from replication.artifacts import read_json
from replication.exhibits import of, suffixes
from replication.interpretability import LLM
from replication.resolution import load
from replication.studies import STUDIES
from tests.e2e.conftest import Workspace


def test_every_stage_ran_and_everything_verifies(smoke):
    for part in ("report.html", "claims.csv", "corpus/tokenizer.json", "model/A/weights.safetensors", "sae/A/1/cfg.json", "features/A/neurons/features.parquet",
                 "browser/index.html", "browser/data/A/1/index.js", "browser/data/A/neurons/cards/0.js", "browser/data/texts/arabic.js"):
        assert (smoke.results / part).is_file(), part
    verified = smoke.python("verify", "results/smoke")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_every_exhibit_is_there_and_is_a_target_by_name(smoke):
    wanted = of(load(smoke.folder / "config" / "smoke.yaml").studies.contexts)
    for name, exhibit in wanted.items():
        for suffix in suffixes(exhibit):
            assert (smoke.results / "exhibits" / f"{name}{suffix}").stat().st_size > 40
    assert smoke.jobs(*wanted) == {}
    (smoke.results / "exhibits" / "sensitivity_constants.png").unlink()
    assert set(smoke.jobs("sensitivity_constants")) == {"sensitivity_constants"}
    smoke.snakemake("--printshellcmds", "sensitivity_constants")
    assert smoke.jobs("sensitivity_constants") == {}


def test_a_second_run_does_nothing(smoke):
    assert smoke.jobs() == {}


def test_smoke_holds_only_smokes_dictionaries(smoke):
    expected = yaml.safe_load((smoke.folder / "config" / "smoke.yaml").read_text())["dictionaries"]
    found = {"/".join(path.parent.parts[-2:]) for path in smoke.results.glob("sae/*/*/cfg.json")}
    assert {name.partition("-r")[0] for name in found} == set(expected)


def test_an_edit_in_sae_reruns_dictionaries_and_what_follows_but_no_model(smoke, edited):
    edited.write("replication/sae/gradients.py", lambda text: text.replace("DENSE_FROM = 0.3", "DENSE_FROM = 0.25"))
    jobs = smoke.jobs()
    assert jobs["sae"] == jobs["features_dictionary"] == len(Run(smoke.results).dictionaries) and jobs["claims"] == 1
    assert not {"corpus_documents", "corpus_tokenizer", "corpus_tokens", "corpus", "model", "shuffled_model", "activations", "features_tokens", "features_neurons"} & set(jobs)


def test_an_edit_in_an_exhibit_redraws_only_it(smoke, edited):
    edited.write("replication/exhibits/overall/live_features.py", lambda text: text + "\n# a comment\n")
    assert set(smoke.jobs()) == {"live_features", "report"}


def test_a_title_is_written_anew_where_it_stands(smoke, edited):
    edited.write("replication/exhibits/__init__.py", lambda text: text.replace('"Feature density"', '"How dense features are"'))
    assert set(smoke.jobs()) == {"density_histograms", "report"}


def test_a_changed_l1_refits_only_that_dictionary(smoke, edited):
    edited.write("config/smoke.yaml", lambda text: text.replace("l1: 0.04", "l1: 0.05"))
    jobs = smoke.jobs()
    assert jobs["sae"] == 1 and jobs["features_dictionary"] == 1
    assert not {"corpus_documents", "model", "activations", "features_neurons"} & set(jobs)


def test_one_more_context_repeats_only_what_is_about_contexts(smoke, edited):
    edited.write("config/smoke.yaml", lambda text: text.replace("contexts: [base64, constants]", "contexts: [base64, constants, dna]"))
    jobs = smoke.jobs()
    about = {name for name, study in STUDIES.items() if study.contexts or {"contexts", "followers"} & set(study.shared)}
    assert jobs["study"] == len(about) < len(STUDIES)
    assert jobs["features_contexts"] == jobs["sensitivity_dna"] == 1 and not {"features_ablation", "loss_recovered"} & set(jobs)


def test_more_resamples_ablate_nothing(smoke, edited):
    edited.write("config/smoke.yaml", lambda text: text.replace("bootstrap: 200", "bootstrap: 300"))
    jobs = smoke.jobs()
    assert jobs["study"] == len(STUDIES) and "features_ablation" not in jobs
    edited.write("config/smoke.yaml", lambda text: text.replace("bootstrap: 300", "bootstrap: 200, ablation_contexts: 64"))
    assert smoke.jobs()["features_ablation"] > 0


def test_a_comment_in_an_unrelated_module_reruns_nothing(smoke, edited):
    for path in ("replication/run.py", "replication/inspect.py", "replication/cli.py", "replication/model/hooked.py", "replication/config.py"):
        edited.write(path, lambda text: text + "\n# a comment\n")
    assert smoke.jobs() == {}


def test_where_it_runs_reruns_nothing_but_a_touched_file_neither(smoke):
    for path in smoke.folder.glob("replication/**/*.py"):
        path.touch()
    assert smoke.jobs() == {}


def test_scores_of_another_language_model_are_stale(smoke, monkeypatch):
    folder = smoke.results / "interpretability" / "A" / "1" / LLM
    folder.mkdir()
    for name in ("scores.parquet", "predictions.parquet", "meta.json"):
        (folder / name).touch()
    target = str((folder / "scores.parquet").relative_to(smoke.folder))
    monkeypatch.setitem(smoke.environment, "OPENAI_MODEL", "one")
    smoke.snakemake("--touch", "--force", target)  # counts as made, with what the rule is given now
    assert smoke.jobs(target) == {}
    monkeypatch.setitem(smoke.environment, "OPENAI_MODEL", "two")
    assert smoke.jobs(target) == {"interpretability_llm": 1}
    shutil.rmtree(folder)


def test_a_bad_config_stops_with_one_sentence(smoke, tmp_path):
    raw = yaml.safe_load((smoke.folder / "config" / "smoke.yaml").read_text())
    raw["sae"]["l1"] = -1
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(raw))
    refused = smoke.snakemake("-n", config=str(tmp_path / "bad.yaml"), check=False)
    text = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "config: dictionaries.A/0.l1 is -1.0, but must be at least 0" in text and "Traceback" not in text


def test_a_stage_refuses_broken_input_with_one_sentence_and_exit_2(smoke):
    command = ["sae", "fit", "--settings", '{"run":"x","seed":0}', "--name", "A/1", "--out", "out", "--state", "state", "--tokens", "none", "--model", "none", "--activations", "none"]
    refused = smoke.python(*command[:3], "{", *command[4:])
    assert refused.returncode == 2 and refused.stderr.startswith("error: --settings is not JSON") and refused.stderr.count("\n") == 1
    assert not (smoke.folder / "out").exists()


def test_no_seconds_are_lost_on_torch_where_none_is_needed(smoke):
    asked = smoke.run("python", "-X", "importtime", "-m", "replication", "--help", check=True)
    assert " torch" not in asked.stderr and " pandas" not in asked.stderr


def test_lint_finds_nothing_but_missing_software_environments(smoke):
    said = smoke.run("snakemake", "--lint", "--configfile", "config/smoke.yaml", check=False)
    findings = [line.strip() for line in (said.stdout + said.stderr).splitlines() if line.startswith("    * ")]
    assert all("conda environment or container" in finding for finding in findings), findings


def test_snakemakes_own_report_builds(smoke, tmp_path):
    smoke.snakemake("--report", str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_numbers_are_the_references(smoke):
    checked = smoke.python("claims", "results/smoke", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_notebook_api(smoke):
    run = Run(smoke.results)
    assert {"A", "B", "random"} <= set(run.models) and "A/1" in run.dictionaries and "A/neurons" in run.tables
    assert run.sae("A/1").W_enc.shape == (64, 512) and run.model("A").architecture.d_mlp == 64
    table = run.features("A/1")
    loudest = int(table["max"].idxmax())
    feature = run[f"A/1/{loudest}"]
    examples = feature.examples("top")
    assert len(examples) == 20 and examples["activation"].max() == pytest.approx(table.loc[loudest, "max"])
    assert all("[[" in text for text in examples["text"]) and len(feature.logits()) == 20
    scores = run.scores("A/1")
    assert {"lookup", "ngram", "trie", "tree"} == set(scores["explainer"]) and (scores["error"] == "").all()
    assert table["spearman_ngram"].notna().sum() == (~scores["control"]).sum() / 4 and "A/neurons" in run.scored
    assert len(run.evaluation()) == len(run.dictionaries) and len(run.claims()) > 100 and len(run.training_log("A/1")) > 5


def tables(folder):
    """What is compared bit for bit: up to features and scores of explanations. Studies and the browser's shards have tests of their own for this."""
    return sorted(path.relative_to(folder) for pattern in ("**/*.csv", "**/*.parquet", "**/evaluation.json", "**/statistics.json", "corpus/corpus.json", "**/*.safetensors")
                  for path in folder.glob(pattern) if not {"state", "benchmarks", "studies", "exhibits"} & set(path.relative_to(folder).parts) and path.name != "claims.csv")


def test_a_second_run_in_another_folder_killed_and_resumed_gives_the_same_bits(smoke, tmp_path):
    other = Workspace(tmp_path / "again")
    # killed with SIGKILL in the middle of a dictionary's training, at its first checkpoint
    started = subprocess.Popen(["snakemake", "--cores", "2", "--configfile", "config/smoke.yaml"], cwd=other.folder, env=other.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.time() + 600
        while not list(other.results.glob("state/sae/**/checkpoint.safetensors")):
            assert started.poll() is None and time.time() < deadline, "no checkpoint was seen"
            time.sleep(0.02)
    finally:
        if started.poll() is None:
            subprocess.run(["pkill", "-KILL", "-s", str(started.pid)], check=False)
            started.send_signal(signal.SIGKILL)
            started.wait()
    assert list(other.results.glob("state/sae/**/checkpoint.safetensors"))
    other.snakemake("--unlock")
    # one dictionary of each kind: plain, small, at another site, watched, tied
    made = [*(other.results / "features" / name / "evaluation.json" for name in ("A/0", "A/update", "A/base", "A/tied")),
            other.results / "features" / "A" / "1" / "ablation.parquet", other.results / "interpretability" / "A" / "1" / "offline" / "scores.parquet"]
    other.snakemake("--printshellcmds", *(str(path.relative_to(other.folder)) for path in made))
    again = tables(other.results)
    assert set(again) <= set(tables(smoke.results)) and sum(path.name == "sae_weights.safetensors" for path in again) >= 5
    different = [str(path) for path in again if (smoke.results / path).read_bytes() != (other.results / path).read_bytes()
                 and not (path.suffix == ".parquet" and pd.read_parquet(smoke.results / path).equals(pd.read_parquet(other.results / path)))]
    assert different == []
    assert read_json(other.results / "sae/A/1/meta.json")["files"] == read_json(smoke.results / "sae/A/1/meta.json")["files"]
