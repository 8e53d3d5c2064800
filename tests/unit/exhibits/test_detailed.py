"""The drawings of single features where a run has little to show."""

import json

import pandas as pd
import pytest

from replication.exhibits import style
from replication.exhibits.detailed import activation_spectrum, disagreement, not_a_neuron, sensitivity
from replication.exhibits.study import Study

WINDOW = {"tokens": json.dumps(["a$", "\n", "\\xd8", "\u05d0"]), "values": json.dumps([0, 1.5, 0, 0.2]), "centre": 1}


def study(rows, numbers, **published):
    data = pd.DataFrame(rows).assign(feature="A/1/7", neuron="A/neurons/3")
    said = {key: {"value": value, "n": 50, "unit": "", "over": "tokens"} for key, value in numbers.items()}
    return Study(data, said, {}, published, pd.DataFrame(), context="dna", label="DNA")


def texts(drawing):
    drawing.figure.draw_without_rendering()
    return " | ".join(text.get_text() for text in drawing.figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


@pytest.fixture(autouse=True)
def paper():
    with style.paper():
        yield


def test_a_spectrum_with_one_window_and_an_empty_level():
    bins = [{"kind": "bin", "low": low, "high": low + 1.0, "proxy": proxy, "count": 2, "activation": 2.5}
            for low in (0.0, 1.0) for proxy in ("off", "weak", "strong")]
    levels = [{"kind": "level", "low": 0.0, "high": 1.0, "count": 6, "inside": 4, "share": 0.67, "share_low": 0.3, "share_high": 0.9},
              {"kind": "level", "low": 1.0, "high": 2.0, "count": 0, "inside": 0, "share": None, "share_low": None, "share_high": None}]
    shown = [{"kind": "example", "quarter": 3, "activation": 1.5, "inside": 1, **WINDOW}]
    drawing = activation_spectrum.draw(study(bins + levels + shown, {"density": 0.1, "context_share": 0.02}, active_share=0.81))
    assert "when on: 81%" in texts(drawing)
    assert "highest quarter" in texts(drawing)
    assert drawing.facts["active"] == "12"


def test_sensitivity_where_nothing_else_fires():
    bars = [{"kind": "bar", "name": name, "correlation": value, "correlation_low": low, "correlation_high": high}
            for name, value, low, high in (("feature", 0.6, 0.5, 0.7), ("neuron", -0.1, None, None))]
    drawing = sensitivity.draw(study(bars, {"correlation": 0.6}, correlation=0.8))
    assert "nothing fires more often" in texts(drawing)
    assert "published feature, 0.80" in texts(drawing)


def test_sensitivity_of_a_feature_that_is_silent_in_the_reporting_half():
    bars = [{"kind": "bar", "name": "feature", "correlation": 0.6, "correlation_low": 0.5, "correlation_high": 0.7}]
    others = [{"kind": "other", "rank": 0, "other": "A/1/9", "filler": 1, "gaps": 4, "in_gaps": 0.0, "elsewhere": 0.0, "tokens": "[]", "counts": "[]"}]
    assert "none on the reporting half" in texts(sensitivity.draw(study(bars + others, {"correlation": 0.6, "gaps_covered": 0.0})))


def test_cells_without_tokens_say_so():
    cells = [{"kind": "cell", "level": level, "proxy": proxy, "low": float(level), "high": level + 1.0, "count": int(level == 0 and proxy == 0)}
             for level in range(4) for proxy in (0, 1)]
    drawing = disagreement.draw(study([*cells, {"kind": "window", "level": 0, "proxy": 0, "rank": 0, **WINDOW}], {}))
    assert texts(drawing).count("no such token") == 7
    assert "activation off: 1 token |" in texts(drawing)


def test_a_dictionary_of_another_site_has_no_coefficients():
    rows = [{"kind": kind, "low": 0.0, "high": 1.0, "context_count": own, "rest_count": 8} for kind, own in (("spectrum", 3), ("logit", 2))]
    rows += [{"kind": "point", "group": "neither on", "x": 0.0, "y": 0.5, "of": 9}]
    drawing = not_a_neuron.draw(study(rows, {"best_neuron_correlation": 0.2}, best_neuron_correlation=0.1))
    assert "site is not neurons" in texts(drawing)
    assert "(published 0.10)" in texts(drawing)
