"""A made-up run for the browser: hostile token texts, every kind of card, any number of features.

`python -m tests.browser.synthetic FOLDER --features 4096` writes one.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from replication.browser import site, tables
from replication.browser.schema import About, Card, Columns, Example, Explanation, Firing, Histogram, Prediction, Relation, Shared, Table, Text

HOSTILE = ["<script>window.attacked=1</script>", "<img src=x onerror=window.attacked=1>", "</script><!--", "<!--<script>", "&lt;b&gt;", "\"'`", "\x00",
           "\u202eevil", "\u2066", "\\xd8", "javascript:window.attacked=1", "${window.attacked=1}", "\u2028", "\ufeff", "מילה", "كلمة", " ", "\n", "\t", "</style>"]
WORDS = ["the", " of", " and", " token", "ACGT", " GATTACA", "==", "\\frac{", " planted", "Zm9v", " return", " self", ".", ",", "<EOT>", "<div", " class", "0x", "ff", " while"]
GROUPS = [0] * 20 + [k for k in range(1, 12) for _ in range(5)] + [12] * 20


def vocabulary(size: int) -> list[str]:
    """Token texts: attacks first, then words, then numbered ones."""
    return [*HOSTILE, *WORDS, *(f" w{k}" for k in range(size))][:size]


def shared(size: int = 1000, contexts: int = 64, n_ctx: int = 64) -> Shared:
    """Texts that all tables share."""
    rng = np.random.default_rng(0)
    texts = [Text("arabic", "Arabic <b>script</b>", list(rng.integers(0, size, 40))), Text("dna", "DNA", list(rng.integers(0, size, 60)))]
    words, evaluation = vocabulary(size), rng.integers(0, size, (contexts, n_ctx)).astype(np.int32)
    evaluation[evaluation == words.index(" planted")] = words.index(" token")  # it stands in the examples of one feature and nowhere else
    return Shared(words, evaluation, [Text(t.id, t.title, [int(i) for i in t.tokens]) for t in texts])


def table(name: str, features: int, common: Shared, *, others: tuple[str, ...] = (), full: bool = True) -> Table:
    """A table; every seventh feature is dead, every eleventh rare, and each fifth has explanations. Not `full`: few examples, for large tables."""
    rng = np.random.default_rng(len(name) * 31 + features)
    size = len(common.vocabulary)
    number = np.arange(features)
    dead, low = number % 7 == 6, number % 11 == 5
    unknown = np.full(features, np.nan, dtype=np.float32)
    neurons = name.endswith("/neurons")

    def known(values: np.ndarray) -> np.ndarray:
        return np.where(dead, np.nan, values).astype(np.float32)

    columns = Columns(
        density=np.where(dead, 0, 10 ** rng.normal(-3, 0.7, features)).astype(np.float32), max=np.where(dead, 0, rng.gamma(3, 1, features)).astype(np.float32),
        bias=unknown if neurons else rng.normal(-0.3, 0.2, features).astype(np.float32), spearman=np.where(number % 5 == 0, known(rng.random(features)), np.nan).astype(np.float32),
        logit_score=np.where(number % 5 == 0, known(rng.random(features)), np.nan).astype(np.float32), universality=known(rng.random(features)),
        x=unknown if neurons else known(rng.normal(size=features)), y=unknown if neurons else known(rng.normal(size=features)),
        cluster=np.where(dead, -1, rng.integers(-1, 20, features)).astype(np.int16), part=np.select([dead, low], [0, 1], 2).astype(np.uint8),
        single_token=(number % 3 == 0).astype(np.uint8), fires=np.where(dead[:, None], -1, rng.integers(0, size, (features, 3))).astype(np.int32),
        up=rng.integers(0, size, (features, 3)).astype(np.int32))
    texts = {text.id: [Firing(pos, int(f), float(rng.random() + 0.1), None if pos == len(text.tokens) - 1 else float(rng.normal(0, 0.2)))
                       for pos in range(len(text.tokens)) for f in rng.choice(features, min(5, features), replace=False)] for text in common.texts}
    return Table(name, "neurons" if neurons else "features", columns, cards(columns, common, rng, others, name, full=full),
                 predictions(features, size, rng) if full else (), texts)


def cards(columns: Columns, common: Shared, rng: np.random.Generator, others: tuple[str, ...], name: str, *, full: bool) -> Iterator[Card]:
    """Cards in order. Feature 3 fires on " planted" only."""
    size, features = len(common.vocabulary), len(columns.density)
    planted = common.vocabulary.index(" planted")
    for feature in range(features):
        dead = columns.part[feature] == 0
        groups = [] if dead else GROUPS if full and feature % 11 != 5 else GROUPS[:6]
        examples = []
        for group in groups:
            context, pos = int(rng.integers(len(common.contexts))), int(rng.integers(common.contexts.shape[1]))
            left, right = min(4, pos), min(4, common.contexts.shape[1] - 1 - pos)
            tokens = common.contexts[context, pos - left:pos + right + 1].tolist()
            if feature == 3:
                context, tokens[left] = -1, planted
            strength = float(columns.max[feature]) * (1 if group == 0 else (12 - group) / 12 if group < 12 else 0.01)
            fired = [(0, strength), *((place, strength * 0.4) for place in (-1, 2) if -left <= place <= right), (right + 3, strength * 0.2)]
            effects = [(place + 1, float(rng.normal(0, 0.3))) for place, _ in fired if place + 1 <= right]
            examples.append(Example(group, context, pos, len(examples) % 17 == 16, -left, tokens, sorted(fired), sorted(effects)))
        counts = rng.integers(0, 50, 40).tolist()
        weights = np.sort(rng.normal(0, 0.3, 20))[::-1]
        pick = rng.integers(0, size, 20).tolist()
        relations = [] if dead else [Relation("decoder", name, int(rng.integers(features)), float(rng.random())) for _ in range(5)]
        for kind, other in zip(("match", "parent", "child", "neuron", "weight", "matched_by"), others, strict=False):
            relations.append(Relation(kind, other, int(rng.integers(8)), float(rng.random()), float(rng.random())))
        said = [Explanation("ngram", f"fires on {WORDS[feature % len(WORDS)]!r} <i>and</i> after \u202e it", 0.7, 0.8, 0.6, -0.02, [None, *[0.5] * 10], ""),
                Explanation("llm", "", None, None, None, None, [], "reply was late")] if feature % 5 == 0 and not dead else []
        yield Card(feature, None if dead else Histogram(counts, np.linspace(0, float(columns.max[feature]), 41).tolist()),
                   Histogram(counts, np.linspace(-1, 1, 41).tolist()), [(t, float(w)) for t, w in zip(pick[:10], weights[:10], strict=True)],
                   [(t, float(w)) for t, w in zip(pick[10:], weights[:9:-1], strict=True)], examples, relations, said,
                   [("Arabic script", 0.61)] if feature == 0 else [], [("dna", 2.5)] if feature % 4 == 0 and common.texts else [])


def predictions(features: int, size: int, rng: np.random.Generator) -> Iterator[tuple[int, list[Prediction]]]:
    """Windows that explanations were scored on."""
    for feature in range(0, features, 5):
        if feature % 7 != 6:
            yield feature, [Prediction("top" if k < 6 else "random", -4, rng.integers(0, size, 9).tolist(), rng.integers(0, 10, 9).tolist(),
                                       {"ngram": rng.integers(0, 10, 9).tolist()}) for k in range(12)]


def made(common: Shared, features: int, *, full: bool = True) -> list[Table]:
    """A/1, a smaller A/0, A/neurons."""
    return [table("A/1", features, common, others=("A/0", "A/0", "A/0", "A/neurons", "A/neurons", "A/0"), full=full),
            table("A/0", min(features, 64), common, others=("A/1",)), table("A/neurons", 32, common, others=("A/1",))]


def write(folder: Path, features: int = 256, size: int = 1000, *, full: bool = True) -> None:
    """A whole browser."""
    common = shared(size)
    write_page(common, [tables.write(one, size, folder / "data") for one in made(common, features, full=full)], folder)


def write_page(common: Shared, entries: list[tables.Entry], folder: Path) -> None:
    """What stands beside the tables."""
    site.write_shared(common, folder / "data")
    sizes = {**{entry.name: entry.features for entry in entries if entry.kind == "features"}, "A/2": 8192}
    rows = [{"name": name, "table": name != "A/2", "d_sae": n, "l1": 0.007, "l1_summed": 1.8, "l0": 10.3, "recovered": 0.9, "dead": n // 7, "ultralow": n // 11, "seed": 0,
             "commit": "0123456789ab", "config": "abcdefabcdef", "vectors": 6029312, "shuffled": name.startswith("random")} for name, n in sorted(sizes.items())]
    facts = {"seed": "0", "corpus": "synthetic <b>text</b>", "evaluation tokens": "4,096", "version": "0.1.0"}
    site.write_page(About("synthetic", facts, rows, [("report", "../report.html"), ("ledger", "../claims.html")]), common, entries, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=1000)
    parser.add_argument("--few", action="store_true", help="few examples of each feature")
    given = parser.parse_args()
    write(given.folder, given.features, given.vocabulary, full=not given.few)
