"""A frozen network is turned to many tasks, none of which changes another."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from curate.errors import BadDataError, ConfigurationError, UnknownNameError, UsageError
from curate.learners.checks import CHECKS, Check
from curate.learners.metrics import accuracy
from curate.learners.numerics import Features
from curate.learners.reprogramming.backbones import (
    efficientnet_lite0,
    frozen_residual_network,
    residual_network,
    taught_residual_network,
)
from curate.learners.reprogramming.learner import ChannelReprogramming
from curate.learners.reprogramming.network import FrozenNetwork, all_convolutions, cost_of, spatial_convolutions
from curate.learners.reprogramming.parameters import ReprogrammingParameters
from curate.learners.reprogramming.tasks import Task, features_of

ITEMS = 200


def small_module() -> nn.Module:
    """Two convolutions over 8 by 8 grey pixels, one of 1 by 1 between them, as they were drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.ReLU(),
            nn.Conv2d(8, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        ).eval()  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these are many times slower with threads where the processors have other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


NETWORK = FrozenNetwork(small_module(), (1, 8, 8))


def learner(**parameters: Any) -> ChannelReprogramming:
    rates = {"passes": 15, "learning_rate": 0.01, "seed": 3} | parameters
    return ChannelReprogramming(NETWORK, ReprogrammingParameters(**rates))


def turned(features: Features) -> Features:
    return np.ascontiguousarray(np.rot90(features.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64))


def inverted(features: Features) -> Features:
    return 1 - features


def named(task: str, labels: list[str]) -> list[str]:
    return [f"{task}/{label}" for label in labels]


@pytest.fixture(scope="module")
def taught(digits: Any) -> ChannelReprogramming:
    """Three tasks, one after the other."""
    found = learner()
    for task, change in (("upright", np.copy), ("inverted", inverted), ("turned", turned)):
        found.begin(task)
        found.learn(change(digits.features[:400]), named(task, digits.labels[:400]))
    return found


def names(check: Check) -> str:
    return check.__name__


@pytest.mark.parametrize("check", CHECKS, ids=names)
def test_it_passes_the_battery(check: Check, digits: Any) -> None:
    check(learner, digits.features[:ITEMS], digits.labels[:ITEMS])


def test_a_fresh_task_leaves_the_network_as_it_was(digits: Any) -> None:
    with torch.inference_mode():
        bare = small_module()(NETWORK.images(digits.features[:50]))
    found = features_of(NETWORK, Task.fresh(NETWORK).tensors, digits.features[:50])
    assert np.abs(found - bare.numpy()).max() < 1e-6


@pytest.mark.parametrize(
    "network", [lambda: efficientnet_lite0(32), lambda: frozen_residual_network(residual_network(2), 16)]
)
def test_real_networks_begin_as_they_were(network: Callable[[], FrozenNetwork]) -> None:
    frozen = network()
    generator = np.random.default_rng(0)
    pixels = generator.random((3, frozen.dimension), dtype=np.float32)
    found = features_of(frozen, frozen.at_start(), pixels)
    assert found.shape == (3, frozen.width)
    assert np.isfinite(found).all()
    noise = {name: tensor + 0.1 for name, tensor in frozen.at_start().items() if name in frozen.kernel_names}
    assert np.abs(features_of(frozen, frozen.at_start() | noise, pixels) - found).max() > 1e-3


def test_tasks_do_not_touch_each_other(digits: Any) -> None:
    found = learner()
    found.begin("upright")
    found.learn(digits.features[:ITEMS], named("upright", digits.labels[:ITEMS]))
    before, width = found.predict_task(digits.held_out, "upright"), len(found.classes)
    tensors = {name: tensor.clone() for name, tensor in found.tasks["upright"].tensors.items()}
    found.begin("inverted")
    found.learn(inverted(digits.features[:ITEMS]), named("inverted", digits.labels[:ITEMS]))
    after = found.predict_task(digits.held_out, "upright")
    assert np.array_equal(after[:, :width], before)
    assert not after[:, width:].any()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in found.tasks["upright"].tensors.items())


def test_threads_that_ask_for_different_tasks_meet_no_mixture(taught: ChannelReprogramming, digits: Any) -> None:
    pixels = digits.held_out[:160]
    alone = {task: taught.predict_task(pixels, task) for task in taught.tasks}
    with ThreadPoolExecutor(6) as pool:
        asked = [(task, pool.submit(taught.predict_task, pixels, task)) for _ in range(8) for task in alone]
        assert all(np.array_equal(future.result(), alone[task]) for task, future in asked)


def test_the_order_of_tasks_changes_nothing_of_a_task(digits: Any) -> None:
    def taught_in(order: str) -> ChannelReprogramming:
        found = learner(passes=2)
        for task in order:
            found.begin(task)
            found.learn((inverted if task == "b" else np.copy)(digits.features[:100]), named(task, digits.labels[:100]))
        return found

    first, second = taught_in("ab"), taught_in("ba")
    for task in "ab":
        mine, other = first.tasks[task].tensors, second.tasks[task].tensors
        assert all(torch.equal(tensor, other[name]) for name, tensor in mine.items())


@pytest.mark.parametrize("task", ["upright", "inverted", "turned"])
def test_every_task_is_told_whether_or_not_it_is_named(task: str, taught: ChannelReprogramming, digits: Any) -> None:
    change = {"upright": np.copy, "inverted": inverted, "turned": turned}[task]
    pixels, labels = change(digits.held_out), named(task, digits.held_out_labels)
    given = accuracy(taught.predict_task(pixels, task), taught.classes, labels)
    assert given > 0.85
    if task == "inverted":
        assert accuracy(taught.predict(pixels), taught.classes, labels) > given - 0.02
        assert np.mean([one == task for one in taught.tasks_of(pixels)]) > 0.99


def test_another_tasks_statistics_ruin_a_task(taught: ChannelReprogramming, digits: Any) -> None:
    pixels, labels = inverted(digits.held_out), named("inverted", digits.held_out_labels)
    shared = taught.tasks["inverted"].with_statistics_of(taught.tasks["upright"])
    found = shared.probabilities(NETWORK, pixels, len(taught.classes))
    right = accuracy(taught.predict_task(pixels, "inverted"), taught.classes, labels)
    assert accuracy(found, taught.classes, labels) < right - 0.1


def test_a_state_goes_on_with_the_task_that_was_begun(taught: ChannelReprogramming, digits: Any) -> None:
    resumed = learner()
    resumed.load(taught.state())
    assert resumed.state() == taught.state()
    assert list(resumed.tasks) == ["upright", "inverted", "turned"]
    for one in (resumed, other := learner()):
        other.load(taught.state())
        one.learn(turned(digits.features[:30]), named("turned", digits.labels[:30]))
    assert list(resumed.tasks) == ["upright", "inverted", "turned"]


def test_a_begun_task_is_kept_before_it_is_taught() -> None:
    first, second = learner(), learner()
    first.begin("later")
    second.load(first.state())
    assert second.state() == first.state() != learner().state()


def test_a_state_belongs_to_its_network(taught: ChannelReprogramming) -> None:
    other = FrozenNetwork(small_module(), (1, 8, 8), convolutions=["0"])
    with pytest.raises(ConfigurationError, match="network is"):
        ChannelReprogramming(other, taught.parameters).load(taught.state())


@pytest.mark.parametrize(("kernels", "normalisation"), [(0, 0), (0, 1), (1, 0)])
def test_what_is_not_taught_stays(kernels: int, normalisation: int, digits: Any) -> None:
    found = learner(kernels=kernels, normalisation=normalisation, passes=2)
    found.learn(digits.features[:ITEMS], digits.labels[:ITEMS])
    tensors, start = found.tasks["all"].tensors, NETWORK.at_start()
    moved = {name for name in start if not torch.equal(tensors[name], start[name])}
    expected = set(NETWORK.kernel_names if kernels else ())
    expected |= {*NETWORK.affine_names, *NETWORK.statistics_names} if normalisation else set()
    assert moved == expected


def test_kernels_are_pulled_to_the_identity(digits: Any) -> None:
    def distance(pull: float) -> float:
        found = learner(pull=pull)
        found.learn(digits.features[:ITEMS], digits.labels[:ITEMS])
        start = NETWORK.at_start()
        return sum(float((found.tasks["all"].tensors[name] - start[name]).norm()) for name in NETWORK.kernel_names)

    assert distance(1.0) < 0.5 * distance(0.0)


def test_costs_are_the_papers() -> None:
    from timm.models.resnet import resnet50  # type: ignore[attr-defined]

    whole = resnet50(pretrained=False)
    paper = FrozenNetwork(whole, (3, 32, 32))
    cost = cost_of(paper, 100)
    assert (cost.kernels, cost.affine, cost.statistics) == (34_560, 53_120, 53_120)
    assert cost.shares()["kernels, affine, statistics"] == pytest.approx(0.00551, abs=1e-5)
    full = FrozenNetwork(whole, (3, 32, 32), convolutions=all_convolutions(whole))
    assert cost_of(full, 100).kernels == 239_040


def test_a_small_residual_net_stays_below_the_papers_share() -> None:
    cost = cost_of(frozen_residual_network(residual_network(5), 32), 5)
    assert cost.shares()["kernels, affine, statistics"] < 0.006
    assert cost.bytes()["with the head"] == 4 * (cost.kernels + cost.affine + cost.statistics + 5 * 513)


def test_convolutions_are_chosen_by_name() -> None:
    assert spatial_convolutions(small_module()) == ("0", "5")
    assert all_convolutions(small_module()) == ("0", "3", "5")
    with pytest.raises(ConfigurationError, match="no convolution 'nowhere'"):
        FrozenNetwork(small_module(), (1, 8, 8), convolutions=["nowhere"])
    with pytest.raises(ConfigurationError, match="no batch normalisation '2'"):
        FrozenNetwork(small_module(), (1, 8, 8), normalisations=["2"])


def test_wrong_questions_are_refused(taught: ChannelReprogramming, digits: Any) -> None:
    with pytest.raises(UnknownNameError, match="nowhere"):
        taught.predict_task(digits.held_out, "nowhere")
    with pytest.raises(UsageError, match="nothing"):
        learner().tasks_of(digits.held_out)
    with pytest.raises(BadDataError, match="dimension 63"):
        learner().learn(digits.features[:, 1:], digits.labels)
    with pytest.raises(ConfigurationError, match="0 or 1"):
        ReprogrammingParameters(kernels=2)


def test_a_residual_net_is_taught_on_the_spot() -> None:
    generator = np.random.default_rng(0)
    labels = ["dark", "bright"] * 32
    pixels = np.stack([generator.random(3 * 64) * (0.3 if label == "dark" else 1.0) for label in labels])
    module = taught_residual_network(pixels.astype(np.float32), labels, side=8, passes=4)
    frozen = frozen_residual_network(module, 8)
    with torch.inference_mode():
        told = module(frozen.images(pixels)).argmax(1).numpy()
    assert np.mean(told == [1 if label == "dark" else 0 for label in labels]) > 0.9
    assert frozen.width == 512
