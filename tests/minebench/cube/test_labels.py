import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minebench.cube.labels import changes


@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 150)), elements=st.sampled_from([0, 1, 255])
    ),
    st.randoms(use_true_random=False),
)
def test_all_pairs_in_one_pass_are_the_loops(mine: np.ndarray, random: object) -> None:
    seen = np.random.default_rng(random.randrange(1 << 30)).random(mine.shape) < 0.7
    known = (mine != 255) & seen
    counts = changes(mine, known)
    for i in range(len(mine)):
        for j in range(len(mine)):
            both = known[i] & known[j]
            assert counts.expanded[i, j] == ((mine[i] == 0) & (mine[j] == 1) & both).sum()
            assert counts.reduced[i, j] == ((mine[i] == 1) & (mine[j] == 0) & both).sum()
            assert counts.known[i, j] == both.sum()
            assert counts.changed[i, j] == ((mine[i] != mine[j]) & both).sum()
