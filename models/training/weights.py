"""Pretrained weights: from the Hugging Face hub, a local file or a folder, into a model of any bands.

Nothing stays random in silence. A load says what it filled and what not; a backbone that a file fills in
part, and a file of another model, are errors.
"""

import copy
import hashlib
import http.client
import re
import shutil
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging as reports

from minebench.errors import InputError, WorkError, redacted
from minebench.files import replacing
from minebench.text import few
from models import registry
from models.base import Model
from models.training import first_layers
from models.training.weight_files import State, Weights, read

FILES = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
OWN_NORMS = "hidden_states_norms"
"""What `transformers` puts behind each stage of a backbone; no classifier's file has it."""
INSIDE = "backbone."
"""What stands before an encoder's names in a whole model of `transformers`."""
SILENCE_S = 60
"""Longest time between two parts of a file that comes from the web."""
LICENCES = {"facebook/dinov3": "DINOv3 License"}
"""Of weights on the hub, by how their names begin, where it is one of their own."""
# `transformers` prints what it misses and a bar; we say in one line what was found.
reports.set_verbosity_error()
reports.disable_progress_bar()


@dataclass
class Match:
    """What of a module's tensors a file fills, what it has not, and what it has in another shape."""

    filled: State
    absent: list[str]
    other: list[str]


def begun_with(model: str, options: dict[str, Any], source: str | None) -> str | None:
    """Where a model's weights began, in words, and their licence or where it stands; None at random."""
    if not source:
        return None
    if source == "pretrained":
        with torch.device("meta"):
            found = registry.create(model, in_channels=3, **options).pretrained
        source = " and ".join(found) if isinstance(found, tuple) else str(found)
    licence = next((own for begun, own in LICENCES.items() if source.startswith(begun)), None)
    if licence is None and source.count("/") == 1:
        licence = "for the licence see its page on the Hugging Face hub"
    return f"{source} ({licence})" if licence else source


def load(
    network: Model, source: str, bands: Sequence[str] = (), alone: bool = False, sensor: str = ""
) -> str:
    """Fill `network`, or its backbone, from `source`; returns what was filled from where, and what was not.

    `source` is "pretrained" (what the paper begins with, from the hub or the web), a name on the hub, an
    address (https://), a file (.safetensors, .bin, .pt, .pth) or a folder with one: of a minebench model, of
    the model's published code, of a whole model of `transformers`, or of its encoder alone, also under a
    classifier. `bands` are the network's, by which its first layers take those of the file
    (`first_layers.matched`, also for `alone` and `sensor`). InputError where the file is another model's,
    fills a backbone in part, or, `alone`, where a band's meaning is unknown; WorkError where the hub or the
    web gives nothing.
    """
    several = network.pretrained if isinstance(network.pretrained, tuple) else None
    sources = several if several and source == "pretrained" else (source,)
    filled: State = {}
    lines: list[str] = []
    for each in sources:
        held = read(_path(network, each))
        match = _match(bands, held, alone, sensor, network.in_channels)
        taken, has_bands = _taken(network, each, held, match)
        filled |= taken
        if bands and has_bands and tuple(bands) != held.bands and str(match) not in lines:
            lines.append(str(match))
    network.load_state_dict(filled, strict=False)
    return "; ".join([_told(network, " and ".join(sources), filled), *lines])


def _match(bands: Sequence[str], held: Weights, alone: bool, sensor: str, count: int) -> first_layers.Matched:
    """How a network's bands take those of a file. InputError where a checkpoint is scored as it is on bands
    that nobody knows."""
    match = first_layers.matched(list(bands) or [str(i) for i in range(count)], held.bands, alone, sensor)
    if bands and alone and match.unknown:
        raise InputError(
            f"The meaning of the bands {few(match.unknown)} is not known, and the checkpoint takes "
            f"{', '.join(held.bands)}: name the recipe's bands by colour or sensor (red, nir, B04, ...), or "
            "the sensor under sensor.profile, such as sentinel-2-l2a."
        )
    return match


def _taken(network: Model, source: str, held: Weights, match: first_layers.Matched) -> tuple[State, bool]:
    """What of a network's tensors a source fills, and whether those of its bands are among them."""
    if held.model is not None and registry.class_of(held.model) is not type(network):
        raise InputError(f"{source} holds {held.model}, another model: name a file of {_name(network)}.")
    fit = _Fit(network, held, match)
    whole = fit.match(network, fit.named(network))
    inside = tuple(f"{name}." for name in network.backbone_parts)
    filled = dict(whole.filled)
    if any(not name.startswith(inside) for name in filled):
        wrong = whole.other or (whole.absent if held.model else [])
        if wrong:
            raise InputError(
                f"{source} is another model's than {_name(network)}, or another form's (see its `options`): "
                f"{few(sorted(wrong), 3)} differs or is missing."
            )
    if network.pretrained:
        filled = fit.encoders() | filled
    if not filled:
        raise InputError(f"{source} does not hold weights of {_name(network)}: name another file.")
    _demand_whole_backbones(network, source, filled)
    return filled, bool(fit.first & set(filled))


def _demand_whole_backbones(network: Model, source: str, filled: State) -> None:
    begun_here = (OWN_NORMS, *network.begun_here)
    for part in network.backbone_parts:
        own = [f"{part}.{name}" for name in _learned(network.get_submodule(part))]
        lacking = [n for n in own if n not in filled and not any(word in n for word in begun_here)]
        if lacking and len(lacking) < len(own):
            raise InputError(
                f"{source} fills {len(own) - len(lacking)} of {len(own)} tensors of {_name(network)}'s "
                f"{part}, and not {few(lacking, 3)}: it is of another backbone."
            )


def _told(network: Model, source: str, filled: State) -> str:
    learned = _learned(network)
    lacking = [name for name in learned if name not in filled]
    told = f"{len(learned) - len(lacking)} of {len(learned)} tensors from {source}"
    if not lacking:
        return told
    modules = sorted({name.partition(".")[0] for name in lacking})
    return f"{told}; {len(lacking)} are trained from the start, in {few(modules)}"


def _learned(module: nn.Module) -> list[str]:
    return [name for name in module.state_dict() if not name.endswith("num_batches_tracked")]


def _name(network: Model) -> str:
    return network.made_of[0] or type(network).__name__


class _Fit:
    """A file's tensors in the names and shapes of a network."""

    def __init__(self, network: Model, held: Weights, match: first_layers.Matched) -> None:
        self.network, self.held, self.of_bands = network, held, match
        self.first = set(first_layers.names_of(network)) if network.made_of[0] else set()
        self.transposed = {
            f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.ConvTranspose2d)
        }
        self.own_names = {id(value): name for name, value in network.state_dict(keep_vars=True).items()}

    def named(self, network: Model) -> State:
        """The file in the network's names: its own, or those of the published code."""
        state = self.held.state
        candidates = [state, network.rearranged(renamed(state, network.published))]
        if isinstance(getattr(network, "network", None), PreTrainedModel):
            inner = self.through_transformers(network.network, state)
            candidates.append({f"network.{name}": value for name, value in inner.items()})
        own = set(_learned(network))
        best = max(candidates, key=lambda found: len(own & set(found)))
        if not own & set(best):
            return {}
        return best

    def encoders(self) -> State:
        """The backbone's tensors from a file of an encoder, for each part that is one."""
        found: State = {}
        for name in self.network.backbone_parts:
            match = self.part(self.network.get_submodule(name))
            found |= {f"{name}.{key}": value for key, value in match.filled.items()}
        return found

    def part(self, part: nn.Module) -> Match:
        """A submodule from a file of an encoder."""
        state = renamed(self.held.state, self.network.backbone_published)
        if isinstance(part, PreTrainedModel):
            inside = {name.removeprefix(INSIDE): v for name, v in state.items() if name.startswith(INSIDE)}
            return self.match(part, self.through_transformers(part, inside or state))
        own = _learned(part)
        prefix = _prefix(own, state)
        match = self.match(
            part, {name: state[prefix + name] for name in part.state_dict() if prefix + name in state}
        )
        # A name or two that all networks have (1.weight) are no encoder.
        return match if len(match.filled) > len(own) // 2 or match.other else Match({}, match.absent, [])

    def through_transformers(self, part: Any, state: State) -> State:
        """A file in the names of a module of `transformers`, by its own loader, which knows their history."""
        if not state:
            return {}
        config = copy.deepcopy(part.config)
        config.num_channels = _bands(part, state)
        loaded, info = _through(part, config, state)
        if any(theirs[:1] == (2,) and ours[:1] == (1,) for _, theirs, ours in info["mismatched_keys"]):
            config.num_labels = 2  # a head of two classes, which would be dropped: `fitted` makes ours of it
            loaded, info = _through(part, config, state)
        absent = set(info["missing_keys"]) | {key[0] for key in info["mismatched_keys"]}
        return {name: value for name, value in loaded.state_dict().items() if name not in absent}

    def match(self, module: nn.Module, state: State) -> Match:
        """The tensors of a module that a file fills, its first layers fitted to the bands."""
        found = Match({}, [], [])
        own = module.state_dict(keep_vars=True)
        for name, value in own.items():
            given = state.get(name)
            if given is None:
                found.absent += [] if name.endswith("num_batches_tracked") else [name]
                continue
            fitted = self.fitted(given, value)
            if fitted is not None:
                found.filled[name] = fitted
            elif value.shape[:1] == (1,) and given.shape[1:] == value.shape[1:]:
                found.absent.append(name)  # of other classes
            else:
                found.other.append(name)
        return found

    def fitted(self, given: Tensor, own: Tensor) -> Tensor | None:
        if self.own_names.get(id(own)) in self.first:
            return first_layers.fitted(given, own, self.of_bands)
        if given.shape == own.shape:
            return given
        # A head of two classes becomes one of their difference.
        axis = 1 if self.own_names.get(id(own)) in self.transposed else 0
        if own.shape[axis : axis + 1] != (1,) or given.shape[axis : axis + 1] != (2,):
            return None
        first, second = given.split(1, dim=axis)
        return second - first if first.shape == own.shape else None


def _through(part: Any, config: Any, state: State) -> tuple[Any, dict[str, Any]]:
    """Return a module of `transformers` with what fits of a file, and what does not."""
    loaded, info = type(part).from_pretrained(
        None, config=config, state_dict=state, output_loading_info=True, ignore_mismatched_sizes=True
    )
    return loaded, info


def renamed(state: State, names: Sequence[tuple[Any, ...]]) -> State:
    """Tensors under our names, by patterns of the published ones; a name takes the first that fits, and its
    tensor what that changes about it."""
    found = {}
    for name, value in state.items():
        for pattern, ours, *change in names:
            new, count = re.subn(pattern, ours, name)
            if count:
                name, value = new, change[0](value) if change else value
                break
        found[name] = value
    return found


def _path(network: Model, source: str) -> Path:
    if source == "pretrained":
        if network.pretrained is None:
            raise InputError(f"{_name(network)} has no pretrained weights: leave `weights` out.")
        source = str(network.pretrained)
    if source.startswith("https://"):
        return _from_web(source)
    path = Path(source).expanduser()
    if path.is_dir():
        for name in FILES:
            if (path / name).is_file():
                return path / name
        raise InputError(f"{path} holds none of {', '.join(FILES)}.")
    if path.is_file():
        return path
    if path.suffix in SUFFIXES or source.count("/") != 1:
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


def _from_web(address: str) -> Path:
    """A file that stands on the web, whole, kept where PyTorch keeps such: by its address, because many are
    called model.pth."""
    name = urlsplit(address).path.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / f"{_digest(address)}-{name}"
    if path.is_file():
        return path
    try:
        with urllib.request.urlopen(address, timeout=SILENCE_S) as answer, replacing(path) as part:
            with part.open("wb") as file:
                shutil.copyfileobj(answer, file)
            if answer.length:  # what is left of the length that was promised
                raise OSError(f"it broke off, {answer.length} bytes before its end")
    except (OSError, http.client.HTTPException) as error:
        raise WorkError(
            f"The weights {redacted(address)} cannot be downloaded ({redacted(str(error))}): check the "
            "address and the network, or name a local file under `weights` in params.yaml."
        ) from None
    return path


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _bands(part: nn.Module, state: State) -> int:
    """How many bands the file's first convolution takes: the one shaped as ours but for them."""
    own = next(value for value in part.state_dict().values() if value.ndim == 4)
    alike = [
        v
        for v in state.values()
        if v.ndim == 4 and v.shape[0] == own.shape[0] and v.shape[2:] == own.shape[2:]
    ]
    return int(alike[0].shape[1]) if alike else int(own.shape[1])


def _prefix(own: list[str], state: State) -> str:
    """What stands before our names in the file, e.g. "features." in a classifier's."""
    starts = {""}
    for name in own[:3] + own[len(own) // 2 : len(own) // 2 + 3]:
        starts |= {key[: -len(name)] for key in state if key.endswith(name)}
    return max(sorted(starts), key=lambda start: sum(start + name in state for name in own))
