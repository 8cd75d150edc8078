"""Read weight files of minebench, of published code and of model hubs, without running code in them."""

import pickle
import re
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from pickletools import genops
from typing import IO, Any, cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from minebench.errors import InputError
from minebench.text import few
from models.training import first_layers

State = dict[str, Tensor]
TENSOR_KEYS = ("weights", "weight", "state_dict", "model_state_dict", "model_G_state_dict", "model")
"""Keys under which checkpoints keep the tensors, next to the state of their training."""
WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|CD_model)\.)+")
"""Prefixes that wrappers put before all names: DataParallel, torch.compile, and the framework UCD."""
NUMBERS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
]
"""What torch must be allowed to load for pickled numbers of numpy 1 and 2, such as a trainer's best score."""
HARMLESS = ("torch.", "collections.", "builtins.", "__builtin__.", "numpy.", "_codecs.")
"""Prefixes of class names that do not tell where a file comes from."""


@dataclass(frozen=True)
class Weights:
    """A file's tensors by name; the registry's name of the model and its bands, if the file states them."""

    state: State
    model: str | None = None
    bands: tuple[str, ...] = first_layers.RGB


def read(path: Path) -> Weights:
    """Read the weights in a file. InputError if it has none."""
    content = _loaded(path)
    model, bands = None, first_layers.RGB
    if (
        isinstance(content, dict)
        and isinstance(content.get("model"), str)
        and isinstance(content.get("weights"), dict)
    ):
        model, bands = content["model"], tuple(content.get("bands", bands))
    for key in TENSOR_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path} has no tensors by name.")
    state = {
        WRAPPERS.sub("", str(name)): value for name, value in content.items() if isinstance(value, Tensor)
    }
    return Weights(state, model, bands)


def _loaded(path: Path) -> Any:
    """Return a file's content without running code in it. InputError if it cannot be read in this way."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(_refusal(path)) from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as weights ({type(error).__name__}).") from None


def _classes(path: Path) -> list[str]:
    """Return the names of all classes and functions in a pickle, sorted, without running it."""
    try:
        with ExitStack() as opened:
            pickles: list[IO[bytes]]
            if zipfile.is_zipfile(path):
                archive = opened.enter_context(zipfile.ZipFile(path))
                inside = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                pickles = [archive.open(inside)]
            else:  # written by torch before 1.6: three short pickles precede it in the file
                pickles = 4 * [cast(IO[bytes], opened.enter_context(path.open("rb")))]
            operations = [(op.name, str(arg)) for each in pickles for op, arg, _ in genops(each)]
            return sorted({arg.replace(" ", ".") for name, arg in operations if name == "GLOBAL"})
    except Exception:  # a damaged file, for which pickletools raises nearly anything
        return []


def _refusal(path: Path) -> str:
    """Return why a pickle is refused and, if it is a whole module, the command that saves its weights."""
    classes = _classes(path)
    if not classes:
        return f"{path} cannot be read as weights (UnpicklingError)."
    layers = [name for name in classes if name.startswith("torch.nn.modules.")]
    names = few([name for name in classes if not name.startswith(HARMLESS)] or layers or classes, 3)
    if not layers:
        return (
            f"{path} holds {names} beside its weights, and reading that would run code: save its state dict "
            "alone."
        )
    target = f"{path.stem}_state.pth"
    code = f"import torch; torch.save(torch.load({path.name!r}, map_location='cpu').state_dict(), {target!r})"
    return (
        f"{path} is a whole module ({names}), and reading it would run its authors' code. In their "
        f'repository run TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 python -c "{code}" and name {target}.'
    )
