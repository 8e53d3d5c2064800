"""The report as a pdf: selectable text, an outline, figures inside, nothing cut off by a table or a font."""

import re
import zlib

import pytest

from replication.claims import content, pdf
from replication.claims.bibliography import Work
from replication.claims.content import Drawn
from replication.claims.departures import Departure
from replication.claims.pictures import Picture
from replication.claims.pictures import read as picture

LEDGER = {"source": "paper", "place": "p", "kind": "number", "published": "168", "unit": "features", "tolerance": "50", "value": "150", "sd": "", "n": "9",
          "low": "", "high": "", "reference": "", "reference_sd": "", "reference_n": "", "reference_corpus": ""}


def rows(*exhibits, verdict="agrees", reason="fine"):
    return [LEDGER | {"id": f"{name}-{index}", "section": "Global analysis", "exhibit": name, "statement": f"Statement {index} of {name}.",
                      "number": f"{name}.x", "verdict": verdict, "reason": reason} for index, name in enumerate(exhibits)]


def texts(path):
    """The text of each page, as a reader would copy it: strings of the page, decoded by the fonts' own tables."""
    data = path.read_bytes()
    tables = []
    for table in re.findall(rb"beginbfchar\n(.*?)\nendbfchar", data, re.DOTALL):
        pairs = re.findall(rb"<(\w+)> <(\w+)>", table)
        tables.append({bytes.fromhex(code.decode()): bytes.fromhex(text.decode()).decode("utf-16-be") for code, text in pairs})
    pages = []
    for stream in re.findall(rb"stream\n(.*?)\nendstream", data, re.DOTALL):
        try:
            drawn = zlib.decompress(stream)
        except zlib.error:
            continue
        if b" Tj" in drawn:
            pages.append(" ".join(decoded(drawn, tables)))
    return pages


def decoded(drawn, tables):
    font = 0
    for found in re.finditer(rb"/F(\d) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) Tj", drawn, re.DOTALL):
        if found[1]:
            font = int(found[1]) - 1
        else:
            codes = re.sub(rb"\\(.)", lambda match: {b"r": b"\r", b"n": b"\n", b"t": b"\t"}.get(match[1], match[1]), found[2], flags=re.DOTALL)
            yield "".join(tables[font].get(codes[at:at + 2], "?") for at in range(0, len(codes), 2))


@pytest.fixture
def write(tmp_path, png):
    """A function that writes a report of these rows and exhibits and returns its path."""
    def make(ledger=(), drawn=(), captions=(), **changes):
        found = content.sections(ledger, drawn, captions, {"live_features": "The paper found 168 of them."}, {"live_features": ["A reader asked of them."]})
        fields = {
            "run": "toy", "facts": [("corpus", "installed")], "reading": ["How to read."], "terms": [("L0", "features that are on")],
            "counts": {"agrees": 1, "differs": 0}, "sections": found, "rows": ledger, "departures": [Departure("neurons", "512", "256", "two cores", "paper")],
            "works": [Work("misc", "k", {"author": "Doe, Jane", "title": "T", "year": "2023", "url": "https://example.org", "ledger": "paper"})],
            "versions": {"replication": "0.1.0"}}
        pdf.write(tmp_path / "report.pdf", content.Report(**(fields | changes)), picture)
        return tmp_path / "report.pdf"
    return make


@pytest.fixture
def figure(tmp_path, png):
    def draw(name, **more):
        path = tmp_path / f"{name}.png"
        path.write_bytes(png)
        return Drawn(name, more.pop("title", "Live features"), "Global analysis", path, **more)
    return draw


def test_text_can_be_selected_and_parts_stand_in_order(write, figure, tmp_path):
    said = tmp_path / "live_features.txt"
    said.write_text("Of 2,048 features 62 are dead – ≥ 3 %.")
    path = write(rows("live_features", "live_features"), [figure("live_features")], [said])
    text = " ".join(texts(path))
    places = [text.index(part) for part in (
        "Run toy", "How to read.", "Contents", "The paper found 168 of them.", "Of 2,048 features 62 are dead – ≥ 3 %.", "A reader asked of them.", "Statement 1 of",
        "two cores", "live_features-0", "Jane Doe: T. 2023. https://example.org [paper]")]
    assert places == sorted(places)
    assert "168 ± 50 features" in text.replace("  ", " ") and "agrees" in text and "as above" in text
    assert path.read_bytes().startswith(b"%PDF")


def test_the_outline_has_every_section_and_exhibit_and_figures_are_embedded(write, figure):
    family = {"family": "f", "title": "Sensitivity"}
    drawn = [figure("live_features"), figure("f_dna", context="DNA", **family), figure("f_hex", context="hexadecimal", **family)]
    data = write(rows("live_features", "other", verdict="not run"), drawn).read_bytes()
    for title in ("Summary", "Global analysis", "Live features", "Sensitivity", "DNA", "hexadecimal", "Not drawn in this run", "Table of verdicts"):
        assert f"/Title ({title})".encode() in data, title
    assert data.count(b"/Subtype /Image") == 1  # the three pictures are the same one


def test_pages_are_counted_and_the_contents_fit_their_room(write, figure):
    family = {"family": "f", "title": "Family"}
    many = [figure(f"e{index}", title=f"Exhibit {index}") for index in range(70)] + [figure(f"f_{index}", context=f"c{index}", **family) for index in range(20)]
    pages = texts(write(rows(*(f"e{index}" for index in range(70))), many))
    assert f"{len(pages)} / {len(pages)}" in pages[-1].replace("  ", " ")
    contents = [page for page in pages if "Exhibit 69" in page][0]
    assert "c19 " in contents and "Versions" in contents


def test_what_the_font_lacks_is_shown_by_its_code(write):
    text = " ".join(texts(write(facts=[("token", "\U0001f996 and \u200f and شمس and 中 end")])))
    assert "\\u{1f996}" in text and "\\u{200f}" in text and "\\u{4e2d}" in text and "شمس" in text


def test_a_row_that_differs_comes_first_with_what_was_looked_at(write):
    text = " ".join(texts(write(rows("live_features", verdict="differs", reason="too many; looked at: the histogram"))))
    first = text[text.index("Statement 0"):]
    assert "too many. Looked at: the" in first[:400]


def test_a_long_table_is_cut_and_says_where_the_rest_is(write, tmp_path):
    path = tmp_path / "wide.md"
    header = [f"column{index}" for index in range(14)]
    lines = [header, ["---"] * 14, *([f"{row}.{index}" for index in range(14)] for row in range(pdf.MOST_ROWS + 3))]
    path.write_text("\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\nsmall print\n")
    text = " ".join(texts(write((), [Drawn("wide", "Wide", "Global analysis", path)])))
    assert "column13" in text and f"{pdf.MOST_ROWS - 1}.13" in text and f"{pdf.MOST_ROWS}.13" not in text
    assert "3 more rows in exhibits/wide.csv." in text and "small print" in text


def test_figures_keep_their_shape_and_fit_a_page():
    pages = pdf.Pages("x")
    pages.add_page()
    for width, height in ((1440, 700), (700, 300), (1440, 4000)):
        wide, tall = pdf._size(pages, Picture(b"", width, height))
        assert wide / tall == pytest.approx(width / height)
        assert wide <= pages.epw + 1e-9 and tall <= pdf.TALLEST + 1e-9
    assert pdf._size(pages, Picture(b"", 700, 300))[0] == pytest.approx(3.5 * 25.4)
