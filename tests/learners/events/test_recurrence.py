"""The recurrence by hand is the equations of the paper, and its gradient the one that torch finds."""

import pytest
import torch

from curate.learners.events.recurrence import Steps, run_through

EVENTS, SEQUENCES, WIDTH = 6, 3, 4


@pytest.fixture(scope="module")
def inputs() -> Steps:
    """What embeddings add to the gates, weights, and durations, one of which is nothing."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    durations = torch.rand((EVENTS, SEQUENCES, 1), generator=generator, dtype=torch.float64)
    durations[2, 1] = 0.0
    return normal(EVENTS, SEQUENCES, 7 * WIDTH), normal(7 * WIDTH, WIDTH), durations


def by_the_paper(given: torch.Tensor, weight: torch.Tensor, durations: torch.Tensor) -> Steps:
    """Mei and Eisner's equations 5a to 7, one after the other."""
    faded = target = shown = given.new_zeros(SEQUENCES, WIDTH)
    found = []
    for event in range(EVENTS):
        gates = (given[event] + shown @ weight.T).chunk(7, dim=1)
        take, take_target, keep, keep_target, output = (torch.sigmoid(gate) for gate in gates[:5])
        candidate, decay = torch.tanh(gates[5]), torch.nn.functional.softplus(gates[6])
        memory = keep * faded + take * candidate
        target = keep_target * target + take_target * candidate
        found.append((torch.cat([memory, target], dim=1), decay, output))
        faded = target + (memory - target) * torch.exp(-decay * durations[event])
        shown = output * torch.tanh(faded)
    pairs, decays, outputs = (torch.stack(parts) for parts in zip(*found, strict=True))
    return pairs, decays, outputs


def test_it_is_the_equations(inputs: Steps) -> None:
    for mine, other in zip(run_through(*inputs), by_the_paper(*inputs), strict=True):
        assert torch.allclose(mine, other, rtol=1e-12)


def test_its_gradient_is_that_of_the_equations(inputs: Steps) -> None:
    generator = torch.Generator().manual_seed(1)
    factors = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in run_through(*inputs)]

    def gradients(parts: Steps) -> tuple[torch.Tensor, ...]:
        total = sum(((part * factor).sum() for part, factor in zip(parts, factors, strict=True)), torch.zeros(()))
        return torch.autograd.grad(total, inputs[:2])

    for mine, other in zip(gradients(run_through(*inputs)), gradients(by_the_paper(*inputs)), strict=True):
        assert torch.allclose(mine, other, rtol=1e-10)


def test_what_goes_in_stays_as_it_was(inputs: Steps) -> None:
    before = [part.detach().clone() for part in inputs]
    run_through(*inputs)
    assert all(torch.equal(part.detach(), kept) for part, kept in zip(inputs, before, strict=True))
