"""Which settings a run has: a config file stands alone, and `--config` alone changes the default."""

import pytest

from tests.e2e.conftest import Workspace


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Workspace:
    """The project before any run."""
    return Workspace(tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize("partial", ["corpus: {max_bytes: 1000000}", "run: mine"])
def test_a_file_that_lacks_sections_is_refused_as_config_check_refuses_it(fresh, tmp_path, partial):
    (tmp_path / "partial.yaml").write_text(partial)
    refused = fresh.snakemake("-n", config=str(tmp_path / "partial.yaml"), check=False)
    checked = fresh.python("config", "check", str(tmp_path / "partial.yaml"))
    assert refused.returncode != 0 and checked.returncode == 2
    assert f"config: {checked.stderr.removeprefix('error: ').strip()}" in refused.stdout + refused.stderr


@pytest.mark.parametrize("changed", ["models={A2: {shuffle_of: A}}", "corpus={text_field: body}"])
def test_config_without_a_file_changes_the_default(fresh, changed):
    target = "results/laptop/corpus/tokenizer.json"
    said = fresh.run("snakemake", "-n", "--cores", "1", target, "--config", changed, check=True)
    assert "corpus_tokenizer" in said.stdout + said.stderr


def test_config_beside_a_file_changes_that_file(fresh):
    assert fresh.jobs("results/other/corpus/tokenizer.json", "--config", "run=other") == {"corpus_documents": 1, "corpus_tokenizer": 1}


def test_the_process_of_a_job_reads_what_the_workflow_read(fresh):
    """As an executor starts it: with the `--config` of the command, and with no file where none was named."""
    job = ("--mode", "subprocess", "--target-jobs", "corpus_documents:part=0", "--allowed-rules", "corpus_documents", "--nolock")
    fresh.run("snakemake", "-n", "--cores", "1", *job, "--config", "run=other", check=True)
