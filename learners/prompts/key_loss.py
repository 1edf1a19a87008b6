"""The loss that draws keys to the queries which pick them."""

import torch

from curate.learners.prompts.choices import Picks


def key_loss(picks: Picks) -> torch.Tensor:
    """Return the mean over items of the sum over their picks of 1 - cos(q, k_m), at least 0.

    L2P (arXiv 2112.08654, section 4.3) and DualPrompt (arXiv 2204.04799) add it to the loss with a weight,
    L2P's code with 0.1; PromptTPP (arXiv 2310.04993) subtracts the cosines alone, which has the same gradient. Picking
    has no gradient: without this loss no key ever moves.
    """
    return (1.0 - picks.similarities.gather(1, picks.indices)).sum(dim=1).mean()
