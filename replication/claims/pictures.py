"""Pictures for the report: as sharp as they were drawn, in half of their bytes, because a plot has few colours."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from replication.artifacts import ArtifactError

COLOURS = 256  # of the palette, the most that it can have; a plot has a dozen, and their mixtures along edges
WIDTH = 1440  # pixels: a column of 7.2 inches at 200 dpi
INCH = 200  # pixels


@dataclass(frozen=True)
class Picture:
    """A figure as a png with a palette, and its size in pixels."""

    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as the source of an image inside a page."""
        return "data:image/png;base64," + base64.b64encode(self.data).decode()


def read(path: Path) -> Picture:
    """The figure of an exhibit on white, no wider than a column, in `COLOURS`. Raises ArtifactError when it is no picture."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
    except (FileNotFoundError, UnidentifiedImageError, OSError):
        raise ArtifactError(f"{path} is missing or no picture; delete it and run `snakemake --cores all`") from None
    white = Image.new("RGBA", image.size, "white")
    flat = Image.alpha_composite(white, image).convert("RGB")
    if flat.width > WIDTH:
        flat = flat.resize((WIDTH, round(flat.height * WIDTH / flat.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    flat.quantize(COLOURS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return Picture(stream.getvalue(), flat.width, flat.height)
