# What every feature and every neuron does on the run's evaluation tokens. One job a dictionary: the pass and its tables.
import re

from replication.config import model_of
from replication.features import (
    PUBLISHED,
    every,
    on_texts,
    pairs,
    shown,
    sizes,
    tables,
    without_dictionaries,
)
from replication.foreign import local_files


wildcard_constraints:
    shown="|".join(re.escape(name) for name in shown(config_)),


rule features_tokens:
    input:
        code=code("replication.features.tokens"),
        held_out=R.corpus() / "held_out.safetensors",
        sources=R.corpus() / "held_out_sources.safetensors",
    output:
        tokens=R.evaluation() / "tokens.safetensors",
        sources=R.evaluation() / "sources.safetensors",
        meta=R.evaluation() / "tokens.meta.json",
    log:
        R.log("features/tokens.log"),
    benchmark:
        R.benchmark("features/tokens.tsv")
    threads: 1
    resources:
        mem_mb=memory(1000),
        disk_mb=100,
        runtime=10,
        gpu=0,
    params:
        settings=config_.settings("features").json(),
        corpus=R.corpus(),
        out=R.evaluation(),
    message:
        "features: draw the evaluation contexts"
    shell:
        "python -m replication features tokens --settings {params.settings:q} --log {log} --corpus {params.corpus} --out {params.out}"


rule features_neurons:
    input:
        code=code("replication.features.neurons"),
        tokens=R.evaluation() / "tokens.safetensors",
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        tokenizer=R.corpus() / "tokenizer.json",
        unigrams=R.corpus() / "unigrams.safetensors",
    output:
        matrix=R.features("{model}/neurons") / "matrix.safetensors",
        features=R.features("{model}/neurons") / "features.parquet",
        examples=R.features("{model}/neurons") / "examples.parquet",
        evaluation=R.features("{model}/neurons") / "evaluation.json",
        meta=R.features("{model}/neurons") / "meta.json",
    log:
        R.log("features/{model}/neurons.log"),
    benchmark:
        R.benchmark("features/{model}/neurons.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000, "features/{model}/neurons", config_),
        disk_mb=1000,
        runtime=240,
        gpu=GPU,
    params:
        settings=config_.settings("compute", "features").json(),
        model=subpath(input.weights, parent=True),
        corpus=R.corpus(),
        evaluation=R.evaluation(),
        out=subpath(output.matrix, parent=True),
    message:
        "features {wildcards.model}/neurons: measure the neurons"
    shell:
        "python -m replication features neurons --settings {params.settings:q} --log {log} --name {wildcards.model}/neurons"
        " --model {params.model} --corpus {params.corpus} --evaluation {params.evaluation} --out {params.out}"


rule features_site:
    input:
        code=code("replication.features.site"),
        tokens=R.evaluation() / "tokens.safetensors",
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
    output:
        losses=R.features("{model}/{site}") / "losses.parquet",
        mean=R.features("{model}/{site}") / "site_mean.safetensors",
        meta=R.features("{model}/{site}") / "meta.json",
    log:
        R.log("features/{model}/{site}.log"),
    benchmark:
        R.benchmark("features/{model}/{site}.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=60,
        gpu=GPU,
    params:
        settings=config_.settings("compute", "features").json(),
        model=subpath(input.weights, parent=True),
        evaluation=R.evaluation(),
        out=subpath(output.losses, parent=True),
    message:
        "features {wildcards.model}/{wildcards.site}: measure the site without any dictionary"
    shell:
        "python -m replication features site --settings {params.settings:q} --log {log} --site {wildcards.site} --model {params.model}"
        " --evaluation {params.evaluation} --out {params.out}"


rule features_dictionary:
    input:
        code=code("replication.features.evaluate"),
        tokens=R.evaluation() / "tokens.safetensors",
        dictionary=R.sae("{model}/{id}") / "sae_weights.safetensors",
        start=lambda wildcards: [
            R.sae(name) / "start.safetensors"
            for name in [f"{wildcards.model}/{wildcards.id}"]
            if not config_.dictionaries[name].load
        ],
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        losses=lambda wildcards: R.features(
            config_.site_of(f"{wildcards.model}/{wildcards.id}")
        )
        / "losses.parquet",
        mean=lambda wildcards: R.features(
            config_.site_of(f"{wildcards.model}/{wildcards.id}")
        )
        / "site_mean.safetensors",
        tokenizer=R.corpus() / "tokenizer.json",
        unigrams=R.corpus() / "unigrams.safetensors",
    output:
        matrix=R.features("{model}/{id}") / "matrix.safetensors",
        features=R.features("{model}/{id}") / "features.parquet",
        examples=R.features("{model}/{id}") / "examples.parquet",
        losses=R.features("{model}/{id}") / "losses.parquet",
        evaluation=R.features("{model}/{id}") / "evaluation.json",
        meta=R.features("{model}/{id}") / "meta.json",
    log:
        R.log("features/{model}/{id}.log"),
    benchmark:
        R.benchmark("features/{model}/{id}.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000, "features/{model}/{id}", config_),
        disk_mb=1000,
        runtime=240,
        gpu=GPU,
    params:
        settings=config_.settings("compute", "features").json(),
        dictionary=subpath(input.dictionary, parent=True),
        model=subpath(input.weights, parent=True),
        site=subpath(input.losses, parent=True),
        corpus=R.corpus(),
        evaluation=R.evaluation(),
        out=subpath(output.matrix, parent=True),
    message:
        "features {wildcards.model}/{wildcards.id}: measure the features"
    shell:
        "python -m replication features dictionary --settings {params.settings:q} --log {log} --name {wildcards.model}/{wildcards.id}"
        " --dictionary {params.dictionary} --model {params.model} --site {params.site} --corpus {params.corpus}"
        " --evaluation {params.evaluation} --out {params.out}"


rule features_matches:
    input:
        code=code("replication.features.matches"),
        matrices=[R.features(name) / "matrix.safetensors" for name in tables(config_)],
        dictionaries=[
            R.sae(name) / "sae_weights.safetensors"
            for name in tables(config_)
            if name in config_.dictionaries
        ],
        models=[
            R.model(model_of(name)) / "weights.safetensors" for name in tables(config_)
        ],
        unigrams=R.corpus() / "unigrams.safetensors",
    output:
        matches=R.evaluation() / "matches.parquet",
        meta=R.evaluation() / "matches.meta.json",
    log:
        R.log("features/matches.log"),
    benchmark:
        R.benchmark("features/matches.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=240,
        gpu=0,
    params:
        settings=config_.settings("compute", "features").json(),
        pairs=[f"{left}={right}" for left, right in pairs(config_)],
        models=R.root / "model",
        dictionaries=R.root / "sae",
        corpus=R.corpus(),
        out=R.evaluation(),
    message:
        "features: match features between dictionaries, and with neurons"
    shell:
        "python -m replication features match --settings {params.settings:q} --log {log} --pairs {params.pairs} --models {params.models}"
        " --dictionaries {params.dictionaries} --corpus {params.corpus} --out {params.out}"


rule features_contexts:
    input:
        code=code("replication.features.contexts"),
        matrices=[R.features(name) / "matrix.safetensors" for name in every(config_)],
        tokens=R.evaluation() / "tokens.safetensors",
        tokenizer=R.corpus() / "tokenizer.json",
        unigrams=R.corpus() / "unigrams.safetensors",
    output:
        contexts=R.evaluation() / "contexts.parquet",
        proxies=R.evaluation() / "proxies.safetensors",
        meta=R.evaluation() / "contexts.meta.json",
    log:
        R.log("features/contexts.log"),
    benchmark:
        R.benchmark("features/contexts.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=240,
        gpu=0,
    params:
        # a function, because the patterns of contexts hold braces, which would be read as wildcards
        settings=lambda wildcards: config_.settings(
            "compute",
            "studies",
            "contexts",
            models=[model_of(config_.studies.main)],
            dictionaries=[config_.studies.main],
        ).json(),
        names=every(config_),
        corpus=R.corpus(),
        out=R.evaluation(),
    message:
        "features: which features follow which context"
    shell:
        "python -m replication features contexts --settings {params.settings:q} --log {log} --names {params.names} --corpus {params.corpus}"
        " --out {params.out}"


rule features_ablation:
    input:
        code=code("replication.features.ablation"),
        tokens=R.evaluation() / "tokens.safetensors",
        dictionary=R.sae("{model}/{id}") / "sae_weights.safetensors",
        weights=R.model("{model}") / "weights.safetensors",
        architecture=R.model("{model}") / "architecture.json",
        matrix=R.features("{model}/{id}") / "matrix.safetensors",
    output:
        ablation=R.features("{model}/{id}") / "ablation.parquet",
        meta=R.features("{model}/{id}") / "ablation.meta.json",
    log:
        R.log("features/{model}/{id}.ablation.log"),
    benchmark:
        R.benchmark("features/{model}/{id}.ablation.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=240,
        gpu=GPU,
    params:
        settings=config_.settings("compute", "studies")
        .without("studies", "published", "bootstrap", "main", "twin", "contexts")
        .json(),
        dictionary=subpath(input.dictionary, parent=True),
        model=subpath(input.weights, parent=True),
        evaluation=R.evaluation(),
        out=subpath(output.ablation, parent=True),
    message:
        "features {wildcards.model}/{wildcards.id}: ablate every feature"
    shell:
        "python -m replication features ablation --settings {params.settings:q} --log {log} --name {wildcards.model}/{wildcards.id}"
        " --dictionary {params.dictionary} --model {params.model} --evaluation {params.evaluation} --out {params.out}"


rule features_effects:
    input:
        code=code("replication.features.effects"),
        tokens=R.evaluation() / "tokens.safetensors",
        dictionary=lambda wildcards: [
            R.sae(name) / "sae_weights.safetensors"
            for name in config_.dictionaries
            if name == wildcards.shown
        ],
        weights=lambda wildcards: R.model(model_of(wildcards.shown))
        / "weights.safetensors",
        matrix=R.features("{shown}") / "matrix.safetensors",
        examples=R.features("{shown}") / "examples.parquet",
    output:
        effects=R.features("{shown}") / "effects.parquet",
        meta=R.features("{shown}") / "effects.meta.json",
    log:
        R.log("features/{shown}.effects.log"),
    benchmark:
        R.benchmark("features/{shown}.effects.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=240,
        gpu=GPU,
    params:
        settings=config_.settings("compute", "features").json(),
        models=R.root / "model",
        dictionaries=R.root / "sae",
        evaluation=R.evaluation(),
        out=subpath(output.effects, parent=True),
    message:
        "features {wildcards.shown}: ablate every feature around its examples"
    shell:
        "python -m replication features effects --settings {params.settings:q} --log {log} --name {wildcards.shown}"
        " --models {params.models} --dictionaries {params.dictionaries} --evaluation {params.evaluation} --out {params.out}"


rule features_relations:
    input:
        code=code("replication.features.relations"),
        dictionaries=[
            R.sae(name) / "sae_weights.safetensors"
            for name in shown(config_)
            if name in config_.dictionaries
        ],
        features=[
            R.features(name) / "features.parquet"
            for name in shown(config_)
            if name in config_.dictionaries
        ],
        matrices=[
            R.features(name) / "matrix.safetensors"
            for name in sizes(config_)
            if name in shown(config_)
        ],
    output:
        relations=R.evaluation() / "relations.parquet",
        meta=R.evaluation() / "relations.meta.json",
    log:
        R.log("features/relations.log"),
    benchmark:
        R.benchmark("features/relations.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=240,
        gpu=GPU,
    params:
        settings=config_.settings("compute").json(),
        names=[name for name in shown(config_) if name in config_.dictionaries],
        sizes=[name for name in sizes(config_) if name in shown(config_)],
        dictionaries=R.root / "sae",
        out=R.evaluation(),
    message:
        "features: parents, children and nearest decoder rows"
    shell:
        "python -m replication features relations --settings {params.settings:q} --log {log} --names {params.names}"
        " --sizes {params.sizes} --dictionaries {params.dictionaries} --out {params.out}"


rule features_texts:
    input:
        code=code("replication.features.texts"),
        index=written("paper", "texts", "texts.csv"),
        texts=sorted(Path(written("paper", "texts")).glob("*.txt")),
        dictionaries=[
            R.sae(name) / "sae_weights.safetensors"
            for name in on_texts(config_)
            if name in config_.dictionaries
        ],
        models=[
            R.model(model_of(name)) / "weights.safetensors"
            for name in on_texts(config_)
        ],
        tokenizer=R.corpus() / "tokenizer.json",
    output:
        texts=R.evaluation() / "texts.parquet",
        tokens=R.evaluation() / "text_tokens.parquet",
        meta=R.evaluation() / "texts.meta.json",
    log:
        R.log("features/texts.log"),
    benchmark:
        R.benchmark("features/texts.tsv")
    threads: THREADS
    resources:
        mem_mb=memory(2000),
        disk_mb=100,
        runtime=60,
        gpu=GPU,
    params:
        settings=config_.settings("compute").json(),
        names=on_texts(config_),
        texts=subpath(input.index, parent=True),
        models=R.root / "model",
        dictionaries=R.root / "sae",
        corpus=R.corpus(),
        out=R.evaluation(),
    message:
        "features: everything that is on on each token of the fixed texts"
    shell:
        "python -m replication features texts --settings {params.settings:q} --log {log} --names {params.names} --texts {params.texts}"
        " --models {params.models} --dictionaries {params.dictionaries} --corpus {params.corpus} --out {params.out}"


rule features_published:
    input:
        code=code("replication.features.published"),
        source=local_files(config_.studies.published),
    output:
        features=R.features(PUBLISHED) / "features.parquet",
        meta=R.features(PUBLISHED) / "meta.json",
    log:
        R.log("features/published.log"),
    benchmark:
        R.benchmark("features/published.tsv")
    threads: 1
    resources:
        mem_mb=memory(2000),
        disk_mb=500,
        runtime=60,
        gpu=0,
    params:
        settings=config_.settings().json(),
        folder=config_.studies.published,
        out=R.features(PUBLISHED),
    message:
        "features: read the published viewer's files"
    shell:
        "python -m replication features published --settings {params.settings:q} --log {log} --folder {params.folder:q} --out {params.out}"
