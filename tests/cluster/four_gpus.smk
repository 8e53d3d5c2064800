# Eight jobs of one GPU and one of two, for a machine of four: see test_gpus.py.
rule all:
    input:
        [f"{job}.txt" for job in range(9)],


rule job:
    output:
        "{job}.txt",
    resources:
        gpu=lambda wildcards: 2 if wildcards.job == "8" else 1,
    shell:
        "python job.py {resources.gpu} 3 > {output}"
