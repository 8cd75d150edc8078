"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) in a backbone's linear layers, with `peft`.

They are in the network only while it trains: what is kept is the backbone with them added in, an ordinary
model.
"""

from typing import Any

from torch import Tensor, nn

from minebench.errors import InputError
from models.base import Model

RANK = 8


def put_in(network: Model) -> None:
    """Let only adapters in the backbone, and all outside of it, be trained. InputError where the backbone has
    no linear layer."""
    from peft import LoraConfig, inject_adapter_in_model

    for name in network.backbone_parts:
        part = network.get_submodule(name)
        linear = [inner for inner, module in part.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise InputError(
                f"{type(network).__name__}'s {name} has no linear layer: use mode frozen or full."
            )
        part.requires_grad_(False)
        config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=linear)
        inject_adapter_in_model(config, part)


def merged(network: Model, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A trained state of such a network as one of the network without adapters."""
    network.load_state_dict(state)
    for name in network.backbone_parts:
        _merge(network.get_submodule(name))
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _merge(module: Any) -> None:
    from peft.tuners.lora import LoraLayer

    for name, child in list(module.named_children()):
        if isinstance(child, LoraLayer):
            child.merge()
            setattr(module, name, child.get_base_layer())
        else:
            _merge(child)
