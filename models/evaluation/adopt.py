"""A published checkpoint as a run of a benchmark, to be scored as it is, without training.

    minebench evaluate --model bit@levir --weights BIT_LEVIR.pth --normalise 0.5,0.5

makes runs/bit@levir/model.pt of the file. Every tensor must be filled; of the benchmark's bands those count
that are nearest in wavelength to what the network was trained on, and no others. `normalise` says what it was
trained to see: imagenet, or mean and deviation of pixels in 0..1, for all bands or for each. `options` say
which form of the network the file is of: BIT's published checkpoint has heads of 8 (`{"head_width": 8}`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minebench import receipts
from minebench.cube.windows import Cubes
from minebench.data import datasets
from minebench.data.datasets import Scale
from minebench.errors import InputError
from minebench.files import sha256
from models import registry
from models.run_name import RunName
from models.training import first_layers
from models.training.checkpoint import finish, run_folder
from models.training.settings import Settings

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of red, green and blue, pixels in 0..1."""
ADOPTED = "adopted"


def adopt(
    benchmark_dir: Path, model: str, weights: str, normalise: str, options: Mapping[str, Any] | None = None,
    sensor: str = "",
) -> str:  # fmt: skip
    """Make the run, anew where it was adopted before; returns what was loaded. `sensor` is the profile of the
    benchmark's images, by which numbered bands are read. InputError where the file does not fill the model of
    these options, a band's meaning is unknown, or the run was trained here."""
    from models.training import weights as files

    if RunName.parse(model).smoothing:
        raise InputError(f"{model} is what smooths another run: name the checkpoint's run otherwise.")
    run = run_folder(benchmark_dir, model)
    told = receipts.read(run / "run.json")
    if (run / "model.pt").is_file() and ADOPTED not in told:
        raise InputError(
            f"{run} was trained here: name the checkpoint's run otherwise, such as --model {model}@published."
        )
    bands = datasets.bands_of(benchmark_dir)
    scale = scale_of(normalise, bands, _white(benchmark_dir), sensor)
    base, chosen = RunName.parse(model).model, dict(options or {})
    network = registry.create(base, in_channels=len(bands), **chosen)
    loaded = files.load(network, weights, bands, alone=True, sensor=sensor)
    if "trained from the start" in loaded:
        raise InputError(f"{weights} does not fill {base}: {loaded}. Name a checkpoint of the whole model.")
    settings = Settings.of({"weights": weights, "options": chosen}, base)
    file = sha256(Path(weights)) if Path(weights).is_file() else weights
    # Runs from before there were options keep their key.
    key = receipts.fingerprint([ADOPTED, file, normalise, *([chosen] if chosen else [])])
    finish(run, key, base, network.state_dict(), scale, bands, settings, **{ADOPTED: normalise})
    return f"{loaded}; normalised by {_said(normalise, bands, sensor)}"


def _said(normalise: str, bands: list[str], sensor: str) -> str:
    """By whose numbers each band is normalised."""
    if normalise != "imagenet":
        return normalise
    nearest = first_layers.places(bands, first_layers.RGB, sensor)
    names = [f"{first_layers.RGB[place]} for {band}" for band, place in zip(bands, nearest, strict=True)]
    return f"ImageNet's {', '.join(names)}"


def scale_of(normalise: str, bands: list[str], white: float, sensor: str = "") -> Scale:
    """Return mean and deviation in stored numbers, of which `white` is 1. InputError where the words are
    none."""
    if normalise == "imagenet":
        nearest = first_layers.places(bands, first_layers.RGB, sensor)
        mean, std = (np.array(values, np.float32)[nearest] for values in IMAGENET)
    else:
        try:
            numbers = np.array([float(word) for word in normalise.split(",")], np.float32)
            mean, std = np.broadcast_to(numbers.reshape(2, -1), (2, len(bands)))
        except ValueError:
            raise InputError(
                f"--normalise {normalise}: give imagenet, or MEAN,STD of pixels in 0..1 (two numbers, or the "
                f"means of all {len(bands)} bands and then their deviations)."
            ) from None
    if not (std > 0).all():
        raise InputError(f"--normalise {normalise}: deviations must be above 0.")
    return Scale((mean * white).astype(np.float32), (std * white).astype(np.float32))


def _white(benchmark_dir: Path) -> float:
    """Return the stored number that is 1: white, or a reflectance of 1."""
    tiles = datasets.read_table(benchmark_dir, "tiles")
    scale = Cubes(benchmark_dir).cube(tiles.site_id.iloc[0]).encoding.scale
    return 255.0 if scale is None else 1 / scale
