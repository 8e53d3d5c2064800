import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from replication.jobs import activations_mb, memory, text_mb
from replication.resolution import resolve

PROJECT = Path(__file__).parents[3]
RULES = {path.stem: path.read_text() for path in sorted(PROJECT.glob("rules/*.smk"))}


def smoke(**changes):
    return resolve(yaml.safe_load((PROJECT / "config" / "smoke.yaml").read_text()) | changes)


def test_each_attempt_has_twice_the_memory_of_the_one_before():
    assert [memory(500)(None, attempt=attempt) for attempt in (1, 2, 3)] == [500, 1000, 2000]


def test_memory_grows_with_the_arrays_of_each_rank():
    asked = memory(1000, "sae/{model}/{id}", resolve({
        "run": "sized", "compute": {"device": "cpu"}, "models": {"A": {"d_mlp": 512}}, "activations": {"storage": "streamed", "per_context": 64, "block": 1024}, "corpus": {"max_bytes": 10**9},
        "sae": {"batch": 64, "vectors": 10**6, "resamplings": 0}, "dictionaries": {"A/1": {"d_sae": 2**16}, "A/shared": {"d_sae": 2**16, "ranks": 2},
            "A/resampled": {"d_sae": 2**16, "resamplings": 4, "min_window": 1, "resample_inputs": 50_000}},
        "studies": {"main": "A/1", "twin": "A/1"}}))
    weights, products, vectors, block = 9 * 512 * 2**16, 3 * 64 * 2**16, 3 * 64 * 512, 2 * 512 * 1024
    assert asked(SimpleNamespace(model="A", id="1"), attempt=1) == 1000 + round((4 * (weights + products + vectors) + block) / 1e6)
    # each rank has a process, all vectors, and half of the rest
    # the inputs of a resampling, and the block of a second stream that reads them, are there when the products are not
    assert asked(SimpleNamespace(model="A", id="resampled"), attempt=1) == 1000 + round((4 * (weights + vectors + 50_000 * 512) + 2 * block) / 1e6)
    assert asked(SimpleNamespace(model="A", id="shared"), attempt=2) == 2 * round(2 * (1000 + (4 * (weights / 2 + products / 2 + vectors) + block) / 1e6))


def test_disk_is_what_is_written():
    config = smoke()
    assert text_mb(config) == 100 + 24  # twice 12 MB
    assert text_mb(config, parts=4) == 100 + 6
    written = activations_mb(config)
    assert written(SimpleNamespace(model="A", site="mlp_act")) == 100 + 393216 * 64 * 2 // 10**6
    assert written(SimpleNamespace(model="A", site="logit_update")) == 100 + 393216 * 32 * 2 // 10**6
    assert activations_mb(smoke(activations={"vectors": 393216, "per_context": 32, "storage": "streamed"}))(SimpleNamespace(model="A", site="mlp_act")) == 100


@pytest.mark.parametrize("file", RULES)
def test_every_rule_says_what_it_needs(file):
    rules = len(re.findall(r"^ *rule\b.*:$", RULES[file], re.MULTILINE))
    for resource in (r"mem_mb=memory\(\d+[,)]", "disk_mb=", "runtime=", "gpu="):
        assert len(re.findall(rf"^ +{resource}", RULES[file], re.MULTILINE)) == rules, resource


def test_the_slurm_profile_names_rules_and_resources_that_there_are():
    profile = yaml.safe_load((PROJECT / "profiles" / "slurm" / "profile.yaml").read_text())
    there = set(re.findall(r"^rule (\w+):$", "\n".join(RULES.values()), re.MULTILINE))
    assert {entry.partition("=")[0] for entry in profile["groups"]} | {entry.partition(":")[0] for entry in profile["set-resources"]} <= there
    assert {re.split("[:=]", entry)[1] for entry in profile["set-resources"]} == set(profile["resources"]) == set(profile["set-resource-scopes"])
    groups = {entry.partition("=")[2] for entry in profile["groups"]} | set(re.findall(r'group:\s+"(\w+)"', "\n".join(RULES.values())))
    assert {entry.partition("=")[0] for entry in profile["group-components"]} <= groups
