import pytest

from replication.exhibits import style
from replication.exhibits.detailed.samples import around, cells_in, wrapped

TOKENS = ["ab", "c", "def", "\n", "ghij", "k"]  # 2, 1, 3, 1, 4, 1 characters


@pytest.mark.parametrize(("cells", "lines"), [(100, [(0, 6)]), (6, [(0, 3), (3, 6)]), (3, [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6)])])
def test_lines_hold_what_fits(cells, lines):
    assert [(some.start, some.stop) for some in wrapped(TOKENS, cells)] == lines


@pytest.mark.parametrize(("centre", "cells", "expected"), [
    (2, 100, (0, 6)), (2, 4, (1, 3)), (2, 5, (1, 4)), (2, 2, (2, 3)), (0, 6, (0, 3)), (5, 6, (3, 6))])
def test_a_text_is_cut_to_what_fits_about_its_centre(centre, cells, expected):
    some = around(TOKENS, centre, cells)
    assert (some.start, some.stop) == expected


def test_cells_fill_the_width():
    with style.paper():
        axes = style.figure(1.0).subplots()
        axes.figure.draw_without_rendering()
        assert cells_in(axes, 6.0) == pytest.approx(2 * cells_in(axes, 12.0), abs=1)
