"""Ablation and pinning of a feature against TransformerLens with a hook on the MLP's activations, at every position."""

import pytest
import torch

from replication.artifacts import write_meta
from replication.config import Settings
from replication.features.ablation import effects
from replication.features.logit_weights import written
from replication.features.sampling import drawn, sample
from replication.model import store, to_hooked
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch
from replication.sae.dictionary import Dictionary, unit

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")
HOOK = "blocks.0.mlp.hook_post"
D_VOCAB, D_MLP, D_SAE = 50, 40, 60


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model with biases and layer norms off their start, ours and theirs, a dictionary whose features fire, and tokens."""
    folder = tmp_path_factory.mktemp("A")
    model = Transformer(Architecture(d_model=24, d_mlp=D_MLP, n_heads=4, n_ctx=16, act_fn="relu", d_vocab=D_VOCAB)).initialise(5)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    write_meta(folder, stage="model", settings=Settings("test", 0), files=store.save(model, folder), inputs={}, stopwatch=Stopwatch())
    W_dec = unit(torch.randn(D_SAE, D_MLP, generator=draw))
    dictionary = Dictionary(W_enc=torch.randn(D_SAE, D_MLP, generator=draw).T, b_enc=torch.randn(D_SAE, generator=draw), W_dec=W_dec,
                            b_dec=0.1 * torch.randn(D_MLP, generator=draw))
    return store.load(folder), to_hooked(folder), dictionary, torch.randint(D_VOCAB, (3, 16), generator=draw)


def test_effects_equal_a_hook_that_takes_the_feature_away_at_every_position(world):
    ours, theirs, dictionary, tokens = world
    x = ours.read(tokens, "mlp_act")
    f = dictionary.encode(x.flatten(0, 1)).view(3, 16, D_SAE)
    directions, resid = written(ours, "mlp_act", dictionary.W_dec), ours.resid_post(tokens)
    before = -theirs(tokens, return_type="loss", loss_per_token=True)
    for i in range(D_SAE):
        part = f[..., i, None] * dictionary.W_dec[i]
        after = -theirs.run_with_hooks(tokens, return_type="loss", loss_per_token=True, fwd_hooks=[(HOOK, lambda value, hook, part=part: value - part)])
        text, pos = f[:, :-1, i].nonzero(as_tuple=True)
        found = effects(ours, resid[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), directions, 15 * text + pos, torch.full_like(pos, i), f[text, pos, i])
        torch.testing.assert_close(found, (after - before)[text, pos], atol=2e-5, rtol=1e-4)
        silent = f[:, :-1, i] == 0
        assert float((after - before)[silent].abs().sum()) < 1e-3  # no other token changes
    assert float((after - before).abs().max()) > 0.01


def test_samples_equal_a_hook_that_sets_the_feature_at_every_position(world):
    ours, theirs, dictionary, _ = world
    start, i, top = torch.tensor([3, 1, 4]), 7, 5.0
    draws = torch.rand(4, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def pinned(value, hook):
        f = dictionary.encode(value.flatten(0, 1)).view(*value.shape[:2], D_SAE)[..., i, None]
        return value + (top - f) * dictionary.W_dec[i]

    text = start.expand(4, -1)
    for place in range(9):
        logits = theirs.run_with_hooks(text, fwd_hooks=[(HOOK, pinned)])[:, -1]
        text = torch.cat([text, drawn(logits, draws[:, place])[:, None]], dim=1)
    found = sample(ours, dictionary, "mlp_act", start=start, feature=torch.full((4,), i), value=torch.full((4,), top), draws=draws)
    assert torch.equal(found, text[:, 3:])
