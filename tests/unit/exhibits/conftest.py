import importlib
from pathlib import Path

import pytest

from replication.config import resolve
from replication.exhibits import EXHIBITS, written
from replication.exhibits.draw import draw
from replication.progress import Progress
from replication.studies import STUDIES
from tests.planted import plant, raw


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    config = resolve(raw())
    layout = plant(tmp_path_factory.mktemp("planted"), config)
    for study in STUDIES.values():
        importlib.import_module(study.module).compute(settings=study.settings(config), layout=layout, out=layout.study(study.id), progress=Progress())
    return layout


@pytest.fixture(scope="session")
def drawn():
    def drawn(layout, name, out):
        exhibit = EXHIBITS[name]
        draw(exhibit=exhibit, study=layout.study(exhibit.study), caption=Path(written("paper", "captions", f"{name}.md")), out=out,
             distributions=Path(written("paper", "published", "distributions.csv")), claims=Path(written("paper", "published", "claims.csv")))
        return out
    return drawn
