"""Machine instructions that numba has no words for: loads and stores at any address, and counts of bits.

The kernels work on addresses and not on arrays: numba counts references to arrays at each call, which costs more than
the work of a call. Who calls a kernel keeps the arrays alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as generators
from numba.extending import intrinsic

_GENERATORS: Any = generators


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile to machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile into each caller: for functions of many arguments that are called from one place."""
    return njit(nogil=True, forceinline=True)(function)


def _emitted(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of kernels from one that emits its machine instructions."""
    return intrinsic(generator)


def _pointer(builder: Any, address: Any, bits: int) -> Any:
    return builder.inttoptr(address, ir.IntType(bits).as_pointer())


def _loader(bits: int, result: Any, *, signed: bool = False) -> Callable[..., Any]:
    """Make a function that loads an integer of `bits` bits from an address, aligned or not, and widens it to 64."""

    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = builder.load(_pointer(builder, arguments[0], bits), align=1)
            widen = builder.sext if signed else builder.zext
            return value if bits == 64 else widen(value, ir.IntType(64))

        return result(types.int64), generate

    return _emitted(load)


def _storer(bits: int) -> Callable[..., Any]:
    """Make a function that stores the lowest `bits` bits of a value at an address, aligned or not."""

    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = arguments[1] if bits == 64 else builder.trunc(arguments[1], ir.IntType(bits))
            builder.store(value, _pointer(builder, arguments[0], bits), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.uint64), generate

    return _emitted(store)


def _counter(emit: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Make a function of a word that counts some of its bits."""

    def count(typing_context: Any, word: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(builder, arguments[0])

        return types.int64(types.uint64), generate

    return _emitted(count)


load_8, load_32, load_64 = _loader(8, types.uint64), _loader(32, types.uint64), _loader(64, types.uint64)
load_position, load_signed_16 = _loader(16, types.int64), _loader(16, types.int64, signed=True)
load_signed_32, load_signed_64 = _loader(32, types.int64, signed=True), _loader(64, types.int64)
store_16, store_32, store_64 = _storer(16), _storer(32), _storer(64)
trailing_zeros = _counter(lambda builder, word: builder.cttz(word, ir.IntType(1)(1)))
leading_zeros = _counter(lambda builder, word: builder.ctlz(word, ir.IntType(1)(1)))
ones = _counter(lambda builder, word: builder.ctpop(word))


@_emitted
def copy(typing_context: Any, source: Any, destination: Any, length: Any) -> Any:
    """Copy bytes from one address to another; the two ranges must not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, destination, length = arguments
        _GENERATORS.raw_memcpy(builder, _pointer(builder, destination, 8), _pointer(builder, source, 8), length, 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@_emitted
def clear(typing_context: Any, start: Any, length: Any) -> Any:
    """Set bytes to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _GENERATORS.memset(builder, _pointer(builder, arguments[0], 8), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
