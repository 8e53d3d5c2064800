"""Architectures that the paper weighed against its own, as other parameters of the same dictionary.

What is trained is `own`; the step, the losses and the file see `standard(own)`, a dictionary in the paper's form, and its
gradients are carried back by the chain rule:

    no pre-encoder bias    f = relu(W_enc' x + b) is the paper's encoder at b_enc = b + W_enc' b_dec, so
                           dL/dW_enc += b_dec (dL/db_enc)'  and  dL/db_dec += W_enc dL/db_enc
    tied weights           W_enc = W_dec', so  dL/dW_dec += (dL/dW_enc)', and W_enc follows W_dec

Source: paper, appendix "Advice for training sparse autoencoders"; the reparametrisation is ours.
"""

import dataclasses
from dataclasses import dataclass

from replication.sae.dictionary import Dictionary
from replication.sae.step import Step


@dataclass(frozen=True)
class Variant:
    """Whether `b_dec` is taken off before the encoder, and whether the encoder is the decoder's transpose."""

    pre_bias: bool = True
    tied: bool = False

    @property
    def papers(self) -> bool:
        """Whether this is the paper's own architecture, of which `own` is the standard form already."""
        return self.pre_bias and not self.tied

    def standard(self, own: Dictionary) -> Dictionary:
        """The same function of x in the paper's form; shares all tensors but, without the pre-encoder bias, `b_enc`."""
        return own if self.pre_bias else dataclasses.replace(own, b_enc=own.b_enc + own.b_dec @ own.W_enc)

    def own(self, standard: Dictionary) -> Dictionary:
        """The other way: what is trained, from a dictionary in the paper's form. A tied encoder is the decoder's from then on."""
        own = standard if self.pre_bias else dataclasses.replace(standard, b_enc=standard.folded_bias())
        self.settle(own)
        return own

    def pull_back(self, own: Dictionary, found: Step) -> None:
        """Gradients of the standard form's tensors to those of `own`, in place."""
        if not self.pre_bias:
            found.W_enc.T.addr_(found.b_enc, own.b_dec)
            found.b_dec.add_(own.W_enc @ found.b_enc)
        if self.tied:
            found.W_dec.add_(found.W_enc.T)
            found.W_enc.zero_()  # so that Adam leaves the encoder to `settle`

    def settle(self, own: Dictionary) -> None:
        """Let a tied encoder follow its decoder, in place."""
        if self.tied:
            own.encoder_rows().copy_(own.W_dec)
