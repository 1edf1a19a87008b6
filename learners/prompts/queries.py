"""What of an item the pool is asked with: one vector, made by the frozen network without any prompt."""

import torch


def mean_query(tokens: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
    """Return the mean of each item's tokens: (items, length, width) to (items, width), as PromptTPP does.

    `present` (items, length) is true where a token may be seen: for a sequence the past only, and no filling. An item
    with no such token has a query of zeros.

    >>> mean_query(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    if present is None:
        return tokens.mean(dim=1)
    seen = torch.where(present[..., None], tokens, torch.zeros_like(tokens)).sum(dim=1)
    return seen / present.sum(dim=1).clamp_min(1)[:, None]


def running_queries(tokens: torch.Tensor) -> torch.Tensor:
    """Return the mean of the tokens up to each place, that one included: shape (items, length, width).

    The query at a place sees its past alone: no later token changes it, not even in its last bit.

    >>> running_queries(torch.tensor([[[1.0], [3.0], [8.0]]])).flatten()
    tensor([1., 2., 4.])
    """
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return tokens.cumsum(dim=1) / places[:, None]


def class_query(tokens: torch.Tensor) -> torch.Tensor:
    """Return each item's first token, a vision transformer's [CLS], as L2P, DualPrompt and CODA-Prompt do."""
    return tokens[:, 0]
