"""Streams that drift, from river: arrays of features and classes, the same for the same seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stream = tuple[NDArray[np.float64], NDArray[np.int64]]
_PARTS = 4


def sea(count: int, seed: int) -> Stream:
    """SEA, whose threshold changes at each quarter; 10 % of the labels are wrong."""
    from river.datasets import synth

    return _chained([synth.SEA(variant=k, noise=0.1, seed=seed + k) for k in (0, 2, 1, 3)], count)


def radial(count: int, seed: int) -> Stream:
    """Gaussians of two classes whose centres move all the time."""
    from river.datasets import synth

    generator = synth.RandomRBFDrift(
        seed_model=seed, seed_sample=seed + 1, n_classes=2, n_features=10, n_centroids=20, change_speed=0.001,
        n_drift_centroids=20,
    )  # fmt: skip
    return _arrays(generator, count)


def hyperplane(count: int, seed: int) -> Stream:
    """A hyperplane that turns."""
    from river.datasets import synth

    return _arrays(synth.Hyperplane(seed=seed, n_features=10, n_drift_features=5, mag_change=0.001), count)


def agrawal(count: int, seed: int) -> Stream:
    """Loans, which are granted by another rule in each quarter."""
    from river.datasets import synth

    rules = (0, 2, 6, 4)
    return _chained([synth.Agrawal(classification_function=rule, seed=seed + rule) for rule in rules], count)


def bananas(count: int, seed: int) -> Stream:
    """Two bananas, in an order of the seed."""
    return _shuffled("Bananas", count, seed)


def phishing(count: int, seed: int) -> Stream:
    """Web pages that phish or do not, in an order of the seed."""
    return _shuffled("Phishing", count, seed)


def image_segments(count: int, seed: int) -> Stream:
    """Pieces of outdoor images, in an order of the seed."""
    return _shuffled("ImageSegments", count, seed)


SCORED: Mapping[str, Callable[[int, int], Stream]] = {
    "SEA": sea,
    "radial drift": radial,
    "Hyperplane": hyperplane,
    "Agrawal": agrawal,
    "Bananas": bananas,
    "Phishing": phishing,
    "ImageSegments": image_segments,
}
"""Nothing was chosen on these."""


def sine(count: int, seed: int) -> Stream:
    """Four sine rules, one in each quarter."""
    from river.datasets import synth

    return _chained([synth.Sine(classification_function=rule, seed=seed + rule) for rule in (0, 1, 2, 3)], count)


def mixed(count: int, seed: int) -> Stream:
    """Numbers and flags, whose rule is turned round at each quarter."""
    from river.datasets import synth

    return _chained([synth.Mixed(classification_function=rule, seed=seed + rule) for rule in (0, 1, 0, 1)], count)


def stagger(count: int, seed: int) -> Stream:
    """Shapes by one of three rules, another in each quarter."""
    from river.datasets import synth

    return _chained([synth.STAGGER(classification_function=rule, seed=seed + k) for k, rule in
                     enumerate((0, 1, 2, 0))], count)  # fmt: skip


def waveform(count: int, seed: int) -> Stream:
    """Three classes of waves; nothing drifts."""
    from river.datasets import synth

    return _arrays(synth.Waveform(seed=seed), count)


def random_tree(count: int, seed: int) -> Stream:
    """The leaves of a tree, and of another one in the second half."""
    from river.datasets import synth

    parts = [synth.RandomTree(seed_tree=seed + k, seed_sample=seed + k, n_num_features=5, n_cat_features=2) for k in
             (0, 0, 1, 1)]  # fmt: skip
    return _chained(parts, count)


def lights(count: int, seed: int) -> Stream:
    """Ten digits of seven lights, of which others fail in each quarter."""
    from river.datasets import synth

    parts = [synth.LEDDrift(seed=seed + k, noise_percentage=0.1, n_drift_features=drifting) for k, drifting in
             enumerate((0, 3, 5, 7))]  # fmt: skip
    return _chained(parts, count)


def digits(count: int, seed: int) -> Stream:
    """Handwritten digits of scikit-learn, in an order of the seed."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))[:count]
    return np.asarray(found.data, np.float64)[order], np.asarray(found.target, np.int64)[order]


def breast_cancer(count: int, seed: int) -> Stream:
    """Cells of scikit-learn that are malignant or not, in an order of the seed."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(found.target))[:count]
    return np.asarray(found.data, np.float64)[order], np.asarray(found.target, np.int64)[order]


TUNING: Mapping[str, Callable[[int, int], Stream]] = {
    "Sine": sine,
    "Mixed": mixed,
    "STAGGER": stagger,
    "Waveform": waveform,
    "Random tree": random_tree,
    "LED drift": lights,
    "Digits": digits,
    "Breast cancer": breast_cancer,
}
"""On these the default was chosen; none is scored."""


def _chained(parts: list[Any], count: int) -> Stream:
    share = count // _PARTS
    found = [_arrays(part, share if place < _PARTS - 1 else count - share * (_PARTS - 1)) for place, part in
             enumerate(parts)]  # fmt: skip
    return np.concatenate([features for features, _ in found]), np.concatenate([classes for _, classes in found])


def _arrays(source: Any, count: int) -> Stream:
    taken: Iterator[Any] = itertools.islice(iter(source), count)
    rows = [(list(features.values()), label) for features, label in taken]
    names = sorted({str(label) for _, label in rows})
    number = {name: place for place, name in enumerate(names)}
    return (
        np.array([features for features, _ in rows], np.float64),
        np.array([number[str(label)] for _, label in rows], np.int64),
    )


def _shuffled(name: str, count: int, seed: int) -> Stream:
    from river import datasets

    features, classes = _arrays(getattr(datasets, name)(), 10**9)
    order = np.random.default_rng(seed).permutation(len(classes))[:count]
    return features[order], classes[order]
