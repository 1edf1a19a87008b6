"""Pages of handwritten digits, each digit an answer of its own: four tasks of very unequal sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.harness.digit_tasks import SEQUENCE, Change, Pair
from benchmarks.harness.turned_digits import PIXELS, splits

LONGEST, SHOWN = 8, 40


@dataclass(frozen=True)
class Task:
    """How its images are changed, how many pages it has, and how many digits a page has at least and at most."""

    change: Change
    pages: int
    shortest: int
    longest: int


PAGES: Mapping[str, Task] = {
    "turned": Task(SEQUENCE["turned"], 640, 1, 3),
    "half turned": Task(SEQUENCE["half turned"], 160, 2, 6),
    "mirrored": Task(SEQUENCE["mirrored"], 40, 4, 8),
    "negative": Task(SEQUENCE["negative"], 10, 8, 8),
}


@dataclass(frozen=True)
class Pages:
    """One seed's pages (pages, digits, pixels) with labels, which digits there are, and tasks; and digits by task.

    shown: what a balancer of convergence sees; kept: what learning rates are chosen by.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    counted: torch.Tensor
    tasks: torch.Tensor
    upright: Pair
    shown: Sequence[Pair]
    kept: Sequence[Pair]
    held_out: Sequence[Pair]


def digit_pages(seed: int) -> Pages:
    """Draw the pages of each task from the images to be fitted."""
    from sklearn.datasets import load_digits

    read = load_digits()
    images, labels = (read.images / 16).astype(np.float32), torch.from_numpy(read.target)
    parts, draw = splits([seed]), np.random.default_rng(seed)
    fitted, aside = parts.fitted[0].numpy(), parts.kept_aside[0]
    places, lengths, tasks, digits = [], [], [], []
    for number, task in enumerate(PAGES.values()):
        places.append(draw.choice(fitted, (task.pages, LONGEST)))
        lengths.append(draw.integers(task.shortest, task.longest + 1, task.pages))
        tasks.append(np.full(task.pages, number))
        digits.append(torch.from_numpy(task.change(images).reshape(-1, PIXELS).copy()))
    drawn = [torch.from_numpy(one) for one in places]

    def by_task(rows: torch.Tensor) -> list[Pair]:
        return [(pixels[rows], labels[rows]) for pixels in digits]

    return Pages(
        pixels=torch.cat([pixels[rows] for pixels, rows in zip(digits, drawn, strict=True)]),
        labels=labels[torch.cat(drawn)],
        counted=torch.arange(LONGEST) < torch.from_numpy(np.concatenate(lengths))[:, None],
        tasks=torch.from_numpy(np.concatenate(tasks)),
        upright=(torch.from_numpy(images.reshape(-1, PIXELS))[parts.learned[0]], labels[parts.learned[0]]),
        shown=by_task(aside[:SHOWN]),
        kept=by_task(aside[SHOWN:]),
        held_out=by_task(parts.held_out[0]),
    )
