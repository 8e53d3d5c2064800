# The feature browser: a job for each table that is shown, one for what tables share, one for the page. Only the page depends on its
# script and style, so that a changed script packs no table anew.
from replication.browser import inputs as packed
from replication.features import shown

DATA = R.browser() / "data"


rule browser_table:
    input:
        code=code("replication.browser.pack"),
        tables=lambda wildcards: packed.of_table(wildcards.shown, config_, R),
    output:
        shards=directory(DATA / "{shown}"),
        entry=DATA / "{shown}.json",
        meta=DATA / "{shown}.meta.json",
    log:
        R.log("browser/{shown}.log"),
    benchmark:
        R.benchmark("browser/{shown}.tsv")
    threads: 1
    resources:
        mem_mb=memory(2000),
        disk_mb=500,
        runtime=60,
        gpu=0,
    params:
        # a function, because the patterns of contexts hold braces, which would be read as wildcards
        settings=lambda wildcards: config_.settings(
            "features",
            "interpretability",
            "contexts",
            dictionaries=[
                name for name in config_.dictionaries if name == wildcards.shown
            ],
        ).json(),
        shown=shown(config_),
        explained=lambda wildcards: packed.explained(wildcards.shown, config_),
        mapped=lambda wildcards: (
            "--mapped" if packed.mapped(wildcards.shown, config_) else ""
        ),
        results=R.root,
        out=DATA,
    message:
        "browser {wildcards.shown}: pack its cards"
    shell:
        "python -m replication browser table --settings {params.settings:q} --log {log} --name {wildcards.shown}"
        " --shown {params.shown} --explained {params.explained} {params.mapped} --results {params.results} --out {params.out}"


rule browser_shared:
    input:
        code=code("replication.browser.run"),
        tables=packed.of_all(R),
    output:
        vocabulary=directory(DATA / "vocabulary"),
        contexts=directory(DATA / "contexts"),
        texts=directory(DATA / "texts"),
        meta=DATA / "shared.meta.json",
    log:
        R.log("browser/shared.log"),
    benchmark:
        R.benchmark("browser/shared.tsv")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=100,
        runtime=10,
        gpu=0,
    params:
        settings=config_.settings("features").json(),
        results=R.root,
        out=DATA,
    message:
        "browser: pack the texts that all tables share"
    shell:
        "python -m replication browser shared --settings {params.settings:q} --log {log} --results {params.results} --out {params.out}"


rule browser:
    input:
        code=code("replication.browser.run"),
        page=packed.page(),
        tables=packed.of_page(config_, R),
        entries=[DATA / f"{name}.json" for name in shown(config_)],
        shared=rules.browser_shared.output.vocabulary,
    output:
        page=R.browser() / "index.html",
        script=R.browser() / "browser.js",
        style=R.browser() / "browser.css",
        run=R.browser() / "run.js",
        types=R.browser() / "types.d.ts",
        readme=R.browser() / "README.txt",
        meta=R.browser() / "meta.json",
    log:
        R.log("browser/page.log"),
    benchmark:
        R.benchmark("browser/page.tsv")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=500,
        runtime=10,
        gpu=0,
    params:
        settings=lambda wildcards: config_.settings(
            *packed.EVERYTHING,
            models=list(config_.models),
            dictionaries=list(config_.dictionaries),
        ).json(),
        results=R.root,
        out=subpath(output.page, parent=True),
    message:
        "browser: write the page and the run index"
    shell:
        "python -m replication browser page --settings {params.settings:q} --log {log} --entries {input.entries}"
        " --results {params.results} --out {params.out}"
