"""The cosine between queries and keys, the same bits for an item whatever batch it comes in."""

import torch
from torch import nn


def cosines(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Return the cosine of each query with each key: shape (items, components).

    `queries` are (items, width), or (items, components, width) where every component sees the query in its own way;
    `keys` are (components, width). A vector of zeros has cosine 0 with all.

    It multiplies and sums, and is no matrix product: that one cuts its sums by the size of the batch, so that near ties
    would be decided by the other items of the batch. Costs items * components * width numbers of memory.

    >>> cosines(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    tensor([[0.8000, 0.0000]])
    """
    seen = queries if queries.dim() == 3 else queries[:, None]
    return (_unit(seen) * _unit(keys)).sum(dim=-1)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(vectors, dim=-1)
