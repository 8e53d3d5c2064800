"""The scale of a run, and how far it falls short of what a published value needs."""

from collections.abc import Mapping
from typing import Any

from replication.claims.statements import Condition
from replication.config import Settings, model_of

Fact = float | str
CORPORA = {"installed": "installed packages", "local": "local files", "pile": "the Pile"}


def facts(settings: Settings, evaluation: Mapping[str, Any], *, rated: bool = False) -> dict[str, Fact]:
    """What `needs` can ask for, of the main dictionary and its model; `evaluation` is the main dictionary's, `rated` whether people rated."""
    assert settings.studies and settings.corpus and settings.models and settings.dictionaries
    main = settings.dictionaries[settings.studies.main]
    model = settings.models[model_of(settings.studies.main)]
    trained = settings.models[model.shuffle_of] if model.shuffle_of else model
    corpus = settings.corpus
    return {
        "vectors": main.vectors // main.batch * main.batch, "tokens": trained.tokens, "evaluation_tokens": evaluation["tokens"],
        "corpus": corpus.source if corpus.source != "hub" else "pile" if "pile" in corpus.name.lower() else corpus.name,
        "d_mlp": model.d_mlp, "d_sae": main.d_sae, "act_fn": model.act_fn, "l1": main.l1, "raters": "human" if rated else "none",
        "explainer": "llm" if settings.interpretability and settings.interpretability.llm else "none",
    }


def met(condition: Condition, found: Mapping[str, Fact]) -> bool:
    """Whether a run has what one condition asks for; equal numbers may differ in the sixth digit."""
    have, want = found[condition.term], condition.value
    if isinstance(have, str) or isinstance(want, str):
        return have == want
    slack = 1e-6 * abs(want)
    return {"=": abs(have - want) <= slack, ">=": have >= want - slack, "<=": have <= want + slack}[condition.relation]


def shortfall(condition: Condition, found: Mapping[str, Fact]) -> str:
    """The clause that says what is short, measured."""
    have, want = found[condition.term], condition.value
    needed = amount(want) if isinstance(want, float) else want
    bound = {"=": "", ">=": "", "<=": "at most "}[condition.relation]
    seen = amount(have) if not isinstance(have, str) else have
    unsaid = "an unknown number of" if have == 0 else seen  # of what was trained elsewhere
    match condition.term:
        case "corpus":
            return f"the corpus is {CORPORA.get(str(have), have)}, not {CORPORA.get(str(want), want)}"
        case "raters":
            return "no human raters"
        case "explainer":
            return "no language model explains"
        case "act_fn":
            return f"the MLP has {have}, the row needs {want}"
        case "vectors":
            return f"the dictionary saw {unsaid} vectors, the row needs {bound}{needed}"
        case "tokens":
            return f"the model saw {unsaid} tokens, the row needs {bound}{needed}"
        case "evaluation_tokens":
            return f"measured on {seen} tokens, the row needs {bound}{needed}"
        case "d_sae":
            return f"the dictionary has {seen} features, the row needs {bound}{needed}"
        case "d_mlp":
            return f"the MLP has {seen} neurons, the row needs {bound}{needed}"
        case _:
            return f"{condition.term} is {seen}, the row needs {bound}{needed}"


def amount(value: float) -> str:
    """A count as a person says it: 6029312 is `6.0 million`, 8e9 `8 billion`, 2048 `2,048`."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.0f} {word}" if scaled == round(scaled) else f"{scaled:.1f} {word}"
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"
