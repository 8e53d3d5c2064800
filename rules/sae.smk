# One dictionary a job. Large ones start first, and all before evaluations that wait too (priority): the last job to end should be a short one.
from replication.config import model_of
from replication.foreign import local_files


ruleorder: imported_sae > large_sae
ruleorder: imported_sae > sae


rule sae:
    input:
        code=code("replication.sae.fit"),
        statistics=lambda wildcards: R.activations(
            config_.site_of(f"{wildcards.model}/{wildcards.id}")
        )
        / "statistics.json",
        blocks=lambda wildcards: R.activations(
            config_.site_of(f"{wildcards.model}/{wildcards.id}")
        )
        / "blocks",
        start=lambda wildcards: [
            R.sae(config_.dictionaries[name].warm_start) / "sae_weights.safetensors"
            for name in [f"{wildcards.model}/{wildcards.id}"]
            if config_.dictionaries[name].warm_start
        ],
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        tokens=R.corpus() / "train.safetensors",
    output:
        weights=R.sae("{model}/{id}") / "sae_weights.safetensors",
        config=R.sae("{model}/{id}") / "cfg.json",
        start=R.sae("{model}/{id}") / "start.safetensors",
        watch=R.sae("{model}/{id}") / "watch.safetensors",
        training=R.sae("{model}/{id}") / "log.csv",
        meta=R.sae("{model}/{id}") / "meta.json",
    log:
        R.log("sae/{model}/{id}.log"),
    benchmark:
        R.benchmark("sae/{model}/{id}.tsv")
    wildcard_constraints:
        id="|".join(config_.ids(large=False)),
    priority: 1
    threads:
        lambda wildcards: THREADS
        * config_.dictionaries[f"{wildcards.model}/{wildcards.id}"].ranks
    resources:
        mem_mb=memory(2000, "sae/{model}/{id}", config_),
        disk_mb=3000,
        runtime=600,
        gpu=lambda wildcards: (
            GPU * config_.dictionaries[f"{wildcards.model}/{wildcards.id}"].ranks
        ),
    params:
        settings=lambda wildcards: config_.settings(
            "compute",
            "activations",
            model=wildcards.model,
            dictionary=f"{wildcards.model}/{wildcards.id}",
        ).json(),
        model=subpath(input.architecture, parent=True),
        activations=subpath(input.statistics, parent=True),
        start=lambda wildcards, input: (
            f"--start {Path(input.start[0]).parent}" if input.start else ""
        ),
        state=str(R.state("sae", "{model}", "{id}")),
        out=subpath(output.weights, parent=True),
    message:
        "sae {wildcards.model}/{wildcards.id}: fit the dictionary"
    shell:
        "python -m replication sae fit --settings {params.settings:q} --log {log} --name {wildcards.model}/{wildcards.id}"
        " --model {params.model} --tokens {input.tokens} --activations {params.activations} {params.start} --state {params.state} --out {params.out}"


use rule sae as large_sae with:
    wildcard_constraints:
        id="|".join(config_.ids(large=True)) or "(?!)",
    priority: 2


rule imported_sae:
    input:
        code=code("replication.sae.imported"),
        source=lambda wildcards: local_files(
            config_.dictionaries[wildcards.dictionary].load
        ),
        weights=lambda wildcards: R.model(model_of(wildcards.dictionary))
        / "weights.safetensors",
        architecture=lambda wildcards: R.model(model_of(wildcards.dictionary))
        / "architecture.json",
    output:
        weights=R.sae("{dictionary}") / "sae_weights.safetensors",
        config=R.sae("{dictionary}") / "cfg.json",
        meta=R.sae("{dictionary}") / "meta.json",
    log:
        R.log("sae/{dictionary}.log"),
    benchmark:
        R.benchmark("sae/{dictionary}.tsv")
    wildcard_constraints:
        dictionary="|".join(config_.loaded("dictionaries")) or "(?!)",
    threads: 1
    resources:
        mem_mb=memory(2000, "sae/{dictionary}", config_),
        disk_mb=500,
        runtime=60,
        gpu=0,
    params:
        settings=lambda wildcards: config_.settings(
            model=model_of(wildcards.dictionary), dictionary=wildcards.dictionary
        ).json(),
        model=subpath(input.architecture, parent=True),
        out=subpath(output.weights, parent=True),
    message:
        "sae {wildcards.dictionary}: bring it in"
    shell:
        "python -m replication sae import --settings {params.settings:q} --log {log} --name {wildcards.dictionary}"
        " --model {params.model} --out {params.out}"
