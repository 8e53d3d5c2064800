"""Every dictionary of the run, below what the paper's A/1 and A/5 had."""

import pandas as pd

from replication.exhibits.study import Study, Table

HEADER = ("dictionary", "features", "per neuron", "l1", "l1 x d_in", "vectors", "L0", "loss recovered", "of mean ablation", "dead",
          "ultralow", "live", "seeds")
# what the paper and its viewer say of A/1, and the paper of A/5 (claims.csv)
PUBLISHED = (("A/1 (published)", "4,096", "8x", "0.004", "2.05", "8.2 billion", "4.9", "79%", "", "168", "292", "3,636", "1"),
             ("A/5 (published)", "131,072", "256x", "0.004", "2.05", "8.2 billion", "", "94.5%", "", "", "", "", "1"))


def draw(study: Study) -> Table:
    """A row per dictionary, means over its replicates with their range."""
    data = study.data[study.data["table"] == "dictionary"]
    rows = [line(str(name), group) for name, group in data.groupby("group", sort=False)]
    tokens = f"{data['tokens'].max():,.0f}"
    return Table(HEADER, [*PUBLISHED, *rows], f"n = {tokens} evaluation tokens; a range holds the replicates",
                 {"tokens": tokens, "dictionaries": f"{len(data)}"})


def line(name: str, group: pd.DataFrame) -> tuple[str, ...]:
    """One dictionary with its replicates."""
    first = group.iloc[0]
    return (name, f"{first['d_sae']:,.0f}", f"{first['expansion']:g}x", f"{first['l1']:g}", f"{first['l1_summed']:.2f}",
            f"{first['vectors']:,.0f}", spread(group["l0"], "{:.1f}"),
            *(spread(100 * group[key], "{:.1f}", "%") for key in ("recovered", "recovered_mean")),
            *(spread(group[part], "{:,.0f}") for part in ("dead", "ultralow", "other")), str(len(group)))


def spread(values: pd.Series, form: str, unit: str = "") -> str:
    """The mean, and the range over replicates where there is one."""
    if values.isna().any():
        return "not defined"
    low, high = form.format(values.min()), form.format(values.max())
    return form.format(values.mean()) + unit + (f" ({low} to {high})" if low != high else "")
