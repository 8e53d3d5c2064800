"""`python -m bench.readme`: the last bench as the table that README.md shows."""

import csv
import json
from collections.abc import Iterator, Mapping

from bench.__main__ import OUT

NAMES = {"ours": "ours", "ours_dense": "ours, dense products", "five_products": "five dense products alone", "sae_lens": "SAELens",
         "dictionary_learning": "dictionary_learning", "model_ours": "ours",
         "model_transformer_lens": "TransformerLens", "harvest_ours": "ours", "harvest_sae_lens": "SAELens"}
RATES = {"tokens_per_s": "tokens/s", "vectors_per_s": "vectors/s"}

Row = Mapping[str, str]


def main() -> None:
    """Print it."""
    with (OUT / "bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    machine = json.loads((OUT / "machine.json").read_text())
    print(f"{machine['cpu']}, {machine['threads']} threads, torch {machine['packages']['torch']}, {machine['date']}, commit {machine['commit']}"
          f"{'; with a ' + machine['gpu'] if 'gpu' in machine else ''}. A training step, batch {int(rows[0]['batch']):,}:\n")
    print("| features | data, L0 | device | who | seconds | encoder products | times ours | memory, MiB |\n|---|---|---|---|---|---|---|---|")
    print("\n".join(map(_line, steps(rows))))
    print("\nTraining a transformer, and reading activations:\n")
    print("| what | threads | device | who | a second | times slower than ours |\n|---|---|---|---|---|---|")
    print("\n".join(map(_rate, (row for row in rows if row["what"].startswith(("model", "harvest"))))))


def steps(rows: list[Row]) -> Iterator[Row]:
    """Steps of ours, ours dense and the peers, at an L0 of 20 and on a run's data."""
    return (row for row in rows if row["what"] in NAMES and row["encoder_products"] and row["l0_nominal"] in ("", "20"))


def _line(row: Row) -> str:
    data = f"made up, {float(row['l0']):.0f}" if row["data"] == "synthetic" and row["l0"] else f"{row['data']}, {float(row['l0']):.0f}" if row["l0"] else "any"
    times = f"{float(row['times_ours']):.1f} ± {float(row['times_ours_spread']):.1f}" if row["times_ours"] and row["what"] != "ours" else ""
    memory = f"{float(row['peak_mib']):,.0f}" if row["peak_mib"] else ""
    return (f"| {row['d_in']} → {int(row['d_sae']):,} | {data} | {row['device']} | {NAMES[row['what']]} | {float(row['median_s']):.3g} | "
            f"{float(row['encoder_products']):.2f} ± {float(row['encoder_products_spread']):.2f} | {times} | {memory} |")


def _rate(row: Row) -> str:
    what, rate = ("a model, " + row["shape"], "tokens_per_s") if row["what"].startswith("model") else ("activations", "vectors_per_s")
    times = f"{float(row['times_ours']):.2f} ± {float(row['times_ours_spread']):.2f}" if not row["what"].endswith("ours") else ""
    return f"| {what} | {row['threads']} | {row['device']} | {NAMES[row['what']]} | {float(row[rate]):,.0f} {RATES[rate]} | {times} |"


if __name__ == "__main__":
    main()
