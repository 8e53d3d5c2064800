"""All features that are on on each token of fixed texts (`paper/texts`), with what ablating each does to the next token.

A text is tokenised as a document of the corpus is, starts at the model's first position and is cut where its context ends. No
end-of-text token stands before it: contexts of the corpus begin anywhere. Source: paper, "Feature interface", the view by text;
the texts are ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from torch import Tensor

from replication import artifacts, compute
from replication.config import Settings, UserError, model_of
from replication.corpus.tokenizer import load as load_tokenizer
from replication.features import NEURONS, STRONGEST
from replication.features.ablation import effects
from replication.features.directions import directions
from replication.features.fired import Dense, Pairs
from replication.model.store import load as load_model
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.sae import load as load_dictionary
from replication.sae import site_of
from replication.sae.dictionary import Dictionary

INDEX = "texts.csv"
ID = re.compile("[a-z0-9_]+")


@dataclass(frozen=True)
class Text:
    """A text, its title, and the name that stands in links."""

    id: str
    title: str
    content: str


def read(folder: Path) -> list[Text]:
    """The texts of a folder, in the order of its index; a last line end is no part of a text. Raises UserError."""
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"{path} is missing; it lists the texts of the text view: id,title")
    index = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(index) != ["id", "title"] or index["id"].duplicated().any():
        raise UserError(f"{path} must have the columns id and title, and each id once")
    found = []
    for name, title in zip(index["id"], index["title"], strict=True):
        if not ID.fullmatch(name):
            raise UserError(f"{path} has the id {name!r}; take lower-case letters, digits and underscores")
        if not (file := folder / f"{name}.txt").is_file():
            raise UserError(f"{path} lists {name}, but {file} is missing; write it or take the line out")
        content = file.read_text(encoding="utf-8").removesuffix("\n")
        if not content:
            raise UserError(f"{file} is empty; write the text or take its line out of {path}")
        found.append(Text(name, title, content))
    return found


def tokens(texts: Sequence[Text], tokenizer: Tokenizer, n_ctx: int) -> list[Int[Tensor, " pos"]]:
    """The tokens of each text, at most a context of them."""
    return [torch.tensor(tokenizer.encode(text.content, add_special_tokens=False).ids[:n_ctx]) for text in texts]


@torch.no_grad()
def active(
    model: Transformer, dictionary: Dictionary | None, site: str, written: Float[Tensor, "feature d_model"], text: Int[Tensor, " pos"],
) -> pd.DataFrame:
    """Rows pos, feature, activation, effect of one text, by position and feature; without a dictionary (and site) the strongest neurons.

    `written` is what features write to the stream. `effect` is missing at the last token, which has no next one here.
    """
    counts, feature, activation = Dense(dictionary)(model.read(text[None], site)[0]) if dictionary else strongest(model.mlp_act(model.resid_mid(text[None]))[0])
    pos = torch.repeat_interleave(torch.arange(len(text), device=text.device), counts)
    inside = pos < len(text) - 1
    effect = torch.full_like(activation, torch.nan)
    effect[inside] = effects(model, model.resid_post(text[None])[0], text.roll(-1), written, pos[inside], feature[inside], activation[inside])
    return pd.DataFrame({"pos": pos.cpu().numpy().astype(np.int32), "feature": feature.cpu().numpy().astype(np.int32),
                         "activation": activation.cpu().numpy(), "effect": effect.cpu().numpy()})


def strongest(mlp_act: Float[Tensor, "pos d_mlp"]) -> Pairs:
    """The neurons that are on most on each token, as `fired.encoder` tells of features."""
    value, place = mlp_act.topk(min(STRONGEST, mlp_act.shape[1]), dim=1)
    kept = torch.zeros_like(mlp_act).scatter_(1, place, value.clamp_min(0))
    pos, neuron = kept.nonzero(as_tuple=True)
    return torch.bincount(pos, minlength=len(mlp_act)), neuron, kept[pos, neuron]


def make(*, settings: Settings, names: Sequence[str], texts: Path, models: Path, dictionaries: Path, corpus: Path, out: Path,
         progress: Progress | None = None) -> None:
    """Write `text_tokens.parquet` (text, title, pos, token) and `texts.parquet` (dictionary, text, pos, feature, activation, effect).

    `names` are dictionaries and neurons, `texts` the folder of the texts. Raises ArtifactError when an upstream file is missing or
    changed, UserError when a text is missing.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.compute
    device = compute.device(settings.compute, progress)
    found = read(texts)
    artifacts.check(corpus, artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
    tokenizer, loaded = load_tokenizer(corpus / artifacts.TOKENIZER), {name: load_model(models / name, device) for name in dict.fromkeys(map(model_of, names))}
    tokenised = tokens(found, tokenizer, min(model.architecture.n_ctx for model in loaded.values()))
    rows = []
    for done, name in enumerate(names, start=1):
        model = loaded[model_of(name)]
        dictionary = None if name.partition("/")[2] == NEURONS else load_dictionary(dictionaries / name, str(device))
        site = site_of(dictionaries / name, model.architecture.n_layers) if dictionary else ""
        written = directions(name, model, dictionaries)
        for text, given in zip(found, tokenised, strict=True):
            on = active(model, dictionary, site, written, given.to(device))
            rows.append(pd.concat([pd.DataFrame({"dictionary": name, "text": text.id}, index=on.index), on], axis=1))
        progress(done, len(names), name)
    files = {"texts": out / artifacts.TEXTS, "tokens": out / artifacts.TEXT_TOKENS}
    artifacts.write_table(files["texts"], pd.concat(rows, ignore_index=True))
    artifacts.write_table(files["tokens"], pd.concat([
        pd.DataFrame({"text": text.id, "title": text.title, "pos": np.arange(len(given), dtype=np.int32), "token": given.numpy().astype(np.int32)})
        for text, given in zip(found, tokenised, strict=True)], ignore_index=True))
    inputs = {"tokenizer": corpus / artifacts.TOKENIZER, "index": texts / INDEX} | {text.id: texts / f"{text.id}.txt" for text in found}
    inputs |= {name: models / name / artifacts.WEIGHTS for name in loaded}
    inputs |= {name: dictionaries / name / artifacts.SAE_WEIGHTS for name in names if name.partition("/")[2] != NEURONS}
    artifacts.write_meta(out, stage="features", settings=settings, files=files, inputs=inputs, stopwatch=stopwatch, device=str(device),
                         name=artifacts.TEXTS_META)
