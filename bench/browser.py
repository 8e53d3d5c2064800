"""`python -m bench.browser`: how long the feature browser takes in a headless Chromium, at 4,096 and at 131,072 made-up features.

Needs none of the peers. Each row is the median over rounds, the sites in turn; the first card is timed from the address to the card, in a
context of its own. The goals of the design stand beside.
"""

import argparse
import csv
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.__main__ import DISTURBED, OUT, say
from bench.timing import order, spread
from replication import artifacts
from tests.browser import chromium, synthetic

VOCABULARY = 65_536
GOALS = {("first card", 4096): 1.0, ("first card", 131_072): 2.0}  # seconds
COLUMNS = ("what", "features", "median_s", "spread", "rounds", "goal_s")
# Follows a link and waits until what is read of the page is something else, or what is given. (The page's policy forbids to evaluate texts.)
FOLLOW = """async ([hash, value, wanted]) => {
  const read = {
    card: () => document.querySelector("#card .card h1")?.textContent.split(" ")[0],
    first: () => document.querySelector("#list .list-row a")?.textContent,
    rows: () => document.querySelector("#list .list-table")?.ariaRowCount,
  }[value];
  const before = read(), started = performance.now();
  location.hash = hash;
  while (wanted === null ? read() === before : read() !== wanted) await new Promise(requestAnimationFrame);
  return (performance.now() - started) / 1000;
}"""
# what is done on an open table: where it starts, where it leads, what shows that it is done
STEPS: dict[str, tuple[str, str, str, str | None]] = {
    "next card": ("#/A/1/3", "#/A/1/4", "card", "A/1/4"), "order by maximum": ("#/A/1", "#/A/1?order=max", "first", None),
    "filter by density": ("#/A/1", "#/A/1?density=0.01:", "rows", None), "search of a text": ("#/A/1", "#/A/1?q=planted", "rows", "2"),
}


def main() -> None:
    """Make the sites, time them, print and write `browser.csv`."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 131_072], help="features of the made-up tables")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if missing := chromium.missing():
        print(f"the feature browser is not timed: {missing}")
        return
    described, neighbours = machine.describe(1), machine.Neighbours()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), given.sizes, given.rounds)
    print(machine.in_words(described))
    print("\n".join(f"{row['what']:20} {row['features']:>8,} features  {row['median_s']:.3f} ± {row['spread']:.3f} s"
                    f"{'  goal ' + str(row['goal_s']) if row['goal_s'] else ''}" for row in rows))
    if (neighbours.share() or 0) > DISTURBED:
        print(f"others took {neighbours.share():.0%} of the processor meanwhile: measure again when it is quiet")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"median_s": f"{row['median_s']:.4g}", "spread": f"{row['spread']:.3g}"} for row in rows)
    artifacts.write_text(given.out / "browser.csv", text.getvalue())
    artifacts.write_json(given.out / "browser.json", described | {"share_of_others": neighbours.share()})


def measure(folder: Path, sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """A row for each thing that is done and each size."""
    from playwright.sync_api import sync_playwright

    packed: dict[int, float] = {}
    for size in sizes:
        say(f"make a site of {size:,} features")
        started = time.process_time()
        synthetic.write(folder / str(size), size, VOCABULARY, full=False)
        packed[size] = time.process_time() - started
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        say("time the first card")
        taken: dict[tuple[str, int], list[float]] = {("first card", size): [] for size in sizes}
        for number in range(rounds + 1):
            for size in order(sizes, number):
                taken["first card", size].append(_first(browser, folder / str(size)))
        taken = {key: seconds[1:] for key, seconds in taken.items()}  # the first round starts Chromium's own processes
        for size in sizes:
            page = browser.new_context(offline=True).new_page()
            page.goto((folder / str(size) / "index.html").as_uri() + "#/A/1")
            for what, (start, end, value, wanted) in STEPS.items():
                say(f"time {what} at {size:,}")
                taken[what, size] = [_step(page, start, end, value, wanted) for _ in range(rounds + 1)][1:]
        browser.close()
    rows = [{"what": what, "features": size, "median_s": statistics.median(seconds), "spread": spread(seconds), "rounds": len(seconds),
             "goal_s": GOALS.get((what, size), "")} for (what, size), seconds in taken.items()]
    made = [{"what": "pack (CPU)", "features": size, "median_s": seconds, "spread": 0.0, "rounds": 1, "goal_s": ""} for size, seconds in packed.items()]
    return [*rows, *made]


def _first(browser: Any, site: Path) -> float:
    """From the address to the card, in a context that has nothing of the page yet."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    started = time.perf_counter()
    page.goto((site / "index.html").as_uri() + "#/A/1/3", wait_until="commit")
    page.wait_for_selector("#card .card h1")
    seconds = time.perf_counter() - started
    context.close()
    return seconds


def _step(page: Any, start: str, end: str, value: str, wanted: str | None) -> float:
    page.evaluate("hash => { location.hash = hash; }", start)
    page.wait_for_timeout(600)  # until what was there before is drawn
    seconds: float = page.evaluate(FOLLOW, [end, value, wanted])
    return seconds


if __name__ == "__main__":
    main()
