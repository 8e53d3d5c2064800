# Every exhibit is a target by name: `snakemake --cores all density_histograms`. It draws its study's table and nothing else.
from replication import exhibits as drawn

for exhibit in drawn.of(config_.studies.contexts).values():

    rule:
        name:
            exhibit.id
        input:
            code=drawn.sources(exhibit),
            style=written("replication", "exhibits", "paper.mplstyle"),
            data=R.study(exhibit.study) / "data.csv",
            numbers=R.study(exhibit.study) / "numbers.json",
            caption=written("paper", "captions", f"{exhibit.caption}.md"),
            distributions=written("paper", "published", "distributions.csv"),
            claims=written("paper", "published", "claims.csv"),
        output:
            [
                R.exhibits() / f"{exhibit.id}{suffix}"
                for suffix in drawn.suffixes(exhibit)
            ],
        log:
            R.log(f"exhibits/{exhibit.id}.log"),
        benchmark:
            R.benchmark(f"exhibits/{exhibit.id}.tsv")
        group:
            "exhibits"
        threads: 1
        resources:
            mem_mb=memory(800),
            disk_mb=100,
            runtime=5,
            gpu=0,
        params:
            settings=config_.settings().json(),
            id=exhibit.id,
            # of the registry, which is no input: it stands in the picture's metadata
            title=exhibit.title,
            study=R.study(exhibit.study),
            out=R.exhibits(),
        message:
            f"exhibit {exhibit.id}: draw it"
        shell:
            "python -m replication exhibits draw {params.id} --settings {params.settings:q} --log {log} --study {params.study}"
            " --caption {input.caption} --distributions {input.distributions} --claims {input.claims} --out {params.out}"
