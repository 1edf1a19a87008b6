"""Networks fitted side by side end as each would by itself, with plain `peft` and plain Adam."""

from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.harness.stacked_fits import Stack, orders
from benchmarks.harness.turned_digits import digit_network, splits, turned_digits
from benchmarks.rotated_digits import ROWS, Row, _with_adapter


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_stack_is_fitted_as_its_networks_would_be(row: Row) -> None:
    digits, parts = turned_digits(), splits([0, 1])
    inputs, targets = digits.turned[parts.learned], digits.labels[parts.learned]
    networks: list[Any] = [_with_adapter(digit_network(seed), row, seed) for seed in (0, 1)]
    turns = orders(2, 64, 3, 0)
    rates = torch.tensor([3e-3, 1e-2])
    fitted = Stack.of(networks).fitted(inputs, targets, rates, turns, 16)
    for place, network in enumerate(networks):
        trained = [one for one in network.parameters() if one.requires_grad]
        optimiser = torch.optim.Adam(trained, float(rates[place]))
        for rows in (part[place] for turn in turns for part in turn.split(16, dim=1)):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[place, rows]), targets[place, rows]).backward()
            optimiser.step()
        fresh = _with_adapter(digit_network(place), row, place)
        moved = float((network(inputs[place]) - fresh(inputs[place])).abs().max())
        gap = float((network(inputs[place]) - fitted.logits(inputs)[place]).abs().max())
        assert moved > 1e-3
        assert gap < 0.02 * moved
