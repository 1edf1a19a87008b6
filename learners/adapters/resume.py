"""All that a fit depends on after a step, as bytes: adapter, optimiser, generators, ranks and the curve so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from curate.errors import ConfigurationError
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.rank_budget import RankBudget
from curate.learners.encoders.weights import as_array
from curate.learners.state_file import pack, unpack

_ADAPTER, _OPTIMISER, _RANKS, _RANDOM = "adapter", "optimiser", "ranks", "random"


def saved(
    header: Mapping[str, Any], adapted: Adapted, optimiser: torch.optim.Optimizer, ranks: RankBudget | None
) -> bytes:
    """Return the state as safetensors bytes; equal states are equal bytes."""
    parts: dict[str, torch.Tensor] = {f"{_ADAPTER}/{name}": tensor for name, tensor in adapted.tensors.items()}
    for name, tensor in adapted.trained.items():
        parts |= {f"{_OPTIMISER}/{name}/{key}": value for key, value in optimiser.state.get(tensor, {}).items()}
    parts |= {f"{_RANKS}/{name}": tensor for name, tensor in (ranks.state() if ranks else {}).items()}
    parts[f"{_RANDOM}/cpu"] = torch.get_rng_state()
    if adapted.device.type == "cuda":
        parts[f"{_RANDOM}/cuda"] = torch.cuda.get_rng_state(adapted.device)
    return pack(header, {name: as_array(tensor) for name, tensor in parts.items()})


def restored(
    state: bytes,
    expected: Mapping[str, Any],
    adapted: Adapted,
    optimiser: torch.optim.Optimizer,
    ranks: RankBudget | None,
) -> dict[str, Any]:
    """Bring back a state, and return its header; `expected` names what of it must be the same here.

    Raises:
        StoreError: the bytes are corrupt.
        ConfigurationError: the state belongs to another network, method, data or parameters. Nothing is changed.
    """
    header, arrays = unpack(state)
    _refuse_other(header, expected)
    parts: dict[str, dict[str, torch.Tensor]] = {kind: {} for kind in (_ADAPTER, _OPTIMISER, _RANKS, _RANDOM)}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        parts[kind][name] = torch.from_numpy(array.copy())
    with torch.no_grad():
        for name, tensor in adapted.tensors.items():
            tensor.copy_(as_kind_of(parts[_ADAPTER][name], tensor))
    optimiser.state.clear()
    for key, value in parts[_OPTIMISER].items():
        name, _, field = key.rpartition("/")
        owner = adapted.trained[name]
        optimiser.state[owner][field] = value if field == "step" else as_kind_of(value, owner).to(adapted.device)
    if ranks:
        ranks.load(parts[_RANKS])
    torch.set_rng_state(parts[_RANDOM]["cpu"])
    if adapted.device.type == "cuda" and "cuda" in parts[_RANDOM]:
        torch.cuda.set_rng_state(parts[_RANDOM]["cuda"], adapted.device)
    return header


def _refuse_other(header: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    differences = [
        f"{name} is {header.get(name)!r} there and {value!r} here"
        for name, value in expected.items()
        if header.get(name) != value
    ]
    if differences:
        raise ConfigurationError(
            f"this checkpoint belongs to another fit: {'; '.join(differences)}",
            hint="set the fit back as it was, or begin a new one in another folder",
            unchanged="the checkpoint",
        )


def as_kind_of(saved: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a saved tensor in the kind of another: NumPy knows no bfloat16, whose bits were saved as whole numbers."""
    return saved.view(torch.bfloat16) if like.dtype is torch.bfloat16 and saved.dtype is torch.int16 else saved
