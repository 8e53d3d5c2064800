"""Which dictionaries at other sites are held against the main one: those with as many features, or with as many for each element of the site."""

from collections.abc import Mapping

from replication.config import Model, Sae, d_in, model_of
from replication.studies.replicates import alike

SITES = ("mlp_act", "mlp_out", "resid_post", "logit_update")
COUNT, RATIO = "count", "ratio"


def sizing(name: str, main: str, dictionaries: Mapping[str, Sae], models: Mapping[str, Model]) -> str:
    """`count` or `ratio`, or nothing for a dictionary that differs in more than site, size, l1 and seed, or has another size."""
    model, sae, of = models[model_of(main)], dictionaries[name], dictionaries[main]
    if sae.site not in SITES or not alike(name, main, dictionaries, "site", "d_sae", "l1"):
        return ""
    if sae.d_sae == of.d_sae:
        return COUNT
    return RATIO if sae.d_sae * d_in(model, of.site) == of.d_sae * d_in(model, sae.site) else ""
