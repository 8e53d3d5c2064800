"""The paper's table of transformer and autoencoder, beside this run."""

from replication.exhibits import style
from replication.exhibits.study import Study, Table

SAME, UNKNOWN = "as in the paper", "not known"
NAMES = {"relu": "ReLU", "gelu": "GELU", "installed": "installed packages", "local": "local files", "kaiming": "Kaiming uniform",
         "transpose": "transpose of the decoder", "mlp_act": SAME}


def draw(study: Study) -> Table:
    """Rows: what is set, the paper's value, this run's."""
    rows = study.data[study.data["table"] == "setup"]
    has: dict[str, str] = {row["what"]: row["value"] for row in rows[["what", "value"]].fillna("").astype(str).to_dict("records")}

    def count(key: str) -> str:
        return style.count(float(has[key])) if has[key] else UNKNOWN

    def name(key: str) -> str:
        return NAMES.get(has[key], has[key]) or UNKNOWN

    size = f", {float(has['corpus_bytes']) / 1e6:,.0f} MB" if has["corpus_bytes"] else ""
    d_in, warmup = float(has["d_in"]), float(has["l1_warmup"] or 0)
    lines = [
        ("transformer", "layers", "1 attention block, 1 MLP block", SAME),
        ("", "activation function", "ReLU", name("act_fn")),
        ("", "neurons of the MLP", "512", count("d_mlp")),
        ("", "width of the residual stream", "128", count("d_model")),
        ("", "attention heads, context length", "not stated", f"{count('n_heads')} heads, {count('n_ctx')} tokens"),
        ("", "vocabulary", "65,536 (read off the viewer)", count("d_vocab")),
        ("", "text", "the Pile", name("source") + size),
        ("", "tokens of training", "100 billion", count("tokens")),
        ("", "objective", "log-likelihood of the next token", SAME),
        ("", "models", "2 seeds, 1 shuffled", count("models")),
        ("autoencoder", "vectors", "MLP activations after the ReLU", name("site")),
        ("", "layers", "1 up (ReLU), 1 down", SAME),
        ("", "features, smallest to largest", "512 (1x) to 131,072 (256x)",
         f"{sizes(has['smallest'], d_in)} to {sizes(has['largest'], d_in)}"),
        ("", "features of A/1", "4,096 (8x)", f"{sizes(has['d_sae'], d_in)} in {has['main']}"),
        ("", "vectors of training", "8 billion", count("vectors")),
        ("", "batch", "8,192", count("batch")),
        ("", "objective", "squared error (mean over elements) + l1 times summed activation", SAME),
        ("", "l1, and times d_in for a squared error that is a sum", "0.004, 2.05",
         f"{float(has['l1']):g}, {float(has['l1']) * d_in:.2f}" if has["l1"] else UNKNOWN),
        ("", "start of the encoder, l1 warm-up", "Kaiming uniform, none",
         f"{name('init')}, {f'{warmup:.0%} of the run' if warmup else 'none'}" if has["init"] else UNKNOWN),
        ("", "dictionaries", "90", count("dictionaries")),
        ("", "tokens of evaluation", "100 million", f"{count('evaluation_tokens')} of {count('evaluation_texts')} texts"),
    ]
    dictionaries = count("dictionaries")
    return Table(("part", "what", "paper", "this run"), lines, f"n = {dictionaries} dictionaries", {"dictionaries": dictionaries})


def sizes(features: str, d_in: float) -> str:
    """A number of features, and how many there are for each element of the vectors."""
    return f"{style.count(float(features))} ({float(features) / d_in:g}x)"
