"""The selective scan of Mamba (Gu and Dao 2023, arXiv 2312.00752, equation 2 with algorithm 2): a linear
recurrence whose step, input and output depend on what comes.

In plain PyTorch, chunked: all chunks are gone through at once, then what each hands to the next is added.
On a GPU where `mamba-ssm` is installed its kernel does the same.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

try:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn as kernel
except ImportError:  # made for CUDA, and not for every version of it
    kernel = None


def selective_scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, bias: Tensor
) -> Tensor:
    """`u` and `delta` (N, K, C, L), of K sequences of C channels; `a` (K, C, S) of S states, negative; `b`
    and `c` (N, K, S, L); `d` and `bias` (K, C). In float32; (N, K, C, L)."""
    u, delta, a, b, c, d, bias = (x.float() for x in (u, delta, a, b, c, d, bias))
    if kernel is not None and u.is_cuda:
        flat = [x.flatten(1, 2).contiguous() for x in (u, delta)]
        found = kernel(
            *flat, a.flatten(0, 1), b.contiguous(), c.contiguous(), d.flatten(), None, bias.flatten(), True
        )
        return found.view(u.shape)
    step = F.softplus(delta + bias[..., None])
    decay = torch.exp(step[:, :, :, None] * a[..., None])  # (N, K, C, S, L)
    gain = (step * u)[:, :, :, None] * b[:, :, None]
    return (recurrence(decay, gain) * c[:, :, None]).sum(dim=3) + d[..., None] * u


def recurrence(decay: Tensor, gain: Tensor) -> Tensor:
    """h[t] = decay[t] * h[t - 1] + gain[t] along the last axis, from h = 0."""
    length = decay.shape[-1]
    chunk = math.ceil(math.sqrt(length))
    odd = -length % chunk
    # (chunk, ..., chunks): a step of all chunks lies together.
    steps = [F.pad(x, (0, odd)).unflatten(-1, (-1, chunk)).movedim(-1, 0).contiguous() for x in (decay, gain)]
    own, kept = [steps[1][0]], [steps[0][0]]
    for factor, more in zip(*(x[1:] for x in steps), strict=True):
        own.append(factor * own[-1] + more)
        kept.append(factor * kept[-1])
    handed = [torch.zeros_like(own[-1][..., 0])]
    for number in range(own[-1].shape[-1] - 1):
        handed.append(own[-1][..., number] + kept[-1][..., number] * handed[-1])
    before = torch.stack(handed, dim=-1)
    found = torch.stack(own) + torch.stack(kept) * before
    return found.movedim(0, -1).flatten(-2)[..., :length]
