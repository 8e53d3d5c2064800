# One small table and one file of headline numbers per exhibit; the registry says what each study reads.
from replication.studies import STUDIES


rule study:
    input:
        code=lambda wildcards: code(STUDIES[wildcards.study].module),
        tables=lambda wildcards: STUDIES[wildcards.study].inputs(config_, R),
    output:
        data=R.study("{study}") / "data.csv",
        numbers=R.study("{study}") / "numbers.json",
        meta=R.study("{study}") / "meta.json",
    log:
        R.log("studies/{study}.log"),
    benchmark:
        R.benchmark("studies/{study}.tsv")
    wildcard_constraints:
        study="|".join(STUDIES),
    threads: 1
    resources:
        mem_mb=memory(1500),
        disk_mb=100,
        runtime=30,
        gpu=0,
    params:
        settings=lambda wildcards: STUDIES[wildcards.study].settings(config_).json(),
        results=R.root,
        out=subpath(output.data, parent=True),
    message:
        "study {wildcards.study}: compute its table"
    shell:
        "python -m replication studies compute {wildcards.study} --settings {params.settings:q} --log {log}"
        " --results {params.results} --out {params.out}"
