import importlib.util
import json
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from replication.artifacts import ArtifactError
from replication.exhibits import EXHIBITS, FAMILIES, PACKAGES, find, of, suffixes
from replication.exhibits.caption import fill
from replication.exhibits.study import published
from replication.provenance import written
from replication.studies import STUDIES

DRAWN = [*EXHIBITS, *(f"{family}_{context}" for family in FAMILIES for context in ("arabic", "base64"))]
FIGURES = [name for name in DRAWN if find(name).kind == "figure"]

@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_the_same_twice(name, run, once, drawn, tmp_path):
    first, second = once(name), drawn(run, name, tmp_path)
    for suffix in suffixes(find(name)):
        assert (first / f"{name}{suffix}").read_bytes() == (second / f"{name}{suffix}").read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_whole_and_says_where_it_comes_from(name, run, once):
    first = once(name)
    pixels = matplotlib.image.imread(first / f"{name}.png")[..., :3]
    assert pixels.shape[1] >= 1000
    inked = (pixels.min(axis=-1) < 0.9).mean()
    assert 0.01 < inked < 0.6
    edge = np.concatenate([pixels[:2].ravel(), pixels[-2:].ravel(), pixels[:, :2].ravel(), pixels[:, -2:].ravel()])
    assert edge.min() > 0.97  # nothing is cut off at the rim
    numbers = json.loads((run.study(find(name).study) / "numbers.json").read_text())
    with Image.open(first / f"{name}.png") as picture:
        assert picture.text["ConfigHash"] == numbers["provenance"]["config_hash"]
        assert picture.text["Run"] == "planted"
        assert "corpus c0ffeec0ffee" in picture.text["Description"]
    pdf = (first / f"{name}.pdf").read_bytes()
    assert numbers["provenance"]["config_hash"].encode() in pdf
    assert b"CreationDate" not in pdf


@pytest.mark.parametrize("name", DRAWN)
def test_captions_name_only_numbers_that_exist_and_are_filled_whole(name, run, once):
    text = (once(name) / f"{name}.txt").read_text().strip()
    absent = json.loads((run.study(find(name).study) / "numbers.json").read_text()).get("absent")
    if absent:  # the planted run has nothing to draw
        assert text.lower() == f"{absent}.".lower()
        return
    with open(written("paper", "captions", f"{find(name).caption}.md"), encoding="utf-8") as template:
        sentences = [line.strip() for line in template if line.strip()]
    assert "{" not in text
    assert "n = " in text or "tokens" in text
    lost = [sentence for sentence in sentences if sentence.partition("{")[0] not in text]
    assert len(lost) <= len(sentences) // 2  # the planted run measures most; what it cannot is left out whole


@pytest.mark.parametrize("name", DRAWN)
def test_a_small_run_is_drawn_too(name, run_of_few, drawn, tmp_path):
    out, (first, *_) = drawn(run_of_few, name, tmp_path / "out"), suffixes(find(name))
    assert (out / f"{name}{first}").stat().st_size > (10_000 if first == ".png" else 50)


def test_a_study_that_was_tampered_with_is_refused(run, drawn, tmp_path):
    path = run.study("tradeoff") / "data.csv"
    kept = path.read_text()
    try:
        path.write_text(kept + "\n")
        with pytest.raises(ArtifactError, match="checksum differs"):
            drawn(run, "tradeoff", tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        path.write_text(kept)


def test_a_caption_leaves_out_a_sentence_that_was_not_measured():
    template = "Shown: {what}.\nGain {gain.value:.1f}.\nInterval {gain.low:.1f}.\nOther {lost.value}.\n"
    assert fill(template, {"gain": {"value": 0.5, "n": 3}}, {"what": "x"}) == "Shown: x. Gain 0.5."


def test_published_values_leave_bounds_out(tmp_path):
    path = tmp_path / "claims.csv"
    path.write_text("number,published\ns.a,0.5\ns.a,0.7\ns.b,>=0.9\ns.c,\nt.a,3\n,4\n")
    assert published(path, "s") == {"a": 0.5}


def test_the_registry_is_consistent():
    for name, exhibit in of(("arabic", "dna")).items():
        assert exhibit.id == name
        assert find(name) == exhibit
        assert exhibit.study in STUDIES
        assert importlib.util.find_spec(exhibit.module)
        assert exhibit.section in PACKAGES


def test_drawing_never_imports_torch_and_the_registry_nothing_heavy():
    heavy = "print([m for m in ('torch', 'matplotlib', 'pandas') if m in sys.modules])"
    code = f"import sys, replication.exhibits, replication.exhibits.command; {heavy}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    modules = ", ".join(["replication.exhibits.draw", *{exhibit.module for exhibit in of(("arabic",)).values()}])
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
