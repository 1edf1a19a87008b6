"""The steps of the continuous-time LSTM in one go, with a gradient by hand: most of what a small one costs is calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Steps = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class FadingRecurrence(torch.autograd.Function):
    """Goes through events in order; see `RecurrentHawkes` for the equations.

    `given`, (events, sequences, 7 · width), is what each event's embedding adds to the gates i, ī, f, f̄, o, z and δ, in
    this order; `weight`, (7 · width, width), is for h; `durations`, (events, sequences, 1), is how long a state lasts.
    What comes out is c beside c̄, (events, sequences, 2 · width), and δ and o, (events, sequences, width).
    """

    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, weight: torch.Tensor, durations: torch.Tensor) -> Steps:
        """Run from an empty memory."""
        events, sequences, width = len(given), given.shape[1], weight.shape[1]
        gates = given.clone()
        before, pairs = given.new_zeros(2, events + 1, sequences, 2 * width).unbind()
        shown = given.new_zeros(events + 1, sequences, width)
        turned = weight.T.contiguous()
        opened, candidates, decays = torch.split(gates, [5 * width, width, width], dim=2)
        taken, kept, output = (part.unbind() for part in torch.split(opened, [2 * width, 2 * width, width], dim=2))
        faded, carried = (part.unbind() for part in before.chunk(2, dim=2))
        memory, target = (part.unbind() for part in pairs.chunk(2, dim=2))
        rows = zip(
            gates.unbind(), opened.unbind(), candidates.unbind(), decays.unbind(), durations.unbind(), strict=True
        )
        before_each, pair_each, shown_each = before.unbind(), pairs.unbind(), shown.unbind()
        for event, (gate, opening, candidate, decay, duration) in enumerate(rows):
            gate.addmm_(shown_each[event], turned)
            opening.sigmoid_()
            candidate.tanh_()
            decay.copy_(nn.functional.softplus(decay))
            torch.mul(kept[event], before_each[event], out=pair_each[event])
            pair_each[event].addcmul_(taken[event], candidate.repeat(1, 2))
            torch.lerp(target[event], memory[event], torch.exp(-duration * decay), out=faded[event + 1])
            carried[event + 1].copy_(target[event])
            torch.mul(output[event], torch.tanh(faded[event + 1]), out=shown_each[event + 1])
        ctx.save_for_backward(weight, durations, gates, before, pairs[:-1], shown)
        return pairs[:-1], decays.clone(), opened[:, :, 4 * width :].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Go back through the events; all that does not depend on the order is done for all of them at once."""
        weight, durations, gates, before, pairs, shown = ctx.saved_tensors
        of_pairs, of_decays, of_outputs = (gradient.unbind() for gradient in gradients)
        width = weight.shape[1]
        opened, candidates, decays = torch.split(gates, [5 * width, width, width], dim=2)
        lasting = torch.exp(-decays * durations)
        memory, target = pairs.chunk(2, dim=2)
        seen = torch.tanh(before[1:, :, :width])
        parts = (
            torch.cat([lasting, 1 - lasting], dim=2),
            (target - memory) * durations * lasting,
            seen,
            opened[:, :, 4 * width :] * (1 - seen.square()),
            torch.cat([opened * (1 - opened), 1 - candidates.square(), -torch.expm1(-decays)], dim=2),
            torch.cat([candidates.repeat(1, 1, 2), before[:-1]], dim=2),
            opened[:, :, : 2 * width],
            opened[:, :, 2 * width : 4 * width],
            found := torch.zeros_like(gates),
        )
        of_before, of_shown = torch.zeros_like(pairs[0]), torch.zeros_like(shown[0])
        rows = list(zip(of_pairs, of_decays, of_outputs, *(part.unbind() for part in parts), strict=True))
        for of_pair, of_decay, of_output, mixed, slowed, showed, showing, slope, factor, taken, kept, now in reversed(
            rows
        ):
            of_faded = torch.addcmul(of_before[:, :width], of_shown, showing)
            whole = torch.addcmul(of_pair, of_faded.repeat(1, 2), mixed)
            whole[:, width:] += of_before[:, width:]
            torch.mul(whole.repeat(1, 2), factor, out=now[:, : 4 * width])
            torch.addcmul(of_output, of_shown, showed, out=now[:, 4 * width : 5 * width])
            through = whole * taken
            torch.add(through[:, :width], through[:, width:], out=now[:, 5 * width : 6 * width])
            torch.addcmul(of_decay, of_faded, slowed, out=now[:, 6 * width :])
            now *= slope
            of_before, of_shown = whole * kept, now @ weight
        return found, found.flatten(0, 1).T @ shown[:-1].flatten(0, 1), None


def run_through(given: torch.Tensor, weight: torch.Tensor, durations: torch.Tensor) -> Steps:
    """See `FadingRecurrence`."""
    found: Steps = FadingRecurrence.apply(given, weight, durations)
    return found
