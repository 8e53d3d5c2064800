"""Attribution: how far a feature raises the logit of the token that really comes next.

    a_i(t) = f_i(t) w_i(s_{t+1}),    f_i activation, w_i logit weights, s_{t+1} the next token

in units of logits, up to the last layer norm's scale, which is left out as in logit weights; zero at a text's last token
and where the next token is one of those that logit weights leave out. Source: paper, sections on universality ("activation
x logit weight of the next token") and finite state automata.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from replication.config import Settings, model_of
from replication.features.logit_weights import BLOCK, Readout
from replication.features.logit_weights import written as residual
from replication.studies.tables import Reader

AT_ONCE = 2**13  # pairs of a token and a feature whose vectors exist at one time: a few MB, so that they stay in the cache
NONE = -1
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Attribution:
    """The way from features to logits: `written` [feature, d_model] and the `median` logit weight [feature]; `read` [kept, d_model] of
    the tokens that are kept, `place` [d_vocab] of a token among them.
    """

    written: NDArray[np.float32]
    median: NDArray[np.float32]
    read: NDArray[np.float32]
    place: Ids

    @staticmethod
    @torch.no_grad()
    def of(readout: Readout, directions: Tensor, d_vocab: int) -> "Attribution":
        """From directions [feature, d_model] in the residual stream."""
        medians = [(some @ readout.matrix).median(dim=1).values for some in directions.split(readout.block)]
        place = np.full(d_vocab, NONE, dtype=np.int64)
        place[readout.kept.numpy()] = np.arange(len(readout.kept))
        return Attribution(directions.numpy(), torch.cat(medians).numpy(), np.ascontiguousarray(readout.matrix.numpy().T), place)

    def weights(self, feature: Ids, token: Ids) -> NDArray[np.float32]:
        """Logit weights of pairs of a feature and a token [pair], 0 for a token that is left out or none (-1)."""
        place = np.where(token == NONE, NONE, self.place[token])
        found = np.zeros(len(token), dtype=np.float32)
        entries = np.flatnonzero(place != NONE)
        for some in np.split(entries, np.arange(AT_ONCE, len(entries), AT_ONCE)):
            i = feature[some]
            found[some] = np.einsum("pd,pd->p", self.written[i], self.read[place[some]]) - self.median[i]
        return found

    def rank(self, feature: Ids, token: Ids) -> Ids:
        """How many tokens have a larger logit weight [pair]; of a token that is left out, all."""
        found = np.full(len(token), len(self.read), dtype=np.int64)
        kept, at_once = np.flatnonzero(self.place[token] != NONE), max(1, BLOCK // len(self.read))
        for some in np.split(kept, np.arange(at_once, len(kept), at_once)):
            weights = self.written[feature[some]] @ self.read.T
            found[some] = (weights > weights[np.arange(len(some)), self.place[token[some]]][:, None]).sum(1)
        return found

    def __call__(self, activations: sparse.csr_array, next_token: Ids, features: Ids | None = None) -> sparse.csr_array:
        """Attribution [token, feature] where features are active, an entry for each activation.

        `next_token` [token] is -1 where a text ends; `features` says which features the columns are, all by default.
        """
        token = next_token[np.repeat(np.arange(activations.shape[0]), np.diff(activations.indptr))]
        feature = activations.indices if features is None else features[activations.indices]
        data = activations.data * self.weights(feature.astype(np.int64), token)
        return sparse.csr_array((data, activations.indices, activations.indptr), shape=activations.shape)


def following(tokens: NDArray[np.int32]) -> Ids:
    """The token after each token [token] of contexts [context, n_ctx], -1 after the last one of a context."""
    found = np.full(tokens.shape, NONE, dtype=np.int64)
    found[:, :-1] = tokens[:, 1:]
    return found.ravel()


@torch.no_grad()
def attribution(reader: Reader, settings: Settings, name: str) -> Attribution:
    """The attribution of a dictionary's features."""
    assert settings.features
    model, counts = reader.model(model_of(name)), reader.vocabulary().counts
    readout = Readout.of(model, counts, rare_token=settings.features.rare_token)
    return Attribution.of(readout, residual(model, settings.site(name), torch.from_numpy(reader.weights(name)["W_dec"])), len(counts))
