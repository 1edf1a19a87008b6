"""Components that do not speak for each other: new ones begin orthogonal, and a penalty can keep them so."""

import numpy as np
import torch

from curate.learners.numerics import Features, Floats


def orthogonal_rows(count: int, against: Features, generator: np.random.Generator) -> Features:
    """Draw unit rows that are orthogonal to each other and to the rows of `against` (others, width): Gram-Schmidt.

    CODA-Prompt begins each increment's slice of keys, attention vectors and values so. In `width` dimensions there is
    room for as many rows only: those beyond are drawn at random.

    >>> old = np.array([[1.0, 0.0]], np.float32)
    >>> abs(orthogonal_rows(1, old, np.random.default_rng(0)))
    array([[0., 1.]], dtype=float32)
    """
    others, width = against.shape
    rows: Floats = generator.standard_normal((count, width))
    room = min(count, max(0, width - others))
    if room:
        columns = np.concatenate([against.astype(np.float64), rows[:room]]).T
        rows[:room] = np.linalg.qr(columns).Q.T[others:]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def orthogonality_penalty(rows: torch.Tensor) -> torch.Tensor:
    """Return the squared norm of B B' - I for rows B (components, width, or more axes that are taken as one).

    CODA-Prompt (arXiv 2211.13218), section 4. Its code takes the mean over the entries and ends with a weight of 0:
    the beginning does all the work.

    >>> orthogonality_penalty(torch.eye(3))
    tensor(0.)
    """
    flat = rows.flatten(start_dim=1)
    return (flat @ flat.T - torch.eye(len(flat), device=flat.device)).square().sum()
