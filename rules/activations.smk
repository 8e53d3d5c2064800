# A model's site over the training text: measured, and stored when the config says so.


rule activations:
    input:
        code=code("replication.activations.harvest"),
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        tokens=R.corpus() / "train.safetensors",
    output:
        statistics=R.activations("{model}/{site}") / "statistics.json",
        blocks=directory(R.activations("{model}/{site}") / "blocks"),
        meta=R.activations("{model}/{site}") / "meta.json",
    log:
        R.log("activations/{model}/{site}.log"),
    benchmark:
        R.benchmark("activations/{model}/{site}.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000, "activations/{model}/{site}", config_),
        disk_mb=activations_mb(config_),
        runtime=120,
        gpu=GPU,
    params:
        settings=lambda wildcards: config_.settings(
            "compute",
            model=wildcards.model,
            site=f"{wildcards.model}/{wildcards.site}",
        ).json(),
        model=subpath(input.weights, parent=True),
        out=subpath(output.statistics, parent=True),
    message:
        "activations {wildcards.model}/{wildcards.site}: read it over the training text"
    shell:
        "python -m replication activations harvest --settings {params.settings:q} --log {log} --name {wildcards.model}/{wildcards.site} --site {wildcards.site}"
        " --model {params.model} --tokens {input.tokens} --out {params.out}"
