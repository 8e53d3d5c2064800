"""Figures for the report."""

import io

import numpy as np
import pytest
from PIL import Image

from replication.artifacts import ArtifactError
from replication.claims import pictures


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def test_few_colours_are_kept_exactly_and_take_a_palette(tmp_path):
    drawn = np.zeros((40, 60, 4), np.uint8)
    drawn[..., 3] = 255
    drawn[:20, :30] = (224, 123, 0, 255)
    drawn[20:, 30:] = (31, 95, 168, 255)
    made = pictures.read(save(tmp_path / "a.png", drawn))
    image = Image.open(io.BytesIO(made.data))
    assert image.mode == "P" and (made.width, made.height) == image.size == (60, 40)
    assert (np.asarray(image.convert("RGB")) == drawn[..., :3]).all()


def test_what_is_transparent_is_white(tmp_path):
    drawn = np.zeros((4, 4, 4), np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(pictures.read(save(tmp_path / "a.png", drawn)).data)).convert("RGB")) == 255).all()


def test_a_wide_picture_becomes_a_column(tmp_path):
    made = pictures.read(save(tmp_path / "a.png", np.full((100, 2 * pictures.WIDTH, 3), 200, np.uint8)))
    assert (made.width, made.height) == (pictures.WIDTH, 50)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no")
    for name in ("a.png", "missing.png"):
        with pytest.raises(ArtifactError, match="missing or no picture"):
            pictures.read(tmp_path / name)
