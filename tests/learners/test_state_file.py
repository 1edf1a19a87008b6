"""The state's format: deterministic bytes, and no corruption that passes."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from curate.errors import StoreError
from curate.learners.state_file import pack, unpack

HEADER = {"learner": "x", "classes": ["ä", "b"], "seed": 2**100, "nothing": None}
ARRAYS = {"b": np.arange(3, dtype=np.int64), "a": np.ones((2, 2), dtype=np.float32), "none": np.zeros((0, 4))}
STATE = pack(HEADER, ARRAYS)


def test_what_is_packed_is_unpacked() -> None:
    header, arrays = unpack(STATE)
    assert header == HEADER
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert (arrays[name] == array).all()


def test_order_of_arguments_does_not_show() -> None:
    assert pack(dict(reversed(HEADER.items())), dict(reversed(ARRAYS.items()))) == STATE


def test_another_process_writes_the_same_bytes() -> None:
    program = (
        "import hashlib; from curate.learners.factory import learner_named;"
        "print(hashlib.sha256(learner_named('key-value-bottleneck').state()).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in "12"]
    assert runs[0].stdout == runs[1].stdout


@given(st.integers(0, len(STATE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, change: int) -> None:
    changed = bytearray(STATE)
    changed[place] ^= change
    with pytest.raises(StoreError):
        unpack(bytes(changed))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(foreign: bytes) -> None:
    with pytest.raises(StoreError):
        unpack(foreign)


@pytest.mark.parametrize("metadata", [None, {"curate": "{}"}, {"curate": "[]"}, {"other": "x"}])
def test_safetensors_of_others_are_refused(metadata: dict[str, str] | None) -> None:
    with pytest.raises(StoreError):
        unpack(save(ARRAYS, metadata=metadata))
