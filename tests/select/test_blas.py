"""BLAS is held to one thread inside the context only, and the context is empty where threadpoolctl is not installed."""

import sys

import numpy as np
import pytest
import threadpoolctl

from curate.select import blas


def threads() -> set[int]:
    return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}


def test_blas_has_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    with threadpoolctl.threadpool_limits(2, "blas"):
        before = threads()
        with blas.one_blas_thread():
            assert threads() == {1}
            assert np.allclose(np.eye(3) @ np.ones(3), 1)
        assert threads() == before


def test_the_last_of_several_threads_gives_back_what_the_first_has_taken() -> None:
    with threadpoolctl.threadpool_limits(2, "blas"):
        first, second = blas.one_blas_thread(), blas.one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == {2}


def test_an_error_inside_gives_the_threads_back() -> None:
    with threadpoolctl.threadpool_limits(2, "blas"):
        with pytest.raises(ZeroDivisionError), blas.one_blas_thread():
            _ = 1 / 0
        assert threads() == {2}


def test_without_the_library_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    blas._controller.cache_clear()
    with blas.one_blas_thread():
        pass
    blas._controller.cache_clear()
