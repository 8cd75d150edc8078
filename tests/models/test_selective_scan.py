import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.selective_scan import recurrence, selective_scan


def naive(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, bias: Tensor) -> Tensor:
    """Step by step, as the paper writes it."""
    step = F.softplus(delta + bias[..., None])
    state = u.new_zeros(*u.shape[:3], a.shape[-1])
    found = []
    for t in range(u.shape[-1]):
        now = step[..., t, None]
        state = torch.exp(now * a) * state + now * b[:, :, None, :, t] * u[..., t, None]
        found.append((state * c[:, :, None, :, t]).sum(-1))
    return torch.stack(found, -1) + d[..., None] * u


@pytest.mark.parametrize("length", [1, 2, 7, 64, 130])
@pytest.mark.parametrize("states", [1, 3])
def test_the_scan_is_the_recurrence_and_so_are_its_gradients(length: int, states: int) -> None:
    generator = torch.Generator().manual_seed(length)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    n, k, channels = 2, 4, 3
    u, delta = drawn(n, k, channels, length), drawn(n, k, channels, length)
    a = -torch.rand(k, channels, states, generator=generator) * 4
    b, c = drawn(n, k, states, length), drawn(n, k, states, length)
    d, bias = drawn(k, channels), drawn(k, channels)
    given = (u, delta, a.requires_grad_(), b, c, d, bias)
    weight = torch.randn(n, k, channels, length, generator=generator)
    ours, theirs = selective_scan(*given), naive(*given)
    assert torch.allclose(ours, theirs, atol=1e-5)
    slopes = [torch.autograd.grad((found * weight).sum(), given) for found in (ours, theirs)]
    for one, other in zip(*slopes, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_long_memory_and_a_short_one_stay_numbers() -> None:
    """Products of many factors near 0 vanish, and near 1 stay: neither overflows."""
    gain = torch.ones(1, 4096)
    assert torch.allclose(recurrence(torch.zeros(1, 4096), gain), gain)
    assert recurrence(torch.ones(1, 4096), gain)[0, -1] == 4096
    assert torch.isfinite(recurrence(torch.full((1, 4096), 1e-30), gain)).all()


def test_the_kernel_is_asked_for_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """mamba-ssm's kernel was not at hand: what is tested is that the CPU never calls it."""
    from models.layers import selective_scan as module

    def fails(*given: object) -> Tensor:
        raise AssertionError

    monkeypatch.setattr(module, "kernel", fails)
    u = torch.randn(1, 4, 2, 9)
    b = torch.randn(1, 4, 1, 9)
    a, d = -torch.ones(4, 2, 1), torch.ones(4, 2)
    assert selective_scan(u, u, a, b, b, d, d).shape == u.shape
