"""Confidences on answers that the maps have not seen: curate's maps against scikit-learn's, and the abstention bound.

Three annotators of digits that are sure in a wrong way: naive Bayes (far too sure), a random forest (not sure enough)
and a logistic regression that was trained on 100 images (a little too sure). Each of 20 seeds (quick: 5) parts the
1,797 images at random: 600 train (100 for the regression), 50, 200 or 500 are the gold answers that a map is fitted
to, and the rest judges. curate sees the confidence of each claim only, as an annotator gives it; scikit-learn's
temperature (`CalibratedClassifierCV` around the frozen model) sees the probabilities of all values, and is left out
of the rounds in which some value has no answer, where it ends with an error.

Figures on the images that judge: expected calibration error (15 bins of equal width) and surprise (nats for each claim
that it is right or wrong). Bars: the error after curate's default, a temperature, less that before, for each annotator
at 200 answers; and how often claims at or above the abstention threshold, which promises 85 % at a level of 5 %, are
right in truth, over all annotators, seeds and numbers of answers that gave a threshold. Intervals are bootstraps over
seeds. Nothing was chosen by these figures.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from curate.annotate.calibration import (
    abstention_threshold,
    expected_calibration_error,
    fit_claim_temperature,
    fit_isotonic,
)
from curate.statistics import bootstrap_interval, wilson_interval

PACKAGES = ("curate", "numpy", "scikit-learn")
SIZES = (50, 200, 500)
BARRED = 200
PROMISED = 0.85
VALUES = 10
MODELS: Mapping[str, Callable[[int], Any]] = {
    "naive Bayes": lambda seed: GaussianNB(),
    "random forest": lambda seed: RandomForestClassifier(100, random_state=seed),
    "regression": lambda seed: LogisticRegression(max_iter=2_000),
}
TRAINED: Mapping[str, int] = {"naive Bayes": 600, "random forest": 600, "regression": 100}
FIGURES = ("error before", "error after", "surprise before", "surprise after")
Numbers = NDArray[np.float64]


class Claims(NamedTuple):
    """What a model claims of some images: its probabilities, how sure it is of each claim, and which are right."""

    probabilities: Numbers
    confidence: Numbers
    right: NDArray[np.bool_]


def run(options: Options) -> Result:
    """Calibrate each annotator on ever more answers, seed by seed."""
    seeds = range(options.seed, options.seed + (5 if options.quick else 20))
    found: dict[tuple[str, int, str], list[list[float]]] = defaultdict(list)
    kept: list[bool] = []
    for seed in seeds:
        for name in MODELS:
            for size in SIZES:
                rows, held = _measured(name, size, seed)
                for method, figures in rows.items():
                    found[name, size, method].append(figures)
                kept += held
        options.note(f"seed {seed}: done")
    table = [
        {"annotator": name, "answers": size, "method": method, **_named(values)}
        for (name, size, method), values in found.items()
    ]
    bars = [_error_bar(name, found[name, BARRED, "temperature"], options.seed) for name in MODELS]
    return Result([*bars, _threshold_bar(kept)], table, {"seeds": list(seeds), "thresholds": len(kept)}, PACKAGES)


def _named(values: list[list[float]]) -> dict[str, float]:
    return dict(zip(FIGURES, np.mean(values, axis=0).tolist(), strict=True))


def _error_bar(name: str, values: list[list[float]], seed: int) -> Bar:
    errors = np.array(values)[:, :2]
    change = bootstrap_interval(errors, lambda rows: float((rows[:, 1] - rows[:, 0]).mean()), seed=seed)
    return Bar(f"{name}: error after less before, {BARRED} answers", change.value, 0, "<", interval=change)


def _threshold_bar(kept: list[bool]) -> Bar:
    share = wilson_interval(sum(kept), len(kept))
    return Bar(f"share of thresholds above which {PROMISED:.0%} are right", share.value, 0.95, interval=share)


def _measured(name: str, size: int, seed: int) -> tuple[dict[str, list[float]], list[bool]]:
    """Return the figures of each method, and whether the threshold kept its promise, where there is one."""
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(digits))
    train, gold, rest = order[: TRAINED[name]], order[600 : 600 + size], order[600 + max(SIZES) :]
    model = MODELS[name](seed).fit(images[train], digits[train])
    known, judged = (_claims(model, images[part], digits[part]) for part in (gold, rest))
    after = {
        "temperature": fit_claim_temperature(known.confidence, known.right, VALUES)(judged.confidence),
        "isotonic": fit_isotonic(known.confidence, known.right)(judged.confidence),
    }
    if len(np.unique(digits[gold])) == VALUES:
        theirs = _peer(model, images[gold], digits[gold])
        after["scikit-learn's temperature"] = _claims(theirs, images[rest], digits[rest]).confidence
    least = abstention_threshold(known.confidence, known.right, PROMISED)
    above = judged.right[judged.confidence >= least]
    rows = {method: _figures(judged, confidence) for method, confidence in after.items()}
    return rows, [bool(above.mean() >= PROMISED)] if len(above) else []


def _claims(model: Any, images: Numbers, digits: NDArray[np.int64]) -> Claims:
    probabilities: Numbers = model.predict_proba(images)
    claimed = model.classes_[probabilities.argmax(axis=1)]
    return Claims(probabilities, probabilities.max(axis=1), claimed == digits)


def _peer(model: Any, images: Numbers, digits: NDArray[np.int64]) -> Any:
    """Fit scikit-learn's temperature to all answers at once: the model is frozen, so there is nothing to fold."""
    every = np.arange(len(digits))
    return CalibratedClassifierCV(FrozenEstimator(model), method="temperature", cv=[(every, every)]).fit(images, digits)


def _figures(judged: Claims, after: Numbers) -> list[float]:
    errors = [expected_calibration_error(values, judged.right) for values in (judged.confidence, after)]
    return [*errors, *(_surprise(values, judged.right) for values in (judged.confidence, after))]


def _surprise(confidence: Numbers, right: NDArray[np.bool_]) -> float:
    sure = np.clip(confidence, 1e-6, 1 - 1e-6)
    return float(-np.log(np.where(right, sure, 1 - sure)).mean())


if __name__ == "__main__":
    sys.exit(main("calibration", run))
