"""How weights begin, where published code says so; elsewhere PyTorch's own way stands."""

from torch import nn


def he_normal(module: nn.Module, mode: str = "fan_in") -> None:
    """All 2-D convolutions of a module from a normal distribution (He et al. 2015, arXiv 1502.01852,
    equation 10); biases stay as they are."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode=mode, nonlinearity="relu")  # type: ignore[arg-type]
