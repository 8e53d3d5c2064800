import functools
import importlib
from pathlib import Path

import pytest

from replication.exhibits import find
from replication.exhibits.draw import draw
from replication.progress import Progress
from replication.provenance import written
from replication.rating import ratings
from replication.resolution import resolve
from replication.studies import STUDIES
from tests.planted import few, plant, rate, raw


def computed(folder, given, *, rated):
    config = resolve(given)
    layout = plant(folder, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings, "ROOT", folder / "ratings")
        if rated:
            rate(layout)
        for study in STUDIES.values():
            module = importlib.import_module(study.module)
            module.compute(settings=study.settings(config), layout=layout, out=layout.study(study.id), progress=Progress())
    return layout


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return computed(tmp_path_factory.mktemp("planted"), raw(), rated=True)


@pytest.fixture(scope="session")
def run_of_few(tmp_path_factory):
    return computed(tmp_path_factory.mktemp("few"), few(), rated=False)


@pytest.fixture(scope="session")
def once(run, drawn, tmp_path_factory):
    return functools.cache(lambda name: drawn(run, name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def drawn():
    def drawn(layout, name, out):
        exhibit = find(name)
        caption, *published = (Path(written("paper", *parts)) for parts in (
            ("captions", f"{exhibit.caption}.md"), ("published", "distributions.csv"), ("published", "claims.csv")))
        draw(exhibit=exhibit, study=layout.study(exhibit.study), caption=caption, out=out, distributions=published[0], claims=published[1])
        return out
    return drawn
