"""The run index: what the run was made of, and a row for each of its dictionaries, also those without cards."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import replication
from replication import artifacts, provenance
from replication.browser.schema import CONFIG_HASH, CORPUS_HASH, VERSION_OF, About
from replication.browser.source import Source
from replication.config import Settings, d_in, model_of


def read(source: Source, settings: Settings, shown: Sequence[str]) -> About:
    """The run index; `shown` are the tables that have cards. Raises ArtifactError when a file is missing or changed."""
    return About(settings.run, dict(_facts(source, settings)), [_row(source, settings, name, shown) for name in settings.dictionaries or ()],
                 [("report", f"../{artifacts.REPORT}"), ("ledger", f"../{artifacts.CLAIMS_PAGE}")])


def _facts(source: Source, settings: Settings) -> Iterator[tuple[str, str]]:
    assert settings.models and settings.studies and settings.dictionaries and settings.corpus
    corpus, tokens, model = source.corpus(), source.tokens(), settings.models[model_of(settings.studies.main)]
    yield "seed", str(settings.seed)
    yield CONFIG_HASH, settings.hash()
    yield "corpus", str(corpus.get("source", settings.corpus.source))
    yield CORPUS_HASH, str(corpus["manifest_sha256"])[:12]
    yield "evaluation tokens", f"{tokens.size:,}"
    yield "model", f"d_model {model.d_model}, d_mlp {model.d_mlp}, n_ctx {model.n_ctx}, d_vocab {len(source.strings):,}"
    yield "site", settings.dictionaries[settings.studies.main].site
    yield VERSION_OF, replication.__version__
    yield "source commit", provenance.commit()


def _row(source: Source, settings: Settings, name: str, shown: Sequence[str]) -> dict[str, Any]:
    assert settings.dictionaries and settings.models
    sae, model, measured = settings.dictionaries[name], settings.models[model_of(name)], source.evaluation(name)
    made = artifacts.read_json(source.layout.sae(name) / artifacts.META)
    found = {key: measured.get(key) for key in ("l0", "recovered", "dead", "ultralow")}
    l1, vectors = (None if sae.load and not value else value for value in (sae.l1, sae.vectors))  # 0 is what is not known of one that was loaded
    return {"name": name, "table": name in shown, "d_sae": sae.d_sae, "l1": l1, "l1_summed": None if l1 is None else l1 * d_in(model, sae.site),
            **{key: value if value is not None and math.isfinite(value) else None for key, value in found.items()},
            "seed": None if sae.load else sae.seed, "commit": made["commit"], "config": made["config_hash"], "vectors": vectors,
            "shuffled": bool(model.shuffle_of)}
