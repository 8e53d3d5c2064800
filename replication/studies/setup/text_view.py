"""All features of the main dictionary that are on on each token of the fixed texts (problem setup, the interface's text view).

Late in the DNA text is its last quarter, as far as the model's context reaches (ours). The leading feature of a text has the
largest summed activation on the tokens before that. Two texts are drawn: Arabic script and DNA.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.tables import Number, Reader, write

DNA, DRAWN = "dna", ("arabic", "dna")
AT_END = "active_at_end_of_dna", "leading_at_end_of_dna"
LATE = 0.75  # share of a text after which a token is late
SHOWN, FEATURES = 64, 10  # tokens and features that are drawn of a text


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds: a text with its mean number of active features, a drawn token with its own, an active feature on it."""
    assert settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = settings.studies.main
    tokens, on, strings = reader.text_tokens(), reader.texts(main), reader.vocabulary().strings
    rows, parts = [], []
    names = tokens["text"].unique()
    for text in progress.over(names, len(names)):
        of, own = tokens[tokens["text"] == text], on[on["text"] == text]
        rows.append(summary(of, own))
        parts += drawn(of, own, strings) if text in DRAWN else []
    texts = pd.DataFrame(rows)
    absent = {} if parts else {"absent": f"no text is called {' or '.join(DRAWN)}"}
    write(out=out, study="text_view", data=pd.concat([texts.assign(row="text", dictionary=main), *parts], ignore_index=True), numbers=headline(texts),
          settings=settings, reader=reader, stopwatch=stopwatch, missing=dict.fromkeys(AT_END, "no text is called dna"), **absent)


def headline(texts: pd.DataFrame) -> dict[str, Number]:
    """How many texts, active features a token on all of them and late in the DNA text, and how often that text's leading feature is on there."""
    tokens = int(texts["tokens"].sum())
    numbers = {"texts": Number(float(len(texts)), "texts", len(texts), "texts"),
               "active": Number(float(np.average(texts["active"], weights=texts["tokens"])), "features per token", tokens, "tokens")}
    for dna in texts[texts["text"] == DNA].to_dict("records"):
        measured = zip(AT_END, ("features per token", "share of tokens"), (dna["active_late"], dna["leading_late"]), strict=True)
        numbers |= {key: Number(float(value), unit, int(dna["late"]), "tokens") for key, unit, value in measured}
    return numbers


def summary(tokens: pd.DataFrame, on: pd.DataFrame) -> dict[str, object]:
    """A text: tokens, late ones, active features a token on all and on late ones, the leading feature, and the share of late tokens it is on."""
    first = int(np.ceil(LATE * len(tokens)))
    strength = on[on["pos"] < first].groupby("feature")["activation"].sum()
    leading, late = int(strength.idxmax()) if len(strength) else -1, len(tokens) - first
    after = on[on["pos"] >= first]
    return {"text": tokens["text"].iloc[0], "title": tokens["title"].iloc[0], "tokens": len(tokens), "late": late, "active": len(on) / len(tokens),
            "active_late": len(after) / max(late, 1), "leading": leading, "leading_late": int((after["feature"] == leading).sum()) / max(late, 1)}


def drawn(tokens: pd.DataFrame, on: pd.DataFrame, strings: list[str]) -> list[pd.DataFrame]:
    """Tokens of a text, of a long one the first and the last, and its features that are strongest there."""
    length = len(tokens)
    shown = tokens if length <= SHOWN else tokens[(tokens["pos"] < SHOWN // 2) | (tokens["pos"] >= length - SHOWN // 2)]
    active = on.groupby("pos").size().reindex(shown["pos"], fill_value=0)
    here = on[on["pos"].isin(shown["pos"])]
    strength = here.groupby("feature")["activation"].sum().sort_values(ascending=False, kind="stable")
    found = here[here["feature"].isin(strength.index[:FEATURES])]
    said = [json.dumps(strings[token], ensure_ascii=False) for token in shown["token"]]
    return [shown[["text", "pos"]].assign(row="token", string=said, active=active.to_numpy()),
            found[["text", "pos", "feature", "activation", "effect"]].assign(row="on")]
