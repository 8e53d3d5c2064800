# What explanations of features and neurons are worth: units with their windows, then a job per kind of explainers.
import re

from replication.config import model_of
from replication.interpretability import LLM, OFFLINE, scored
from replication.interpretability.asked import asked


wildcard_constraints:
    scored="|".join(re.escape(name) for name in scored(config_)),


rule interpretability_units:
    input:
        code=code("replication.interpretability.units"),
        tokens=R.evaluation() / "tokens.safetensors",
        matrix=R.features("{scored}") / "matrix.safetensors",
        features=R.features("{scored}") / "features.parquet",
        examples=R.features("{scored}") / "examples.parquet",
        dictionary=lambda wildcards: [
            R.sae(name) / "sae_weights.safetensors"
            for name in config_.dictionaries
            if name == wildcards.scored
        ],
        weights=lambda wildcards: R.model(model_of(wildcards.scored))
        / "weights.safetensors",
        unigrams=R.corpus() / "unigrams.safetensors",
        tokenizer=R.corpus() / "tokenizer.json",
    output:
        units=R.interpretability("{scored}") / "units.parquet",
        windows=R.interpretability("{scored}") / "windows.parquet",
        meta=R.interpretability("{scored}") / "meta.json",
    log:
        R.log("interpretability/{scored}.log"),
    benchmark:
        R.benchmark("interpretability/{scored}.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=60,
        gpu=0,
    params:
        settings=config_.settings("compute", "features").json(),
        units=config_.interpretability.units,
        features=subpath(input.matrix, parent=True),
        evaluation=R.evaluation(),
        models=R.root / "model",
        dictionaries=R.root / "sae",
        corpus=R.corpus(),
        out=subpath(output.units, parent=True),
    message:
        "interpretability {wildcards.scored}: draw units and windows"
    shell:
        "python -m replication interpretability units --settings {params.settings:q} --log {log} --name {wildcards.scored}"
        " --units {params.units} --features {params.features} --evaluation {params.evaluation} --models {params.models}"
        " --dictionaries {params.dictionaries} --corpus {params.corpus} --out {params.out}"


rule interpretability_offline:
    input:
        code=[
            *code("replication.interpretability.score"),
            *code("replication.interpretability.explainers"),
            *(
                file
                for name in config_.interpretability.explainers
                for file in code(f"replication.interpretability.explainers.{name}")
            ),
        ],
        units=R.interpretability("{scored}") / "units.parquet",
        windows=R.interpretability("{scored}") / "windows.parquet",
        unigrams=R.corpus() / "unigrams.safetensors",
        tokenizer=R.corpus() / "tokenizer.json",
    output:
        scores=R.interpretability("{scored}", OFFLINE) / "scores.parquet",
        predictions=R.interpretability("{scored}", OFFLINE) / "predictions.parquet",
        meta=R.interpretability("{scored}", OFFLINE) / "meta.json",
    log:
        R.log("interpretability/{scored}.offline.log"),
    benchmark:
        R.benchmark("interpretability/{scored}.offline.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=60,
        gpu=0,
    params:
        settings=config_.settings("compute").json(),
        explainers=config_.interpretability.explainers,
        units=subpath(input.units, parent=True),
        corpus=R.corpus(),
        out=subpath(output.scores, parent=True),
    message:
        "interpretability {wildcards.scored}: explain and predict without a language model"
    shell:
        "python -m replication interpretability offline --settings {params.settings:q} --log {log} --name {wildcards.scored}"
        " --explainers {params.explainers} --units {params.units} --corpus {params.corpus} --out {params.out}"


rule interpretability_llm:
    input:
        code=[
            *code("replication.interpretability.score"),
            *code("replication.interpretability.llm"),
        ],
        demonstrations=written(
            "replication", "interpretability", "llm", "demonstrations.json"
        ),
        units=R.interpretability("{scored}") / "units.parquet",
        windows=R.interpretability("{scored}") / "windows.parquet",
        unigrams=R.corpus() / "unigrams.safetensors",
        tokenizer=R.corpus() / "tokenizer.json",
    output:
        scores=R.interpretability("{scored}", LLM) / "scores.parquet",
        predictions=R.interpretability("{scored}", LLM) / "predictions.parquet",
        meta=R.interpretability("{scored}", LLM) / "meta.json",
    log:
        R.log("interpretability/{scored}.llm.log"),
    benchmark:
        R.benchmark("interpretability/{scored}.llm.tsv")
    # one job at a time, so that `concurrency` bounds the requests of the whole run: on a cluster by `turn` (profiles/slurm), elsewhere by its threads
    threads: lambda wildcards: workflow.cores
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=1440,
        gpu=0,
    params:
        settings=config_.settings("compute", "interpretability").json(),
        # a function, because only a run that asks a language model has to know which
        model=lambda wildcards: asked(R.state("interpretability", LLM)),
        units=subpath(input.units, parent=True),
        corpus=R.corpus(),
        state=R.state("interpretability", LLM),
        out=subpath(output.scores, parent=True),
    message:
        "interpretability {wildcards.scored}: explain and predict with a language model"
    shell:
        "python -m replication interpretability llm --settings {params.settings:q} --log {log} --name {wildcards.scored}"
        " --units {params.units} --corpus {params.corpus} --state {params.state} --out {params.out}"
