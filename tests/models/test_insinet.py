"""INSINet with parts left out (its paper's table III)."""

import pytest
import torch

from minebench.errors import InputError
from models import create
from models.evaluation.sizes import parameters


def images() -> list[torch.Tensor]:
    return list(torch.randn(4, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("part", ["neighbours", "tf", "mdsa", "cnf"])
def test_each_part_can_be_left_out(part: str) -> None:
    torch.manual_seed(0)
    whole = create("insinet", in_channels=3).eval()
    torch.manual_seed(0)
    less = create("insinet", in_channels=3, **{part: "off"}).eval()
    # Fusion and the neighbours' encoder are learnt; weighing and cropping are not.
    assert (parameters(less) < parameters(whole)) == (part in ("neighbours", "tf"))
    with torch.no_grad():
        a, b, a_context, b_context = images()
        assert less(a, b, a_context, b_context).shape == (1, 1, 32, 32)
        if part not in ("neighbours", "tf"):
            less.load_state_dict(whole.state_dict())
            both = [network(a, b, a_context, b_context) for network in (whole, less)]
            assert not torch.equal(*both)
        if part == "neighbours":
            assert torch.equal(less(a, b, a_context, b_context), less(a, b))


def test_the_baseline_is_the_smallest() -> None:
    options = {"neighbours": False, "tf": False, "mdsa": False}
    baseline = create("insinet", in_channels=3, **options).train()
    loss = baseline(*images()[:2]).mean()
    loss.backward()
    assert all(p.grad is not None for p in baseline.parameters())
    assert parameters(baseline) < parameters(create("insinet", in_channels=3, neighbours="off"))


def test_wrong_words_are_named() -> None:
    with pytest.raises(InputError, match=r"tf is 'maybe'; choose one of on, off"):
        create("insinet", in_channels=3, tf="maybe")
    with pytest.raises(InputError, match="cnf off does nothing with neighbours off"):
        create("insinet", in_channels=3, neighbours="off", cnf="off")
