"""Pretrained weights: from the Hugging Face hub, a local file or a folder, into a model of any bands."""

import copy
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging as reports

from models.base import Model
from pipeline.core.errors import InputError, WorkError

FILES = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
LEAST = 0.5
"""Share of a module's own weights that a file has to fill; less is another model's."""
State = dict[str, Tensor]
# `transformers` prints what it misses and a bar; we say in one line what was found.
reports.set_verbosity_error()
reports.disable_progress_bar()


def load(network: Model, source: str) -> str:
    """Fill `network`, or its backbone, from `source`; returns what was loaded from where.

    `source` is "pretrained" (the model's own name on the hub), a name on the hub, a file (.safetensors,
    .bin, .pt, .pth) or a folder with one: of a minebench model, of a published MineNetCD or UPerNet, of
    a whole model of `transformers`, or of its encoder alone, also under a classifier. A first layer for
    other bands is widened. InputError where the file is another model's, WorkError where the hub gives
    nothing.
    """
    state = read(_path(network, source))
    found = _fill(network, state) or _upernet(network, state) or _whole(network, state)
    if not found:
        parts = [network.get_submodule(name) for name in network.backbone_parts]
        found = sum(_part(part, state) or 0 for part in parts)
    if not found:
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
        f"The weights {name} cannot be downloaded from the Hugging Face hub ({reason}): check the name and "
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
    (r"^channel_mixing\.(\d+)\.complex_weight_1$", r"mixing.\1.first.weight"),
    (r"^channel_mixing\.(\d+)\.complex_weight_2$", r"mixing.\1.second.weight"),
    (r"^channel_mixing\.(\d+)\.complex_bias_1$", r"mixing.\1.first.bias"),
    (r"^channel_mixing\.(\d+)\.complex_bias_2$", r"mixing.\1.second.bias"),
    (r"^norm\.(\d+)\.", r"mixing.\1.norm."),
)
"""Names beside backbone and heads in the published MineNetCD checkpoints, and in ours."""


def _upernet(network: Model, state: State) -> int | None:
    """A UPerNet saved with `transformers`, with MineNetCD's mixing or without. The logits of two classes
    become their difference."""
    if not (hasattr(network, "decode_head") and any(name.startswith("decode_head.") for name in state)):
        return None
    backbone = {
        name.removeprefix("backbone."): v for name, v in state.items() if name.startswith("backbone.")
    }
    found = _part(network.get_submodule(network.backbone_parts[0]), backbone)
    if found is None:
        return None
    rest: State = {}
    for name, value in state.items():
        for pattern, ours in MINENETCD:
            name = re.sub(pattern, ours, name)
        if "classifier" in name and len(value) == 2:
            value = value[1:] - value[:1]
        rest[name] = value
    own = network.state_dict()
    fitting = {name: v for name, v in rest.items() if name in own and v.shape == own[name].shape}
    network.load_state_dict(fitting, strict=False)
    return found + len(fitting)


def _whole(network: Model, state: State) -> int | None:
    """All of a model of `transformers` that ours wraps."""
    inner = getattr(network, "network", None)
    return _part(inner, state) if isinstance(inner, PreTrainedModel) else None


def _part(part: nn.Module, state: State) -> int | None:
    """A submodule from a file; one of `transformers` through its own loader, which knows what names its
    modules have had."""
    if not isinstance(part, PreTrainedModel) or not state:
        return _fill(part, state)
    config = copy.deepcopy(part.config)
    config.num_channels = _bands(part, state)
    loaded, info = type(part).from_pretrained(
        None, config=config, state_dict=state, output_loading_info=True, ignore_mismatched_sizes=True
    )
    absent = set(info["missing_keys"]) | {key[0] for key in info["mismatched_keys"]}
    return _fill(part, {name: v for name, v in loaded.state_dict().items() if name not in absent})


def _bands(part: nn.Module, state: State) -> int:
    """How many bands the file's first convolution takes: the one shaped as ours but for them."""
    own = next(value for value in part.state_dict().values() if value.ndim == 4)
    alike = [
        v
        for v in state.values()
        if v.ndim == 4 and v.shape[0] == own.shape[0] and v.shape[2:] == own.shape[2:]
    ]
    return int(alike[0].shape[1]) if alike else int(own.shape[1])


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
