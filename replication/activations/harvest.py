"""Read one site of a model over the planned tokens: store the blocks when the config says so, and measure the vectors."""

import shutil
from pathlib import Path

from replication import artifacts, compute
from replication.activations.stream import recompute
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch

MEASURED_WHEN_STREAMED = 1  # blocks; a stream's vectors are measured on its first block only
MEASURED_AT_ONCE = 8_192  # vectors made float32 at one time: few enough for a CPU's cache


def harvest(*, settings: Settings, site: str, model: Path, tokens: Path, out: Path, progress: Progress | None = None) -> None:
    """Write `statistics.json` and, when `storage` is `stored`, the blocks.

    The statistics: mean norm of a vector, root mean square of an element, share of elements that are zero, over
    `measured` vectors. Raises UserError when the text is too short for the vectors asked for.
    """
    stopwatch, progress = Stopwatch(), progress or Progress()
    assert settings.activations and settings.compute
    device = compute.device(settings.compute, progress)
    source = recompute(settings, site=site, model_folder=model, tokens=tokens, device=device)
    stored = settings.activations.storage == "stored"
    blocks = out / artifacts.BLOCKS
    shutil.rmtree(blocks, ignore_errors=True)
    blocks.mkdir(parents=True)
    norm = squares = zeros = 0.0
    count = d_in = 0
    files: dict[str, Path] = {"statistics": out / artifacts.STATISTICS}
    measured = source.plan.blocks if stored else MEASURED_WHEN_STREAMED
    for block in range(measured):
        vectors = source(block)
        for part in vectors.split(MEASURED_AT_ONCE):
            norms = part.float().norm(dim=1).double()
            norm += norms.sum().item()
            squares += norms.square().sum().item()
            zeros += part.numel() - part.count_nonzero().item()
        count, d_in = count + len(vectors), vectors.shape[1]
        if stored:
            files[f"block {block}"] = blocks / f"{block:05d}.safetensors"
            artifacts.write_tensors(files[f"block {block}"], {"vectors": vectors})
        progress(block + 1, measured)
    artifacts.write_json(out / artifacts.STATISTICS, {
        "site": site, "d_in": d_in, "storage": settings.activations.storage, "vectors": source.plan.blocks * source.plan.block,
        "block": source.plan.block, "blocks": source.plan.blocks, "per_context": source.plan.per_context, "contexts": len(source.plan.contexts),
        "measured": count, "mean_norm": norm / count, "rms": (squares / (count * d_in)) ** 0.5, "share_zero": zeros / (count * d_in)})
    artifacts.write_meta(out, stage="activations", settings=settings, files=files, stopwatch=stopwatch, site=site, device=str(device),
                         dtype=settings.activations.dtype, inputs={"model": model / artifacts.WEIGHTS, "tokens": tokens},
                         digests={"tokens": artifacts.recorded(tokens, artifacts.TOKENS_META)})
