"""Our transformer against TransformerLens's, on equal weights; our head against PyTorch's gradient checker."""

import pytest
import torch

from replication.artifacts import write_meta
from replication.config import Settings, sites
from replication.model import store, to_hooked
from replication.model.head import mean_loss, token_losses
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")  # in 3.9, for version 4, which the lock excludes
HOOKS = {"resid_mid": "hook_resid_mid", "mlp_act": "mlp.hook_post", "mlp_out": "hook_mlp_out", "resid_post": "hook_resid_post"}
SHAPES = [("relu", 1), ("gelu", 1), ("solu", 1), ("solu_ln", 1), ("relu", 2), ("solu_ln", 2)]


def hooks(model):
    """Their hook of each of our sites but logit_update, which they do not have."""
    places = {site: model.place(site) for site in sites(model.architecture.n_layers)}
    return {site: f"blocks.{layer}.{HOOKS[kind]}" for site, (kind, layer) in places.items() if kind in HOOKS}


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}-{shape[1]}")
def pair(request, tmp_path_factory):
    """A model with biases and layer norms off their start, ours and theirs, and tokens."""
    folder, (act_fn, n_layers) = tmp_path_factory.mktemp("A"), request.param
    shape = Architecture(d_model=24, d_mlp=40, n_heads=4, n_ctx=16, act_fn=act_fn, d_vocab=50, n_layers=n_layers)
    model = Transformer(shape).initialise(5)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    write_meta(folder, stage="model", settings=Settings("test", 0), files=store.save(model, folder), inputs={}, stopwatch=Stopwatch())
    return store.load(folder), to_hooked(folder), torch.randint(50, (3, 16), generator=draw)


def test_parameter_names_are_transformer_lens_names(pair):
    ours, theirs, _ = pair
    assert {name: tuple(value.shape) for name, value in ours.named_parameters()} == {name: tuple(value.shape) for name, value in theirs.named_parameters()}


def test_logits_are_equal(pair):
    ours, theirs, tokens = pair
    logits = ours(tokens)
    assert logits.std() > 0.5
    torch.testing.assert_close(theirs(tokens), logits, atol=1e-4, rtol=0)


def test_site_vectors_are_equal(pair):
    ours, theirs, tokens = pair
    _, cache = theirs.run_with_cache(tokens)
    assert len(hooks(ours)) == 4 * ours.architecture.n_layers
    for site, hook in hooks(ours).items():
        torch.testing.assert_close(ours.read(tokens, site), cache[hook], atol=2e-5, rtol=1e-5, msg=lambda text, site=site: f"{site}: {text}")


def test_splicing_equals_a_hook_that_replaces(pair):
    ours, theirs, tokens = pair
    for site, hook in hooks(ours).items():
        vectors = ours.read(tokens, site).flip(0) * 1.5
        logits = theirs.run_with_hooks(tokens, fwd_hooks=[(hook, lambda value, hook, vectors=vectors: vectors)])
        torch.testing.assert_close(ours.logits(ours.splice(tokens, site, vectors)), logits, atol=1e-4, rtol=0, msg=lambda text, site=site: f"{site}: {text}")


def test_neurons_after_gelu_and_solu_are_negative_where_their_input_is(pair):
    """The site is after the layer norm of solu_ln; without one a neuron's sign is that of its pre-activation, as the neuron tables say."""
    ours, theirs, tokens = pair
    _, cache = theirs.run_with_cache(tokens)
    last = ours.architecture.n_layers - 1
    before, after = cache[f"blocks.{last}.mlp.hook_pre"], ours.mlp_act(ours.resid_mid(tokens))
    if ours.architecture.act_fn == "solu_ln":
        norm = ours.block.mlp.ln
        plain = (after - norm.b) / norm.w
        torch.testing.assert_close(plain.mean(-1), torch.zeros(3, 16), atol=1e-4, rtol=0)
        middle = cache[f"blocks.{last}.mlp.hook_mid"]
        assert torch.equal(plain > 1e-3, (plain > 1e-3) & (middle > middle.mean(-1, keepdim=True)))
    else:
        assert torch.equal(after > 0, before > 0)


def test_token_losses_equal_transformer_lens_losses(pair):
    ours, theirs, tokens = pair
    x = ours.final(ours.resid_post(tokens))[:, :-1].flatten(0, 1)
    found = token_losses(x, ours.unembed["W_U"], ours.unembed["b_U"], tokens[:, 1:].flatten(), 7)
    torch.testing.assert_close(found.view(3, 15), theirs(tokens, return_type="loss", loss_per_token=True), atol=1e-4, rtol=0)


def test_the_gradient_of_the_head_equals_finite_differences():
    draw = torch.Generator().manual_seed(1)
    leaves = [torch.randn(shape, generator=draw, dtype=torch.float64, requires_grad=True) for shape in ((11, 3), (3, 7), (7,))]
    targets = torch.randint(7, (11,), generator=draw)
    assert torch.autograd.gradcheck(lambda x, W_U, b_U: mean_loss(x, W_U, b_U, targets, 4), leaves)
