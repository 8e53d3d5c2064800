"""A finished run from a notebook, with the same names as on disk: ``Run("results/laptop")["A/1/2357"].examples()``."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from replication import artifacts
from replication.config import UserError, nearest
from replication.interpretability import LLM, OFFLINE

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformer_lens import HookedTransformer

    from replication.model.transformer import Transformer
    from replication.sae.dictionary import Dictionary

SCORES = ("spearman", "logits", "explanation")  # columns of scores that stand beside a feature's own
FEATURE = re.compile(r"(?P<name>.+)/(?P<feature>\d+)")


class Run:
    """The results of one run. Tables are read when they are asked for; nothing is computed and nothing written."""

    def __init__(self, path: str | Path) -> None:
        """`path` is the folder of a run. Raises UserError when it is none."""
        self.path = Path(path)
        self.layout = artifacts.Layout(self.path)
        if not self.layout.corpus().is_dir():
            raise UserError(f"{self.path} is no run: it has no corpus/; `snakemake --cores all` makes results/laptop")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def models(self) -> list[str]:
        """Ids of models, such as `A`."""
        return sorted(path.parent.name for path in (self.path / "model").glob(f"*/{artifacts.WEIGHTS}"))

    @property
    def dictionaries(self) -> list[str]:
        """Names of dictionaries, such as `A/1`."""
        return sorted("/".join(path.parent.parts[-2:]) for path in (self.path / "sae").glob(f"*/*/{artifacts.SAE_WEIGHTS}"))

    @property
    def tables(self) -> list[str]:
        """Names of feature tables: dictionaries, and the neurons of each model (`A/neurons`)."""
        return sorted("/".join(path.parent.parts[-2:]) for path in (self.path / "features").glob(f"*/*/{artifacts.FEATURES}"))

    @property
    def scored(self) -> list[str]:
        """Names of tables whose units were explained and scored."""
        return sorted({"/".join(path.parent.parts[-3:-1]) for path in (self.path / "interpretability").glob(f"*/*/*/{artifacts.SCORES}")})

    def model(self, name: str) -> "Transformer":
        """A transformer, checked against its checksum."""
        from replication.model.store import load

        return load(self.layout.model(self._known(name, self.models, "model")))

    def hooked(self, name: str) -> "HookedTransformer":
        """A transformer as TransformerLens's HookedTransformer, with equal logits."""
        from replication.model import to_hooked

        return to_hooked(self.layout.model(self._known(name, self.models, "model")))

    def sae(self, name: str) -> "Dictionary":
        """A dictionary, checked against its checksum. `sae_lens.SAE.load_from_disk` loads the same folder."""
        from replication import sae

        return sae.load(self.layout.sae(self._known(name, self.dictionaries, "dictionary")))

    def training_log(self, name: str) -> pd.DataFrame:
        """Loss, MSE, L1, L0, dead and resampled features through the training of a dictionary."""
        return artifacts.read_table(self.layout.sae(self._known(name, self.dictionaries, "dictionary")) / artifacts.TRAINING_LOG)

    def features(self, name: str) -> pd.DataFrame:
        """One row per feature of a dictionary (`A/1`), or per neuron of a model (`A/neurons`).

        Where features were scored, each explainer adds columns: `spearman_ngram`, `logits_ngram`, `explanation_ngram`.
        """
        folder = self.layout.features(self._known(name, self.tables, "table of features"))
        table = artifacts.read_table(folder / artifacts.FEATURES).set_index("feature", drop=False)
        if name not in self.scored:
            return table
        scores = self.scores(name)
        wide = scores[~scores["control"]].pivot(index="feature", columns="explainer", values=list(SCORES))
        found = pd.DataFrame({f"{score}_{explainer}": wide[score, explainer] for explainer in scores["explainer"].unique() for score in SCORES})
        return table.join(found.infer_objects())

    def scores(self, name: str) -> pd.DataFrame:
        """How well explanations predict the features or neurons of a table: a row per unit, explainer and control.

        A control row scores another unit's explanation. Columns: see `interpretability.scores` and `interpretability.score`.
        """
        self._known(name, self.scored, "scores of")
        paths = [self.layout.interpretability(name, kind) / artifacts.SCORES for kind in (OFFLINE, LLM)]
        return pd.concat([artifacts.read_table(path) for path in paths if path.is_file()], ignore_index=True)

    def matches(self, name: str) -> pd.DataFrame:
        """The best match of each feature in every table that it was compared with."""
        table = artifacts.read_table(self.layout.evaluation() / artifacts.MATCHES)
        return table[table["dictionary"] == self._known(name, self.tables, "table of features")].reset_index(drop=True)

    def evaluation(self) -> pd.DataFrame:
        """Losses, loss recovered, L0 and counts of dead features: one row per dictionary."""
        return pd.DataFrame([artifacts.read_json(self.layout.features(name) / artifacts.EVALUATION) for name in self.dictionaries])

    def study(self, name: str) -> pd.DataFrame:
        """The table behind an exhibit, such as `density_histograms`."""
        return artifacts.read_table(self.layout.study(name) / artifacts.DATA)

    def claims(self) -> pd.DataFrame:
        """The ledger: each checkable statement, the published value, ours, and the verdict."""
        return artifacts.read_table(self.layout.claims())

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The run's tokenizer."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.layout.corpus() / artifacts.TOKENIZER))

    def __getitem__(self, name: str) -> "Feature":
        """A feature by its name in the paper's form: model, dictionary, number, such as `A/1/2357` or `A/neurons/32`."""
        found = FEATURE.fullmatch(name)
        if not found:
            raise UserError(f"{name!r} is not the name of a feature; a name is model/dictionary/number, such as A/1/2357")
        table = self.features(found["name"])
        if int(found["feature"]) not in table.index:
            raise UserError(f"{found['name']} has features 0 to {table.index.max()}, not {found['feature']}")
        return Feature(run=self, table=found["name"], feature=int(found["feature"]), row=table.loc[int(found["feature"])])

    def _known(self, name: str, names: list[str], what: str) -> str:
        if name not in names:
            raise UserError(f"{self.path} has no {what} {name!r}; {nearest(name, names)}")
        return name


@dataclass(frozen=True)
class Feature:
    """One feature or neuron. `row` holds its measurements."""

    run: Run
    table: str
    feature: int
    row: "pd.Series[Any]"

    def __repr__(self) -> str:
        row = self.row
        return f"{self.table}/{self.feature}: density {row['density']:.2g}, max {row['max']:.3g}, {row['part']}, top logits {list(row['top_tokens'][:5])}"

    def examples(self, group: str | None = None) -> pd.DataFrame:
        """Windows of text around tokens on which it fires: `top`, `interval` (0 strongest to 10), `bottom`.

        The column `text` has the window with the token in [[double brackets]].
        """
        found = artifacts.read_table(self.run.layout.features(self.table) / artifacts.EXAMPLES)
        found = found[(found["feature"] == self.feature) & (found["group"] == group if group else True)].reset_index(drop=True)
        return found.assign(text=[self._text(tokens, centre) for tokens, centre in zip(found["window_tokens"], found["centre"], strict=True)])

    def logits(self) -> pd.DataFrame:
        """The strongest logit weights, up and down."""
        return pd.DataFrame({"token": [*self.row["top_tokens"], *self.row["bottom_tokens"]], "weight": [*self.row["top_weights"], *self.row["bottom_weights"]]})

    def _text(self, tokens: Any, centre: int) -> str:
        decode = self.run.tokenizer.decode
        before, token, after = (decode(list(part), skip_special_tokens=False) for part in (tokens[:centre], tokens[centre : centre + 1], tokens[centre + 1 :]))
        return f"{before}[[{token}]]{after}"
