"""How sites' work is run: matrix products do not start threads of their own beside it."""

from concurrent.futures import Future
from types import SimpleNamespace

from threadpoolctl import threadpool_info

from pipeline.core import runner
from pipeline.core.runner import Spread


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_products_stay_in_their_thread_while_sites_are_worked_on() -> None:
    before = blas_threads()
    assert before, "NumPy comes with a BLAS"
    seen = list(runner.each_site("try", [1, 2, 3], lambda task: blas_threads(), Spread(2, in_threads=True)))
    assert seen == [{1}] * 3
    assert blas_threads() == before
    assert runner._for_another(lambda task: blas_threads(), 1) == ({1}, None)
    runner._prepared().restore_original_limits()
    runner._prepared.cache_clear()


def test_what_an_interrupt_cancels_counts_as_nothing_done() -> None:
    made: Future[int] = Future()
    made.set_result(1)
    broken: Future[int] = Future()
    broken.set_exception(OSError())
    cancelled: Future[int] = Future()
    cancelled.cancel()
    assert [runner._is_made(future) for future in (made, broken, cancelled)] == [True, False, False]
    of_dask = [SimpleNamespace(status=status) for status in ("finished", "cancelled", "lost")]
    assert [runner._is_made(future) for future in of_dask] == [True, False, False]
