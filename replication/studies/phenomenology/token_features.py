"""How many features serve one token (paper, "Feature splitting": token features).

A feature serves the token on which most of its activation falls on half 0, if at least half of its activation falls on it on
half 1 too. Counted for the commonest tokens in every size of dictionary; then what the features of one token look like, which
features answer to a trigram, to " P" as the first token of a word, to 19 after COVID-. Over features neither dead nor ultralow.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.detailed import windows
from replication.studies.detailed.activations import Activations
from replication.studies.intervals import arm_of, arm_of_all, estimate, exact
from replication.studies.phenomenology.trigrams import Ngrams, search
from replication.studies.replicates import base, groups, lacking, ladder, sibling
from replication.studies.tables import Number, Reader, number, write
from replication.studies.token_sums import Numbers, Sums, Values, sums

COMMON = 20
NAMED = {"the": " the", "a": " a", "of": " of", "stop": "."}
LETTER, COVID, NINETEEN = " P", "COVID-", "19"
HALF = 0.5
FEWEST = 20  # tokens of a kind below which it cannot be said whether a feature serves it
SHOWN = {"0": 1, "1": 3, "2": 2}  # features of one token that the figure shows, by dictionary
WORD_FEATURES = 3  # that a word needs to be shown
TRIGRAMS = 3  # features of one dictionary that are shown
LOGITS = 3
SIDE, CANDIDATES = 8, 200  # tokens on each side of a window; places among which one with a new text is sought

Rows = list[dict[str, object]]


class Found:
    """What one dictionary has: which token each live feature serves, and how much of it falls there."""

    def __init__(self, table: pd.DataFrame, both: tuple[Sums, Sums]) -> None:
        self.features: Numbers = np.flatnonzero(table["part"].to_numpy() == "other")
        chosen, reported = both
        self.token: Numbers = chosen.strongest[self.features]
        self.share: Values = reported.share(self.features, self.token)
        self.strict = table["single_token"].to_numpy(bool)[self.features]

    @property
    def serves(self) -> np.ndarray:
        """Whether a feature serves its token."""
        return self.share >= HALF

    def counts(self, d_vocab: int) -> Numbers:
        """Features that serve each token [d_vocab]."""
        return np.bincount(self.token[self.serves], minlength=d_vocab)


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`row`): counts by dictionary and token, features of one token with a window each, trigram features."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    vocabulary, tokens = reader.vocabulary(), reader.tokens()
    strings, flat = vocabulary.strings, tokens.ravel().astype(np.int64)
    main, saes = settings.studies.main, settings.dictionaries
    common = np.argsort(-vocabulary.counts.numpy(), kind="stable")[:COMMON]
    ngrams = Ngrams.of(tokens, len(strings))
    kinds = {"nineteen": positions(tokens, strings, NINETEEN, before=COVID), "p_first_token": first_tokens(tokens, strings, LETTER)}
    found, rows, counted = {}, [], {}
    triples: dict[str, pd.DataFrame] = {}
    for name, sae in progress.over(saes.items(), len(saes)):
        matrix = reader.matrix(name)
        both = sums(matrix, flat, len(strings))
        found[name] = item = Found(reader.features(name, "part", "single_token"), both)
        counts = item.counts(len(strings))
        rows += [{"row": "count", "dictionary": name, "group": base(name, saes), "d_sae": sae.d_sae, "live": len(item.features),
                  "token": strings[token], "rank": rank if rank < len(common) else -1, "count": int(counts[token])}
                 for rank, token in enumerate(dict.fromkeys([*common.tolist(), *ids(strings).values()]))]
        counted[name] = served(matrix, item.features, kinds)
        if name == base(name, saes):
            triples[name] = search(matrix, tokens, both[1], ngrams, item.features)
    table = {name: item.counts(len(strings)) for name, item in found.items()}
    numbers = headline(table, found, common, strings, settings) | special(counted, triples, found, settings)
    for token in clearest(common, strings, found[main]):
        rows += shown(reader, found, token, tokens, strings, settings)
    rows += phrases(reader, triples, ngrams, tokens, strings)
    write(out=out, study="token_features", data=pd.DataFrame(rows), numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=absent(strings, kinds, settings))


def ids(strings: list[str]) -> dict[str, int]:
    """Ids of the named tokens that the vocabulary has."""
    place = {string: token for token, string in reversed(list(enumerate(strings)))}
    return {key: place[string] for key, string in NAMED.items() if string in place}


def positions(tokens: np.ndarray, strings: list[str], token: str, *, before: str) -> np.ndarray:
    """Which tokens [token] are `token` right after the text `before`, in the same context."""
    found = np.zeros(tokens.shape, dtype=bool)
    wanted = np.isin(tokens, [k for k, string in enumerate(strings) if string == token])
    for context, place in zip(*np.nonzero(wanted), strict=True):
        text = "".join(strings[k] for k in tokens[context, max(0, place - len(before)):place])
        found[context, place] = text.endswith(before)
    return found.ravel()


def first_tokens(tokens: np.ndarray, strings: list[str], token: str) -> np.ndarray:
    """Which tokens [token] are `token` with a letter next, so that a word begins with it."""
    letters = np.array([string[:1].isalpha() for string in strings])
    found = np.zeros(tokens.shape, dtype=bool)
    found[:, :-1] = np.isin(tokens[:, :-1], [k for k, string in enumerate(strings) if string == token]) & letters[tokens[:, 1:]]
    return found.ravel()


def served(matrix: EvaluationMatrix, features: Numbers, kinds: dict[str, np.ndarray]) -> dict[str, int]:
    """How many features have at least half of their activation, on both halves, on tokens of a kind; kinds do not overlap."""
    code = np.zeros(matrix.tokens, dtype=np.int64)
    for index, places in enumerate(kinds.values(), start=1):
        code[places] = index
    both = sums(matrix, code, len(kinds) + 1)
    shares = {key: [half.share(features, np.full_like(features, index)) for half in both] for index, key in enumerate(kinds, start=1)}
    return {key: int((np.min(of, axis=0) >= HALF).sum()) for index, (key, of) in enumerate(shares.items(), start=1)
            if both[1].tokens[index] >= FEWEST}


def headline(counts: dict[str, Numbers], found: dict[str, Found], common: Numbers, strings: list[str],
             settings: Settings) -> dict[str, Number]:
    """Features for named tokens, single-token features, and growth from size to size."""
    assert settings.dictionaries and settings.studies
    members = groups(settings.dictionaries)
    numbers = {}
    for group, names in members.items():
        suffix = group.replace("/", "_")
        for key, token in ids(strings).items():
            numbers[f"{key}_{suffix}"] = whole([int(counts[name][token]) for name in names], len(found[group].features))
        strict = [int((found[name].serves & found[name].strict).sum()) for name in names]
        numbers[f"strong_single_token_{suffix}"] = whole(strict, len(found[group].features))
        numbers[f"share_serving_{suffix}"] = number(
            estimate(arm_of_all(share, [found[name].serves for name in names], settings, f"token_features.{group}")),
            unit="share of live features", n=min(len(found[name].features) for name in names), over="live features")
    for step, (low, high) in ladder(settings.studies.main).items():
        if low in members and high in members:
            arms = [arm_of(share, [counts[name][common] for name in members[group]], settings, f"token_features.growth_{step}")
                    for group in (high, low)]
            numbers[f"growth_{step}"] = number(estimate(*arms), unit="features per token", n=len(common), over="tokens")
    return numbers


def share(sample: np.ndarray) -> float:
    """The mean."""
    return float(np.mean(sample)) if len(sample) else 0.0


def whole(counts: list[int], n: int) -> Number:
    """A number of features, over replicates."""
    return number(estimate(exact(counts)), unit="features", n=n, over="live features")


def special(counted: dict[str, dict[str, int]], triples: dict[str, pd.DataFrame], found: dict[str, Found],
            settings: Settings) -> dict[str, Number]:
    """Features for 19 after COVID-, for the first token of words and for trigrams: of each dictionary, the last two also of all sizes.

    The paper says of these two that some features exist and not in which dictionary.
    """
    assert settings.dictionaries
    members = groups(settings.dictionaries)
    numbers: dict[str, Number] = {}
    for group, names in members.items():
        suffix, n = group.replace("/", "_"), len(found[group].features)
        numbers |= {f"{key}_{suffix}": whole([counted[name][key] for name in names], n) for key in counted[group]}
        numbers[f"trigram_features_{suffix}"] = whole([len(triples[group])], n)
    live = sum(len(found[group].features) for group in members)
    numbers["trigram_features"] = whole([sum(map(len, triples.values()))], live)
    if all("p_first_token" in counted[group] for group in members):
        numbers["p_first_token"] = whole([sum(counted[group]["p_first_token"] for group in members)], live)
    return numbers


def absent(strings: list[str], kinds: dict[str, np.ndarray], settings: Settings) -> dict[str, str]:
    """Why some numbers cannot be given by this run."""
    assert settings.dictionaries and settings.studies
    main, saes = settings.studies.main, settings.dictionaries
    seen = {key: int(places.sum()) for key, places in kinds.items()}
    why = {"nineteen_A_2": f"the evaluation text has {seen['nineteen']} tokens 19 after COVID-, too few",
           "p_first_token": f"the evaluation text has {seen['p_first_token']} words that begin with a token \" P\" of their own, too few"}
    for key in NAMED.keys() - ids(strings).keys():
        why |= {f"{key}_{group.replace('/', '_')}": f"the vocabulary has no token {NAMED[key]!r}" for group in groups(saes)}
    for short in ("0", "2", "4"):
        name = sibling(main, short)
        if name not in saes:
            keys = [*NAMED, "strong_single_token", "nineteen"]
            why |= {f"{key}_{name.replace('/', '_')}": f"the run has no {name}" for key in keys}
    return why | lacking(main, saes, "growth")


def clearest(common: Numbers, strings: list[str], found: Found) -> list[int]:
    """Of the common tokens the word and the token of any kind that most features of the main dictionary serve."""
    counts = np.bincount(found.token[found.serves], minlength=len(strings))[common]
    words = np.array([strings[token].startswith(" ") and strings[token].strip().isalpha() for token in common]) & (counts >= WORD_FEATURES)
    ranked = [np.where(words, counts, -1).argmax()] * bool(words.any()) + [counts.argmax()] * bool(counts.any())
    return [int(common[place]) for place in dict.fromkeys(ranked)]


def shown(reader: Reader, found: dict[str, Found], token: int, tokens: np.ndarray, strings: list[str], settings: Settings) -> Rows:
    """The features that serve one token, largest share first, each with one window of text."""
    assert settings.studies
    rows: Rows = []
    for short, most in SHOWN.items():
        name = sibling(settings.studies.main, short)
        if name not in found:
            continue
        item = found[name]
        own = np.flatnonzero(item.serves & (item.token == token))
        own = own[np.argsort(-item.share[own], kind="stable")][:most]
        texts = examples(reader, name, item.features[own], [[token]] * len(own), tokens, strings)
        rows += [{**text, "row": "window", "token": strings[token], "share": float(item.share[place])}
                 for place, text in zip(own, texts, strict=True)]
    return rows


def phrases(reader: Reader, triples: dict[str, pd.DataFrame], ngrams: Ngrams, tokens: np.ndarray, strings: list[str]) -> Rows:
    """Trigram features of every dictionary, the clearest ones with a window of text."""
    rows: Rows = []
    for name, table in triples.items():
        words = [ngrams.words(int(trigram), tokens) for trigram in table["trigram"]]
        texts = examples(reader, name, table["feature"].to_numpy()[:TRIGRAMS], words[:TRIGRAMS], tokens, strings)
        for rank, row in enumerate(table.drop(columns="trigram").to_dict("records")):
            rows.append({"dictionary": name, **(texts[rank] if rank < len(texts) else {}), **row, "row": "trigram",
                         "token": said([strings[token] for token in words[rank]])})
    return rows


def examples(reader: Reader, name: str, features: Numbers, endings: list[list[int]], tokens: np.ndarray, strings: list[str]) -> Rows:
    """Where each feature fires most at the end of its phrase on half 1, with its strongest logits; texts differ where they can."""
    if not len(features):
        return []
    active = Activations.of(reader.matrix(name), features)
    logits = reader.features(name, "top_tokens")["top_tokens"]
    rows: Rows = []
    used: set[str] = set()
    for feature, phrase in zip(features.tolist(), endings, strict=True):
        values = active[feature]
        places = ending(active.fires(feature), phrase, tokens)
        strongest = places[np.argsort(-values[places], kind="stable")][:CANDIDATES]
        texts = [windows.row(int(place), tokens, strings, {"values": values}, SIDE) for place in strongest]
        row: dict[str, object] = {"dictionary": name, "feature": feature, "logits": said(logits[feature][:LOGITS])}
        for text in sorted(texts, key=lambda text: text["tokens"] in used)[:1]:
            used.add(text["tokens"])
            row |= text
        rows.append(row)
    return rows


def ending(places: Numbers, phrase: list[int], tokens: np.ndarray) -> Numbers:
    """Those of some flat token numbers, of half 1, at which a phrase ends inside its text."""
    n_ctx, flat = tokens.shape[1], tokens.reshape(-1)
    kept = places[(places // n_ctx % 2 == 1) & (places % n_ctx >= len(phrase) - 1)]
    same = [flat[kept - back] == token for back, token in enumerate(reversed(phrase))]
    found: Numbers = kept[np.all(same, axis=0)]
    return found


def said(strings: Sequence[str]) -> str:
    """A list of texts as one cell of a table."""
    return json.dumps(list(strings), ensure_ascii=False)
