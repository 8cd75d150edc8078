"""Runs with and without a part of their model."""

from typing import Any

import pandas as pd
import pytest

from pipeline.leaderboard import ablations
from pipeline.report import page

SETTINGS = {"seed": 8888, "epochs": 100}
SAVED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "minenetcd-swin-t": ("minenetcd-swin-t", {}, SETTINGS),
    "minenetcd-swin-t@paper": ("minenetcd-swin-t", {"fft": "paper"}, SETTINGS),
    "minenetcd-swin-t@off": ("minenetcd-swin-t", {"fft": False}, SETTINGS),
    "minenetcd-swin-t@seed": ("minenetcd-swin-t", {"fft": "off"}, {**SETTINGS, "seed": 1}),
    "minenetcd-swin-s@off": ("minenetcd-swin-s", {"fft": "off"}, SETTINGS),
    "insinet": ("insinet", {}, SETTINGS),
    "insinet@plain": ("insinet", {"tf": "off"}, SETTINGS),
    "insinet@bare": ("insinet", {"tf": "off", "mdsa": "off"}, SETTINGS),
}


def saved_of(run: str) -> dict[str, Any]:
    model, options, settings = SAVED[run]
    return {
        "model": model,
        "options": options,
        "bands": ["B04"],
        "settings": {**settings, "options": options},
    }


def board(**f1: float) -> pd.DataFrame:
    rows = [
        {"model": run, "run": run, "task": "change", "fold": None, "split": "test", "parameters": 110 - place,
         "external": False, "oa": 0.9, "precision": 0.7, "recall": 0.7, "iou": 0.5,
         "f1": f1.get(run.replace("@", "_").replace("-", "_"), 0.5)}
        for place, run in enumerate(SAVED)
    ]  # fmt: skip
    return pd.DataFrame([*rows, {**rows[0], "run": "theirs", "external": True}])


TESTS = pd.DataFrame({"first": ["minenetcd-swin-t@off"], "second": ["minenetcd-swin-t"], "p": [0.25]})


def test_runs_that_differ_in_one_part_stand_beside_each_other() -> None:
    table = ablations.table(board(minenetcd_swin_t=0.7, minenetcd_swin_t_off=0.6), TESTS, saved_of)
    pairs = list(zip(table.option, table["with"], table["without"], table.value, strict=True))
    assert pairs == [
        ("fft", "minenetcd-swin-t", "minenetcd-swin-t@off", "code"),
        ("fft", "minenetcd-swin-t@paper", "minenetcd-swin-t@off", "paper"),
        ("mdsa", "insinet@plain", "insinet@bare", "on"),
        ("tf", "insinet", "insinet@plain", "on"),
    ]
    first = table.iloc[0]
    assert (first.f1_with, first.f1_without, first.f1_gain) == pytest.approx((0.7, 0.6, 0.1))
    assert (first.iou_gain, first.p) == (0, 0.25)
    assert table.p.isna().tolist() == [False, True, True, True]
    assert (first.parameters_with, first.parameters_without) == (110, 108)


def test_the_report_has_a_table_for_each_part() -> None:
    shown = page._ablations(ablations.table(board(), TESTS, saved_of))
    assert [(own["part"], len(own["rows"])) for own in shown] == [("ChangeFFT", 2), ("mdsa", 1), ("tf", 1)]
    assert list(shown[0]["heads"].values()) == ["OA", "precision", "recall", "F1", "IoU"]


def test_nothing_evaluated_has_no_parts() -> None:
    empty = pd.DataFrame(columns=["model", "run", "task", "fold", "split", "f1"])
    tests = pd.DataFrame(columns=["first", "second", "p"])
    table = ablations.table(empty, tests, saved_of)
    assert table.empty
    assert list(table) == ablations.COLUMNS
    assert page._ablations(table) == page._ablations(None) == []
