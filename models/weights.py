"""Pretrained weights: from the Hugging Face hub, a local file or a folder, into a model of any bands."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.base import Model
from models.errors import InputError, WorkError

FILES = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
LEAST = 0.5
"""Share of a module's own weights that a file has to fill; less is another model's."""
State = dict[str, Tensor]


def load(network: Model, source: str) -> str:
    """Fill `network`, or its backbone, from `source`; returns what was loaded from where.

    `source` is "pretrained" (the model's own name on the hub), a name on the hub, a file (.safetensors,
    .bin, .pt, .pth) or a folder with one. Tried in this order: a minebench model, a published MineNetCD
    checkpoint, the whole model, the backbone. A first layer for three bands is widened. InputError
    where the file is another model's, WorkError where the hub gives nothing.
    """
    state = published(read(_path(network, source)))
    inner = getattr(network, "network", network)  # a model of `transformers` in ours
    found = _fill(network, state) or _fill(inner, state)
    if found is None and network.backbone_parts:
        parts = [network.get_submodule(name) for name in network.backbone_parts]
        filled = [_fill(part, state) for part in parts]
        known = [count for count in filled if count is not None]
        found = sum(known) if known else None
    if found is None:
        raise InputError(f"{source} does not hold weights of {type(network).__name__}: name another file.")
    return f"{found} tensors from {source}"


def _path(network: Model, source: str) -> Path:
    if source == "pretrained":
        if network.pretrained is None:
            raise InputError(f"{type(network).__name__} has no pretrained weights: leave `weights` out.")
        source = network.pretrained
    path = Path(source).expanduser()
    if path.is_dir():
        for name in FILES:
            if (path / name).is_file():
                return path / name
        raise InputError(f"{path} holds none of {', '.join(FILES)}.")
    if path.is_file():
        return path
    if path.suffix or source.count("/") != 1:
        raise InputError(f"weights: there is no file or folder {source}.")
    return _from_hub(source)


def _from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    failed: Exception | None = None
    for file in FILES[:2]:
        try:
            return Path(hf_hub_download(name, file))
        except Exception as error:  # offline, unknown, gated, or without this file: each its own class
            failed = error
    reason = str(failed).strip().splitlines()[0] if failed else ""
    raise WorkError(
        f"The weights {name} could not be had from the Hugging Face hub ({reason}): check the name and "
        "the network, or name a local file under `weights` in params.yaml."
    )


def read(path: Path) -> State:
    """A file's tensors by name. InputError where it holds none."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} cannot be read as weights ({type(error).__name__}).") from None
    for inner in ("weights", "state_dict", "model"):
        if isinstance(held, dict) and isinstance(held.get(inner), dict):
            held = held[inner]
    if not isinstance(held, dict) or not any(isinstance(value, Tensor) for value in held.values()):
        raise InputError(f"{path} holds no weights by name.")
    return {str(name): value for name, value in held.items() if isinstance(value, Tensor)}


MINENETCD = (
    (r"^backbone\.", "backbone.network."),
    (r"^channel_mixing\.(\d+)\.complex_weight_1$", r"mixing.\1.first.weight"),
    (r"^channel_mixing\.(\d+)\.complex_weight_2$", r"mixing.\1.second.weight"),
    (r"^channel_mixing\.(\d+)\.complex_bias_1$", r"mixing.\1.first.bias"),
    (r"^channel_mixing\.(\d+)\.complex_bias_2$", r"mixing.\1.second.bias"),
    (r"^norm\.(\d+)\.", r"mixing.\1.norm."),
)
"""Names in the published MineNetCD checkpoints (saved with `transformers`) and in ours."""


def published(state: State) -> State:
    """A MineNetCD checkpoint in our names; any other file as it is. The two classes' logits become their
    difference."""
    if not any(name.startswith("channel_mixing.") for name in state):
        return state
    found: State = {}
    for name, value in state.items():
        for pattern, ours in MINENETCD:
            name = re.sub(pattern, ours, name)
        if "classifier" in name and len(value) == 2:
            value = value[1:] - value[:1]
        found[name] = value
    return found


def _fill(module: nn.Module, state: State) -> int | None:
    """Copy what corresponds; how many tensors, or None where it is less than LEAST of the module."""
    own = module.state_dict()
    learned = [name for name in own if not name.endswith("num_batches_tracked")]
    prefix = _prefix(learned, state)
    filled = {}
    for name in own:
        value = _fitting(state.get(prefix + name), own[name])
        if value is not None:
            filled[name] = value
    if sum(name in filled for name in learned) < LEAST * len(learned):
        return None
    module.load_state_dict(filled, strict=False)
    return len(filled)


def _prefix(own: list[str], state: State) -> str:
    """What stands before our names in the file, e.g. "swin." in a classifier's."""
    starts = {""}
    for name in own[:3] + own[len(own) // 2 : len(own) // 2 + 3]:
        starts |= {key[: -len(name)] for key in state if key.endswith(name)}
    return max(sorted(starts), key=lambda start: sum(start + name in state for name in own))


def _fitting(value: Tensor | None, own: Tensor) -> Tensor | None:
    """`value` where it fits `own`, its input channels repeated where only they differ."""
    if value is None or value.shape == own.shape:
        return value
    first = (
        value.ndim == own.ndim == 4 and value.shape[:1] == own.shape[:1] and value.shape[2:] == own.shape[2:]
    )
    return widened(value, own.shape[1]) if first else None


def widened(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weights (O, I, h, w) for other bands: its input channels repeated in turn and
    rescaled by I / channels, so that what comes out keeps its size."""
    repeated = weight[:, torch.arange(channels) % weight.shape[1]]
    return repeated * weight.shape[1] / channels
