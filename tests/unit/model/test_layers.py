"""Models of several layers: what a layer reads, what replacing it does to the later ones, the gradient, the start, the shuffled copy."""

import pytest
import torch

from replication.artifacts import write_meta
from replication.config import Model, Settings, UserError, d_in, sites
from replication.model import store
from replication.model.head import mean_loss
from replication.model.shuffle import shuffled
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch

SHAPE = Architecture(d_model=12, d_mlp=20, n_heads=3, n_ctx=10, act_fn="relu", d_vocab=17, n_layers=2)


def made(shape=SHAPE, seed=3):
    model = Transformer(shape).initialise(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # biases at 0 would hide a missing one
            if not name.rpartition(".")[2].startswith("W_"):
                parameter += torch.linspace(-0.3, 0.3, parameter.numel()).view(parameter.shape)
    return model.requires_grad_(False)


@pytest.fixture
def model():
    return made()


@pytest.fixture
def tokens():
    return torch.randint(17, (2, 10), generator=torch.Generator().manual_seed(0), dtype=torch.int32)


def test_the_stream_goes_through_both_layers(model, tokens):
    x = model.embed["W_E"][tokens.long()] + model.pos_embed["W_pos"][:10]
    for layer, block in enumerate(model.blocks):
        x = x + block.attn(block.ln1(x))
        torch.testing.assert_close(model.read(tokens, f"resid_mid_{layer}"), x)
        activations = (block.ln2(x) @ block.mlp.W_in + block.mlp.b_in).relu()
        torch.testing.assert_close(model.read(tokens, f"mlp_act_{layer}"), activations)
        update = activations @ block.mlp.W_out + block.mlp.b_out
        torch.testing.assert_close(model.read(tokens, f"mlp_out_{layer}"), update)
        x = x + update
        torch.testing.assert_close(model.read(tokens, f"resid_post_{layer}"), x)
    torch.testing.assert_close(model.resid_post(tokens), x)
    torch.testing.assert_close(model(tokens), model.ln_final(x) @ model.unembed["W_U"] + model.unembed["b_U"])


def test_a_layer_that_writes_nothing_leaves_the_model_of_the_others(model, tokens):
    silent, one = model.layer(1), Transformer(Architecture(**{**SHAPE.__dict__, "n_layers": 1}))
    for written in (silent.attn.W_O, silent.attn.b_O, silent.mlp.W_out, silent.mlp.b_out):
        written.zero_()
    one.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if not name.startswith("blocks.1.")})
    torch.testing.assert_close(model(tokens), one(tokens))
    torch.testing.assert_close(model.read(tokens, "mlp_act_0"), one.read(tokens, "mlp_act"))


@pytest.mark.parametrize("site", sites(2))
def test_splicing_at_a_layer_reaches_what_comes_after_it(model, tokens, site):
    vectors, before = model.read(tokens, site), model(tokens)
    assert vectors.shape[-1] == d_in(Model(d_model=12, d_mlp=20, n_layers=2), site)
    torch.testing.assert_close(model.logits(model.splice(tokens, site, vectors)), before, rtol=1e-4, atol=1e-5)
    vectors[1, 4] += 1 + torch.arange(vectors.shape[-1]) / 7
    moved = (model.logits(model.splice(tokens, site, vectors)) - before).abs().amax(-1) > 1e-4
    places = [[1, pos] for pos in range(4, 10)] if site.endswith("_0") else [[1, 4]]  # the second layer's attention looks back
    assert moved.nonzero().tolist() == places


def test_sites_carry_their_layer(model, tokens):
    with pytest.raises(UserError, match="'mlp_act' does not exist in a model of 2 layers; did you mean 'mlp_act_"):
        model.read(tokens, "mlp_act")
    with pytest.raises(UserError, match="'logit_update_0' does not exist"):  # the logits see the last update only
        model.read(tokens, "logit_update_0")


def test_the_gradient_is_that_of_the_loss(tokens):
    model = made().requires_grad_(True).double()

    def loss():
        normalised = model.final(model.resid_post(tokens[:, :-1])).flatten(0, 1)
        return mean_loss(normalised, model.unembed["W_U"], model.unembed["b_U"], tokens[:, 1:].flatten(), 7)

    loss().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        place = int(parameter.grad.abs().argmax())
        with torch.no_grad():
            entry, given = parameter.view(-1)[place], parameter.view(-1)[place].item()
            found = []
            for shift in (1e-5, -1e-5):
                entry.fill_(given + shift)
                found.append(loss().item())
            entry.fill_(given)
        assert (found[0] - found[1]) / 2e-5 == pytest.approx(parameter.grad.view(-1)[place].item(), rel=1e-4, abs=1e-8), name


def test_layers_start_differently_and_the_start_repeats():
    one, again = Transformer(SHAPE).initialise(1), Transformer(SHAPE).initialise(1)
    names = [name for name, _ in one.matrices()]
    assert len(names) == 3 + 2 * 6
    for name, matrix in one.matrices():
        assert torch.equal(matrix, again.get_parameter(name))
        if name.startswith("blocks.0."):
            assert not torch.equal(matrix, one.get_parameter(name.replace("blocks.0.", "blocks.1.")))


def test_the_shuffled_copy_keeps_the_entries_of_each_layer(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after, matrices = shuffled(model, 0).state_dict(), {name for name, _ in model.matrices()}
    for name, tensor in after.items():
        assert torch.equal(tensor.flatten().sort().values, before[name].flatten().sort().values), name
        assert torch.equal(tensor, before[name]) == (name not in matrices), name


def test_the_folder_is_a_model_of_two_layers(model, tokens, tmp_path):
    write_meta(tmp_path, stage="model", settings=Settings("test", 0), files=store.save(model, tmp_path), inputs={}, stopwatch=Stopwatch())
    loaded = store.load(tmp_path)
    assert loaded.architecture == SHAPE and torch.equal(loaded(tokens), model(tokens))
