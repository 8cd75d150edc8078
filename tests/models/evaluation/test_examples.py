import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation import examples
from models.evaluation.examples import Example


def table(*scores: float) -> pd.DataFrame:
    return pd.DataFrame({"site_id": [f"s{i}" for i in range(len(scores))], "f1": scores})


def test_best_median_and_worst() -> None:
    assert examples.told(table(0.2, 0.9, 0.5)) == {"best": "s1", "median": "s2", "worst": "s0"}
    assert examples.told(table(0.2, 0.9)) == {"best": "s1", "worst": "s0"}
    assert examples.told(table(0.7, np.nan)) == {"best": "s0"}
    assert examples.told(table(np.nan)) == {}


@given(st.lists(st.floats(0, 1), min_size=3, max_size=30))
def test_ranks_are_in_order(scores: list[float]) -> None:
    found = examples.told(table(*scores))
    assert list(found) == ["best", "median", "worst"]
    assert len(set(found.values())) == 3
    best, median, worst = (scores[int(site[1:])] for site in found.values())
    assert max(scores) == best >= median >= worst == min(scores)


@given(st.permutations([(f"t{i}", weight) for i, weight in enumerate([3, 7, 7, 1])]), st.integers(0, 4))
def test_processes_keep_what_one_alone_would(order: list[tuple[str, int]], cut: int) -> None:
    bits = np.zeros((2, 1), np.uint8)
    parts = [order[:cut], order[cut:]]
    kept = [{"a": Example(name, weight, bits)} for part in parts for name, weight in part]
    assert examples.joined(kept)["a"].name == "t1"
