"""The transformer: what each place reads, what replacing it does, and the start."""

import math

import pytest
import torch

from replication.config import SITES, Model, UserError, d_in
from replication.model.transformer import Architecture, Transformer

SHAPE = Architecture(d_model=12, d_mlp=20, n_heads=3, n_ctx=10, act_fn="relu", d_vocab=17)


@pytest.fixture
def model():
    made = Transformer(SHAPE).initialise(3)
    with torch.no_grad():
        for name, parameter in made.named_parameters():  # biases at 0 would hide a missing one
            if not name.rpartition(".")[2].startswith("W_"):
                parameter += torch.linspace(-0.3, 0.3, parameter.numel()).view(parameter.shape)
    return made.requires_grad_(False)


@pytest.fixture
def tokens():
    return torch.randint(17, (2, 10), generator=torch.Generator().manual_seed(0), dtype=torch.int32)


def test_the_architecture_comes_from_the_settings():
    assert Architecture.of(Model(d_model=8, d_mlp=16, n_heads=2, n_ctx=5), 11) == Architecture(8, 16, 2, 5, "relu", 11)


def test_without_matrices_only_biases_speak(model, tokens):
    for _, matrix in model.matrices():
        matrix.zero_()
    attention, mlp = model.block.attn, model.block.mlp
    torch.testing.assert_close(model.resid_mid(tokens), attention.b_O.expand(2, 10, 12))
    torch.testing.assert_close(model.read(tokens, "mlp_act"), mlp.b_in.relu().expand(2, 10, 20))
    torch.testing.assert_close(model.read(tokens, "mlp_out"), mlp.b_out.expand(2, 10, 12))
    torch.testing.assert_close(model(tokens), model.unembed["b_U"].expand(2, 10, 17))


def test_the_first_token_attends_to_itself(model, tokens):
    attention = model.block.attn
    x = torch.randn(1, 1, 12, generator=torch.Generator().manual_seed(1))
    values = torch.einsum("bpd,hde->bphe", x, attention.W_V) + attention.b_V
    expected = torch.einsum("bphe,hed->bpd", values, attention.W_O) + attention.b_O
    torch.testing.assert_close(attention(x), expected)


def test_attention_is_causal(model, tokens):
    changed = tokens.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 17
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().amax(-1).min() > 1e-4


@pytest.mark.parametrize("site", SITES)
def test_splicing_what_was_read_changes_nothing(model, tokens, site):
    vectors = model.read(tokens, site)
    assert vectors.shape == (2, 10, d_in(Model(d_model=12, d_mlp=20), site))
    torch.testing.assert_close(model.logits(model.splice(tokens, site, vectors)), model(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("site", SITES)
def test_splicing_something_else_changes_that_token_only(model, tokens, site):
    vectors = model.read(tokens, site)
    vectors[1, 4] += 1 + torch.arange(vectors.shape[-1]) / 7
    moved = (model.logits(model.splice(tokens, site, vectors)) - model(tokens)).abs().amax(-1) > 1e-4
    assert moved.nonzero().tolist() == [[1, 4]]


@pytest.mark.parametrize("call", [lambda model, tokens: model.read(tokens, "mlp_ac"), lambda model, tokens: model.splice(tokens, "mlp_ac", None),
                                  lambda model, tokens: d_in(Model(), "mlp_ac")])
def test_a_site_that_does_not_exist(model, tokens, call):
    with pytest.raises(UserError, match="'mlp_ac' does not exist in a model of 1 layer; did you mean 'mlp_act'"):
        call(model, tokens)


def test_the_start_knows_nothing_and_repeats():
    one, again, other = (Transformer(SHAPE).initialise(seed) for seed in (1, 1, 2))
    tokens = torch.arange(10, dtype=torch.int32)[None]
    loss = -one(tokens)[:, :-1].log_softmax(-1).gather(-1, tokens.long()[:, 1:, None]).mean()
    assert loss.item() == pytest.approx(math.log(17), abs=0.1)
    for name, matrix in one.matrices():
        assert torch.equal(matrix, again.get_parameter(name)) and not torch.equal(matrix, other.get_parameter(name))
    assert not one.block.attn.b_Q.any() and one.ln_final.w.eq(1).all()


def test_matrices_are_nine():
    assert [name.rpartition(".")[2] for name, _ in Transformer(SHAPE).matrices()] == ["W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_U"]


def test_an_mlp_without_neurons_writes_its_bias_only():
    model = Transformer(Architecture(d_model=8, d_mlp=0, n_heads=2, n_ctx=6, act_fn="relu", d_vocab=11)).initialise(0)
    tokens = torch.arange(6)[None]
    with torch.no_grad():
        model.block.mlp.b_out += 0.5
        torch.testing.assert_close(model.resid_post(tokens), model.resid_mid(tokens) + 0.5)
        assert model.read(tokens, "mlp_act").shape == (1, 6, 0)
