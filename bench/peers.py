"""The peers' own training steps, driven as their own training loops drive them."""

import sys
from pathlib import Path

from bench.cases import LR, Case
from bench.steps import BETAS, Subject

STUBS = Path(__file__).parent / "stubs"
MANY = 10**9  # samples or steps that a peer is told to train for; only schedules, which are off, would use it


def sae_lens(case: Case) -> Subject:
    """SAELens: `SAETrainer.step` on a `StandardTrainingSAE`.

    Autograd through encoder, decoder and an L1 weighted by decoder norms: six dense products, the sixth for the tied bias, and a dozen passes
    over batch x d_sae, firing statistics among them; gradient clipping; torch's plain Adam; schedulers. No unit norm, no projection.
    """
    import torch
    from sae_lens import StandardTrainingSAE, StandardTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    device = str(case.batches[0].device)
    sae = StandardTrainingSAE(StandardTrainingSAEConfig(
        d_in=case.d_in, d_sae=case.d_sae, l1_coefficient=case.l1 * case.d_in, apply_b_dec_to_input=True, device=device))
    with torch.no_grad():  # copied in place, so that their tensors lie in memory as they lay them
        for name, tensor in case.dictionary.tensors().items():
            getattr(sae, name).copy_(tensor)
    config = SAETrainerConfig(total_training_samples=MANY, train_batch_size_samples=len(case.batches[0]), lr=LR, lr_end=LR,
                              adam_beta1=BETAS[0], adam_beta2=BETAS[1], device=device)
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=iter(case.batches))
    return Subject(trainer.step, torch.no_grad()(sae.encode))


def dictionary_learning(case: Case) -> Subject:
    """dictionary_learning: `StandardTrainer.update`, without warm-up and resampling.

    Autograd through encoder and decoder: six dense products, the sixth for the tied bias; the decoder gradient's parallel part off, torch's plain
    Adam, unit norm. The encoder's weight is a transposed view, as they make it.
    """
    import torch

    if str(STUBS) not in sys.path:
        sys.path.append(str(STUBS))  # last, so that an nnsight that is installed comes first
    from dictionary_learning.trainers.standard import StandardTrainer

    # without its scheduler's warm-up, whose first rate is 0
    trainer = StandardTrainer(steps=MANY, activation_dim=case.d_in, dict_size=case.d_sae, layer=0, lm_name="bench", lr=LR, l1_penalty=case.l1 * case.d_in,
                              warmup_steps=0, sparsity_warmup_steps=None, resample_steps=None, seed=0, device=str(case.batches[0].device))
    found = case.dictionary
    with torch.no_grad():
        for target, tensor in ((trainer.ae.encoder.weight, found.W_enc.T), (trainer.ae.encoder.bias, found.b_enc),
                               (trainer.ae.decoder.weight, found.W_dec.T), (trainer.ae.bias, found.b_dec)):
            target.copy_(tensor)
    done = 0

    def step(x: torch.Tensor) -> None:
        nonlocal done
        trainer.update(done, x)
        done += 1

    return Subject(step, torch.no_grad()(trainer.ae.encode))
