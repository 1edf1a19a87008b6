"""BLAS in one thread, for work that brings threads of its own.

OpenBLAS' threads go on spinning for some 25 ms after a product, and hold up those of a kernel that runs next.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread, in the whole process; without threadpoolctl it does nothing.

    Cost: some microseconds, the first time a millisecond.

    >>> with one_blas_thread():
    ...     pass
    """
    controller = _controller()
    if controller is None:
        return nullcontext()
    limited: AbstractContextManager[Any] = controller.limit(limits=1, user_api="blas")
    return limited


@lru_cache(maxsize=1)
def _controller() -> Any:
    try:
        threadpoolctl = import_module("threadpoolctl")
    except ImportError:
        return None
    import_module("numpy")  # whose BLAS is found only once it is loaded
    return threadpoolctl.ThreadpoolController()
