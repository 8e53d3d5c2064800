import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse, stats

from replication import artifacts
from replication.artifacts import Layout
from replication.exhibits import find
from replication.exhibits.draw import draw
from replication.features.matrix import MatrixWriter
from replication.features.tokens import read
from replication.model import store
from replication.model.transformer import Architecture, Transformer
from replication.progress import Progress
from replication.provenance import written
from replication.resolution import resolve
from replication.sae.dictionary import Dictionary
from replication.studies import STUDIES
from replication.studies.questions import agreement_of_causes, ranked_causes, upstream_causes
from replication.studies.questions.causes import Pairs, Path, along
from replication.studies.questions.sampled_causes import Activations, measure
from tests import planted

WIDTH, N = 16, 6  # of the stream; features on either side of the MLP


def linear(strength=200.0, open_gates=2.0):
    """A path on which feature j of the MLP reads feature j of the stream and nothing else, all gates open, at an almost constant scale."""
    rows = np.linalg.qr(np.column_stack([np.ones(WIDTH), np.random.default_rng(0).normal(size=(WIDTH, N + 1))]))[0].T[1:]  # no mean over d_model
    directions, common = (torch.tensor(part, dtype=torch.float32) for part in (rows[:N], strength * rows[N]))
    model = Transformer(Architecture(WIDTH, N, 1, 4, "relu", 8)).requires_grad_(False)
    with torch.no_grad():
        model.block.mlp.W_in.copy_(directions.T)
        model.block.mlp.b_in.fill_(open_gates)
    before = Dictionary(directions.T.clone(), torch.zeros(N), directions, common)
    return Path(model, 0, before, Dictionary(torch.eye(N), torch.full((N,), -open_gates), torch.eye(N), torch.zeros(N)))


def example(tokens=400, seed=1):
    """A stream made of features of `linear`'s first dictionary, nothing left over, and what is on in either dictionary."""
    path, rng = linear(), np.random.default_rng(seed)
    f = np.where(rng.random((tokens, N)) < 0.5, rng.uniform(1, 3, (tokens, N)), 0).astype(np.float32)
    stream = torch.from_numpy(f) @ path.before.W_dec + path.before.b_dec
    half = np.arange(tokens) % 2
    on = path.after.encode(path.neurons(stream)).numpy()
    return path, stream, Activations(sparse.csr_array(np.where(on > 1e-4, on, 0)), half), Activations(sparse.csr_array(f), half)


def test_the_planted_cause_is_found_and_attribution_equals_ablation():
    path, stream, ours, theirs = example()
    found = measure(path, ours, theirs, stream, np.random.default_rng(0))
    pairs = found.pairs
    own = pairs["cause"] == found.features[pairs["feature"]]
    np.testing.assert_allclose(pairs["gradient"][own], pairs["effect"][own], rtol=0.01)  # the scale is nearly constant, not quite
    np.testing.assert_allclose(pairs["effect"][own], pairs["active"][own], rtol=0.01)
    assert pairs["effect"][~own].abs().max() < 1e-3 * pairs["active"].min()
    table = upstream_causes.of_features(found)
    assert table["top"].tolist() == found.features.tolist()
    assert table[["stable", "found", "found_weights", "one_cause"]].to_numpy().all()
    assert table["share_1"].min() > 0.99
    assert table["number"].max() < 1.02
    assert table["stable_shuffled"].max() == 0
    np.testing.assert_allclose(table["budget_features"], 1, atol=0.01)
    np.testing.assert_allclose(table[["budget_error", "budget_constant"]], 0, atol=0.01)
    np.testing.assert_allclose(table["kept"], 1, atol=0.01)
    assert table["explained_gradient"].min() > 0.999
    assert table["correlation_top"].min() > 0.99 > 0.5 > table["correlation_together"].median()


def test_what_is_chosen_is_chosen_on_the_other_half():
    path, stream, ours, theirs = example()
    hidden = theirs.rows.toarray()
    hidden[ours.half == 0, 0] = 0  # the cause of feature 0 is not on where causes are chosen
    found = measure(path, ours, Activations(sparse.csr_array(hidden), theirs.half), stream, np.random.default_rng(0))
    table = upstream_causes.of_features(found)
    assert found.features.tolist() == list(range(N))
    assert table["found"].tolist() == table["stable"].tolist() == [0, *[1] * (N - 1)]
    assert table["found_same"].all()
    assert table["correlation_best"][0] < 0.5 < 0.99 < table["correlation_best"][1:].min()


def uneven(seed=0, n=5, d_model=12, d_mlp=20):
    """A path with weights at random, and events on it."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = Transformer(Architecture(d_model, d_mlp, 1, 4, "relu", 8))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    W_dec = torch.nn.functional.normalize(torch.randn(9, d_model), dim=1)
    before = Dictionary(W_dec.T.clone(), torch.zeros(9), W_dec, torch.randn(d_model))
    after = Dictionary(torch.randn(d_mlp, 7), torch.ones(7), torch.randn(7, d_mlp), torch.randn(d_mlp))
    pairs = Pairs(torch.arange(n).repeat_interleave(3), torch.from_numpy(rng.integers(0, 9, 3 * n)), torch.from_numpy(rng.uniform(0.5, 2, 3 * n).astype(np.float32)))
    return Path(model.requires_grad_(False), 0, before, after), torch.randn(n, d_model), torch.from_numpy(rng.integers(0, 7, n)), pairs


def test_gradients_are_those_of_a_second_implementation_and_of_small_steps():
    path, x, feature, pairs = uneven()
    mlp, norm = path.mlp, path.norm
    through, held = path.gradients(x, feature)
    centred = x - x.mean(1, keepdim=True)
    scale = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    gates = ((centred / scale * norm.w + norm.b) @ mlp.W_in + mlp.b_in > 0).float()
    back = (gates * path.after.W_enc.T[feature]) @ mlp.W_in.T * norm.w
    by_hand = (back - back.mean(1, keepdim=True)) / scale
    torch.testing.assert_close(held, by_hand, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(through, by_hand - centred / scale * (back * centred / scale).mean(1, keepdim=True) / scale, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(path.averaged(x, feature, torch.ones(20)), path.averaged(x, feature, gates[0] * 0 + 1))
    step = 1e-3
    small = Pairs(pairs.event, pairs.cause, torch.full_like(pairs.activation, step))
    lost, _ = path.ablation(x, feature, small, path.before.W_dec)
    on = path.active(x, feature)[pairs.event] > 0.1
    assert on.sum() > 3
    torch.testing.assert_close(lost[on] / step, along(small, through, path.before.W_dec)[on] / step, rtol=0.05, atol=0.05)


def test_parts_add_up_to_the_activation_and_integration_to_the_effect():
    path, x, feature, pairs = uneven(1)
    held, active = path.gradients(x, feature)[1], path.active(x, feature)
    parts = path.budget(x, held, active, pairs)
    torch.testing.assert_close(sum(parts.values()), active)
    centred = x - x.mean(1, keepdim=True)
    scale = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    y = centred / scale * path.norm.w + path.norm.b
    gates = (y @ path.mlp.W_in + path.mlp.b_in > 0).float()
    rows = gates * path.after.W_enc.T[feature]
    constant = (rows * (path.mlp.b_in + path.norm.b @ path.mlp.W_in)).sum(1) + path.after.folded_bias()[feature] + (held * path.before.b_dec).sum(1)
    on = active > 0
    torch.testing.assert_close(parts["constant"][on], constant[on], rtol=1e-3, atol=1e-3)  # by hand: biases of layer norm, MLP and dictionaries
    lost, coarse = path.ablation(x, feature, pairs, path.before.W_dec, 2)
    fine = path.ablation(x, feature, pairs, path.before.W_dec, 400)[1]
    assert (fine - lost).abs().max() < 0.05 < (coarse - lost).abs().max()


def test_by_hand_a_feature_is_turned_off():
    path = linear()
    stream = (path.before.b_dec + 2 * path.before.W_dec[0])[None]
    x, feature, pairs = stream, torch.tensor([0]), Pairs(torch.tensor([0]), torch.tensor([0]), torch.tensor([3.0]))  # more than there is
    lost, _ = path.ablation(x, feature, pairs, path.before.W_dec)
    active = path.active(x, feature)
    assert active.item() == pytest.approx(2 * WIDTH**0.5 / 200, rel=1e-3)  # 2 over the scale of the layer norm, 200 / sqrt(16)
    assert lost.item() == pytest.approx(active.item())
    assert along(pairs, path.gradients(x, feature)[0], path.before.W_dec).item() == pytest.approx(1.5 * active.item(), rel=1e-3)


def test_statistics_by_hand():
    rng = np.random.default_rng(3)
    pairs = pd.DataFrame({"feature": np.repeat([0, 2], [30, 20]), "effect": rng.normal(size=50).round(1), "guess": rng.normal(size=50).round(1)})
    found = agreement_of_causes.spearman(pairs, "effect", ["guess"], 3)["guess"]
    for place in (0, 2):
        own = pairs[pairs["feature"] == place]
        assert found[place] == pytest.approx(stats.spearmanr(own["effect"], own["guess"]).statistic)
    assert np.isnan(found[1])
    few = pd.DataFrame({"feature": [0, 0], "effect": [1.0, 2.0], "guess": [2.0, 2.0]})
    assert agreement_of_causes.slope(few, "effect", "guess", 1)[0] == pytest.approx(0.75)
    assert agreement_of_causes.explained(few, "effect", "guess", 1)[0] == pytest.approx(0.8)
    assert ranked_causes.common(np.array([[0, 1, 2, 3, 4, 5]]), np.array([[5, 4, 9, 8, 7, 0]]))[0] == pytest.approx(0.2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run with dictionaries on both sides of an untrained MLP; what they do is computed, not planted."""
    given = planted.few()
    given["model"] = {"d_model": 16, "d_mlp": 24, "n_ctx": 32}
    given["dictionaries"] = {"A/1": {"d_sae": 40, "replicates": 2}, "A/mid": {"d_sae": 48, "site": "resid_mid", "replicates": 2}, "B/1": {"d_sae": 40},
                             "A/mid_small": {"d_sae": 8, "site": "resid_mid"}}
    config, layout = resolve(given), Layout(tmp_path_factory.mktemp("causes"))
    planted.write_json(config, layout.corpus(), artifacts.CORPUS, {"manifest_sha256": "c0ffee" * 10 + "beef", "matches_reference": True})
    planted.text(layout, config)
    tokens = read(layout.evaluation()).long()
    model = Transformer(Architecture.of(config.models["A"], int(tokens.max()) + 1)).initialise(0).requires_grad_(False)
    model.embed["W_E"].mul_(50)
    planted.finish(config, layout.model("A"), *(path.name for path in store.save(model, layout.model("A")).values()), model="A")
    for index, name in enumerate(STUDIES["upstream_causes"].dictionaries(config)):
        vectors = model.read(tokens, config.dictionaries[name].site).flatten(0, 1)
        rng, d_sae = np.random.default_rng(index), config.dictionaries[name].d_sae
        W_dec = torch.from_numpy(rng.normal(size=(d_sae, vectors.shape[1]))).float()
        W_dec /= W_dec.norm(dim=1, keepdim=True)
        b_dec = vectors.mean(0)
        bias = -torch.quantile((vectors - b_dec) @ W_dec.T, 0.85, dim=0)
        sae = Dictionary(W_dec.T.contiguous(), bias, W_dec, b_dec)
        planted.save(config, layout.sae(name), artifacts.SAE_WEIGHTS, {key: value.numpy() for key, value in sae.tensors().items()})
        layout.features(name).mkdir(parents=True, exist_ok=True)
        on, step = sparse.csr_array(sae.encode(vectors).numpy()), config.features.shard_contexts * 32
        with MatrixWriter(layout.features(name) / artifacts.MATRIX, n_features=d_sae, contexts=len(tokens), n_ctx=32,
                          shard_contexts=config.features.shard_contexts, dense=False) as writer:
            for start in range(0, on.shape[0], step):
                writer.append(sparse.csr_array(on[start:start + step]))
        planted.finish(config, layout.features(name), artifacts.MATRIX)
    return config, layout


def test_a_run_with_a_dictionary_before_the_mlp_is_told_and_drawn(run, tmp_path):
    config, layout = run
    study = STUDIES["upstream_causes"]
    assert study.dictionaries(config) == ["A/1", "A/1-r1", "A/mid", "A/mid-r1"]  # of two before the MLP the one nearest in size
    first, second = layout.study(study.id), tmp_path / "again"
    for out in (first, second):
        upstream_causes.compute(settings=study.settings(config), layout=layout, out=out, progress=Progress())
    for file in ("data.csv", "numbers.json"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    found = json.loads((first / "numbers.json").read_text())
    assert upstream_causes.DIFFERENCES.keys() <= found["numbers"].keys()
    assert found["numbers"]["spearman_integrated"]["value"] > found["numbers"]["spearman_gradient"]["value"] > found["numbers"]["spearman_weights"]["value"]
    assert found["numbers"]["gradient_minus_weights"]["replicates"] == 2
    declared = {path.resolve() for path in study.inputs(config, layout)}
    assert {(first / entry["path"]).resolve() for entry in json.loads((first / "meta.json").read_text())["inputs"].values()} == declared
    draw(exhibit=find("upstream_causes"), study=first, caption=pathlib.Path(written("paper", "captions", "upstream_causes.md")), out=tmp_path,
         distributions=pathlib.Path(written("paper", "published", "distributions.csv")), claims=pathlib.Path(written("paper", "published", "claims.csv")))
    assert (tmp_path / "upstream_causes.png").stat().st_size > 10_000
    caption = (tmp_path / "upstream_causes.txt").read_text()
    assert "rank correlation of 0." in caption
    assert "{" not in caption
