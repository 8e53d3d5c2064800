"""What a unit keeps when earlier tokens are removed: beside an explicit run of the model, by hand, and for planted detectors."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from replication.model.transformer import Architecture, Transformer
from replication.resolution import resolve
from replication.studies import STUDIES
from replication.studies.questions import context_dependence, detectors, removal
from replication.studies.questions.removal import PAIRS, WINDOW
from tests.planted import raw

N_CTX, D_VOCAB = 24, 11


@pytest.fixture
def model():
    made = Transformer(Architecture(d_model=8, d_mlp=12, n_heads=2, n_ctx=N_CTX, act_fn="relu", d_vocab=D_VOCAB)).initialise(0)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape)))
    return made.eval().requires_grad_(False)


@pytest.fixture
def tokens():
    return np.random.default_rng(1).integers(D_VOCAB, size=(6, N_CTX)).astype(np.int32)


PLACE = {"context": np.array([3, 0, 3, 1]), "pos": np.array([23, WINDOW, 15, 11]), "unit": np.array([0, 1, 2, 7])}


def first(stream, unit):
    """One element of the stream before the MLP."""
    return torch.take_along_dim(stream, unit[:, None, None], dim=2)[..., 0]


def explicit(model, tokens, pos, unit, removed=()):
    """The model run as a whole, with some distances masked in the row of one position."""
    attn, text = model.block.attn, torch.from_numpy(tokens.astype(np.int64))
    x = model.embed["W_E"][text] + model.pos_embed["W_pos"][: len(text)]
    normal = model.block.ln1(x)
    q, k, v = (normal @ W + b[:, None] for W, b in ((attn.W_Q, attn.b_Q), (attn.W_K, attn.b_K), (attn.W_V, attn.b_V)))
    mask = torch.ones(len(text), len(text), dtype=torch.bool).tril()
    mask[pos, [pos - d for d in removed]] = False
    z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return float((x + torch.einsum("hsc,hcm->sm", z, attn.W_O) + attn.b_O)[pos, unit])


def test_removing_is_masking_the_attention_of_the_whole_model(model, tokens):
    others = tokens[4:]
    found = removal.measure(model, first, tokens, PLACE, others)
    for row, (context, pos, unit) in enumerate(zip(*PLACE.values(), strict=True)):
        own = tokens[context]
        assert found["full"][row] == pytest.approx(explicit(model, own, pos, unit), abs=1e-4)
        assert found["full"][row] == pytest.approx(float(model.resid_mid(torch.from_numpy(own[None].astype(np.int64)))[0, pos, unit]), abs=1e-4)
        assert found["alone"][row] == pytest.approx(explicit(model, own, pos, unit, range(1, pos + 1)), abs=1e-4)
        for d in (1, 4, WINDOW):
            assert found["single"][row, d - 1] == pytest.approx(explicit(model, own, pos, unit, [d]), abs=1e-4)
        for place in (0, 17, len(PAIRS) - 1):
            assert found["pair"][row, place] == pytest.approx(explicit(model, own, pos, unit, PAIRS[place]), abs=1e-4)
        for place, last in enumerate(removal.KEPT):
            assert found["kept"][row, place] == pytest.approx(explicit(model, own, pos, unit, range(last + 1, pos + 1)), abs=1e-4)
        for text, other in enumerate(others):
            earlier, itself, one = own.copy(), own.copy(), own.copy()
            earlier[:pos], itself[pos], one[pos - 3] = other[:pos], other[pos], other[pos - 3]
            assert found["token"][row, text] == pytest.approx(explicit(model, earlier, pos, unit), abs=1e-4)
            assert found["context"][row, text] == pytest.approx(explicit(model, itself, pos, unit), abs=1e-4)
            assert found["neither"][row, text] == pytest.approx(explicit(model, other, pos, unit), abs=1e-4)
            assert found["replaced"][row, 2, text] == pytest.approx(explicit(model, one, pos, unit), abs=1e-4)


def test_a_model_whose_attention_reads_nothing_keeps_everything(model, tokens):
    with torch.no_grad():
        model.block.attn.W_V.zero_()
    found = removal.measure(model, first, tokens, PLACE, tokens[4:])
    for key in ("alone", "single", "pair", "kept", "token", "replaced"):
        assert found[key] == pytest.approx(np.broadcast_to(found["full"].reshape(-1, *[1] * (found[key].ndim - 1)), found[key].shape), abs=1e-5)


@pytest.fixture
def counting():
    """Attention that looks at all tokens alike and writes 1 for token A (0), 0 for B (1) and C (2), to the stream's last element."""
    made = Transformer(Architecture(d_model=4, d_mlp=4, n_heads=1, n_ctx=N_CTX, act_fn="relu", d_vocab=3))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.block.ln1.w.fill_(1)
        made.embed["W_E"].copy_(torch.tensor([[1.0, -1, 1, -1], [-1.0, 1, 1, -1], [-1.0, 1, -1, 1]]))  # at mean 0 and variance 1 already
        made.block.attn.W_V[0, 0, 0], made.block.attn.b_V[0, 0], made.block.attn.W_O[0, 0, 3] = 0.5, 0.5, 1
    return made.requires_grad_(False)


def test_counts_by_hand(counting):
    tokens = np.full((2, N_CTX), 1, np.int32)
    tokens[0, [17, 19]] = 0  # at position 19 two of twenty tokens are A: the token itself, and the one two back
    place = {"context": np.array([0]), "pos": np.array([19]), "unit": np.array([3])}
    found = {key: value + 1 for key, value in removal.measure(counting, first, tokens, place, tokens[1:]).items()}  # the token itself writes -1 there
    assert found["full"][0] == pytest.approx(2 / 20, abs=1e-4)
    assert found["alone"][0] == pytest.approx(1, abs=1e-4)
    assert found["single"][0, :3] == pytest.approx([2 / 19, 1 / 19, 2 / 19], abs=1e-4)
    assert found["pair"][0, PAIRS.index((1, 2))] == pytest.approx(1 / 18, abs=1e-4)
    assert found["kept"][0, :3] == pytest.approx([1, 1 / 2, 2 / 3], abs=1e-4)
    assert found["token"][0, 0] == pytest.approx(1 / 20, abs=1e-4)
    assert found["replaced"][0, :2, 0] == pytest.approx([2 / 20, 1 / 20], abs=1e-4)


def planted(full, single=None, pair=None, **left):
    """What `removal.measure` gives for tokens of one unit, half of them on either half; what is not named is left whole."""
    full = np.array(full, np.float32)
    found = {"full": full, "alone": full, "single": np.repeat(full[:, None], WINDOW, 1), "pair": np.repeat(full[:, None], len(PAIRS), 1),
             "kept": np.repeat(full[:, None], len(removal.KEPT), 1), "replaced": np.repeat(full[:, None, None], WINDOW, 1),
             **{key: full[:, None] for key in ("token", "context", "neither")}, **left}
    for distance, value in (single or {}).items():
        found["single"][:, distance - 1] = value
    for both, value in (pair or {}).items():
        found["pair"][:, PAIRS.index(both)] = value
    return found, {"context": np.arange(len(full)), "pos": np.full(len(full), WINDOW), "unit": np.zeros(len(full), int)}


def test_shares_and_interactions_by_hand():
    found, place = planted([4, 2, 2, 2], alone=np.array([1, 9, 1, 9], np.float32))  # half 0 are the first and the third
    shares = context_dependence.shares(found, place, np.zeros(1), 0)
    assert (shares["positions"][0], shares["alone"][0], shares["single_1"][0]) == (2, 2 / 6, 0)
    cut = context_dependence.shares(found, place, np.array([3.0]), 0)  # only 4 lies above
    assert (cut["positions"][0], cut["alone"][0], cut["token"][0]) == (1, 0, 1)
    needed = context_dependence.shares(*planted([2, 2], single={2: 0, 5: 0}, pair={(2, 5): 0}), np.zeros(1), 0)
    assert (needed["pair"][0], needed["interaction"][0], needed["largest"][0]) == (1, -1, 1)
    either = context_dependence.shares(*planted([2, 2], pair={(2, 5): 0}), np.zeros(1), 0)
    assert (either["pair"][0], either["interaction"][0], either["largest"][0]) == (1, 1, 0)


def table(kind, dictionary, alone, **columns):
    """Rows as `context_dependence.rows` makes them."""
    n = len(alone)
    alone = np.array(alone)
    base = {"feature": np.arange(n), "drawn": True, "single_token": np.arange(n) % 2 == 0, "family": "", "token": alone, "context": 0.2, "neither": 0.0,
            "largest": 0.3, "interaction": 0.1, "kind": kind, "dictionary": dictionary, "detector": alone >= 0.5, "distance": 1, "at_distance": 0.3,
            "elsewhere": 0.1, "reach": 3, "nearest": 0.3, "farther": 0.05}
    return pd.DataFrame({**base, "alone": alone, **columns})


def test_numbers_of_planted_detectors():
    settings = STUDIES["context_dependence"].settings(resolve(raw(bootstrap=30)))
    tables = [table("features", name, [0.9, 0.1, 0.9, 0.1, 0.3], family=["a", "", "b", "", ""] if name == "A/1" else "") for name in ("A/1", "A/1-r1", "A/1-r2")]
    tables += [table("neurons", "A/neurons", [0.6] * 5), table("rare neurons", "A/neurons", [0.05] * 4)]
    found, missing = context_dependence.headline(pd.concat(tables, ignore_index=True), settings)
    assert found["alone"].value == pytest.approx(0.3)
    assert found["neuron_minus_feature"].value == pytest.approx(0.6 - 0.3)
    assert found["feature_minus_rare_neuron"].value == pytest.approx(0.3 - 0.05)
    assert (found["neuron_minus_feature"].replicates, found["neurons_alone"].replicates) == (3, 1)
    assert found["token_detectors"].value == pytest.approx(0.4)
    assert found["both_matter"].value == pytest.approx(0.6)
    assert found["token_minus_context"].value == pytest.approx(np.mean([0.9, 0.1, 0.9, 0.1, 0.3]) - 0.2)
    assert found["nearest_minus_farther"].value == pytest.approx(0.25)
    assert found["distance_gain"].value == pytest.approx(0.2)
    assert (found["class_kept"].value, found["either_enough"].value, found["both_needed"].value) == (1, 1, 0)
    assert found["single_token_minus_rest"].value == pytest.approx(0.9 - 0.1)
    assert found["detector_gap"].value == pytest.approx(0.9 - 0.1)
    assert (found["nearest_first"].value, found["within_five"].value) == (1, 1)
    assert found["family_minus_rest"].value == 0
    assert "feature_minus_rare_neuron" in missing  # a reason stands ready; `write` drops it where there is a number


def test_a_neurons_cut_makes_it_as_rare():
    counts, edges = np.array([60, 30, 10]), np.array([0.0, 1.0, 2.0, 3.0])  # fires on 100 of 1,000 tokens
    assert detectors.cut(counts, edges, 0.1, 0.1) == 0
    assert detectors.cut(counts, edges, 0.1, 0.01) == pytest.approx(2)
    assert detectors.cut(counts, edges, 0.1, 0.025) == pytest.approx(1.5)  # half of the bin from 1 to 2
