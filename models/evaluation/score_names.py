"""The scores that are shown: leaderboard, cards, report and the models' STAC items all use this table."""

from typing import NamedTuple


class Name(NamedTuple):
    """What a score is called in words and as the head of a column; the report's table leaves out those
    without a head. `is_derived` says that the leaderboard fills it from a part of a run's metrics."""

    title: str
    head: str = ""
    is_derived: bool = False


SCORES = {
    "f1": Name("F1", "F1"),
    "of1": Name("F1, mean over sites by pixels (OF1)", "OF1"),
    "of1_plain": Name("F1, plain mean over sites"),
    "aoi_f1": Name("F1 within the AOI", is_derived=True),
    "iou": Name("IoU", "IoU"),
    "precision": Name("precision", "precision"),
    "recall": Name("recall", "recall"),
    "oa": Name("overall accuracy", "OA"),
    "kappa": Name("Cohen's kappa"),
    "mf1": Name("mean F1 of both classes"),
    "miou": Name("mean IoU of both classes"),
    "ap": Name("average precision", "AP"),
    "boundary_f1": Name("boundary F1 (2 pixels)", "boundary F1"),
    "lca": Name("LCA-TIoU", "LCA"),
    "gca": Name("GCA-TIoU", "GCA"),
    "change_f1": Name("F1 of the change between its masks", "F1 of change", is_derived=True),
}
HEADS = {name: score.head for name, score in SCORES.items() if score.head}
MEASURED = tuple(name for name, score in SCORES.items() if not score.is_derived)
