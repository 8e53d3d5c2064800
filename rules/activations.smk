# A model's site over the training text: measured, and stored when the config says so.


rule activations:
    input:
        code=code("replication.activations.harvest"),
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        tokens=R.corpus() / "train.safetensors",
    output:
        statistics=R.activations("{model}") / "statistics.json",
        blocks=directory(R.activations("{model}") / "blocks"),
        meta=R.activations("{model}") / "meta.json",
    log:
        R.log("activations/{model}.log"),
    benchmark:
        R.benchmark("activations/{model}.tsv")
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=120,
        gpu=GPU,
    params:
        settings=lambda wildcards: config_.settings(
            "compute", "activations", model=wildcards.model
        ).json(),
        model=subpath(input.weights, parent=True),
        out=subpath(output.statistics, parent=True),
    message:
        "activations {wildcards.model}: read the site over the training text"
    shell:
        "python -m replication activations harvest --settings {params.settings:q} --log {log} --name {wildcards.model}"
        " --model {params.model} --tokens {input.tokens} --out {params.out}"
