"""BLAS in one thread, for work that brings threads of its own.

OpenBLAS' threads go on spinning for some 25 ms after a product, and hold up those of a kernel that runs next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from threading import Lock
from typing import Any

_lock = Lock()
_inside: list[Any] = []
"""What the first to enter has limited, and a mark for each other one who is inside."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread inside, in the whole process, until the last of all who are inside has left.

    Without threadpoolctl it does nothing. Cost: some microseconds, the first time a millisecond.

    >>> with one_blas_thread():
    ...     pass
    """
    controller = _controller()
    if controller is None:
        yield
        return
    with _lock:
        _inside.append(_inside[0] if _inside else controller.limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limited = _inside.pop()
            if not _inside:
                limited.restore_original_limits()


@lru_cache(maxsize=1)
def _controller() -> Any:
    try:
        threadpoolctl = import_module("threadpoolctl")
    except ImportError:
        return None
    import_module("numpy")  # whose BLAS is found only once it is loaded
    return threadpoolctl.ThreadpoolController()
