"""A fitted adapter by itself, as bytes: what is added to the base model, and which base model that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from curate.errors import ConfigurationError
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.resume import as_kind_of
from curate.learners.encoders.weights import as_array
from curate.learners.state_file import pack, unpack

_FORMAT = 1


def adapter_state(adapted: Adapted, header: Mapping[str, Any]) -> bytes:
    """Return the adapter's tensors with a header, as deterministic safetensors bytes; no pickle is in them."""
    own = {"format": _FORMAT, "method": adapted.method.name, "base": adapted.base}
    return pack({**header, **own}, {name: as_array(tensor) for name, tensor in adapted.tensors.items()})


def adapter_header(state: bytes) -> dict[str, Any]:
    """Return the header that `adapter_state` was given.

    Raises:
        StoreError: the bytes are corrupt.
    """
    header, _ = unpack(state)
    return header


def load_adapter(state: bytes, adapted: Adapted) -> None:
    """Give an adapter that was just put into its base model the tensors of a fitted one.

    Raises:
        StoreError: the bytes are corrupt.
        ConfigurationError: they belong to another base model or method. Nothing is changed.
    """
    header, arrays = unpack(state)
    mine = {"format": _FORMAT, "method": adapted.method.name, "base": adapted.base}
    for name, value in mine.items():
        if header.get(name) != value:
            what = "base model" if name == "base" else name
            raise ConfigurationError(
                f"this adapter belongs to another {what}: {header.get(name)!r} there and {value!r} here",
                unchanged="the adapter",
                hint="set it back as it was, or fit a new one: curate train",
            )
    shapes = {name: tuple(tensor.shape) for name, tensor in adapted.tensors.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise ConfigurationError(
            "this adapter was fitted with other options", unchanged="the adapter", hint="fit a new one: curate train"
        )
    with torch.no_grad():
        for name, tensor in adapted.tensors.items():
            tensor.copy_(as_kind_of(torch.from_numpy(arrays[name].copy()), tensor))
