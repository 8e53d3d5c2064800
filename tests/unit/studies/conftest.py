import importlib

import pytest

from replication.progress import Progress
from replication.resolution import resolve
from replication.studies import STUDIES
from tests.planted import few, plant, raw


@pytest.fixture(scope="session")
def config():
    return resolve(raw())


@pytest.fixture(scope="session")
def run(config, tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted"), config)


@pytest.fixture(scope="session")
def config_of_few():
    return resolve(few())


@pytest.fixture(scope="session")
def run_of_few(config_of_few, tmp_path_factory):
    return plant(tmp_path_factory.mktemp("few"), config_of_few)


@pytest.fixture(scope="session")
def compute(config, run):
    def compute(name, layout=run, out=None, config=config):
        study, out = STUDIES[name], out or layout.study(name)
        importlib.import_module(study.module).compute(settings=study.settings(config), layout=layout, out=out, progress=Progress())
        return out
    return compute
