"""Models by name. A new one is a file with its class and its RECIPE, and a line here.

Files are imported when a model of theirs is asked for: naming models needs neither torch nor
transformers.
"""

import difflib
import importlib
import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from minebench.errors import InputError, UnknownName
from minebench.text import SWITCHED
from models.run_name import SMOOTHED, RunName

if TYPE_CHECKING:
    from models.base import Model
    from models.recipes import Recipe


@dataclass(frozen=True)
class Entry:
    """Where a model is, as "file.Class" under its task's package, and the options its name stands for."""

    where: str
    options: dict[str, Any]


def _entry(where: str, **options: Any) -> Entry:
    return Entry(where, options)


REGISTRY: dict[str, dict[str, Entry]] = {
    "change": {
        "cva": _entry("cva.CVA"),
        "ir-mad": _entry("ir_mad.IRMAD"),
        "embedding-cosine": _entry("embedding_cosine.EmbeddingCosine"),
        "embedding-linear-change": _entry("embedding_change_probes.Linear"),
        "embedding-knn-change": _entry("embedding_change_probes.Nearest"),
        "fc-ef": _entry("fc_ef.FCEF"),
        "fc-siam-diff": _entry("fc_siam_diff.FCSiamDiff"),
        "fc-siam-conc": _entry("fc_siam_conc.FCSiamConc"),
        "snunet": _entry("snunet.SNUNet"),
        "bit": _entry("bit.BIT"),
        "changeformer": _entry("changeformer.ChangeFormer"),
        "tinycd": _entry("tinycd.TinyCD"),
        "insinet": _entry("insinet.INSINet"),
        "tfi-gr": _entry("tfi_gr.TFIGR"),
        "dminet": _entry("dminet.DMINet"),
        "a2net": _entry("a2net.A2Net"),
        "resunet": _entry("resunet.ResUNet"),
        "mspsnet": _entry("mspsnet.MSPSNet"),
        "fcnpp": _entry("fcnpp.FCNPP"),
        "hcgmnet": _entry("hcgmnet.HCGMNet"),
        "cgnet": _entry("cgnet.CGNet"),
        "icifnet": _entry("icifnet.ICIFNet"),
        "hanet": _entry("hanet.HANet"),
        "dtcdscn": _entry("dtcdscn.DTCDSCN"),
        "rdpnet": _entry("rdpnet.RDPNet"),
        "afcf3d": _entry("afcf3d.AFCF3D"),
        "lsnet": _entry("lsnet.LSNet"),
        "ddpm-cd": _entry("ddpm_cd.DDPMCD"),
        "ussfcnet": _entry("ussfcnet.USSFCNet"),
        "foundation-change": _entry("foundation_change.FoundationChange"),
        "minenetcd-resnet18": _entry("minenetcd.MineNetCD", backbone="resnet18"),
        "minenetcd-resnet50": _entry("minenetcd.MineNetCD", backbone="resnet50"),
        "minenetcd-resnet101": _entry("minenetcd.MineNetCD", backbone="resnet101"),
        "minenetcd-swin-t": _entry("minenetcd.MineNetCD", backbone="swin-t"),
        "minenetcd-swin-s": _entry("minenetcd.MineNetCD", backbone="swin-s"),
        "minenetcd-swin-b": _entry("minenetcd.MineNetCD", backbone="swin-b"),
        "minenetcd-vmamba-t": _entry("minenetcd.MineNetCD", backbone="vmamba-t"),
        "minenetcd-vmamba-s": _entry("minenetcd.MineNetCD", backbone="vmamba-s"),
        "minenetcd-vmamba-b": _entry("minenetcd.MineNetCD", backbone="vmamba-b"),
    },
    "segmentation": {
        "unet": _entry("unet.UNet"),
        "utae": _entry("utae.UTAE"),
        "embedding-linear": _entry("embedding_probes.Linear"),
        "embedding-knn": _entry("embedding_probes.Nearest"),
        "foundation-footprint": _entry("foundation_footprint.FoundationFootprint"),
        "segformer-b0": _entry("segformer.SegFormer", size="b0"),
        "segformer-b1": _entry("segformer.SegFormer", size="b1"),
        "segformer-b2": _entry("segformer.SegFormer", size="b2"),
        "segformer-b3": _entry("segformer.SegFormer", size="b3"),
        "segformer-b4": _entry("segformer.SegFormer", size="b4"),
        "segformer-b5": _entry("segformer.SegFormer", size="b5"),
        "upernet-swin-t": _entry("upernet.UPerNet", backbone="swin-t"),
        "upernet-swin-b": _entry("upernet.UPerNet", backbone="swin-b"),
        "upernet-convnext-b": _entry("upernet.UPerNet", backbone="convnext-b"),
        "deeplabv3plus-resnet101": _entry("deeplabv3plus.DeepLabV3Plus", backbone="resnet101"),
        "deeplabv3plus-mobilenetv2": _entry("deeplabv3plus.DeepLabV3Plus", backbone="mobilenetv2"),
        "linknet": _entry("linknet.LinkNet"),
        "pspnet": _entry("pspnet.PSPNet"),
        "sqnet": _entry("sqnet.SQNet"),
        "deeplabv3-mobilevitv2": _entry("deeplabv3_mobilevitv2.DeepLabV3MobileViTV2"),
        "mask2former-swin-t": _entry("mask2former.Mask2Former", backbone="swin-t"),
        "mask2former-swin-b": _entry("mask2former.Mask2Former", backbone="swin-b"),
    },
}


def names(task: str) -> list[str]:
    """Model names of a task, "change" or "segmentation", as they are listed above."""
    return list(REGISTRY[task])


def task_of(name: str) -> str:
    """Return the task of a model, or of a run of it. UnknownName with the nearest names where there is no
    such model, InputError where a change model is to be smoothed."""
    run = RunName.parse(name)
    task = _task(run.model)
    if run.smoothing is None:
        return task
    if task != "segmentation":
        raise InputError(f"{name}: only footprints are smoothed over time, and {run.model} predicts change.")
    return SMOOTHED[run.smoothing]


def _task(name: str) -> str:
    for task, models in REGISTRY.items():
        if name in models:
            return task
    known = [model for models in REGISTRY.values() for model in models]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    meant = f"; did you mean {' or '.join(near)}?" if near else ":"
    raise UnknownName(f"There is no model '{name}'{meant} `minebench models` lists all {len(known)}.")


def recipe(name: str, whose: str | None = None) -> "Recipe":
    """The training settings of the model's authors, or those of another work by its word, which
    keep the weights that the model's own begin with; see `models.recipes`."""
    from models.recipes import SHARED

    own: Recipe = _module(name).RECIPE
    if whose is None:
        return own
    if whose not in SHARED:
        raise UnknownName(
            f"params.yaml: train.{name}.recipe is '{whose}'; choose one of {', '.join(SHARED)}, or leave it "
            "out for the authors' own."
        )
    weights = {"weights": own.settings["weights"]} if "weights" in own.settings else {}
    return replace(SHARED[whose], settings={**weights, **SHARED[whose].settings})


def create(name: str, *, in_channels: int, **options: Any) -> "Model":
    """Build a model without pretrained weights. A change model's forward takes two (N, C, H, W) float
    tensors, a segmentation model's one; both return logits (N, 1, H, W). InputError on an unknown name
    or option, and, when it is called, on images of other bands or of a size that it cannot take."""
    entry = _entry_of(name)
    known = set(inspect.signature(class_of(name)).parameters) - {"in_channels"}
    if unknown := sorted(set(options) - known):
        takes = f"known: {', '.join(sorted(known))}" if known else "it takes none"
        raise InputError(f"{name} has no option '{unknown[0]}'; {takes}.")
    try:
        network = class_of(name)(in_channels=in_channels, **{**entry.options, **options})
    except TypeError as error:
        raise InputError(f"{name} does not take these options ({error}).") from None
    network.made_of = (name, options)
    network.register_forward_pre_hook(lambda module, images: network.check(images))
    return network


def options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return all options of a model: as given, as its name stands for, or by default. Truth values are
    the words on and off."""
    known = inspect.signature(class_of(name)).parameters.items()
    defaults = {option: own.default for option, own in known if option != "in_channels"}
    everything = {**defaults, **_entry_of(name).options, **given}
    return {
        option: SWITCHED[value] if isinstance(value, bool) else value for option, value in everything.items()
    }


def class_of(name: str) -> "type[Model]":
    """The class that a name builds."""
    found: type[Model] = getattr(_module(name), _entry_of(name).where.split(".")[1])
    return found


def _entry_of(name: str) -> Entry:
    model = RunName.parse(name).model
    return REGISTRY[_task(model)][model]


def _module(name: str) -> Any:
    task, file = _task(RunName.parse(name).model), _entry_of(name).where.split(".")[0]
    return importlib.import_module(f"models.{task}.{file}")
