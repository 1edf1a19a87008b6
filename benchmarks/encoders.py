"""What encoding takes beside the bare forward passes of its network: images by EfficientNet-Lite0, texts by MiniLM.

The bare passes get what was decoded, resized, tokenised and scaled beforehand, off the clock, at the batch size and in
the memory format that are the quickest for them; the encoder gets encoded images and plain texts, and has to do all of
that. Images are CIFAR-10's, which lie beside the checkout; texts come from this machine's Python and prose.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from benchmarks.harness.bars import Bar
from benchmarks.harness.cifar import found_images
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.paired import Timings, take_turns
from curate.errors import BadDataError, ConfigurationError
from curate.learners.encoders.factory import encoder_named
from curate.learners.encoders.minilm import MiniLMEncoder
from curate.learners.encoders.network import NetworkEncoder

PACKAGES = ("curate", "torch", "timm", "transformers", "tokenizers", "pillow", "pyarrow")
BAR = 1.2
BATCHES = (8, 16, 32, 64, 128)
_BATCHES_ON_GPU = (64, 128, 256, 512)
Pass = Callable[[], object]


def run(options: Options) -> Result:
    """Measure 256 images and 256 texts in seven rounds (quick: 64 in five)."""
    load = os.getloadavg()
    count, rounds = (64, 5) if options.quick else (256, 7)
    given = {"efficientnet-lite0": _images, "minilm": _texts}
    rows, bars, details = [], [], {}
    for name, items in given.items():
        encoder = encoder_named(name)
        if not isinstance(encoder, NetworkEncoder):
            raise ConfigurationError(f"{name} is no network")
        table = items(count, options.seed)
        label, bare = _quickest(_bare_passes(encoder, table), options)
        timings = take_turns({"encode": partial(encoder.encode, table), "bare": bare}, rounds, note=options.note)
        bars.append(_bar(name, timings, options.seed))
        rows += _rows(name, label, encoder, count, timings)
        details[name] = {"bare": label, "device": encoder.network().device, "seconds": _lists(timings)}
    return Result(bars, rows, {"items": count, "load_before": load, **details}, PACKAGES)


def _bar(name: str, timings: Timings, seed: int) -> Bar:
    ratio = timings.times_faster("bare", than="encode", seed=seed)
    return Bar(f"{name}: time of encoding over the bare forward passes", ratio.value, BAR, "<=", ratio)


def _rows(name: str, label: str, encoder: NetworkEncoder, count: int, timings: Timings) -> list[dict[str, object]]:
    batch = f"batches of {encoder.batch_size(encoder.network())}"
    return [
        {"encoder": name, "what": f"{what}, {how}", "items/s": count / timings.median(what)}
        for what, how in (("encode", batch), ("bare", label))
    ]


def _lists(timings: Timings) -> dict[str, list[float]]:
    return {name: list(seconds) for name, seconds in timings.rounds.items()}


def _quickest(passes: Iterator[tuple[str, Pass]], options: Options) -> tuple[str, Pass]:
    """Run each twice and return the one with the quickest second run."""
    best: tuple[float, str, Pass] | None = None
    for label, run_all in passes:
        run_all()
        began = time.perf_counter()
        run_all()
        seconds = time.perf_counter() - began
        options.note(f"bare, {label}: {seconds:.3f} s")
        if best is None or seconds < best[0]:
            best = (seconds, label, run_all)
    if best is None:
        raise ConfigurationError("nothing to measure")
    return best[1:]


def _bare_passes(encoder: NetworkEncoder, items: pa.Table) -> Iterator[tuple[str, Pass]]:
    sizes = _BATCHES_ON_GPU if encoder.network().device == "cuda" else BATCHES
    texts = isinstance(encoder, MiniLMEncoder)
    for size in (size for size in sizes if size <= len(items)):
        if texts:
            yield f"batches of {size}", _text_pass(encoder, items, size)
        else:
            for layout in ("channels last", "contiguous"):
                yield f"batches of {size}, {layout}", _image_pass(encoder, items, size, layout)


def _image_pass(encoder: NetworkEncoder, items: pa.Table, size: int, layout: str) -> Pass:
    import torch

    network = encoder.network()
    pixels = encoder.prepare(network, list(zip(items["item_id"].to_pylist(), items["image"].to_pylist(), strict=True)))
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    scaled = scaled.to(network.device) if layout == "channels last" else scaled.to(network.device).contiguous()
    return _timed(network.module, [(scaled[start : start + size],) for start in range(0, len(scaled), size)])


def _text_pass(encoder: NetworkEncoder, items: pa.Table, size: int) -> Pass:
    """Texts of like length share a batch here too: that is the best order for the bare passes."""
    import torch

    network = encoder.network()
    tokens = sorted((found.ids for found in network.extra.encode_batch(items["text"].to_pylist())), key=len)
    batches = []
    for start in range(0, len(tokens), size):
        ids = encoder.prepare(network, [("", part) for part in tokens[start : start + size]])
        given = torch.from_numpy(np.maximum(ids, 0)).to(network.device)
        batches.append((given, torch.from_numpy((ids >= 0).astype(np.int64)).to(network.device)))
    return _timed(network.module, batches)


def _timed(module: Any, batches: Sequence[tuple[Any, ...]]) -> Pass:
    import torch

    def passes() -> None:
        with torch.inference_mode():
            for batch in batches:
                module(*batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return passes


def _images(count: int, seed: int) -> pa.Table:
    file = found_images()
    if not file.is_file():
        raise BadDataError(f"the images are missing: there is no {file.name} in ../shared/data, beside the checkout")
    found = parquet.read_table(file, columns=["image"])
    places = np.random.default_rng(seed).choice(len(found), count, replace=False)
    content = [found["image"][int(place)].as_py()["bytes"] for place in places]
    return pa.table({"item_id": [str(place) for place in places], "image": pa.array(content, pa.binary())})


def _texts(count: int, seed: int) -> pa.Table:
    texts = corpus(count, 1, seed=seed).texts
    return pa.table({"item_id": [str(row) for row in range(len(texts))], "text": list(texts)})


if __name__ == "__main__":
    sys.exit(main("encoders", run))
