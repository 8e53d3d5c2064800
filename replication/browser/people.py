"""Commands for people: a feature's card as a picture, and a browser of the published viewer's files."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import UserError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


FEATURE = re.compile(r"(?P<table>[^/]+/[^/]+)/(?P<feature>[0-9]{1,9})")


def register(commands: "Commands") -> None:
    """card, import-viewer."""
    parser = commands.add_parser("card", help="a feature's card as a picture for a paper",
                                 description="Draw the card of a feature or neuron, from the files of the feature browser, as SVG, PNG or PDF.")
    parser.add_argument("feature", help="a feature by its name in the paper's form, such as A/1/2357, A/neurons/32 or random/1/5")
    parser.add_argument("--run", type=Path, default=Path("results", "laptop"),
                        help="folder of a run, or of a browser that import-viewer wrote; results/laptop by default")
    parser.add_argument("--out", type=Path, help="file to write, .svg, .png or .pdf; <run>-A-1-2357.svg by default")
    parser.set_defaults(plain=card)

    parser = commands.add_parser("import-viewer", help="a browser of files in the published viewer's format",
                                 description="Read a folder with a JSON file for each feature, as the paper's feature explorer has them, and write a "
                                             "feature browser of them. Features without a file are shown as dead.")
    parser.add_argument("folder", type=Path, help="folder with one .json file for each feature, whatever they are called")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist yet")
    parser.add_argument("--name", default="A/1", help="name of the table; A/1 by default")
    parser.add_argument("--title", default="", help="name of the run; the folder's by default")
    parser.set_defaults(plain=import_viewer)


def card(arguments: argparse.Namespace) -> int:
    """Parse and call."""
    from replication.browser import picture
    from replication.browser.packed import Packed

    if arguments.out:
        picture.suffix(arguments.out)
    found = FEATURE.fullmatch(arguments.feature)
    if not found:
        raise UserError(f"{arguments.feature!r} is not the name of a feature; a name is model/dictionary/number, such as A/1/2357")
    packed, table, feature = Packed.find(arguments.run), found["table"], int(found["feature"])
    portrait = picture.Portrait(table, packed.entry(table, feature)["kind"], packed.columns(table, feature), packed.card(table, feature), packed.vocabulary,
                                packed.provenance)
    run = re.sub(r"[^\w.-]+|^\.+", "-", portrait.provenance["run"])  # a title that people gave may hold anything
    out = arguments.out or Path(f"{run}-{portrait.name.replace('/', '-')}.svg")
    picture.draw(portrait, out)
    print(out)
    return 0


def import_viewer(arguments: argparse.Namespace) -> int:
    """Parse and call."""
    from replication import artifacts
    from replication.browser import published
    from replication.progress import to_terminal_and_log

    count = published.bring(arguments.folder, arguments.out, name=arguments.name, title=arguments.title, progress=to_terminal_and_log("import-viewer", None))
    print(f"open {arguments.out / artifacts.PAGE} in a browser: {arguments.name} from {count:,} {'file' if count == 1 else 'files'}")
    return 0
