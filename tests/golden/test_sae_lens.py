"""A dictionary's folder is what SAELens loads, and both encode and decode alike."""

import pytest
import torch

from replication.config import Model, Sae
from replication.sae.dictionary import save, start
from replication.sae.variants import Variant


@pytest.mark.filterwarnings("ignore")
def test_sae_lens_loads_the_folder_and_agrees(tmp_path):
    from sae_lens import SAE

    b_dec = torch.randn(16, generator=torch.Generator().manual_seed(0))
    ours = start(Sae(d_sae=40), 16, b_dec, seed=3)
    save(ours, tmp_path, sae=Sae(d_sae=40), model=Model(n_ctx=64), name="A")
    theirs = SAE.load_from_disk(tmp_path)
    x = torch.randn(100, 16, generator=torch.Generator().manual_seed(1))
    f = ours.encode(x)
    assert 0 < (f > 0).float().mean() < 1
    torch.testing.assert_close(theirs.encode(x), f, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(theirs.decode(f), ours.decode(f), atol=1e-5, rtol=1e-5)
    assert theirs.cfg.architecture() == "standard" and theirs.cfg.apply_b_dec_to_input
    assert theirs.cfg.metadata.hook_name == "blocks.0.mlp.hook_post"
    assert theirs.cfg.metadata.prepend_bos is False and theirs.cfg.metadata.context_size == 64


@pytest.mark.filterwarnings("ignore")
def test_sae_lens_loads_a_dictionary_without_pre_encoder_bias(tmp_path):
    from sae_lens import SAE

    draw = torch.Generator().manual_seed(0)
    own = start(Sae(d_sae=40), 16, torch.randn(16, generator=draw), seed=3)
    save(Variant(pre_bias=False).standard(own), tmp_path, sae=Sae(d_sae=40, pre_bias=False), model=Model(n_ctx=64), name="A")
    x = torch.randn(100, 16, generator=draw)
    f = torch.relu(x @ own.W_enc + own.b_enc)
    theirs = SAE.load_from_disk(tmp_path)
    torch.testing.assert_close(theirs.encode(x), f, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(theirs.decode(f), f @ own.W_dec + own.b_dec, atol=1e-5, rtol=1e-5)
