"""The planner: work counted by hand, rates read back, and the acceptance: what smoke's rates say of laptop against what laptop took."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from replication import cli, config, resolution
from replication.config import UserError
from replication.planning import plan, rates, steps, work
from replication.planning.rates import Measured, Rates
from replication.planning.work import Course, Job

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results" / "reference"
COURSE = Course(shuffled=False, warmup=False, init="kaiming", dense=0.02, excess=0.01, late=10.0)
ABOUT = {"run": "tiny", "device": "cpu", "machine": {"cpu": "one"}, "versions": {"torch": "2"}, "commits": ["abc"], "threads": 1, "jobs": 1,
         "jobs_with_cpu_seconds": 1, "bytes": {}, "corpus_bytes": {"documents": 0.25, "tokens": 1.0}}
# a cost of one thousandth of a second, and one of a billionth, so that laws are known
RUNGS = [steps.Rung(law, {term: float(term == own) for term in terms}, 1e-3 if own == "steps" else 1e-9) for law, terms in steps.LAWS.items() for own in terms]


@pytest.fixture
def tiny() -> config.Config:
    """One model of two widths, one dictionary, stored activations."""
    return resolution.resolve({
        "run": "tiny", "compute": {"device": "cpu"}, "corpus": {"max_bytes": 1000, "d_vocab": 300},
        "model": {"d_model": 4, "d_mlp": 8, "n_heads": 2, "n_ctx": 10, "tokens": 1000, "batch": 5, "validation_contexts": 2, "validate_every": 10}, "models": {"A": {}},
        "activations": {"vectors": 400, "per_context": 5, "block": 100, "storage": "stored"},
        "sae": {"d_sae": 16, "batch": 10, "vectors": 400, "lr": 0.001, "min_window": 10}, "dictionaries": {"A/1": {}},
        "features": {"contexts": 20}, "studies": {"main": "A/1", "twin": "A/1", "contexts": ["base64"]}})


def job(found: list[Job], name: str) -> Job:
    return next(each for each in found if each.name == name)


def test_work_of_a_model_by_hand(tiny: config.Config) -> None:
    # of a token: 4 x 4 x 4 of attention's weights, 2 x 4 x 8 of the MLP, 2 x 10 x 4 of scores and mixing, 4 x 300 of the unembedding; two operations each
    forward = 2 * (64 + 64 + 80 + 1200)
    assert work.forward_flops(tiny.models["A"], 300) == forward
    model = job(work.jobs(tiny), "model/A")
    # 20 steps of 50 tokens, two validations of 20 tokens
    assert model.terms["model step"] == {"steps": 20, "logits": 1000 * 300 + 40 * 300 / 3, "flops": 3 * forward * 1000 + forward * 40}


def test_work_of_a_dictionary_by_hand(tiny: config.Config) -> None:
    terms = job(work.jobs(tiny, [COURSE]), "sae/A/1").terms
    # 40 steps: 0.02 / 0.001 of them dense; beyond the late level the others have 0.01 / 0.001 steps' worth of all 16 features
    assert terms["dense step"] == pytest.approx({"steps": 20, "elements": 20 * 10 * 16, "flops": 10 * 20 * 10 * 16 * 8})
    assert terms["sparse step"] == pytest.approx({
        "steps": 20, "screened": 20 * 160, "flops": 2 * 20 * 160 * 8, "pairs": 10 * (20 * 10 + 10 * 16) * 8, "weights": 20 * 16 * 8})
    assert terms["read block"] == {"elements": 400 * 8}
    streamed = dataclasses.replace(tiny, activations=dataclasses.replace(tiny.activations, storage="streamed"))
    assert job(work.jobs(streamed, [COURSE]), "sae/A/1").terms["harvest"]["tokens"] == 400 / 5 * 10  # whole contexts pass the attention


@pytest.mark.parametrize("name", ["smoke", "laptop", "questions", "long", "gpu", "paper"])
def test_every_job_waits_for_jobs_of_the_run_and_is_there_once(name: str) -> None:
    found = work.jobs(resolution.load(ROOT / "config" / f"{name}.yaml"))
    names = [each.name for each in found]
    assert len(names) == len(set(names))
    assert {waited for each in found for waited in each.after} <= set(names)
    assert {each.stage for each in found} == set(work.STAGES)


def test_only_of_a_dataset_of_the_hub_a_revision_is_looked_up_before_its_parts() -> None:
    config = resolution.load(ROOT / "config" / "paper.yaml")
    found = work.jobs(config)
    looked_up, parts = job(found, "corpus/revision"), [each for each in found if each.name.startswith("corpus/documents/")]
    assert (looked_up.meta, looked_up.after) == ("corpus/revision.meta.json", ())
    assert len(parts) == config.corpus.shards and {each.after for each in parts} == {("corpus/revision",)}
    found = work.jobs(resolution.load(ROOT / "config" / "laptop.yaml"))
    assert "corpus/revision" not in {each.name for each in found} and job(found, "corpus/documents/0").after == ()


def test_the_work_of_a_run_names_the_benchmarks_that_it_writes() -> None:
    """laptop's table was written by the workflow itself: nothing in it that the planner does not know, and nothing of either that is drawn from air."""
    measured = {each.name for each in rates.read(REFERENCE / "laptop").jobs}
    assert len(measured) > 200
    assert measured <= {each.name for each in work.jobs(resolution.load(ROOT / "config" / "laptop.yaml"))}


def test_a_course_by_hand() -> None:
    # ten steps at 12 of 20 features, dense; ten at 5; then twenty at 1, the late level
    assert rates.course([(10, 12.0), (20, 5.0), (30, 1.0), (40, 1.0)], lr=0.1, d_sae=20) == pytest.approx((1.0, 0.1 * 10 * 4 / 20, 1.0))


@pytest.mark.parametrize(("wall", "cpu", "whole"), [(10.0, 8.0, 8.0), (38.0, 15.0, 38.0), (60.0, 45.0, 60.0), (15.0, 15.0, 15.0)])
def test_a_sample_of_snakemake_is_scaled_to_the_jobs_end(wall: float, cpu: float, whole: float) -> None:
    assert rates.sampled(wall, cpu) == pytest.approx(whole)  # a job that keeps one core busy, as it is seen at 15, 45, 75 ... seconds


def written_run(folder: Path, *, meta: dict[str, object]) -> Path:
    for name, line in (("model/A", "38.0\t0:00:38\t300.5\t15.0"), ("exhibits/tradeoff", "2.0\t0:00:02\t100.0\t1.5")):
        path = folder / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{line}\n")
    (folder / "model" / "A").mkdir(parents=True)
    (folder / "model" / "A" / "meta.json").write_text(json.dumps({"device": "cpu", "commit": "abc", "machine": {"cpu": "one"}, "versions": {}, **meta}))
    return folder


def test_rates_are_read_back_as_they_were_measured(tiny: config.Config, tmp_path: Path) -> None:
    run = written_run(tmp_path / "run", meta={"cpu_seconds": 30.0, "startup_seconds": 4.0, "wall_seconds": 33.0, "peak_memory_mb": 310.0})
    found = rates.measure(tiny, run, RUNGS)
    model, exhibit = found.of("model")[0], found.of("exhibits")[0]
    assert (model.seconds, model.startup, model.memory_mb) == (34.0, 4.0, 310.0)  # its own seconds, not the sample's
    assert (exhibit.seconds, exhibit.startup, exhibit.memory_mb) == (1.5, 1.5, 100.0)
    rates.write(found, tmp_path / "out")
    again = rates.read(tmp_path / "out")
    assert (list(again.jobs), list(again.rungs), list(again.courses)) == (list(found.jobs), list(found.rungs), list(found.courses))
    assert again.about == json.loads(json.dumps(found.about))
    assert again.about["commits"] == ["abc"]


def test_rates_of_a_run_before_jobs_told_their_cpu(tiny: config.Config, tmp_path: Path) -> None:
    found = rates.measure(tiny, written_run(tmp_path, meta={"wall_seconds": 28.5}), [])
    assert (found.of("model")[0].seconds, found.of("model")[0].startup) == (38.0, 9.5)  # the sample scaled; a quarter of the time before its stopwatch


def mixed_run(folder: Path, devices: dict[str, str], *, gpu: str = "H100") -> Path:
    """A run on a machine with a GPU: a job has a device, or none where torch is not loaded and the GPU is not seen."""
    for name, device in devices.items():
        benchmark, meta = folder / "benchmarks" / f"{name}.tsv", folder / job(work.jobs(shuffled_and_loaded()), name).meta
        for path in (benchmark, meta):
            path.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text("s\th:m:s\tmax_rss\tcpu_time\n38.0\t0:00:38\t300.5\t15.0\n")
        seen = {"device": device, "machine": {"cpu": "one", "gpu": gpu}} if device else {"machine": {"cpu": "one"}}
        meta.write_text(json.dumps({"commit": "abc", "versions": {}, "cpu_seconds": 30.0, "startup_seconds": 4.0, **seen}))
    return folder


def shuffled_and_loaded() -> config.Config:
    """A model that is trained, its shuffled copy, and a dictionary that is loaded."""
    return resolution.resolve({
        "run": "tiny", "corpus": {"max_bytes": 1000, "d_vocab": 300}, "model": {"d_model": 4, "d_mlp": 8, "n_heads": 2, "n_ctx": 10, "tokens": 1000, "batch": 5},
        "models": {"A": {}, "random": {"shuffle_of": "A"}}, "activations": {"vectors": 400, "per_context": 5, "block": 100},
        "sae": {"d_sae": 16, "batch": 10, "vectors": 400, "min_window": 10}, "dictionaries": {"A/1": {}, "A/there": {"load": "somewhere"}, "random/1": {}},
        "features": {"contexts": 20}, "studies": {"main": "A/1", "twin": "A/1", "contexts": ["base64"]}})


def test_a_run_on_a_gpu_has_jobs_that_any_run_has_on_the_cpu(tmp_path: Path) -> None:
    devices = {"model/A": "cuda", "model/random": "cpu", "sae/A/1": "cuda:0", "sae/A/there": "cpu", "features/A/1": "cuda", "browser/page": ""}
    found = [rates.measure(shuffled_and_loaded(), mixed_run(tmp_path / gpu, devices, gpu=gpu), []) for gpu in ("H100", "H200")]
    assert [each.device for each in found] == ["cuda", "cuda"]
    assert [each.about["machine"]["gpu"] for each in found] == ["H100", "H200"]  # the page's own metadata names none
    with pytest.raises(UserError, match="different machines"):
        rates.together(found)
    with pytest.raises(UserError, match="ran on cpu and cuda"):
        rates.measure(shuffled_and_loaded(), mixed_run(tmp_path / "both", devices | {"features/A/1": "cpu"}), [])


def test_laws_are_found_again_at_their_rungs() -> None:
    costs = {"steps": 2e-3, "logits": 3e-9, "flops": 1e-11}
    rungs = [steps.Rung("model step", terms, sum(costs[term] * count for term, count in terms.items()))
             for terms in ({"steps": 1, "logits": 1e6, "flops": 1e9}, {"steps": 1, "logits": 1e7, "flops": 2e9}, {"steps": 1, "logits": 2e6, "flops": 1e11})]
    assert steps.fit(rungs, "model step") == pytest.approx(costs)


def test_prices_by_hand(tiny: config.Config) -> None:
    """Start-up, counted terms by their law, and items at what those of another size took beside both."""
    jobs = [Measured("model/A", "model", 9.0, 2.0, 100.0, 0.0, 0.0, {}), Measured("features/A/neurons", "features neurons", 5.0, 1.0, 100.0, 100.0, 0.0, {})]
    priced = {each.job.name: each for each in plan.price_jobs(tiny, Rates(ABOUT, jobs, RUNGS, [COURSE]), device="cpu")}
    terms = priced["model/A"].job.terms["model step"]
    assert priced["model/A"].seconds == pytest.approx(2.0 + 20 * 1e-3 + 1e-9 * (terms["logits"] + terms["flops"]))
    assert priced["features/A/neurons"].seconds == pytest.approx(1.0 + 200 * 8 * 4.0 / 100)


def test_what_an_item_costs_is_not_read_off_jobs_that_had_none(tiny: config.Config) -> None:
    def priced(*jobs: Measured) -> plan.Estimate:
        return plan.estimate(tiny, Rates(ABOUT, jobs, RUNGS, [COURSE]), device="cpu", cores=2)

    study, had_none = job(work.jobs(tiny), "studies/sensitivity"), Measured("studies/sensitivity", "studies sensitivity", 3.0, 1.0, 100.0, 0.0, 0.0, {})
    assert study.items > 0
    alone = {each.job.name: each for each in plan.price_jobs(tiny, Rates(ABOUT, [had_none], RUNGS, [COURSE]), device="cpu")}
    assert alone["studies/sensitivity"].seconds == 3.0  # the median job of its stage, which the notes name
    assert any("studies sensitivity" in note for note in priced(had_none).notes)
    had_some = dataclasses.replace(had_none, seconds=5.0, items=2 * study.items)
    both = {each.job.name: each for each in plan.price_jobs(tiny, Rates(ABOUT, [had_none, had_some], RUNGS, [COURSE]), device="cpu")}
    assert both["studies/sensitivity"].seconds == pytest.approx(1.0 + 4.0 / 2)


def test_the_schedule_keeps_to_cores_threads_and_the_gpu() -> None:
    def of(name: str, seconds: float, *after: str, threads: int = 1, gpu: bool = False, ranks: int = 1) -> plan.Priced:
        return plan.Priced(Job(name, name, after, threads=threads, gpu=gpu, ranks=ranks), seconds, None)

    chain = [of("a", 4.0), of("b", 3.0), of("c", 3.0), of("d", 2.0, "a", "b")]
    assert plan.schedule(chain, cores=1, gpus=0) == 12.0
    assert plan.schedule(chain, cores=2, gpus=0) == 6.0  # a beside b then c; d beside c
    assert plan.schedule([of("a", 4.0, gpu=True), of("b", 4.0, gpu=True)], cores=2, gpus=1) == 8.0
    assert plan.schedule([of("a", 4.0, threads=2), of("b", 4.0)], cores=2, gpus=0) == 6.0
    assert plan.schedule([of("a", 4.0, gpu=True), of("b", 4.0, gpu=True)], cores=2, gpus=2) == 4.0
    assert plan.schedule([of("a", 8.0, gpu=True, ranks=2), of("b", 2.0, gpu=True)], cores=3, gpus=2) == 6.0  # 8 seconds of one GPU are 4 of two
    assert plan.schedule([of("a", 8.0, ranks=2), of("b", 2.0)], cores=2, gpus=0) == 6.0


def test_a_dictionary_in_ranks(tiny: config.Config) -> None:
    """Each rank has a slice of the features, and on a CPU its process beside it; a GPU holds one rank."""
    tiny = dataclasses.replace(tiny, dictionaries={"A/1": dataclasses.replace(tiny.dictionaries["A/1"], resamplings=0)})
    ranks = dataclasses.replace(tiny, dictionaries={"A/1": dataclasses.replace(tiny.dictionaries["A/1"], ranks=4)})
    one, four = (job(work.jobs(some, [COURSE]), "sae/A/1") for some in (tiny, ranks))
    assert four.ranks == 4 and four.terms == one.terms
    assert one.memory - four.memory == 4 * (9 * 8 * 16 + 3 * 10 * 16) * 3 / 4
    measured = Rates(ABOUT, [Measured("sae/A/2", "sae", 9.0, 2.0, 100.0, 0.0, 10e6, {})], RUNGS, [COURSE])
    priced = {each.job.name: each for each in plan.price_jobs(ranks, measured, device="cpu")}
    assert priced["sae/A/1"].memory_mb == pytest.approx(4 * (90 + four.memory / 1e6))
    priced = {each.job.name: each for each in plan.price_jobs(ranks, measured, device="cuda", flops=1e6)}
    assert priced["sae/A/1"].memory_mb == pytest.approx(four.memory / 1e6)
    assert plan.estimate(ranks, measured, device="cuda", cores=2).gpus == 4
    with pytest.raises(UserError, match="sae/A/1 wants 4 GPUs at a time"):
        plan.estimate(ranks, measured, device="cuda", cores=2, gpus=3)


def test_smoke_predicts_laptop() -> None:
    """The acceptance: within 25 % in all, and in each stage of the training of models and dictionaries, which take most of a run."""
    laptop = resolution.load(ROOT / "config" / "laptop.yaml")
    took = {each.name: each.seconds for each in rates.read(REFERENCE / "laptop").jobs}
    smoke = rates.read(REFERENCE / "smoke")
    assert smoke.about["run"] == "smoke" and not {each.name for each in smoke.jobs} & {"sae/A/2"}  # it saw nothing of laptop's sizes
    said = {each.job.name: each.seconds or 0.0 for each in plan.price_jobs(laptop, smoke, device="cpu")}

    def ratio(stage: str = "") -> float:
        return sum(said[name] for name in took if name.startswith(stage)) / sum(seconds for name, seconds in took.items() if name.startswith(stage))

    assert 0.75 <= ratio() <= 1.25
    for stage in ("model/", "activations/", "sae/", "features/"):
        assert 0.75 <= ratio(stage) <= 1.25, stage


def test_memory_and_disk_of_laptop_from_smoke() -> None:
    laptop, measured = resolution.load(ROOT / "config" / "laptop.yaml"), rates.read(REFERENCE / "laptop")
    found = {stage.name: stage for stage in plan.estimate(laptop, rates.read(REFERENCE / "smoke"), device="cpu", cores=2).stages}
    for stage in ("model", "sae", "features"):
        assert found[stage].disk == pytest.approx(measured.about["bytes"][stage], rel=0.25), stage
    most = max(each.memory_mb for each in measured.of("sae"))
    assert found["sae"].memory_mb == pytest.approx(most, rel=0.25)


def test_no_gpu_rate_is_made_from_cpu_rates(tiny: config.Config) -> None:
    jobs = [Measured(each.name, each.kind, 5.0, 1.0, 100.0, 10.0, 0.0, {}) for each in work.jobs(tiny)]
    measured = Rates(ABOUT, jobs, RUNGS, [COURSE])
    for each in plan.price_jobs(tiny, measured, device="cuda"):
        assert (each.seconds is None) == each.job.gpu
    found = plan.estimate(tiny, measured, device="cuda", cores=2, price=3.0)
    assert found.wall is None and found.money is None and found.seconds is None
    assert any("No rates of a GPU were measured" in note for note in found.notes)
    # an assumed rate prices arithmetic alone; a CPU's start-up and laws stay out of it
    assumed = {each.job.name: each.seconds for each in plan.price_jobs(tiny, measured, device="cuda", flops=1e6)}
    assert assumed["sae/A/1"] == pytest.approx(2 * 400 * 8 * 16 / 1e6)
    on_gpu = dataclasses.replace(measured, about=ABOUT | {"device": "cuda"})
    assert all(each.seconds is None for each in plan.price_jobs(tiny, on_gpu, device="cpu") if each.job.gpu)
    with pytest.raises(UserError, match="different machines"):
        rates.together([measured, on_gpu])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    yield


@pytest.mark.usefixtures("here")
def test_the_command_says_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "config/laptop.yaml", "--device", "cpu", "--cores", "2", "--price", "1"]) == 0
    out = capsys.readouterr().out
    assert "Wall time on 2 cores" in out and "Money" in out and "Download: none" in out
    assert cli.main(["plan", "config/paper.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["wall"] is None and found["download"] == 450e9


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--rates", "config"], "config holds no rates.csv"),
    (["--cores", "0"], "--cores is 0, but must be above 0"),
    (["--flops", "-1"], "--flops is -1.0, but must be above 0"),
    (["--rates", "results/reference/laptop"], "hold no timed steps; measure without --jobs-only"),
    (["--measure", "config", "--jobs-only"], "config holds no benchmark of a job of run laptop"),
])
def test_refusals(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "config/laptop.yaml", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_broken_table_is_refused(tmp_path: Path) -> None:
    rates.write(Rates(ABOUT, [Measured("model/A", "model", 9.0, 2.0, 100.0, 0.0, 0.0, {})], RUNGS, [COURSE]), tmp_path)
    table = tmp_path / rates.TABLE
    table.write_text(table.read_text().replace("2", "two"))
    with pytest.raises(UserError, match="is not what was written"):
        rates.read(tmp_path)


def test_a_ladder_times_real_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from replication.features import columns
    from replication.sae import gradients

    assert (rates.DENSE_FROM, work.COLUMN_BUDGET) == (gradients.DENSE_FROM, columns.BUDGET)
    monkeypatch.setattr(steps, "SECONDS", 0.0)
    made = steps._sparse(8, 32, 64, 4, torch.device("cpu"), 1), steps._model(8, 8, 64, 8, 2, torch.device("cpu"))
    for law, terms, timed in made:
        assert set(terms) == set(steps.LAWS[law]) and timed() > 0


def test_rungs_that_were_timed_side_by_side_are_means(monkeypatch):
    """Without a second process, which would take the whole ladder's time: the pool's answers are made up."""
    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self): return self
        def __exit__(self, *_: object) -> None: ...
        def submit(self, *_: object): return SimpleNamespace(result=lambda: [steps.Rung("read block", {"elements": 2.0}, 3.0)])

    monkeypatch.setattr(steps, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(steps, "climb", lambda *_: [steps.Rung("read block", {"elements": 2.0}, 1.0)])
    assert steps.climb_together(None, 1, 3) == [steps.Rung("read block", {"elements": 2.0}, pytest.approx(7 / 3))]
