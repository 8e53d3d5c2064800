# Every published statement with this run's number, a frozen reference and a verdict; then the report.
from replication.claims import inputs as claimed


rule claims:
    input:
        code=code("replication.claims.ledger"),
        claims=written("paper", "published", "claims.csv"),
        explanations=written("paper", "report", "explanations.csv"),
        numbers=claimed.numbers(R),
        corpus=R.corpus() / "corpus.json",
        evaluation=R.features(config_.studies.main) / "evaluation.json",
        reference=claimed.reference(config_.run),
    output:
        ledger=R.claims(),
        meta=R.root / "claims.meta.json",
    log:
        R.log("claims/claims.log"),
    benchmark:
        R.benchmark("claims/claims.tsv")
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        settings=config_.settings(
            "corpus",
            "activations",
            "features",
            "studies",
            models=list(config_.models),
            dictionaries=list(config_.dictionaries),
        ).json(),
    message:
        "claims: judge every published statement"
    shell:
        "python -m replication ledger judge --settings {params.settings:q} --log {log} --claims {input.claims}"
        " --explanations {input.explanations} --numbers {input.numbers} --corpus {input.corpus}"
        " --evaluation {input.evaluation} --reference {input.reference} --out {output.ledger}"


rule report:
    input:
        code=code("replication.claims.report"),
        ledger=R.claims(),
        template=written("paper", "report", "report.html.j2"),
        departures=written("paper", "report", "departures.csv"),
        captions=claimed.captions(R, config_.studies.contexts),
        exhibits=claimed.exhibits(R, config_.studies.contexts),
        corpus=R.corpus() / "corpus.json",
        reference=claimed.reference(config_.run),
    output:
        report=R.report(),
        meta=R.root / "report.meta.json",
    log:
        R.log("claims/report.log"),
    benchmark:
        R.benchmark("claims/report.tsv")
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        settings=rules.claims.params.settings,
        results=R.root,
    message:
        "report: write the page"
    shell:
        "python -m replication ledger report --settings {params.settings:q} --log {log} --ledger {input.ledger}"
        " --template {input.template} --departures {input.departures} --captions {input.captions}"
        " --exhibits {input.exhibits} --corpus {input.corpus} --reference {input.reference}"
        " --results {params.results} --out {output.report}"
