# Text, its tokenizer, and contexts of tokens. `source` is no input but a parameter: see replication/corpus/sources.py, fingerprint.
from replication.corpus.sources import fingerprint


rule corpus_documents:
    input:
        code=code("replication.corpus.documents")
        + code(f"replication.corpus.{config_.corpus.source}"),
        reference=written("replication", "corpus", "installed_reference.json"),
    output:
        documents=R.corpus() / "documents.parquet",
        summary=R.corpus() / "corpus.json",
        meta=R.corpus() / "meta.json",
    log:
        R.log("corpus/documents.log"),
    benchmark:
        R.benchmark("corpus/documents.tsv")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=text_mb(config_),
        runtime=120,
        gpu=0,
    params:
        settings=config_.settings("corpus").json(),
        source=fingerprint(config_.corpus),
        out=R.corpus(),
    message:
        "corpus: collect the text"
    shell:
        "python -m replication corpus documents --settings {params.settings:q} --log {log} --out {params.out}"


rule corpus_tokenizer:
    input:
        code=code("replication.corpus.tokenizer"),
        documents=R.corpus() / "documents.parquet",
    output:
        tokenizer=R.corpus() / "tokenizer.json",
        meta=R.corpus() / "tokenizer.meta.json",
    log:
        R.log("corpus/tokenizer.log"),
    benchmark:
        R.benchmark("corpus/tokenizer.tsv")
    threads: workflow.cores or THREADS
    resources:
        mem_mb=memory(1000),
        disk_mb=100,
        runtime=60,
        gpu=0,
    params:
        settings=config_.settings("compute", "corpus").json(),
        out=R.corpus(),
    message:
        "corpus: make the tokenizer"
    shell:
        "python -m replication corpus tokenizer --settings {params.settings:q} --log {log} --documents {input.documents} --out {params.out}"


rule corpus_tokens:
    input:
        code=code("replication.corpus.tokens"),
        documents=R.corpus() / "documents.parquet",
        tokenizer=R.corpus() / "tokenizer.json",
    output:
        train=R.corpus() / "train.safetensors",
        held_out=R.corpus() / "held_out.safetensors",
        unigrams=R.corpus() / "unigrams.safetensors",
        meta=R.corpus() / "tokens.meta.json",
    log:
        R.log("corpus/tokens.log"),
    benchmark:
        R.benchmark("corpus/tokens.tsv")
    threads: workflow.cores or THREADS
    resources:
        mem_mb=memory(1500),
        disk_mb=text_mb(config_),
        runtime=240,
        gpu=0,
    params:
        settings=config_.settings("compute", "corpus").json(),
        n_ctx=next(iter(config_.models.values())).n_ctx,
        out=R.corpus(),
    message:
        "corpus: encode the text and cut it into contexts"
    shell:
        "python -m replication corpus tokens --settings {params.settings:q} --log {log} --documents {input.documents}"
        " --tokenizer {input.tokenizer} --n-ctx {params.n_ctx} --out {params.out}"
