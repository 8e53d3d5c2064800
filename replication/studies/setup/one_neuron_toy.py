"""Why sparse activations alone are not enough: one binary neuron, four exclusive features (paper, problem setup).

Every assignment of the four equally likely features to the neuron (on or off) has an exact loss; training finds the
assignments by itself, or is held at one. Then a layer of neurons of which one at a time is on, with more features than
neurons: how many of the neurons serve several unrelated features. Needs nothing of the run.
"""

from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import estimate, exact
from replication.studies.setup.onehot import Trained, exact_loss, polysemantic, train
from replication.studies.tables import Number, Reader, write

FEATURES, RESTARTS = 4, 100
NEURONS, RATIOS, LAYER_RESTARTS = 16, (0.5, 1, 2, 4, 8), 20
MAIN_RATIO = 8  # features for each neuron; A/1 has 4,096 for 512 neurons
EQUAL = np.full(FEATURES, 1 / FEATURES)


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`table`): cases of the one neuron with exact loss, trained restarts, layers of one-hot neurons."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    seed = settings.seed
    held = {"one": np.tile(np.arange(FEATURES) == 0, (RESTARTS, 1)).astype(np.int64),
            "two": np.tile(np.arange(FEATURES) < 2, (RESTARTS, 1)).astype(np.int64)}
    trained = {name: train(EQUAL, 2, RESTARTS, seed=seed, what=name, held=states) for name, states in held.items()}
    trained["free"] = train(EQUAL, 2, RESTARTS, seed=seed, what="free")
    progress(1, 2)
    layers = pd.DataFrame([row for ratio in RATIOS for row in layer(ratio, seed)])
    progress(2, 2)
    parts = cases().assign(table="case"), restarts(trained).assign(table="restart"), layers.assign(table="layer")
    write(out=out, study="one_neuron_toy", data=pd.concat(parts, ignore_index=True), numbers=headline(trained, layers), settings=settings,
          reader=reader, stopwatch=stopwatch)


def cases() -> pd.DataFrame:
    """Exact loss of every assignment, by how many features turn the neuron on."""
    losses = {states: exact_loss(np.array(states), EQUAL) for states in product((0, 1), repeat=FEATURES)}
    by_count = {on: [loss for states, loss in losses.items() if sum(states) == on] for on in range(FEATURES + 1)}
    return pd.DataFrame([{"features_on": on, "assignments": len(found), "loss": np.mean(found)} for on, found in by_count.items()])


def restarts(trained: dict[str, Trained]) -> pd.DataFrame:
    """A row per restart: what was held (`one`, `two` features, or `free`), the loss and how many features turn the neuron on."""
    return pd.concat([pd.DataFrame({"case": name, "loss": found.losses, "features_on": found.states.sum(1)})
                      for name, found in trained.items()])


def layer(ratio: float, seed: int) -> list[dict[str, float]]:
    """Restarts of a layer with `ratio` features for each neuron, features as frequent as words are (Zipf).

    `loss_monosemantic` is the loss when as many neurons as possible serve one feature alone, the commonest ones, and the last
    neuron all others; `unavoidable` is the share of polysemantic neurons then.
    """
    n = int(ratio * NEURONS)
    zipf = 1 / np.arange(1.0, n + 1)
    zipf /= zipf.sum()
    found = train(zipf, NEURONS, LAYER_RESTARTS, seed=seed, what=f"layer.{n}")
    alone = np.minimum(np.arange(n), NEURONS - 1)
    same = {"features": n, "neurons": NEURONS, "ratio": ratio, "loss_monosemantic": exact_loss(alone, zipf),
            "unavoidable": polysemantic(alone, zipf, NEURONS)}
    return [same | {"loss": float(loss), "polysemantic": polysemantic(states, zipf, NEURONS), "used": len(set(states.tolist()))}
            for states, loss in zip(found.states, found.losses, strict=True)]


def headline(trained: dict[str, Trained], layers: pd.DataFrame) -> dict[str, Number]:
    """Exact losses; the lowest trained one and how often it is found; one feature against two; the layer's polysemantic share."""
    exact_losses = cases().set_index("features_on")["loss"]
    free = trained["free"]
    main = layers[layers["ratio"] == MAIN_RATIO]

    def over(values: np.ndarray, unit: str, n: int = RESTARTS, what: str = "restarts") -> Number:
        spread = estimate(exact(values.tolist()))
        return Number(spread.value, unit, n, what, spread.sd, spread.low, spread.high)

    return {
        "loss_one_feature": Number(exact_losses[1], "nats", comb(FEATURES, 1), "assignments"),
        "loss_two_features": Number(exact_losses[2], "nats", comb(FEATURES, 2), "assignments"),
        "loss_trained": Number(float(free.losses.min()), "nats", RESTARTS, "restarts, of which the lowest"),
        "loss_trained_mean": over(free.losses, "nats"),
        "share_two": over((free.states.sum(1) == FEATURES // 2).astype(float), "share of restarts"),
        "two_below_one": over(trained["one"].losses - trained["two"].losses, "nats"),
        "onehot_polysemantic_share": over(main["polysemantic"].to_numpy(), "share of neurons", NEURONS * LAYER_RESTARTS, "neurons"),
        "onehot_loss_below_monosemantic": over((main["loss_monosemantic"] - main["loss"]).to_numpy(), "nats", LAYER_RESTARTS),
    }
