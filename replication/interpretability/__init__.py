"""How well an explanation of a feature predicts it: the paper's two automated tests, and blind human ratings.

Units are features of a dictionary or neurons of a model. Windows are drawn by the paper's protocol, an explainer sees some of
them, and is scored on others. Source: paper, "Global analysis" and its appendices.
"""

from replication.config import Config, model_of
from replication.features import NEURONS, replicates, shuffled

OFFLINE, LLM = "offline", "llm"


def scored(config: Config) -> list[str]:
    """The tables whose units are scored: `interpretability.tables`, or the main dictionary with its replicates, its model's
    neurons, and the dictionaries of the same id on shuffled copies of its model with their replicates.
    """
    if config.interpretability.tables:
        return list(config.interpretability.tables)
    main = config.studies.main
    return [*replicates(main, config.dictionaries), f"{model_of(main)}/{NEURONS}", *shuffled(main, config)]
