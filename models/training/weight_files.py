"""Files with weights, by minebench, by authors of published code, from the hub; nothing in them is run."""

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

from models.training import first_layers
from pipeline.core.errors import InputError
from pipeline.core.words import few

State = dict[str, Tensor]
HELD_UNDER = ("weights", "weight", "state_dict", "model_state_dict", "model_G_state_dict", "model")
"""Keys under which checkpoints hold the tensors beside the state of their training."""
WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|CD_model)\.)+")
"""What stands before all names: DataParallel's word, torch.compile's, and that of the framework UCD."""
NUMBERS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
]
"""What numbers of numpy 1 and 2 are pickled by: trainers save their best score so, beside the tensors."""
HARMLESS = ("torch.", "collections.", "builtins.", "__builtin__.", "numpy.", "_codecs.")
"""How names begin that say nothing about whose file it is."""


@dataclass(frozen=True)
class Held:
    """A file's tensors by name; which model of ours it is of, and of which bands, where it says so."""

    state: State
    model: str | None = None
    bands: tuple[str, ...] = first_layers.RGB


def read(path: Path) -> Held:
    """A file's tensors by name, and whose they are. InputError where it holds none."""
    held = _loaded(path)
    model, bands = None, first_layers.RGB
    if (
        isinstance(held, dict)
        and isinstance(held.get("model"), str)
        and isinstance(held.get("weights"), dict)
    ):
        model, bands = held["model"], tuple(held.get("bands", bands))
    for inner in HELD_UNDER:
        if isinstance(held, dict) and isinstance(held.get(inner), dict):
            held = held[inner]
    if not isinstance(held, dict) or not any(isinstance(value, Tensor) for value in held.values()):
        raise InputError(f"{path} holds no weights by name.")
    state = {WRAPPERS.sub("", str(name)): value for name, value in held.items() if isinstance(value, Tensor)}
    return Held(state, model, bands)


def _loaded(path: Path) -> Any:
    """Return what a file holds; nothing in it is run. InputError where it cannot be read so."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(_unread(path)) from None
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
            else:  # of torch before 1.6: three short pickles come before it in the file
                pickles = 4 * [cast(IO[bytes], opened.enter_context(path.open("rb")))]
            found = [(op.name, str(arg)) for each in pickles for op, arg, _ in genops(each)]
            return sorted({arg.replace(" ", ".") for name, arg in found if name == "GLOBAL"})
    except Exception:  # damaged, and pickletools raises nearly anything
        return []


def _unread(path: Path) -> str:
    """Return why a pickle is refused and, where it is a network itself, the line that makes weights of it."""
    classes = _classes(path)
    if not classes:
        return f"{path} cannot be read as weights (UnpicklingError)."
    layers = [name for name in classes if name.startswith("torch.nn.modules.")]
    named = few([name for name in classes if not name.startswith(HARMLESS)] or layers or classes, 3)
    if not layers:
        return (
            f"{path} holds {named} beside its weights, which would run code to be read: save its state dict "
            "alone."
        )
    made = f"{path.stem}_state.pth"
    code = f"import torch; torch.save(torch.load({path.name!r}, map_location='cpu').state_dict(), {made!r})"
    return (
        f"{path} is a whole module ({named}), which would run its authors' code to be read. In their "
        f'repository run TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 python -c "{code}" and name {made}.'
    )
