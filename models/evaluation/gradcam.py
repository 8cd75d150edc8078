"""Where a decision comes from: GradCAM (Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74, equations 1 and
2) of what a model's last stage sees."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from models.base import Model


def gradcam(network: Model, images: list[Tensor], parts: Sequence[str] | None = None) -> Tensor:
    """How much each place speaks for change, or for footprint: (L, N, H, W) in 0..1, a map for each of
    `parts`, submodules by name; without any, of the model's `explained` parts (finest first).

    The score is the sum of the positive logits, so a map explains what was found; where nothing was, it
    is 0. `images` are (N, C, H, W), standardised.
    """
    seen: dict[str, Tensor] = {}
    parts = network.explained if parts is None else parts
    hooks = [network.get_submodule(name).register_forward_pre_hook(_keeper(seen, name)) for name in parts]
    try:
        with torch.enable_grad():
            logits = network.eval()(*images)
            score = logits.clamp(min=0).sum()
            gradients = torch.autograd.grad(score, list(seen.values()))
    finally:
        for hook in hooks:
            hook.remove()
    shape = images[0].shape[-2:]
    found = dict(zip(seen, gradients, strict=True))
    maps = [_map(seen[name], found[name], shape) for name in parts]
    return torch.stack(maps).detach()


def _keeper(seen: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def keep(module: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features = inputs[0] if inputs[0].requires_grad else inputs[0].requires_grad_()
        seen[name] = features
        return (features, *inputs[1:])

    return keep


def _map(features: Tensor, gradient: Tensor, shape: torch.Size) -> Tensor:
    weight = gradient.mean(dim=(2, 3), keepdim=True)
    found = F.relu((weight * features).sum(dim=1, keepdim=True))
    found = F.interpolate(found, size=shape, mode="bilinear", align_corners=False)[:, 0]
    return found / found.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
