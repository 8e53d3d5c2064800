# Every published statement with this run's number, a frozen reference and a verdict; then the report, and what a paper about the run needs.
from replication.claims import inputs as claimed


rule claims:
    input:
        code=code("replication.claims.ledger"),
        claims=written("paper", "published", "claims.csv"),
        explanations=written("paper", "report", "explanations.csv"),
        template=written("paper", "report", "claims.html.j2"),
        parts=[written("paper", "report", name) for name in claimed.TEMPLATES],
        numbers=claimed.numbers(R),
        corpus=R.corpus() / "corpus.json",
        evaluation=R.features(config_.studies.main) / "evaluation.json",
        reference=claimed.reference(config_.run),
    output:
        ledger=R.claims(),
        text=R.root / "claims.md",
        page=R.root / "claims.html",
        meta=R.root / "claims.meta.json",
    log:
        R.log("claims/claims.log"),
    benchmark:
        R.benchmark("claims/claims.tsv")
    threads: 1
    resources:
        mem_mb=memory(500),
        disk_mb=100,
        runtime=10,
        gpu=0,
    params:
        # a function, because the patterns of contexts hold braces, which would be read as wildcards
        settings=lambda wildcards: config_.settings(
            "corpus",
            "activations",
            "features",
            "interpretability",
            "studies",
            "contexts",
            models=list(config_.models),
            dictionaries=list(config_.dictionaries),
        ).json(),
    message:
        "claims: judge every published statement"
    shell:
        "python -m replication ledger judge --settings {params.settings:q} --log {log} --claims {input.claims}"
        " --explanations {input.explanations} --template {input.template} --numbers {input.numbers} --corpus {input.corpus}"
        " --evaluation {input.evaluation} --reference {input.reference} --out {output.ledger}"


rule report:
    input:
        code=code("replication.claims.report"),
        ledger=R.claims(),
        written=claimed.written(),
        captions=claimed.captions(R, config_.studies.contexts),
        exhibits=claimed.exhibits(R, config_.studies.contexts),
        numbers=claimed.numbers(R),
        corpus=R.corpus() / "corpus.json",
        reference=claimed.reference(config_.run),
    output:
        html=R.report(),
        pdf=R.root / "report.pdf",
        meta=R.root / "report.meta.json",
    log:
        R.log("claims/report.log"),
    benchmark:
        R.benchmark("claims/report.tsv")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=200,
        runtime=10,
        gpu=0,
    params:
        settings=rules.claims.params.settings,
        written=lambda wildcards, input: str(Path(input.written[0]).parent),
        headings=claimed.headings(config_.studies.contexts),
        results=R.root,
    message:
        "report: write the page and the pdf"
    shell:
        "python -m replication ledger report --settings {params.settings:q} --log {log} --ledger {input.ledger}"
        " --written {params.written} --captions {input.captions} --exhibits {input.exhibits} --numbers {input.numbers}"
        " --corpus {input.corpus} --reference {input.reference} --results {params.results} --html {output.html} --pdf {output.pdf}"


rule citation:
    input:
        code=code("replication.claims.citing"),
        ledger=R.claims(),
        numbers=claimed.numbers(R),
        references=written("paper", "report", "references.bib"),
        citation=written("CITATION.cff"),
        corpus=R.corpus() / "corpus.json",
    output:
        macros=R.macros(),
        bib=R.references(),
        meta=R.root / "citation.meta.json",
    log:
        R.log("claims/citation.log"),
    benchmark:
        R.benchmark("claims/citation.tsv")
    threads: 1
    resources:
        mem_mb=memory(500),
        disk_mb=100,
        runtime=10,
        gpu=0,
    params:
        settings=rules.claims.params.settings,
    message:
        "citation: write numbers and references for a paper"
    shell:
        "python -m replication ledger cite --settings {params.settings:q} --log {log} --ledger {input.ledger}"
        " --numbers {input.numbers} --references {input.references} --citation {input.citation} --corpus {input.corpus}"
        " --macros {output.macros} --bib {output.bib}"
