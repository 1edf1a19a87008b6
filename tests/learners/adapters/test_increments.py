"""Adapters by increment: earlier ones stay as they were, new ones can be kept off them, OSF spares what it should."""

from typing import Any

import pytest
import torch
from torch import nn

from curate.errors import ConfigurationError, UsageError
from curate.learners.adapters.increments import IncrementalAdapters, ProtectedSubspace, overlap

LAYERS = ["0", "2"]


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def taught(adapters: Any, trained: list[nn.Parameter], seed: int, *, weight: float = 0.0, kept: bool = False,
           kind: Any = torch.optim.Adam, rate: float = 0.02) -> None:  # fmt: skip
    optimiser = kind(trained, rate)
    for step in range(30):
        optimiser.zero_grad()
        loss = (adapters.model(drawn(100 * seed + step, 16, 12)) - drawn(seed, 16, 4)).square().mean()
        if weight:
            loss = loss + weight * adapters.overlap()
        loss.backward()
        optimiser.step()
        if kept:
            adapters.keep()


def test_overlap_is_the_sum_of_absolute_products() -> None:
    new, earlier = drawn(0, 2, 6), [drawn(1, 3, 6), drawn(2, 2, 6)]
    expected = sum(abs(float(a @ b)) for old in earlier for a in old for b in new)
    assert float(overlap(new, earlier)) == pytest.approx(expected, rel=1e-5)
    assert float(overlap(new, [])) == 0


def test_the_earlier_are_added_and_stay_as_they_were() -> None:
    plain, adapters, inputs = network(), IncrementalAdapters(network(), LAYERS, rank=2, alpha=6), drawn(9, 5, 12)
    taught(adapters, adapters.begin("first"), 1)
    first = adapters.model(inputs)
    weights = {name: part.clone() for name, part in adapters.model.named_parameters()}
    trained = adapters.begin("second", seed=1)
    assert torch.equal(adapters.model(inputs), first)
    assert sum(part.numel() for part in trained) == 2 * (12 + 20) + 2 * (20 + 8)
    taught(adapters, trained, 2)
    for name, part in adapters.model.named_parameters():
        assert torch.equal(part, weights.get(name, part))
    layer = adapters.model.base_model.model[0]
    added = sum(3 * layer.lora_B[name].weight @ layer.lora_A[name].weight for name in ("first", "second"))
    assert torch.allclose(layer(inputs), plain[0](inputs) + inputs @ added.T, atol=1e-5)
    adapters.add_up(["first"])
    assert torch.equal(adapters.model(inputs), first)
    with adapters.model.disable_adapter():
        assert torch.equal(adapters.model(inputs), plain(inputs))


def test_a_penalty_keeps_a_new_increment_off_the_earlier() -> None:
    found = []
    for weight in (0.0, 1.0):
        adapters = IncrementalAdapters(network(), LAYERS, rank=2)
        taught(adapters, adapters.begin("first"), 1)
        assert float(adapters.overlap()) == 0
        taught(adapters, adapters.begin("second", seed=1), 2, weight=weight)
        found.append(float(adapters.overlap()))
    assert found[1] < 0.3 * found[0]


def left_over(kept: bool, kind: Any, rate: float) -> float:
    """Return the largest change along the protected directions of the first layers after a fit."""
    adapters = ProtectedSubspace(network(), LAYERS)
    before = {name: adapters.model.get_submodule(name).weight.detach().clone() for name in LAYERS}
    taught(adapters, adapters.begin(0.5), 1, kept=kept, kind=kind, rate=rate)
    adapters.begin(0.5)
    worst = 0.0
    for name in LAYERS:
        change = adapters.model.base_model.model.get_submodule(name).base_layer.weight - before[name]
        assert change.abs().max() > 1e-3
        left, _, right = torch.linalg.svd(before[name], full_matrices=False)
        half = min(before[name].shape) // 2
        worst = max(worst, float((left[:, :half].T @ change).abs().max()), float((change @ right[:half].T).abs().max()))
    return worst


def test_osf_spares_the_protected_directions_with_plain_descent_and_with_adam_only_if_kept() -> None:
    assert left_over(False, torch.optim.SGD, 0.1) < 1e-5
    assert left_over(False, torch.optim.Adam, 0.02) > 1e-3
    assert left_over(True, torch.optim.Adam, 0.02) < 1e-5


def test_osf_takes_over_what_was_learned() -> None:
    adapters, inputs = ProtectedSubspace(network(), LAYERS), drawn(9, 5, 12)
    trained = adapters.begin(0.5)
    assert torch.allclose(adapters.model(inputs), network()(inputs), atol=1e-5)
    taught(adapters, trained, 1)
    learned = adapters.model(inputs)
    adapters.begin(0.75)
    assert torch.allclose(adapters.model(inputs), learned, atol=1e-5)
    assert not torch.allclose(learned, network()(inputs), atol=1e-2)


def test_what_does_not_fit_is_refused() -> None:
    adapters = IncrementalAdapters(network(), LAYERS)
    adapters.begin("first")
    for name in ("first", "a.b"):
        with pytest.raises(UsageError, match="cannot be named"):
            adapters.begin(name)
    with pytest.raises(UsageError, match="no increment 'second'"):
        adapters.add_up(["second"])
    with pytest.raises(ConfigurationError, match="do not fit"):
        IncrementalAdapters(network(), ["nothing"]).begin("first")
    for share in (0.0, 1.0):
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            ProtectedSubspace(network(), LAYERS).begin(share)
