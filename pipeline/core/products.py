"""Where matrix products are made."""

from typing import Any

from threadpoolctl import threadpool_limits


def in_this_thread() -> Any:
    """Matrix products in the thread that asks for them, until it is left. A BLAS with threads of its own has
    them wait for one another, spinning: on two busy cores a date's shift took 240 ms instead of 6."""
    return threadpool_limits(1, "blas")
