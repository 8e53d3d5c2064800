"""The report as pages: the same content as the html, with selectable text, an outline and page numbers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace
from fpdf.outline import OutlineSection

from replication.claims.content import Entry, Part, Report, Row, Section, Table, reason
from replication.claims.numerals import quantity
from replication.claims.pictures import INCH, Picture

INK, SOFT, LINE, ACCENT = (29, 31, 35), (92, 99, 112), (205, 205, 200), (35, 88, 143)
VERDICTS: Mapping[str, tuple[int, int, int]] = {
    "agrees": (29, 107, 60), "differs": (163, 38, 46), "undecided": (122, 90, 0), "not comparable": (85, 96, 122), "not run": (116, 117, 122)}
FONT, MARGIN, BOTTOM = "DejaVu", 17.0, 17.0  # mm
TEXT, SMALL, TINY = 9.0, 7.5, 6.6  # points
LEADING = 0.52  # mm a point: the height of a line
SIZES, GUTTER = (TINY, 6.0, 5.4, 4.8, 4.2), 3.4  # points to try for a table exhibit, mm beside a cell's text
MOST_ROWS = 100  # of a table exhibit; the whole lies beside it as csv
TALLEST = 205.0  # mm, of a figure
CONTEXTS_A_LINE = 6
CONTENTS = (6.0, 4.4, 3.8)  # mm, height of a line of the table of contents: section, exhibit, contexts of a family
AROUND = ("front", "rows that differ", "departures", "verdicts", "references", "versions")  # its lines beside the sections'
JUDGED = (("what was stated", 29), ("published", 13), ("this run", 14), ("verdict", 11), ("why", 33))


class Pages(FPDF):
    """A4 pages with a foot line, in a font that has most of Unicode."""

    def __init__(self, foot: str) -> None:
        super().__init__("portrait", "mm", "A4")
        self.foot = foot
        fonts = _fonts()
        for style, file in (("", "DejaVuSans"), ("B", "DejaVuSans-Bold")):
            self.add_font(FONT, style, fonts / f"{file}.ttf")
        self.letters = frozenset(self.fonts[FONT.lower()].cmap)  # type: ignore[union-attr]
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, BOTTOM)
        self.set_draw_color(*LINE)

    def footer(self) -> None:
        """The run, and which page of how many."""
        self.set_y(-11)
        self.set_font(FONT, "", TINY)
        self.set_text_color(*SOFT)
        self.cell(0, 4, self.foot)
        self.set_x(MARGIN)
        self.cell(0, 4, f"{self.page_no()} / {{nb}}", align="R")

    def safe(self, text: str) -> str:
        """A text with every character that the font lacks, or that is invisible, as its code."""
        def shown(letter: str) -> bool:
            return letter == "\n" or (letter.isprintable() and ord(letter) in self.letters)

        return "".join(letter if shown(letter) else f"\\u{{{ord(letter):x}}}" for letter in text)

    def say(self, text: str, size: float = TEXT, *, colour: tuple[int, int, int] = INK, style: str = "", after: float = 1.5) -> None:
        """A paragraph."""
        self.set_font(FONT, style, size)
        self.set_text_color(*colour)
        self.multi_cell(0, size * LEADING, self.safe(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(after)

    def height_of(self, text: str, size: float) -> float:
        """Millimetres that a paragraph takes."""
        if not text:
            return 0.0
        self.set_font(FONT, "", size)
        return float(self.multi_cell(0, size * LEADING, self.safe(text), align="L", dry_run=True, output="HEIGHT"))  # type: ignore[arg-type]

    def head(self, text: str, level: int, size: float) -> None:
        """A heading that stands in the outline too."""
        self.start_section(self.safe(text), level)
        self.say(text, size, style="B", after=1.0)

    def need(self, height: float) -> None:
        """A new page unless so much of this one is left."""
        if self.will_page_break(min(height, self.eph - 1)):
            self.add_page()

    def grid(self, header: Sequence[str], rows: Iterable[Sequence[str | tuple[str, FontFace]]], widths: Sequence[float], size: float) -> None:
        """A table whose header stands on each of its pages."""
        self.set_font(FONT, "", size)
        self.set_text_color(*INK)
        with self.table(
                col_widths=tuple(widths), line_height=size * LEADING, text_align="LEFT", v_align="TOP", padding=(0.7, 1.2, 0.7, 0),
                borders_layout=TableBordersLayout.HORIZONTAL_LINES, headings_style=FontFace(emphasis="BOLD", color=SOFT)) as table:
            for line in (header, *rows):
                row = table.row()
                for cell in line:
                    text, style = cell if isinstance(cell, tuple) else (cell, None)
                    row.cell(self.safe(text), style=style)
        self.ln(2)


def write(out: Path, report: Report, pictures: Callable[[Path], Picture]) -> None:
    """Write the report; `pictures` reads a figure."""
    pages = Pages(f"Run {report.run}")
    pages.set_title(f"Towards Monosemanticity, replicated: {report.run}")
    pages.set_creator(f"replication {report.versions['replication']}")
    pages.add_page()
    _front(pages, report)
    pages.add_page()
    pages.insert_toc_placeholder(_contents, pages=_pages_of_contents(pages, report.sections))
    _differing(pages, report.rows)
    for section in report.sections:
        _section(pages, section, pictures)
    pages.need(60)
    pages.head("Departures from the paper", 0, 14)
    departures = [(row.setting, row.paper, row.here, row.why) for row in report.departures]
    pages.grid(("setting", "paper", "this run", "why"), departures, (18, 26, 22, 34), TINY)
    pages.add_page()
    pages.head("Table of verdicts", 0, 14)
    ledger = [(row["id"], quantity(row, "published"), quantity(row, "here"), quantity(row, "reference"), row["unit"], _badge(row)) for row in report.rows]
    pages.grid(("statement", "published", "this run", "reference", "unit", "verdict"), ledger, (32, 13, 18, 13, 12, 12), TINY - 0.6)
    pages.need(50)
    pages.head("References", 0, 14)
    for work in report.works:
        pages.say(f"{work.line} {work.fields.get('url', '')} [{work.cited_as}]", SMALL, after=0.8)
    pages.head("Versions", 0, 14)
    pages.say(", ".join(f"{name} {value}" for name, value in report.versions.items()), SMALL)
    pages.output(str(out))


def _front(pages: Pages, report: Report) -> None:
    pages.say("A replication of Towards Monosemanticity: Decomposing Language Models With Dictionary Learning (Bricken et al. 2023)", SMALL, colour=SOFT)
    pages.start_section("Summary", 0)
    pages.say(f"Run {report.run}", 20, style="B", after=3)
    _pairs(pages, report.facts, 26)
    pages.ln(3)
    width, top = pages.epw / len(report.counts), pages.get_y()
    for place, (word, count) in enumerate(report.counts.items()):
        pages.set_text_color(*VERDICTS[word])
        for text, style, size, down in ((str(count), "B", 17.0, 0), (word, "", SMALL, 8)):
            pages.set_xy(MARGIN + place * width, top + down)
            pages.set_font(FONT, style, size)
            pages.cell(width, 0.5 * size, text)
    pages.set_xy(MARGIN, top + 16)
    for paragraph in report.reading:
        pages.say(paragraph, TEXT - 0.5)
    pages.ln(2)
    _pairs(pages, report.terms, 30)


def _pairs(pages: Pages, pairs: Sequence[tuple[str, str]], width: float) -> None:
    """Names in a column of `width` mm, with what each means beside it."""
    for name, value in pairs:
        top = pages.get_y()
        pages.set_font(FONT, "", SMALL)
        pages.set_text_color(*SOFT)
        pages.cell(width, SMALL * LEADING, name)
        pages.set_xy(MARGIN + width, top)
        pages.set_text_color(*INK)
        pages.multi_cell(0, SMALL * LEADING, pages.safe(value), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pages.ln(0.8)


def _differing(pages: Pages, rows: Sequence[Row]) -> None:
    differing = [row for row in rows if row["verdict"] == "differs"]
    pages.head("Rows that differ", 0, 14)
    if differing:
        _judged(pages, differing)
    else:
        pages.say("None.")


def _section(pages: Pages, section: Section, pictures: Callable[[Path], Picture]) -> None:
    pages.need(20 + (_height(pages, section.entries[0], pictures) if section.entries else 40))
    pages.head(section.title, 0, 16)
    pages.say(_tally(section.counts), SMALL, colour=SOFT, after=3)
    for entry in section.entries:
        _entry(pages, entry, pictures)
    if section.waiting:
        pages.need(40)
        pages.head("Not drawn in this run", 1, 12)
        for part in section.waiting:
            pages.say(part.title, SMALL, style="B", after=0.3)
            if part.published:
                pages.say(part.published, SMALL, after=0.3)
            pages.say("; ".join(f"{row['statement'].rstrip('.')} ({row['verdict']})" for row in part.rows) + ".", SMALL, colour=SOFT, after=2)


def _entry(pages: Pages, entry: Entry, pictures: Callable[[Path], Picture]) -> None:
    pages.need(_height(pages, entry, pictures))
    if not entry.family:
        _part(pages, entry.parts[0], 1, pictures)
        return
    pages.head(entry.title, 1, 12)
    _said(pages, "Published", entry.published)
    for part in entry.parts:
        _part(pages, part, 2, pictures)


def _part(pages: Pages, part: Part, level: int, pictures: Callable[[Path], Picture]) -> None:
    pages.need(_height(pages, part, pictures))
    pages.head(part.context or part.title, level, 12 if level == 1 else 10)
    _said(pages, "Published", part.published)
    if part.figure:
        picture = pictures(part.figure)
        width, height = _size(pages, picture)
        pages.image(BytesIO(picture.data), x=MARGIN + (pages.epw - width) / 2, w=width, h=height, alt_text=part.title)
        pages.ln(1.5)
    if part.table:
        _listing(pages, part.table, part.id)
    _said(pages, "This run", part.caption)
    for paragraph in part.discussion:
        pages.say(paragraph, TEXT, after=1.5)
    if part.rows:
        _judged(pages, part.rows)
    pages.ln(4)


def _said(pages: Pages, who: str, text: str) -> None:
    if not text:
        return
    pages.set_font(FONT, "B", SMALL)
    pages.set_text_color(*ACCENT)
    pages.cell(0, SMALL * LEADING, who, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pages.say(text, TEXT if len(text) < 600 else SMALL + 0.5)


def _judged(pages: Pages, rows: Sequence[Row]) -> None:
    lines = []
    for before, row in zip([None, *rows], rows, strict=False):
        why, looked_at = reason(row, before)
        unit = f" {row['unit']}" if row["kind"] == "number" else ""
        lines.append((f"{row['statement']} ({row['source']})", quantity(row, "published") + unit, quantity(row, "here"), _badge(row),
                      why + (f". Looked at: {looked_at}" if looked_at else "")))
    pages.grid([name for name, _ in JUDGED], lines, [width for _, width in JUDGED], TINY)


def _listing(pages: Pages, table: Table, name: str) -> None:
    rows = [line for line in table.rows if len(line) == len(table.header)]
    if rows:
        size, widths = _columns(pages, [table.header, *rows[:MOST_ROWS]])
        pages.grid(table.header, rows[:MOST_ROWS], widths, size)
    if len(rows) > MOST_ROWS:
        pages.say(f"{len(rows) - MOST_ROWS} more rows in exhibits/{name}.csv.", SMALL, colour=SOFT)
    for note in table.notes:
        pages.say(note, TINY, colour=SOFT)


def _columns(pages: Pages, lines: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    """Size and widths at which no word of a table is broken, if any size does; what is left goes to columns with longer cells."""
    for size in SIZES:
        pages.set_font(FONT, "B", size)
        columns = list(zip(*([pages.safe(cell) for cell in line] for line in lines), strict=True))
        least = [max(pages.get_string_width(word) for cell in column for word in (cell.split() or [""])) + GUTTER for column in columns]
        wanted = [max(pages.get_string_width(cell) for cell in column) + GUTTER for column in columns]
        if sum(least) <= pages.epw:
            break
    spare = max(0.0, pages.epw - sum(least))
    longer = [most - few for most, few in zip(wanted, least, strict=True)]
    share = min(1.0, spare / sum(longer)) if sum(longer) else 0.0
    return size, [few + share * more for few, more in zip(least, longer, strict=True)]


def _badge(row: Row) -> tuple[str, FontFace]:
    return row["verdict"], FontFace(emphasis="BOLD", color=VERDICTS[row["verdict"]])


def _tally(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in found.items())


def _size(pages: Pages, picture: Picture) -> tuple[float, float]:
    """Millimetres of a figure: as drawn, but no wider than the column and no taller than a page."""
    scale = min(25.4 / INCH, pages.epw / picture.width, TALLEST / picture.height)
    return picture.width * scale, picture.height * scale


def _height(pages: Pages, shown: Entry | Part, pictures: Callable[[Path], Picture]) -> float:
    """Millimetres of heading, finding and figure, which stay together; those of a family with its first exhibit's."""
    if isinstance(shown, Entry):
        own = 14 + pages.height_of(shown.published, TEXT) if shown.family else 0
        return own + _height(pages, shown.parts[0], pictures)
    return 16 + pages.height_of(shown.published, TEXT) + (_size(pages, pictures(shown.figure))[1] if shown.figure else 30)


def _contents(pages: FPDF, outline: Sequence[OutlineSection]) -> None:
    """The table of contents: a line for each section and exhibit, and for a family one more with its contexts."""
    assert isinstance(pages, Pages)
    pages.set_xy(MARGIN, MARGIN)
    pages.say("Contents", 14, style="B")
    waiting: list[OutlineSection] = []
    for section in outline:
        if section.level == 2:
            waiting.append(section)
            continue
        _contexts(pages, waiting)
        waiting = []
        size, indent = (TEXT, 0.0) if section.level == 0 else (SMALL, 4.0)
        link = pages.add_link(page=section.page_number)
        pages.set_font(FONT, "B" if section.level == 0 else "", size)
        pages.set_text_color(*INK)
        pages.set_x(MARGIN + indent)
        pages.cell(pages.epw - indent - 10, CONTENTS[section.level], section.name, link=link)
        pages.cell(10, CONTENTS[section.level], str(section.page_number), align="R", link=link, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    _contexts(pages, waiting)


def _contexts(pages: Pages, found: Sequence[OutlineSection]) -> None:
    pages.set_font(FONT, "", TINY)
    pages.set_text_color(*SOFT)
    width = (pages.epw - 18) / CONTEXTS_A_LINE
    for place, section in enumerate(found):
        if place % CONTEXTS_A_LINE == 0:
            pages.set_x(MARGIN + 8)
        text = f"{section.name} {section.page_number}"
        last = place % CONTEXTS_A_LINE == CONTEXTS_A_LINE - 1 or place == len(found) - 1
        pages.cell(width, CONTENTS[2], text, link=pages.add_link(page=section.page_number),
                   new_x=XPos.LMARGIN if last else XPos.RIGHT, new_y=YPos.NEXT if last else YPos.TOP)


def _pages_of_contents(pages: Pages, sections: Sequence[Section]) -> int:
    """How many pages the table of contents takes; it is written last, when page numbers are known, into room left for it."""
    height = TEXT + CONTENTS[0] * (len(sections) + len(AROUND))
    for section in sections:
        height += CONTENTS[1] * (len(section.entries) + bool(section.waiting))
        height += sum(CONTENTS[2] * math.ceil(len(entry.parts) / CONTEXTS_A_LINE) for entry in section.entries if entry.family)
    return math.ceil(height / (pages.eph - CONTENTS[0]))


def _fonts() -> Path:
    """DejaVu comes with matplotlib."""
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf")
