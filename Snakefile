# Replication of Towards Monosemanticity: corpus -> model -> activations -> sae -> features -> interpretability -> studies -> exhibits -> claims, browser.
# Results lie in results/<run>/<stage>/, and the path of a dictionary is its name: results/laptop/sae/A/1.
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from replication.artifacts import Layout
from replication.compute import wants_gpu
from replication.config import ConfigError
from replication.jobs import activations_mb, memory, text_mb
from replication.provenance import code, written
from replication.resolution import resolve
from replication.scheduling import spare_rounds

min_version("9.27")


# Config files are merged deeply, so the default is read only where no file was given: what one lacks has its default, which is the
# paper's, and is not filled from another run; without run, models or dictionaries it is refused.
if not workflow.overwrite_configfiles:

    configfile: Path(workflow.basedir, "config", "laptop.yaml")


try:
    config_ = resolve(config)
except ConfigError as error:
    raise WorkflowError(f"config: {error}") from None

R = Layout(Path("results", config_.run))
THREADS = config_.compute.threads
GPU = int(wants_gpu(config_.compute))


wildcard_constraints:
    model="|".join(config_.models),
    site="|".join(sorted({sae.site for sae in config_.dictionaries.values()})),
    id="|".join(sorted({name.partition("/")[2] for name in config_.dictionaries})),
    part=r"\d+",


# On a cluster these stay where Snakemake runs: they talk to the network, which nodes often lack, and one key's requests are bounded together.
localrules:
    all,
    corpus_revision,
    corpus_documents,
    imported_model,
    imported_sae,
    interpretability_llm,


onstart:
    spare_rounds(workflow)


rule all:
    default_target: True
    input:
        R.report(),
        R.claims(),
        R.macros(),
        R.browser() / "index.html",


include: "rules/corpus.smk"
include: "rules/model.smk"
include: "rules/activations.smk"
include: "rules/sae.smk"
include: "rules/features.smk"
include: "rules/interpretability.smk"
include: "rules/studies.smk"
include: "rules/exhibits.smk"
include: "rules/claims.smk"
include: "rules/browser.smk"
