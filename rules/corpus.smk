# Text, its tokenizer, and contexts of tokens: collected and encoded in `corpus.shards` parts, side by side, then joined.
# `source` and `named` are no inputs but parameters: see replication/corpus/sources.py, fingerprint.
from replication.config import TOKENIZING
from replication.corpus.sources import fingerprint, tokenizer_file

PARTS = [R.part(number) for number in range(config_.corpus.shards)]


# Of a dataset of the Hub only: parts start hours apart, and all are read at one commit.
rule corpus_revision:
    input:
        code=code("replication.corpus.revision"),
    output:
        revision=R.corpus() / "revision.json",
        meta=R.corpus() / "revision.meta.json",
    log:
        R.log("corpus/revision.log"),
    benchmark:
        R.benchmark("corpus/revision.tsv")
    priority: len(PARTS) + 1
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=100,
        runtime=60,
        gpu=0,
    params:
        settings=config_.settings("corpus").without("corpus", *TOKENIZING).json(),
        out=R.corpus(),
    message:
        "corpus: look up the commit of the dataset"
    shell:
        "python -m replication corpus revision --settings {params.settings:q} --log {log} --out {params.out}"


rule corpus_documents:
    input:
        code=code("replication.corpus.documents")
        + code(f"replication.corpus.{config_.corpus.source}"),
        revision=lambda wildcards: (
            R.corpus() / "revision.json" if config_.corpus.source == "hub" else []
        ),
    output:
        documents=R.part("{part}") / "documents.parquet",
        summary=R.part("{part}") / "corpus.json",
        meta=R.part("{part}") / "meta.json",
    log:
        R.log("corpus/documents/{part}.log"),
    benchmark:
        R.benchmark("corpus/documents/{part}.tsv")
    priority: lambda wildcards: len(PARTS) - int(wildcards.part)
    threads: 1
    resources:
        mem_mb=memory(2000),
        disk_mb=text_mb(config_, len(PARTS)),
        runtime=720,
        gpu=0,
    params:
        settings=config_.settings("corpus").without("corpus", *TOKENIZING).json(),
        source=fingerprint(config_.corpus),
        state=lambda wildcards: R.state("corpus", wildcards.part),
        out=lambda wildcards: R.part(wildcards.part),
    message:
        "corpus: collect the text of part {wildcards.part}"
    shell:
        "python -m replication corpus documents --settings {params.settings:q} --log {log} --part {wildcards.part}"
        " --state {params.state} --revision {input.revision} --out {params.out}"


# The first part has every so-manieth file of the dataset, so it is spread over it; it is collected first, and no other has to be waited for.
rule corpus_tokenizer:
    input:
        code=code("replication.corpus.tokenizer"),
        documents=R.part(0) / "documents.parquet",
    output:
        tokenizer=R.corpus() / "tokenizer.json",
        meta=R.corpus() / "tokenizer.meta.json",
    log:
        R.log("corpus/tokenizer.log"),
    benchmark:
        R.benchmark("corpus/tokenizer.tsv")
    priority: len(PARTS) + 1
    localrule: config_.corpus.tokenizer != "train" and not config_.corpus.tokenizer.endswith(".json")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=100,
        runtime=60,
        gpu=0,
    params:
        settings=config_.settings("compute", "corpus").json(),
        named=tokenizer_file(config_.corpus),
        out=R.corpus(),
    message:
        "corpus: make the tokenizer"
    shell:
        "python -m replication corpus tokenizer --settings {params.settings:q} --log {log} --documents {input.documents} --out {params.out}"


# It claims one thread and goes first, as the tokenizer does, so that parts are encoded while others are still collected; both
# also use cores that are idle, with the same result by any number. Its outputs would double the disk, and go when joined.
rule corpus_tokens:
    input:
        code=code("replication.corpus.tokens"),
        documents=R.part("{part}") / "documents.parquet",
        tokenizer=R.corpus() / "tokenizer.json",
    output:
        train=temp(R.part("{part}") / "train.safetensors"),
        held_out=temp(R.part("{part}") / "held_out.safetensors"),
        sources=temp(R.part("{part}") / "held_out_sources.safetensors"),
        unigrams=temp(R.part("{part}") / "unigrams.safetensors"),
        meta=temp(R.part("{part}") / "tokens.meta.json"),
    log:
        R.log("corpus/tokens/{part}.log"),
    benchmark:
        R.benchmark("corpus/tokens/{part}.tsv")
    priority: len(PARTS) + 1
    threads: 1
    resources:
        mem_mb=memory(1500),
        disk_mb=text_mb(config_, len(PARTS)),
        runtime=240,
        gpu=0,
    params:
        settings=config_.settings("compute", "corpus").json(),
        n_ctx=next(iter(config_.models.values())).n_ctx,
        out=lambda wildcards: R.part(wildcards.part),
    message:
        "corpus: encode part {wildcards.part} and cut it into contexts"
    shell:
        "python -m replication corpus tokens --settings {params.settings:q} --log {log} --documents {input.documents}"
        " --tokenizer {input.tokenizer} --n-ctx {params.n_ctx} --out {params.out}"


rule corpus:
    input:
        code=code("replication.corpus.whole")
        + code(f"replication.corpus.{config_.corpus.source}"),
        reference=written("replication", "corpus", "installed_reference.json"),
        tokenizer=R.corpus() / "tokenizer.json",
        summaries=[part / "corpus.json" for part in PARTS],
        tokens=[
            part / name
            for part in PARTS
            for name in (
                "train.safetensors",
                "held_out.safetensors",
                "held_out_sources.safetensors",
                "unigrams.safetensors",
                "tokens.meta.json",
            )
        ],
    output:
        train=R.corpus() / "train.safetensors",
        held_out=R.corpus() / "held_out.safetensors",
        sources=R.corpus() / "held_out_sources.safetensors",
        unigrams=R.corpus() / "unigrams.safetensors",
        tokens_meta=R.corpus() / "tokens.meta.json",
        summary=R.corpus() / "corpus.json",
        meta=R.corpus() / "meta.json",
    log:
        R.log("corpus/corpus.log"),
    benchmark:
        R.benchmark("corpus/corpus.tsv")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=text_mb(config_),
        runtime=240,
        gpu=0,
    params:
        settings=config_.settings("corpus").json(),
        source=fingerprint(config_.corpus),
        parts=PARTS,
        out=R.corpus(),
    message:
        "corpus: put the parts together"
    shell:
        "python -m replication corpus join --settings {params.settings:q} --log {log} --parts {params.parts} --out {params.out}"
