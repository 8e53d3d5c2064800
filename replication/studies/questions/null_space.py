"""How much of a dictionary lies where the rest of the network cannot see it.

Shares of squared norm in the null space of the MLP's output weights (`visible`): of decoder and encoder rows, of single neurons, of
random directions, of directions drawn with the activations' covariance, and, on the reporting half of the evaluation tokens, of the
activations' variance and of the reconstruction error. Features are those that fired and are not ultralow; intervals are over features
or texts, and over replicates. Source: ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.losses import batches
from replication.features.matrix import HALVES, REPORTING
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.sae.dictionary import Dictionary
from replication.studies.intervals import Arm, arm_of, by_text, estimate, random, resampled_sums
from replication.studies.questions.visible import Visible
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

SITE = "mlp_act"
TOKENS = 16_384  # on which activations and errors are measured
DIRECTIONS = 10_000  # random ones of each kind
SPLICED = 8  # contexts on which the logits are computed
PAIRS = 2**24  # token-feature pairs that exist at one time
SHARE, TIMES, OVER = "share of squared norm", "times a random direction", "features neither dead nor ultralow"
LEDGER = ("random_invisible_share", "random_minus_decoder", "data_like_minus_decoder", "encoder_minus_decoder", "error_minus_data", "plain_minus_weighted")
CONTROLS = ("random", "data_like", "neuron")
BINS = np.linspace(0, 1, 101)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Vectors:
    """Of one model: activations `x` [token, d_mlp] of whole contexts of `tokens`, these of texts `sources` [context], and what the rest of it sees of them."""

    model: Transformer
    tokens: torch.Tensor
    sources: NDArray[np.int64]
    x: torch.Tensor
    visible: Visible

    def energy(self, vectors: Floats) -> Floats:
        """Energy [text, (invisible, whole, written)] of vectors [token, d_mlp], summed over the tokens of each text.

        `written` is the squared norm after W_out, over its mean for random directions of unit norm.
        """
        whole = np.square(vectors).sum(1)
        seen = np.square(vectors @ self.visible.basis).sum(1)
        sums = np.stack([whole - seen, whole, self.visible.gain(vectors) * whole], axis=1)
        return by_text(np.nan_to_num(sums).reshape(len(self.tokens), -1, sums.shape[1]).sum(1), self.sources)


@dataclass(frozen=True)
class Found:
    """Of one dictionary: invisible `shares` by set of directions; of its live features `weight` (density times mean activation), `gain` by
    set and the share that moves the stream's mean alone; and the energy of its `error`.
    """

    shares: Mapping[str, Floats]
    weight: Floats
    gain: Mapping[str, Floats]
    only_mean: Floats
    error: Floats


@torch.no_grad()
def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows `histogram` (of shares, by dictionary and set of directions) and `share` (means with intervals, by group and set)."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader, main = Stopwatch(), Reader(layout), settings.studies.main
    site = settings.site(main)
    if not site.startswith(SITE):
        why = f"the main dictionary describes {site} and not the activations of an MLP"
        write(out=out, study="null_space", data=pd.DataFrame([{"dictionary": main}]), numbers={}, settings=settings, reader=reader, stopwatch=stopwatch,
              missing=dict.fromkeys(LEDGER, why), absent=why)
        return
    names = list(settings.dictionaries)
    vectors = {model: activations(reader.model(model), reader.tokens(), reader.sources(), site) for model in dict.fromkeys(map(model_of, names))}
    found = {name: examine(reader, name, vectors[model_of(name)]) for name in progress.over(names, len(names))}
    controls = control(vectors[model_of(main)], settings)
    members = groups(settings.dictionaries)
    shares = {group: estimates([found[name] for name in of], vectors[model_of(group)], settings) for group, of in members.items()}
    numbers = headline([found[name] for name in members[main]], vectors[model_of(main)], controls, settings)
    numbers |= {f"{what}_invisible_share_{group.replace('/', '_')}": value for group, of in shares.items() for what, value in of.items()}
    numbers |= functional(vectors[model_of(main)], reader.sae(main), site, settings)
    missing = dict.fromkeys(LEDGER, "no feature is neither dead nor ultralow") | {
        "random_invisible_share": "the model has not four neurons for each dimension of the stream"}
    data = pd.concat([histograms(found, controls, settings), summaries(shares, vectors, settings)], ignore_index=True)
    write(out=out, study="null_space", data=data, numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch, missing=missing)


def activations(model: Transformer, tokens: NDArray[np.int32], sources: NDArray[np.int64], site: str) -> Vectors:
    """Activations at a site on contexts spread evenly over the reporting half."""
    half = np.arange(REPORTING, len(tokens), len(HALVES))
    chosen = half[np.linspace(0, len(half) - 1, min(len(half), max(1, TOKENS // tokens.shape[1]))).astype(int)]
    some = torch.from_numpy(tokens[chosen])
    x = torch.cat([model.read(batch, site).flatten(0, 1) for _, batch in batches(some, model, shard_contexts=len(some))])
    return Vectors(model, some, sources[chosen], x, Visible.of(model.layer(model.place(site)[1]).mlp.W_out.detach().numpy()))


def examine(reader: Reader, name: str, vectors: Vectors) -> Found:
    """Shares of one dictionary's directions, and the energy of its error."""
    table, dictionary, visible = reader.features(name, "density", "mean_on", "part"), reader.sae(name), vectors.visible
    live, ultralow = ((table["part"] == part).to_numpy() for part in ("other", "ultralow"))
    decoder, encoder = dictionary.W_dec.numpy(), dictionary.W_enc.numpy().T
    shares = {"decoder": visible.invisible(decoder[live]), "encoder": visible.invisible(encoder[live]), "ultralow": visible.invisible(decoder[ultralow])}
    gain = {"decoder": visible.gain(decoder[live]), "encoder": visible.gain(encoder[live])}
    weight = (table["density"] * table["mean_on"]).to_numpy(float)[live]
    return Found(shares, weight, gain, visible.only_mean(decoder[live]), vectors.energy(errors(dictionary, vectors.x)))


def errors(dictionary: Dictionary, x: torch.Tensor) -> Floats:
    """What is left of x, x - xhat [token, d_mlp], a few tokens at a time."""
    parts = x.split(max(1, PAIRS // dictionary.W_enc.shape[1]))
    return torch.cat([part - dictionary.decode(dictionary.encode(part)) for part in parts]).double().numpy()


def centred(vectors: Vectors) -> Floats:
    """The activations [token, d_mlp] minus their mean over tokens."""
    x = vectors.x.double()
    return np.asarray((x - x.mean(0)).numpy())


def control(vectors: Vectors, settings: Settings) -> dict[str, Floats]:
    """Invisible shares of random directions, of directions drawn with the activations' covariance (and their gain), and of single neurons."""
    rng, x = generator(settings.seed, "studies.null_space.directions"), centred(vectors)
    drawn = rng.standard_normal((DIRECTIONS, x.shape[1]))
    values, axes = np.linalg.eigh(x.T @ x / len(x))
    like = (rng.standard_normal((DIRECTIONS, x.shape[1])) * np.sqrt(np.maximum(values, 0))) @ axes.T
    return {"random": vectors.visible.invisible(drawn), "data_like": vectors.visible.invisible(like),
            "neuron": vectors.visible.invisible(np.eye(x.shape[1])), "data_like_gain": vectors.visible.gain(like)}


def mean(sample: Floats) -> float:
    """The mean."""
    return float(sample.mean())


def spread_of(sample: Floats) -> float:
    """The standard deviation."""
    return float(sample.std())


def weighted(sample: Floats) -> float:
    """Mean of the first column with the second as weight."""
    return float((sample[:, 0] * sample[:, 1]).sum() / sample[:, 1].sum()) if sample[:, 1].sum() > 0 else float("nan")


def ratio(energies: Sequence[Floats], settings: Settings, columns: tuple[int, int] = (0, 1)) -> Arm:
    """The arm of a ratio of energies [text, column], an entry per replicate; texts are drawn alike for all."""
    assert settings.studies
    top, bottom = columns
    sums = [resampled_sums(energy, settings.studies.bootstrap, random(settings, "null_space.texts")) for energy in energies]
    values = np.array([energy[:, top].sum() / energy[:, bottom].sum() for energy in energies])
    return Arm(values, np.array([drawn[:, top] / drawn[:, bottom] for drawn in sums]))


def difference(plus: Arm, minus: Arm) -> Arm:
    """The arm of a paired difference: of the same replicates and resamples."""
    return Arm(plus.values - minus.values, plus.draws - minus.draws)


def over_features(samples: Sequence[Floats], settings: Settings) -> Arm:
    """The arm of a mean over features, the same features drawn whatever is averaged."""
    return arm_of(mean, list(samples), settings, "null_space.features")


def fixed(sample: Floats, settings: Settings, of: Arm | None = None) -> Arm:
    """The arm of a mean over directions that no training of a dictionary touches, drawn from what is known by `of` only: its noise is theirs."""
    arm = arm_of(mean, [sample], settings, "null_space.control")
    return Arm(arm.values, arm.draws + (0.0 if of is None else of.draws - of.values[:, None]), untrained=True)


def headline(of: Sequence[Found], some: Vectors, controls: Mapping[str, Floats], settings: Settings) -> dict[str, Number]:
    """Numbers of the main dictionary; `of` has an entry per replicate."""
    d_mlp, d_model = some.visible.W_out.shape
    chance, spread = some.visible.chance, estimate(arm_of(spread_of, [controls["neuron"]], settings, "null_space.neurons"))
    data = some.energy(centred(some))
    random_, like = fixed(controls["random"], settings), fixed(controls["data_like"], settings, ratio([data], settings))
    numbers = {"chance": Number(chance, SHARE, d_mlp, "neurons"), "neuron_spread": number(spread, unit=SHARE, n=d_mlp, over="neurons"),
               "data_like_invisible_share": number(estimate(like), unit=SHARE, n=DIRECTIONS, over="random directions")}
    if d_mlp == 4 * d_model:
        numbers["random_invisible_share"] = number(estimate(random_), unit=SHARE, n=DIRECTIONS, over="random directions")
    numbers |= energies(of, some, settings)
    n = min(len(each.shares["decoder"]) for each in of)
    if not n:
        return numbers
    decoder, encoder = (over_features([each.shares[kind] for each in of], settings) for kind in ("decoder", "encoder"))
    heavy = arm_of(weighted, [np.column_stack([each.shares["decoder"], each.weight]) for each in of], settings, "null_space.features")
    made = {"decoder_invisible_share": estimate(decoder), "encoder_invisible_share": estimate(encoder), "weighted_invisible_share": estimate(heavy),
            "random_minus_decoder": estimate(decoder).times(-1).shifted(chance), "data_like_minus_decoder": estimate(like, decoder),
            "encoder_minus_decoder": estimate(difference(encoder, decoder)), "plain_minus_weighted": estimate(difference(decoder, heavy)),
            "only_mean_share": estimate(over_features([each.only_mean for each in of], settings))}
    gain = {kind: over_features([each.gain[kind] for each in of], settings) for kind in ("decoder", "encoder")}
    gains = {f"{kind}_gain": estimate(arm) for kind, arm in gain.items()} | {
        "gain_above_data_like": estimate(gain["decoder"], fixed(controls["data_like_gain"], settings, ratio([data], settings, (2, 1))))}
    return numbers | {key: number(value, unit=SHARE, n=n, over=OVER) for key, value in made.items()} | {
        key: number(value, unit=TIMES, n=n, over=OVER) for key, value in gains.items()}


def energies(of: Sequence[Found], some: Vectors, settings: Settings) -> dict[str, Number]:
    """Invisible shares of the activations' variance and of the error, and the share of the variance that is explained of each part."""
    data, errors_ = some.energy(centred(some)), [each.error for each in of]
    error, spread = ratio(errors_, settings), ratio([data] * len(of), settings)
    both = [np.column_stack([each[:, 1] - each[:, 0], each[:, 0], data[:, 1] - data[:, 0], data[:, 0]]) for each in errors_]
    left_visible, left_invisible = ratio(both, settings, (0, 2)), ratio(both, settings, (1, 3))
    shares = {"data_invisible_share": estimate(ratio([data], settings)), "error_invisible_share": estimate(error),
              "error_minus_data": estimate(difference(error, spread))}
    gains = {"data_gain": estimate(ratio([data], settings, (2, 1))), "error_gain": estimate(ratio(errors_, settings, (2, 1)))}
    explained = {"explained_visible": estimate(left_visible).times(-1).shifted(1), "explained_invisible": estimate(left_invisible).times(-1).shifted(1),
                 "explained_difference": estimate(difference(left_invisible, left_visible))}
    n = len(data)
    return {key: number(value, unit=SHARE, n=n, over="texts") for key, value in shares.items()} | {
        key: number(value, unit="share of variance", n=n, over="texts") for key, value in explained.items()} | {
        key: number(value, unit=TIMES, n=n, over="texts") for key, value in gains.items()}


def estimates(of: Sequence[Found], some: Vectors, settings: Settings) -> dict[str, Number]:
    """Mean invisible shares of one dictionary with its replicates: of its directions, its error, and the activations that it describes."""
    data = some.energy(centred(some))
    found = {"data": number(estimate(ratio([data], settings)), unit=SHARE, n=len(data), over="texts"),
             "error": number(estimate(ratio([each.error for each in of], settings)), unit=SHARE, n=len(data), over="texts")}
    for what, over in (("decoder", OVER), ("encoder", OVER), ("ultralow", "ultralow features")):
        shares = [each.shares[what] for each in of if len(each.shares[what])]
        if shares:
            found[what] = number(estimate(over_features(shares, settings)), unit=SHARE, n=min(map(len, shares)), over=over)
    return found


def functional(vectors: Vectors, dictionary: Dictionary, site: str, settings: Settings) -> dict[str, Number]:
    """Root mean square change of the logits when every decoder row loses its invisible part, and when it loses as many random dimensions."""
    model, tokens = vectors.model, vectors.tokens[:SPLICED].long()
    d_mlp, rank = vectors.visible.basis.shape
    drawn, _ = np.linalg.qr(generator(settings.seed, "studies.null_space.subspace").standard_normal((d_mlp, rank)))
    decoder = dictionary.W_dec.numpy().astype(np.float64)
    before = model.before(tokens, site)
    f = dictionary.encode(model.read_from(before, site).flatten(0, 1))

    def logits(rows: Floats) -> torch.Tensor:
        spliced = (f @ torch.from_numpy(rows).float() + dictionary.b_dec).view(*tokens.shape, -1)
        return model.logits(model.splice_into(before, site, spliced))

    whole = logits(decoder)
    made = {"logit_change": vectors.visible.without_invisible(decoder), "logit_change_random": (decoder @ drawn) @ drawn.T}
    n = tokens.numel()
    return {key: Number(float((logits(rows) - whole).square().mean().sqrt()), "logits", n, "tokens") for key, rows in made.items()}


def histograms(found: Mapping[str, Found], controls: Mapping[str, Floats], settings: Settings) -> pd.DataFrame:
    """Histograms of shares: of each dictionary's directions, and of the controls under the main dictionary's name."""
    assert settings.dictionaries and settings.studies
    rows, controls_ = [], {what: shares for what, shares in controls.items() if what in CONTROLS}
    for name, item in found.items():
        for what, shares in (dict(item.shares) | (controls_ if name == settings.studies.main else {})).items():
            counts, _ = np.histogram(np.clip(shares, 0, 1), BINS)
            rows += [{"kind": "histogram", "group": base(name, settings.dictionaries), "dictionary": name, "what": what, "low": low, "high": high,
                      "count": count} for low, high, count in zip(BINS, BINS[1:], counts, strict=False) if count]
    return pd.DataFrame(rows)


def summaries(shares: Mapping[str, Mapping[str, Number]], vectors: Mapping[str, Vectors], settings: Settings) -> pd.DataFrame:
    """The means of every dictionary: group, what, value, low, high, n, replicates, d_sae, l1, and the share of a random direction (`chance`)."""
    assert settings.dictionaries
    return pd.DataFrame([
        {"kind": "share", "group": group, "dictionary": group, "what": what, "value": item.value, "low": item.low, "high": item.high, "n": item.n,
         "replicates": item.replicates, "chance": vectors[model_of(group)].visible.chance, "d_sae": settings.dictionaries[group].d_sae,
         "l1": settings.dictionaries[group].l1} for group, of in shares.items() for what, item in of.items()])
