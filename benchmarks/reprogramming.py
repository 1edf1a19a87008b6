"""Channel reprogramming of one frozen network on six tasks, beside a linear probe and batch-norm tuning.

The network is a residual one of ten layers, taught on five classes of CIFAR-10; the tasks are the other five classes,
handwritten digits, and transformed versions of both (see `harness.reprogramming_tasks`), each of 200 images to learn
from and 200 held out. Each seed draws the images and the order of the tasks. The probe is logistic regression on frozen
features whose strength of regularisation is chosen by cross-validation on the task's images; the others are the same
learner with kernels left out, at the same rates and passes, which were chosen on images to learn from; both begin with
the head of a probe. "Inferred" is without the task's name: a wrong
task is a wrong answer, for no two tasks share a class. What a task adds is counted in four ways, against the network
without a head; the paper's "under 0.6 %" has kernels, affine parts and statistics. The first run teaches the network,
which takes some minutes, and keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.reprogramming_tasks import TASKS, TaskData, residual_network, task_data
from curate.learners.metrics import FORMULAS, AccuracyMatrix, accuracy
from curate.learners.numerics import Floats
from curate.learners.reprogramming.backbones import efficientnet_lite0
from curate.learners.reprogramming.learner import ChannelReprogramming
from curate.learners.reprogramming.network import Cost, FrozenNetwork, cost_of
from curate.learners.reprogramming.parameters import ReprogrammingParameters
from curate.learners.reprogramming.tasks import Task, features_of
from curate.statistics import bootstrap_interval, paired_difference

PACKAGES = ("curate", "numpy", "pillow", "scikit-learn", "timm", "torch")
PROBE, TUNED, CLR = "linear probe", "batch-norm tuning", "channel reprogramming"
INFERRED, SHARED = "  task inferred", "  statistics of the last task"
TAUGHT: Mapping[str, Mapping[str, int]] = {TUNED: {"kernels": 0}, CLR: {}}
SEEDS, QUICK_SEEDS = 5, 2
IMAGES, QUICK_IMAGES = 200, 60
PASSES, QUICK_PASSES = 12, 3
RATE = 4e-3
PAPERS = "kernels, affine, statistics"
Scores = dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What one seed showed: accuracy in percent by row and task, forgetting of CLR in points, and seconds by row."""

    accuracy: Mapping[str, Scores]
    seconds: Mapping[str, float]
    matrix: Sequence[Sequence[float]]
    forgetting: float
    moved: float
    tasks_right: float
    anchor_bytes: int

    def mean(self, row: str) -> float:
        """Return the mean over tasks of one row."""
        return float(np.mean(list(self.accuracy[row].values())))


def run(options: Options) -> Result:
    """Measure every row over the seeds, and count what a task adds."""
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    network = residual_network()
    outcomes = [_outcome(network, seed, options) for seed in seeds]
    costs = {"residual network": cost_of(network, 5), "EfficientNet-Lite0": cost_of(efficientnet_lite0(), 5)}
    return Result(
        bars=_bars(outcomes, costs["residual network"]),
        rows=[_row(name, outcomes) for name in outcomes[0].accuracy],
        details={
            "seeds": list(seeds),
            "images a task": QUICK_IMAGES if options.quick else IMAGES,
            "passes": QUICK_PASSES if options.quick else PASSES,
            "formulas": FORMULAS,
            "cost of a task of five classes": {name: _counted(cost) for name, cost in costs.items()},
            "outcomes": [vars(outcome) for outcome in outcomes],
        },
        packages=PACKAGES,
    )


def _outcome(network: FrozenNetwork, seed: int, options: Options) -> Outcome:
    images, passes = (QUICK_IMAGES, QUICK_PASSES) if options.quick else (IMAGES, PASSES)
    data = task_data(seed, images, images)
    order = [list(TASKS)[place] for place in np.random.default_rng(seed).permutation(len(TASKS))]
    scores: dict[str, Scores] = {PROBE: {name: _probe(network, one) for name, one in data.items()}}
    seconds: dict[str, float] = {}
    matrix = AccuracyMatrix()
    for row, parts in TAUGHT.items():
        learner = ChannelReprogramming(
            network, ReprogrammingParameters(seed=seed, passes=passes, learning_rate=RATE, **parts)
        )
        began = time.perf_counter()
        at_once = {name: _taught(learner, data, name, matrix if row == CLR else None, order) for name in order}
        seconds[row] = (time.perf_counter() - began) / len(order)
        scores[row] = {name: _right(learner, data[name], name) for name in order}
        options.note(f"seed {seed}: {row}: {np.mean(list(scores[row].values())):.2f} %")
    moved = max(_moved(learner, data[name], name, before) for name, before in at_once.items())
    scores[INFERRED] = {name: _right(learner, data[name]) for name in order}
    told = [np.mean([one == name for one in learner.tasks_of(data[name].held_out.flat())]) for name in order]
    scores[SHARED] = _under_statistics_of(learner, network, data, learner.tasks[order[-1]])
    forgetting = 100 * matrix.forgetting
    return Outcome(scores, seconds, matrix.rows, forgetting, moved, 100 * float(np.mean(told)), learner.anchor_bytes())


def _taught(
    learner: ChannelReprogramming,
    data: Mapping[str, TaskData],
    name: str,
    matrix: AccuracyMatrix | None,
    order: Sequence[str],
) -> Floats:
    """Teach a task and return what the learner says of it at once, to be compared with what it says at the end."""
    learner.begin(name)
    learner.learn(data[name].learned.flat(), data[name].learned.labels.tolist())
    if matrix:
        known = order[: order.index(name) + 1]
        matrix.add([_right(learner, data[one], one) / 100 for one in known])
    return learner.predict_task(data[name].held_out.flat(), name)


def _right(learner: ChannelReprogramming, one: TaskData, task: str = "") -> float:
    """The accuracy in percent on what is held out, with the task's name where it is given."""
    pixels = one.held_out.flat()
    found = learner.predict_task(pixels, task) if task else learner.predict(pixels)
    return 100 * accuracy(found, learner.classes, one.held_out.labels.tolist())


def _moved(learner: ChannelReprogramming, one: TaskData, name: str, before: Floats) -> float:
    """The largest change of any probability since the task was learned."""
    after = learner.predict_task(one.held_out.flat(), name)
    return float(np.abs(after[:, : before.shape[1]] - before).max())


def _under_statistics_of(
    learner: ChannelReprogramming, network: FrozenNetwork, data: Mapping[str, TaskData], last: Task
) -> Scores:
    """What sharing the last task's statistics among all tasks would make of them."""
    scores = {}
    for name, task in learner.tasks.items():
        found = task.with_statistics_of(last).probabilities(network, data[name].held_out.flat(), len(learner.classes))
        scores[name] = 100 * accuracy(found, learner.classes, data[name].held_out.labels.tolist())
    return scores


def _probe(network: FrozenNetwork, one: TaskData) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learned, held_out = (features_of(network, network.at_start(), part.flat()) for part in (one.learned, one.held_out))
    strengths = {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1.0]}
    probe = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), strengths, cv=3)
    return 100 * float(probe.fit(learned, one.learned.labels).score(held_out, one.held_out.labels))


def _counted(cost: Cost) -> dict[str, object]:
    return {"backbone": cost.backbone, "numbers": cost.ways(), "bytes": cost.bytes(), "share": cost.shares()}


def _row(name: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    seconds = [one.seconds[name] for one in outcomes if name in one.seconds]
    return {
        "learner": name,
        "accuracy %": str(bootstrap_interval([one.mean(name) for one in outcomes])),
        **{task: float(np.mean([one.accuracy[name][task] for one in outcomes])) for task in TASKS},
        "seconds a task": float(np.median(seconds)) if seconds else "",
    }


def _bars(outcomes: Sequence[Outcome], cost: Cost) -> list[Bar]:
    def means(row: str) -> list[float]:
        return [one.mean(row) for one in outcomes]

    bars = [
        Bar(f"{CLR}: forgetting, points", max(abs(one.forgetting) for one in outcomes), 0.0, "<="),
        Bar(f"{CLR}: largest change of a probability by later tasks", max(one.moved for one in outcomes), 0.0, "<="),
    ]
    for other in (PROBE, TUNED):
        gain = paired_difference(means(CLR), means(other))
        bars.append(Bar(f"{CLR}: accuracy over {other}, points", gain.value, 0.0, ">", gain))
    share = 100 * cost.shares()[PAPERS]
    bars.append(Bar(f"{CLR}: a task's {PAPERS}, % of the network", share, 0.6, "<"))
    lost = paired_difference(means(CLR), means(INFERRED))
    bars.append(Bar(f"{CLR}: task given over task inferred, points", lost.value, 2.0, "<=", lost))
    fall = paired_difference(means(CLR), means(SHARED))
    bars.append(Bar(f"{CLR}: fall with the statistics of the last task, points", fall.value, 10.0, ">=", fall))
    return bars


if __name__ == "__main__":
    raise SystemExit(main("reprogramming", run))
