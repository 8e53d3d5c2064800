# Transformers: those trained here, those that others trained, and controls that are shuffled copies of them.
from replication.foreign import local_files


rule model:
    input:
        code=code("replication.model.train"),
        tokens=R.corpus() / "train.safetensors",
        held_out=R.corpus() / "held_out.safetensors",
        unigrams=R.corpus() / "unigrams.safetensors",
    output:
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        training=R.model("{model}") / "log.csv",
        meta=R.model("{model}") / "meta.json",
    log:
        R.log("model/{model}.log"),
    benchmark:
        R.benchmark("model/{model}.tsv")
    wildcard_constraints:
        model="|".join(config_.trained_models()) or "(?!)",
    threads: THREADS
    resources:
        mem_mb=memory(2000, "model/{model}", config_),
        disk_mb=500,
        runtime=1440,
        gpu=GPU,
    params:
        settings=lambda wildcards: config_.settings(
            "compute", model=wildcards.model
        ).json(),
        state=str(R.state("model", "{model}")),
        out=subpath(output.weights, parent=True),
    message:
        "model {wildcards.model}: train the transformer"
    shell:
        "python -m replication model train --settings {params.settings:q} --log {log} --name {wildcards.model} --tokens {input.tokens}"
        " --held-out {input.held_out} --unigrams {input.unigrams} --state {params.state} --out {params.out}"


rule shuffled_model:
    input:
        code=code("replication.model.shuffle"),
        weights=lambda wildcards: R.model(config_.models[wildcards.model].shuffle_of)
        / "weights.safetensors",
        architecture=lambda wildcards: R.model(
            config_.models[wildcards.model].shuffle_of
        )
        / "architecture.json",
    output:
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        meta=R.model("{model}") / "meta.json",
    log:
        R.log("model/{model}.log"),
    benchmark:
        R.benchmark("model/{model}.tsv")
    wildcard_constraints:
        model="|".join(
            name for name, model in config_.models.items() if model.shuffle_of
        )
        or "(?!)",
    threads: 1
    resources:
        mem_mb=memory(1000, "model/{model}", config_),
        disk_mb=500,
        runtime=10,
        gpu=0,
    params:
        settings=lambda wildcards: config_.settings(model=wildcards.model).json(),
        source=subpath(input.weights, parent=True),
        out=subpath(output.weights, parent=True),
    message:
        "model {wildcards.model}: shuffle the weights"
    shell:
        "python -m replication model shuffle --settings {params.settings:q} --log {log} --name {wildcards.model}"
        " --source {params.source} --out {params.out}"


rule imported_model:
    input:
        code=code("replication.model.imported"),
        source=lambda wildcards: local_files(config_.models[wildcards.model].load),
        unigrams=R.corpus() / "unigrams.safetensors",
    output:
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        meta=R.model("{model}") / "meta.json",
    log:
        R.log("model/{model}.log"),
    benchmark:
        R.benchmark("model/{model}.tsv")
    wildcard_constraints:
        model="|".join(config_.loaded("models")) or "(?!)",
    threads: 1
    resources:
        mem_mb=memory(2000, "model/{model}", config_),
        disk_mb=500,
        runtime=60,
        gpu=0,
    params:
        settings=lambda wildcards: config_.settings(model=wildcards.model).json(),
        out=subpath(output.weights, parent=True),
    message:
        "model {wildcards.model}: bring it in"
    shell:
        "python -m replication model import --settings {params.settings:q} --log {log} --name {wildcards.model}"
        " --unigrams {input.unigrams} --out {params.out}"
