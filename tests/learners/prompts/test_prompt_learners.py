"""L2P, DualPrompt and CODA-Prompt over a small transformer that is taught on the spot."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.baselines import NearestClassMean
from curate.learners.checks import CHECKS, Check, check_label_order
from curate.learners.metrics import accuracy
from curate.learners.numerics import Features
from curate.learners.prompts.coda_prompt import CodaPrompt
from curate.learners.prompts.dual_prompt import DualPrompt
from curate.learners.prompts.l2p import L2P
from curate.learners.prompts.learner import PromptLearner
from curate.learners.prompts.parameters import CodaPromptParameters, DualPromptParameters, L2PParameters
from curate.learners.prompts.vision import VisionTransformer

WIDTH = 32


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these are many times slower with threads where the processors have other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def taught_transformer() -> VisionTransformer:
    """A transformer that was taught digits which lie on their side: near to upright ones, and not the same."""
    images, targets = load_digits(return_X_y=True)
    given = torch.from_numpy((images / 16).astype(np.float32)).reshape(-1, 1, 8, 8).transpose(2, 3) * 2 - 1
    rows = torch.from_numpy(targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: Any = TimmTransformer(
            img_size=8, patch_size=2, in_chans=1, embed_dim=WIDTH, depth=2, num_heads=4, num_classes=10
        )
        optimiser = torch.optim.AdamW(module.parameters(), 3e-3)
        for _ in range(8):
            for batch in torch.randperm(len(rows)).split(64):
                optimiser.zero_grad()
                nn.functional.cross_entropy(module(given[batch]), rows[batch]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    module.reset_classifier(0)
    return VisionTransformer(module, (1, 8, 8))


Maker: TypeAlias = Callable[..., PromptLearner]


def l2p(**parameters: Any) -> L2P:
    rates = {"seed": 3, "passes": 4, "learning_rate": 0.01, "components": 6, "picked": 2, "length": 2, "spread": 0.3}
    return L2P(taught_transformer(), L2PParameters(**(rates | parameters)))


def dual_prompt(**parameters: Any) -> DualPrompt:
    lengths = {"general_layers": 1, "general_length": 2, "expert_layers": 1, "expert_length": 3}
    rates = {"seed": 3, "passes": 4, "learning_rate": 0.01, "spread": 0.3}
    return DualPrompt(taught_transformer(), DualPromptParameters(**(rates | lengths | parameters)))


def coda_prompt(**parameters: Any) -> CodaPrompt:
    rates = {"seed": 3, "passes": 4, "learning_rate": 0.01, "components": 3, "length": 2, "layers": 2}
    return CodaPrompt(taught_transformer(), CodaPromptParameters(**(rates | parameters)))


MAKERS: list[Maker] = [l2p, dual_prompt, partial(dual_prompt, means=1), coda_prompt]
NAMES = ["l2p", "dual-prompt", "dual-prompt with means", "coda-prompt"]
BATTERY_NAMES = ["l2p", "coda-prompt", "dual-prompt", "dual-prompt with means"]
every_learner = pytest.mark.parametrize("maker", MAKERS, ids=NAMES)


@pytest.mark.parametrize(
    "maker", [l2p, coda_prompt, *(pytest.param(one, marks=pytest.mark.slow) for one in MAKERS[1:3])], ids=BATTERY_NAMES
)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_battery(maker: Maker, check: Check, digits: Any) -> None:
    """After one pass accuracies are noise (40 items): what compares them needs a learner that has learned."""
    features, labels = digits.of("0", "1", "7")
    check(partial(maker, passes=30 if check is check_label_order else 1), features[:40], labels[:40])


def taught(maker: Maker, digits: Any, increments: list[tuple[str, str]]) -> PromptLearner:
    learner = maker()
    for names in increments:
        learner.learn(*digits.of(*names))
    return learner


@every_learner
def test_it_learns_what_the_transformer_never_met(maker: Maker, digits: Any) -> None:
    learner = taught(partial(maker, passes=12, learning_rate=0.02), digits, [("0", "1")])
    features, labels = digits.held_out_of("0", "1")
    assert accuracy(learner.predict(features), learner.classes, labels) > 0.85


def test_prompts_tell_apart_what_the_frozen_features_do_not(digits: Any) -> None:
    """A linear probe of the same transformer on two digits that look alike to it."""
    features, labels = digits.of("5", "9")
    held_out, truth = digits.held_out_of("5", "9")
    learner = coda_prompt(passes=15, learning_rate=0.02)
    probe = LogisticRegression(max_iter=1000).fit(learner._queries(features), labels)
    learner.learn(features, labels)
    assert accuracy(learner.predict(held_out), learner.classes, truth) > probe.score(learner._queries(held_out), truth)


@every_learner
def test_predictions_of_one_item_are_those_of_64_to_the_bit(maker: Maker, digits: Any) -> None:
    learner = taught(maker, digits, [("0", "5"), ("7", "9")])
    features: Features = digits.held_out[:64]
    single = np.concatenate([learner.predict(features[row : row + 1]) for row in range(64)])
    assert np.array_equal(single, learner.predict(features))


@every_learner
def test_a_later_increment_moves_no_head_row_of_an_earlier_class(maker: Maker, digits: Any) -> None:
    """The class mask: the loss of an increment knows its own classes only."""
    learner = taught(maker, digits, [("0", "5")])
    before = learner._arrays()
    learner.learn(*digits.of("7", "9"))
    for part in ("head/weight", "head/bias"):
        assert np.array_equal(before[part], learner._arrays()[part][:2])
        assert not np.isclose(before[part], learner._arrays()[part][2:]).any()


@pytest.mark.parametrize("maker", [dual_prompt, coda_prompt])
def test_what_an_earlier_increment_taught_stays_to_the_bit(maker: Maker, digits: Any) -> None:
    learner = taught(maker, digits, [("0", "5")])
    pool = learner._chosen_from
    before = [pool.keys.detach().clone(), pool.values.detach().clone()]
    learner.learn(*digits.of("7", "9"))
    after = [pool.keys.detach(), pool.values.detach()]
    assert len(pool) == 2 * len(before[0])
    assert all(torch.equal(old, new[: len(old)]) for old, new in zip(before, after, strict=True))


@every_learner
def test_an_increment_without_new_classes_begins_nothing(maker: Maker, digits: Any) -> None:
    learner = taught(maker, digits, [("0", "5")])
    components, before = len(learner._chosen_from), learner.state()
    learner.learn(*digits.of("0"))
    learner.learn(*digits.of("0", "5"))
    assert len(learner._chosen_from) == components
    assert learner.state() != before


def test_the_pool_of_l2p_is_used_evenly_with_the_penalty(digits: Any) -> None:
    """More than half of the largest entropy, while learning and on items held out."""
    learner = taught(l2p, digits, [("0", "5"), ("7", "9")])
    assert learner._chosen_from.usage.evenness() > 0.9
    assert learner.usage_of(digits.held_out).evenness() > 0.5


def test_an_increment_teaches_its_own_expert_whatever_key_is_nearest(digits: Any) -> None:
    learner = taught(partial(dual_prompt, passes=2), digits, [("0", "5"), ("7", "9")])
    items = [len(digits.of(*names)[1]) for names in (("0", "5"), ("7", "9"))]
    assert learner._chosen_from.usage.counts.tolist() == [2 * count for count in items]


def test_the_head_of_l2p_reads_the_prompts_and_not_the_class_token() -> None:
    tokens = torch.randn(3, 4 + 17, WIDTH, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        l2p()._read(tokens), (tokens[:, 0] + tokens[:, 1] + tokens[:, 2] + tokens[:, 3]) / 4, atol=1e-6
    )


def test_the_experts_are_found_without_a_task_id(digits: Any) -> None:
    learner = taught(partial(dual_prompt, means=1, passes=1), digits, [("0", "6"), ("1", "7")])
    features, labels = digits.held_out_of("0", "1", "6", "7")
    counts = [learner.usage_of(features[np.isin(labels, names)]).counts for names in (("0", "6"), ("1", "7"))]
    assert sum(float(count[task]) for task, count in enumerate(counts)) / len(labels) > 0.75


@every_learner
def test_a_head_from_means_tells_the_nearest_class_mean_before_it_is_taught(maker: Maker, digits: Any) -> None:
    learner = maker(mean_head=1, passes=1, learning_rate=1e-12)
    features, labels = digits.of("0", "5")
    learner.learn(features, labels)
    made = learner._features(features)
    nearest = NearestClassMean()
    nearest.learn(made, labels)
    agreed = nearest.predict(made).argmax(axis=1) == learner.predict(features).argmax(axis=1)
    assert agreed.mean() > 0.98


@pytest.mark.parametrize(
    "maker", [partial(dual_prompt, expert_layers=2), partial(coda_prompt, layers=3)], ids=["dual-prompt", "coda-prompt"]
)
def test_prompts_for_more_layers_than_there_are_are_refused(maker: Maker) -> None:
    with pytest.raises(ConfigurationError, match="prompts for 3 layers do not fit 2 layers"):
        maker()


@pytest.mark.parametrize(
    "make",
    [partial(L2PParameters, picked=11), partial(DualPromptParameters, means=2), partial(L2PParameters, mean_head=2)],
)
def test_parameters_that_cannot_be_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match="the learner's parameter"):
        make()
