import numpy as np
import pytest
from scipy import sparse

from replication.features.matrix import EvaluationMatrix, MatrixWriter
from replication.studies.phenomenology.trigrams import Ngrams, search
from replication.studies.token_sums import sums

CONTEXTS, N_CTX, D_VOCAB, FEATURES = 60, 60, 6, 6
TRIGRAM = (1, 2, 3)


@pytest.fixture
def case(tmp_path):
    """Feature 0 fires on the trigram, 1 on its last token, 2 on its last two, 3 on every third place; all strongly.

    Features 4 and 5 fire strongly on the trigram, and faintly: 4 on its last token elsewhere but not after its second one, 5 on its
    last two elsewhere. The last token is frequent, so that 5 hardly fires on it elsewhere.
    """
    rng = np.random.default_rng(4)
    tokens = rng.choice(D_VOCAB, p=[0.12, 0.12, 0.02, 0.5, 0.12, 0.12], size=(CONTEXTS, N_CTX)).astype(np.int32)
    for context in tokens:
        start = rng.integers(N_CTX - 4)
        context[start:start + 3] = TRIGRAM
        start = (start + 5) % (N_CTX - 4)
        context[start:start + 3] = (5, 2, 3)
    fires = np.zeros((CONTEXTS, N_CTX, FEATURES))
    fires[..., 1] = tokens == 3
    fires[:, 1:, 2] = fires[:, 1:, 1] * (tokens[:, :-1] == 2)
    fires[:, 2:, 0] = fires[:, 2:, 2] * (tokens[:, :-2] == 1)
    fires[:, ::3, 3] = True
    fires[..., 4] = 100 * fires[..., 0] + fires[..., 1] * (1 - fires[..., 2])
    fires[..., 5] = 100 * fires[..., 0] + fires[..., 2] * (1 - fires[..., 0])
    dense = (fires.reshape(-1, FEATURES) * rng.uniform(1, 2, (CONTEXTS * N_CTX, FEATURES))).astype(np.float32)
    with MatrixWriter(tmp_path / "m", n_features=FEATURES, contexts=CONTEXTS, n_ctx=N_CTX, shard_contexts=20, dense=False) as writer:
        for start in range(0, CONTEXTS * N_CTX, 20 * N_CTX):
            writer.append(sparse.csr_array(dense[start:start + 20 * N_CTX]))
    matrix = EvaluationMatrix(tmp_path / "m")
    return matrix, tokens, sums(matrix, tokens.ravel().astype(np.int64), D_VOCAB)[1]


def test_only_the_feature_of_the_whole_trigram_is_found(case):
    matrix, tokens, alone = case
    ngrams = Ngrams.of(tokens, D_VOCAB)
    found = search(matrix, tokens, alone, ngrams, np.arange(FEATURES))
    assert found["feature"].tolist() == [0]
    assert ngrams.words(found["trigram"][0], tokens) == list(TRIGRAM)
    assert found.loc[0, ["share", "rate"]].tolist() == [1, 1]
    assert found.loc[0, ["token_elsewhere", "pair_elsewhere"]].tolist() == [0, 0]


def test_the_faint_ones_are_kept_out_by_one_rule_each(case):
    matrix, tokens, alone = case
    ngrams = Ngrams.of(tokens, D_VOCAB)
    triples, pairs = (sums(matrix, kinds, int(kinds.max()) + 1)[1] for kinds in (ngrams.trigram, ngrams.bigram))
    at = np.repeat(ngrams.trigram[np.flatnonzero(triples.mass[[0]].toarray()[0][ngrams.trigram])[0]], 2)
    some = np.array([4, 5])
    assert (triples.share(some, at) > 0.5).all()
    token, pair = alone.rate_elsewhere(some, ngrams.last[at], triples, at), pairs.rate_elsewhere(some, ngrams.pair[at], triples, at)
    assert (token[0] > 0.5, pair[0], token[1] < 0.1, pair[1]) == (True, 0, True, 1)


def test_a_bigram_that_never_comes_otherwise_tells_nothing(case):
    matrix, tokens, alone = case
    tokens = tokens.copy()
    earlier, before = tokens[:, :-2], tokens[:, 1:-1]
    earlier[(before == 2) & (tokens[:, 2:] == 3)] = 1  # now the last two tokens come after the first one only
    assert search(matrix, tokens, alone, Ngrams.of(tokens, D_VOCAB), np.arange(FEATURES)).empty


def test_ngrams_are_numbered_by_their_tokens():
    tokens = np.array([[0, 1, 2, 1], [0, 1, 2, 2], [1, 2, 0, 1]], np.int32)
    ngrams = Ngrams.of(tokens, 3)
    seen = {}
    padded = np.concatenate([np.full((3, 2), -1), tokens], axis=1)
    for place, (trigram, bigram) in enumerate(zip(ngrams.trigram, ngrams.bigram, strict=True)):
        row, column = divmod(place, 4)
        words = tuple(padded[row, column:column + 3].tolist())
        assert seen.setdefault(words, trigram) == trigram
        assert ngrams.pair[trigram] == bigram
        assert ngrams.last[trigram] == words[-1]
    assert len(set(seen.values())) == len(seen)
    assert ngrams.words(ngrams.trigram[2], tokens) == [0, 1, 2]
