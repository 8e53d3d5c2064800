"""Fixed texts: read, tokenised and cut as said, and what is on on each token is what the model and the dictionary say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from replication import artifacts
from replication.config import UserError
from replication.corpus.tokenizer import load as load_tokenizer
from replication.features import texts
from replication.features.texts import read, strongest
from replication.model import load as load_model
from replication.provenance import written
from replication.sae import load as load_dictionary

N_CTX = 12


def of(measured, dictionary, text):
    table = artifacts.read_table(measured.layout.evaluation() / artifacts.TEXTS)
    return table[(table["dictionary"] == dictionary) & (table["text"] == text)]


@pytest.fixture(scope="module")
def mat(measured):
    """The tokens of the longer text, cut to the context."""
    tokenizer = load_tokenizer(measured.layout.corpus() / artifacts.TOKENIZER)
    whole = tokenizer.encode("the cat sat on the mat. " * 4).ids
    assert len(whole) > N_CTX
    return torch.tensor(whole[:N_CTX])


def test_tokens_have_titles_and_are_cut_at_the_context(measured, mat):
    table = artifacts.read_table(measured.layout.evaluation() / artifacts.TEXT_TOKENS)
    assert table["text"].unique().tolist() == ["mat", "short"] and table["title"].unique().tolist() == ["A mat, a cat", "Short"]
    rows = table[table["text"] == "mat"]
    assert rows["token"].tolist() == mat.tolist() and rows["pos"].tolist() == list(range(N_CTX))
    tokenizer = load_tokenizer(measured.layout.corpus() / artifacts.TOKENIZER)
    assert tokenizer.decode(table.loc[table["text"] == "short", "token"].tolist()) == "the"  # without the line end of the file


@pytest.mark.parametrize("name", ["A/1", "B/1", "A/neurons"])
def test_what_is_on_and_its_effect_equal_the_plain_way(measured, mat, name):
    model = load_model(measured.layout.model(name[0]))
    x = model.read(mat[None], "mlp_act")[0]
    if name == "A/neurons":
        f, W = x, torch.eye(x.shape[1])
    else:
        sae = load_dictionary(measured.layout.sae(name))
        f, W = sae.encode(x), sae.W_dec
    f = f.numpy()
    rows = of(measured, name, "mat")
    pos, feature = (rows[column].to_numpy() for column in ("pos", "feature"))
    assert list(zip(pos, feature, strict=True)) == [tuple(place) for place in np.argwhere(f > 0)]
    assert np.allclose(rows["activation"], f[pos, feature], atol=1e-6)

    def likelihood(vectors):
        logits = model.logits(model.splice(mat[None], "mlp_act", vectors[None]))[0, :-1]
        return torch.log_softmax(logits, dim=1).gather(1, mat[1:, None])[:, 0]

    intact = likelihood(x)
    for i in np.unique(feature):
        change = (likelihood(x - torch.from_numpy(f[:, i, None]) * W[i]) - intact).numpy()
        some = feature == i
        expected = np.append(change, np.nan)[pos[some]]
        assert np.allclose(rows["effect"][some], expected, atol=2e-5, equal_nan=True)
    assert rows["effect"].isna().equals(rows["pos"] == N_CTX - 1) and rows["effect"].abs().max() > 0.01


def test_a_text_of_one_token_has_no_effects(measured, tmp_path):
    (tmp_path / "texts.csv").write_text("id,title\none,One\n")
    (tmp_path / "one.txt").write_text("t")
    layout = measured.layout
    texts.make(settings=measured.settings, names=["A/neurons"], texts=tmp_path, models=layout.root / "model", dictionaries=layout.root / "sae",
               corpus=layout.corpus(), out=tmp_path / "out")
    found = artifacts.read_table(tmp_path / "out" / artifacts.TEXTS)
    assert len(found) and found["effect"].isna().all() and (found["pos"] == 0).all()


def test_the_strongest_neurons_of_each_token_are_kept(monkeypatch):
    monkeypatch.setattr(texts, "STRONGEST", 2)
    counts, neuron, value = strongest(torch.tensor([[1.0, 3, 0, 2], [0, 0, 0, 5], [-1, -2, -3, -1], [1, 1, 1, 1]]))
    assert counts.tolist() == [2, 1, 0, 2] and neuron.tolist()[:3] == [1, 3, 3] and value.tolist() == [3, 2, 5, 1, 1]


def test_the_projects_own_texts_are_short_and_in_order():
    found = read(Path(written("paper", "texts")))
    assert len(found) == 25 and {"arabic", "dna", "base64", "hebrew", "hex", "latex", "html"} <= {text.id for text in found}
    assert all(60 <= len(text.content) <= 250 for text in found if text.id != "dna")
    dna = next(text.content for text in found if text.id == "dna")
    assert len(dna) >= 600 and set(dna) == set("ACGT")


@pytest.mark.parametrize(("files", "said"), [
    ({}, "texts.csv is missing"),
    ({"texts.csv": "id\na\n"}, "columns id and title"),
    ({"texts.csv": "id,title\na,A\na,B\n", "a.txt": "x"}, "each id once"),
    ({"texts.csv": "id,title\n../a,A\n"}, "lower-case letters"),
    ({"texts.csv": "id,title\na,A\n"}, "lists a, but .*a.txt is missing"),
    ({"texts.csv": "id,title\na,A\n", "a.txt": "\n"}, "a.txt is empty")])
def test_a_folder_that_does_not_fit_is_refused_in_one_sentence(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        read(tmp_path)
