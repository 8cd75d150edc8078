"""Tables and drawings of the report, of made up counts; its page is in test_report_page.py."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from minebench.layout import BenchmarkPaths
from minebench.text import EVERY_SITE
from models.evaluation import scores
from pipeline.report import activity_page, drawings, page, paper_tables
from pipeline.report.pictures import Run


def counts(folder: Path, rows: list[tuple[str, str, str, int, int, int]], **metrics: float) -> Run:
    """A run with counts (site, t1, t2, tp, fp, fn) of a thousand pixels a row."""
    folder.mkdir(parents=True)
    table = pd.DataFrame(rows, columns=["site_id", "t1", "t2", "tp", "fp", "fn"]).assign(aoi=True)
    table["tn"] = 1000 - table.tp - table.fp - table.fn
    table.to_parquet(folder / "counts.parquet")
    (folder / "metrics.json").write_text(json.dumps(metrics))
    empty = pd.DataFrame()
    return Run(folder.name, {"task": "change", **metrics}, empty, empty, empty, {})


def test_intervals_are_means_over_sites(tmp_path: Path) -> None:
    benchmark = BenchmarkPaths("tiny", tmp_path)
    better = counts(benchmark.run("better"), [
        ("a", "2020", "2021", 10, 0, 0), ("b", "2020", "2021", 5, 5, 0), ("a", "2020", "2022", 10, 10, 0),
    ], of1=0.8)  # fmt: skip
    worse = counts(benchmark.run("worse"), [
        ("a", "2020", "2021", 0, 0, 10), ("b", "2020", "2021", 0, 0, 0), ("a", "2020", "2022", 5, 5, 5),
    ], of1=0.4)  # fmt: skip
    (table,) = paper_tables.of(benchmark, [worse, better], ", years")
    assert table.title == "Change by interval, years"
    assert table.heads == ["1", "2", "OF1"]
    # Site a has F1 1, site b 2 * 5 / (2 * 5 + 5): both of a thousand pixels.
    one_year = np.mean([1, 10 / 15])
    assert table.rows[0] == ("better", [(f"{one_year:.3f}", "best"), ("0.667", "best"), ("0.800", "best")])
    assert table.rows[1] == ("worse", [("0.000", "second"), ("0.500", "second"), ("0.400", "second")])


def test_change_between_footprints_is_a_table_by_interval(tmp_path: Path) -> None:
    """EuroMineNet's table 6, of what `evaluate` writes: F1 of the sites' counts by interval."""
    benchmark = BenchmarkPaths("tiny", tmp_path)
    rows = [
        ("a", "2020", "2020", 9, 1, 0), ("a", "2021", "2021", 9, 1, 0),
    ]  # fmt: skip
    run = counts(benchmark.run("unet"), rows, of1=0.9, gca=0.8, lca=0.8)
    run = replace(run, metrics={**run.metrics, "task": "segmentation", "post_classification": {"of1": 0.4}})
    change = pd.DataFrame(
        [("a", "2020", "2021", 10, 0, 0), ("b", "2020", "2021", 5, 5, 0), ("a", "2020", "2022", 1, 3, 0)],
        columns=["site_id", "t1", "t2", "tp", "fp", "fn"],
    ).assign(tn=lambda t: 1000 - t.tp - t.fp - t.fn)
    table = scores.by_interval(change)
    assert table.interval.tolist() == [1, 2]
    assert table.of1.tolist() == pytest.approx([(1 + 10 / 15) / 2, 2 / 5])
    assert table.tp.tolist() == [15, 1]
    table.to_csv(benchmark.run("unet") / "intervals.csv", index=False)
    dated, between = paper_tables.of(benchmark, [run], ", years")
    assert dated.title == "Footprints by date"
    assert between.title == "Change between footprints by interval, years"
    assert between.heads == ["1", "2", "OF1"]
    assert [text for text, _ in between.rows[0][1]] == ["0.833", "0.400", "0.400"]
    scores.by_interval(change[:0]).to_csv(benchmark.run("unet") / "intervals.csv", index=False)
    assert len(paper_tables.of(benchmark, [run], "")) == 1


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.floats(-1, 1))
def test_agreement_is_averaged_over_the_sites_alone(correlations: list[float], of_all: float) -> None:
    sites = [f"s{i}" for i in range(len(correlations))]
    agreement = pd.DataFrame({
        "site_id": [*sites, EVERY_SITE], "first": "labels", "second": "unet",
        "pearson_area": [*correlations, of_all], "pearson_ndtci": 0.5, "rmse_m2": 1.0,
    })  # fmt: skip
    intervals = pd.DataFrame({
        "site_id": sites, "source": "unet", "changed_m2": 1.0, "cumulative_m2": 1.0, "ndtci": 0.1,
    })  # fmt: skip
    (source,) = activity_page._sources(intervals, agreement)
    assert source.pearson_area == pytest.approx(np.mean(correlations), abs=1e-9)


def test_countries_have_their_sum_and_growth() -> None:
    """EuroMineNet's table 1."""
    table = pd.DataFrame(
        [("DEU", "coal", 2, 9.0, 2.0, 3.0, 1.0, 80.0), ("DEU", "quarry", 1, 1.0, 2.0, 1.0, 1.0, 80.0),
         ("GRC", "coal", 1, 5.0, np.nan, np.nan, 0.5, 80.0)],
        columns=["country", "production", *page.SUMMED, "months"],
    )  # fmt: skip
    rows = page._by_country(table)
    shown = [(row["country"], row["production"], row["sites"], row["growth"]) for row in rows]
    assert shown == [
        ("DEU", "coal", 2, 0.5), ("DEU", "quarry", 1, -0.5), ("DEU", "all", 3, 0.0), ("GRC", "coal", 1, None),
        ("total", "", 4, 0.0),
    ]  # fmt: skip
    each = pd.DataFrame({
        "site_id": [f"s{i}" for i in range(30)], "country": [*["DEU"] * 29, None], "changed_km2": 1.0,
    })  # fmt: skip
    charts = drawings.countries_and_sites(each, {site: f"Site {site}" for site in each.site_id})
    assert [("first 20 of 30" in chart, "unknown" in chart) for chart in charts] == [
        (False, True), (False, True), (True, False),
    ]  # fmt: skip
    assert len(drawings.countries_and_sites(each.assign(changed_km2=np.nan), {})) == 1


def test_analysis_sets_show_the_mean_over_all_models(tmp_path: Path) -> None:
    benchmark = BenchmarkPaths("tiny", tmp_path)
    for run, f1 in (("bit", [0.8, 0.4]), ("tinycd", [0.6, np.nan])):
        folder = benchmark.data / "analysis" / run
        folder.mkdir(parents=True)
        pd.DataFrame({"level": ["16", "2"], "f1": f1[::-1]}).to_csv(folder / "scale.csv", index=False)
    (table,) = page._analysed(benchmark)
    assert (table["title"], table["heads"]) == ("scale", ["2", "16"])
    assert table["rows"][2][0] == "mean"
    assert table["rows"][2][1] == pytest.approx([0.7, 0.4])


def test_a_run_that_found_nothing_has_a_curve_without_a_dot() -> None:
    curve = pd.DataFrame({"threshold": [0.0, 0.5], "precision": [0.1, 0.2], "recall": [1.0, 0.1]})
    run = Run("none", {"task": "change", "precision": None, "recall": 0.0}, curve, curve, curve, {})
    assert "<svg" in str(drawings.curves([run], "change"))


def test_alike_and_unknown_scores_have_no_second_best() -> None:
    assert paper_tables._marked([0.5001, 0.5002, None]) == [("0.500", ""), ("0.500", ""), ("–", "")]
    assert [mark for _, mark in paper_tables._marked([0.1, 0.3, 0.3, 0.2])] == ["", "best", "best", "second"]


def test_many_dates_fit_the_page(tmp_path: Path) -> None:
    benchmark = BenchmarkPaths("tiny", tmp_path)
    rows = [("a", "2000", str(2001 + i), 10, i, 0) for i in range(30)]
    (table,) = paper_tables.of(benchmark, [counts(benchmark.run("one"), rows, of1=0.5)], "")
    assert len(table.heads) == 11  # ten of thirty intervals, and OF1
    assert table.left_out == 20


def test_pairs_of_many_models_are_cut_to_those_that_differ_most() -> None:
    nan = float("nan")
    rows = [("a", f"m{k:02}", 0.01 * k * (-1) ** k, nan) for k in range(1, 50)] + [("a", "sure", 0.001, 0.01)]
    shown = page._tests(pd.DataFrame(rows, columns=["first", "second", "difference", "p"]))
    assert [row["second"] for row in shown[:3]] == ["sure", "m49", "m48"]
    assert len(shown) == 40
    assert page._tests(pd.DataFrame([], columns=["first", "second", "difference", "p"])) == []


def test_names_of_near_sites_do_not_lie_over_one_another() -> None:
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    drawings._name(figure, axes, [(f"Near {number}", 5.0, 5.0) for number in range(6)] + [("Far", 1.0, 1.0)])
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["Near 0", "Near 1", "Near 2", "Near 3", "Far"]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_agreement_is_over_all_sites_and_unknown_where_it_is_not_defined() -> None:
    nan = float("nan")
    columns = ["site_id", "first", "second", "intervals", "pearson_area", "p_area", "rmse_m2"]
    rows = [("a", "labels", "bit", 2, nan, nan, 5.0), ("b", "labels", "bit", 2, nan, nan, 7.0),
            (EVERY_SITE, "labels", "bit", 4, 0.9, 0.1, 6.0),
            (EVERY_SITE, "bit", "cva", 4, 0.5, 0.5, 1.0)]  # fmt: skip
    (found,) = activity_page._agreement(pd.DataFrame(rows, columns=columns))
    assert (found.name, found.intervals, found.p_area, found.rmse_m2) == ("bit", 4, 0.1, 6.0)
    assert np.isnan(found.rmse_ndtci)  # a table from before it had this column
    (found,) = activity_page._agreement(pd.DataFrame(rows[:1], columns=columns))
    assert (found.intervals, found.rmse_m2) == (2, 5.0)
    shown = page.FILTERS
    assert (shown["p"](found.p_area), shown["p"](0.0), shown["known"](0.25)) == (
        "unknown",
        "< 0.001",
        "0.250",
    )
    assert activity_page._agreement(pd.DataFrame(columns=columns)) == []
