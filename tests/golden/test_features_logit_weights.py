"""Logit weights against TransformerLens's folded and centred weights, in which the direct path is a product of two matrices."""

import pytest
import torch

from replication.features.logit_weights import Readout, written
from replication.model import load, to_hooked
from replication.model.store import save
from replication.model.transformer import Architecture, Transformer
from replication.provenance import Stopwatch


@pytest.mark.filterwarnings("ignore")
def test_equal_those_of_folded_and_centred_weights(tmp_path, tiny):
    from replication import artifacts

    model = Transformer(Architecture(d_model=16, d_mlp=32, n_heads=2, n_ctx=8, act_fn="relu", d_vocab=60)).initialise(4)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.ln_final.w.copy_(1 + 0.5 * torch.randn(16, generator=draw))
        model.unembed["W_U"].add_(torch.randn(16, 1, generator=draw))  # a part common to all tokens
        model.block.mlp.W_out.add_(torch.randn(32, 1, generator=draw))  # a part along the mean direction
    artifacts.write_meta(tmp_path, stage="model", settings=tiny, files=save(model, tmp_path), inputs={}, stopwatch=Stopwatch())
    hooked = to_hooked(tmp_path)
    hooked.process_weights_(fold_ln=True, center_writing_weights=True, center_unembed=True)
    W_dec = torch.randn(40, 32, generator=draw)
    theirs = W_dec @ hooked.W_out[0].detach() @ hooked.W_U.detach()
    theirs = theirs - theirs.median(dim=1, keepdim=True).values
    ours = Readout.of(load(tmp_path), torch.ones(60, dtype=torch.int64), rare_token=1)(written(load(tmp_path), "mlp_act", W_dec))
    assert ours.std() > 0.01
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
