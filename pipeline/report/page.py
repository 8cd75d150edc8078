"""Stage `report`: one self-contained HTML page of what was made and how well it can be learnt."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from minebench import __version__, tables, text
from minebench.files import replacing
from minebench.index import LEVELS
from minebench.layout import BenchmarkPaths
from minebench.text import counted
from models.evaluation.runs import EXTERNAL, scored, set_apart
from models.evaluation.score_names import HEADS
from models.run_name import RunName
from pipeline.core import templates
from pipeline.index import analysis_sets, annotators, statistics
from pipeline.leaderboard import ablations, board, conditions
from pipeline.recipe import Recipe
from pipeline.report import activity_page, drawings, paper_tables, pictures
from pipeline.scenes import coregister
from pipeline.scenes.status import TITLES, Status
from pipeline.sites import site
from pipeline.sites.site import Site

log = logging.getLogger(__name__)


def build(benchmark: BenchmarkPaths, recipe: Recipe) -> str:
    """Write report/index.html from the tables, the cubes and whatever has been trained."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    composites = tables.read(benchmark.table("composites"), "compose")
    tiles = tables.read(benchmark.table("tiles"), "tile")
    pairs = tables.first(benchmark.table("pairs"), "tile")
    sites = sites.assign(split=sites.site_id.map(_split_of_sites(tiles)))
    names = {s.site_id: s.label for s in site.listed(sites, recipe)}
    totals = statistics.read(benchmark)
    runs = _runs(benchmark)
    few = _few_shot(runs)
    compared = board.read(benchmark)
    measured = activity_page.read(benchmark, names)
    look = pictures.Looks(benchmark, recipe)
    page = templates.load("pipeline.report", "page.html", FILTERS).render(
        recipe=recipe,
        version=__version__,
        benchmark=benchmark.name,
        synthetic=recipe.source.is_synthetic,
        map=drawings.world(sites, names),
        facts=_facts(sites, composites, len(tiles), tables.rows(benchmark.table("pairs"))),
        sites=tables.records(sites.drop(columns=["geometry", "footprint", "elsewhere"], errors="ignore")),
        availability=_availability(composites, recipe),
        months=_months(scenes, recipe),
        shown=SHOWN,
        reasons=_reasons(scenes),
        shifts=_shifts(scenes),
        shift_chart=drawings.shifts(scenes) if scenes.confidence.gt(0).sum() > 1 else None,
        dated_by=sorted(set(scenes.dated_by[scenes.selected]) - {"acquisition"}),
        by_period=tables.records(totals["by_period"]),
        by_interval=tables.records(totals["by_interval"]),
        by_country=_by_country(totals["by_country"]),
        by_country_period=_by_country_period(totals["by_country_period"]),
        country_charts=drawings.countries_and_sites(totals["sites"], names),
        changes=_largest(totals["sites"]),
        mean_months=totals["sites"].months.mean(),
        balance=[_balanced(row) for row in tables.records(totals["balance"])],
        annotators=annotators.sentences(benchmark),
        leakage=tables.records(totals["leakage"]),
        area_chart=drawings.footprints(totals["by_period"]) if len(totals["by_period"]) else None,
        days_chart=drawings.acquisitions(totals["acquisitions"]),
        spectra_chart=drawings.spectra(totals["spectra"], recipe.sensor.bands),
        analysis=_analysis(benchmark),
        analysed=_analysed(benchmark),
        series=pictures.series(look, sites, names),
        labels=names,
        left_out=_left_out(composites),
        interval_unit=_interval_unit(pairs),
        has_intervals=any(run.metrics.get("f1_interval", [None])[0] is not None for run in runs),
        scores=_scores(runs, compared[0] if compared else None),
        external=_external(runs),
        by_tile=[run.model for run in runs if run.metrics.get("count") == "tiles"],
        apart=[{"name": name, **own} for name, own in set_apart(benchmark.data).items()],
        smoothed=_smoothed(runs),
        few=few,
        few_chart=drawings.by_sites(few),
        conditions=_conditions(board.conditions(benchmark)),
        ablations=_ablations(board.ablations(benchmark)),
        tests=_tests(compared[1]) if compared else [],
        all_tests=len(compared[1]) if compared else 0,
        interval_chart=drawings.by_interval(runs, _interval_unit(pairs)),
        examples=[pictures.examples(look, run, tiles, names) for run in runs],
        paper_tables=paper_tables.of(benchmark, runs, _interval_unit(pairs)),
        curves=[drawings.curves(runs, task) for task in ("change", "segmentation")],
        activity=measured,
        activity_charts=_activity_charts(measured),
        phases=text.PHASES,
        case_charts=_case_charts(measured, recipe, site.listed(sites, recipe)),
        when_legend=drawings.stretch_of_colours(measured.dates) if measured else [],
    )
    with replacing(benchmark.report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return str(benchmark.report)


def _activity_charts(measured: activity_page.Activity | None) -> list[str]:
    if measured is None:
        return []
    wanted = (("changed_m2", "Changed in an interval, km²"), ("cumulative_m2", "Changed so far, km²"),
              ("ndtci", "Mean NDTCI"))  # fmt: skip
    return [drawings.timeline(measured.intervals, column, title) for column, title in wanted]


def _case_charts(measured: activity_page.Activity | None, recipe: Recipe, sites: list[Site]) -> list[str]:
    """Changed area over time of the sites with case studies, of many those with most change."""
    cases = measured.cases if measured else None
    if measured is None or cases is None:
        return []
    starts = {case.site_id: case.start for case in cases.rows}
    own = measured.intervals[measured.intervals.site_id.isin(starts)]
    most = own.groupby("site_id").changed_m2.sum().sort_values(ascending=False, kind="stable").index
    names = {site.site_id: site.label for site in sites}
    periods = {period.label: period for period in recipe.periods.periods()}
    charts = []
    for site_id in map(str, most[: activity_page.MAPS]):
        rows = own[own.site_id == site_id]
        dated = [
            periods[label] for label in sorted({*rows.t1, *rows.t2}, key=lambda label: periods[label].start)
        ]
        charts.append(drawings.case_study(rows, dated, starts[site_id], cases.years, names[site_id]))
    return charts


def _or_dash(form: str, otherwise: str = "–") -> Callable[[float | None], str]:
    """Return a filter that writes a number in a form, and another text where it is unknown."""
    return lambda value: otherwise if value is None or value != value else format(value, form)


def _known_or(value: float | None, digits: int = 3) -> str:
    """A measure as text, where it has a value."""
    return "unknown" if value is None or value != value else f"{value:.{digits}f}"


FILTERS: dict[str, Callable[..., str]] = {
    "score": _or_dash(".3f"),
    "km2": _or_dash(",.2f"),
    "percent": _or_dash(".1%"),
    "signed": _or_dash("+.4f"),
    "m2": _or_dash(",.0f", "unknown"),
    "known": _known_or,
    "p": lambda value: "< 0.001" if value is not None and value < 0.001 else _known_or(value),
    "few": text.few,
}
"""How the page writes numbers and lists."""


def _runs(benchmark: BenchmarkPaths) -> list[pictures.Run]:
    """Every evaluated model, by name."""
    runs = []
    for name, metrics in scored(benchmark.data).items():
        folder = benchmark.run(name)
        with np.load(folder / "examples.npz") as archive:
            examples = {name: archive[name] for name in archive.files}
        scores, sites, curve = (pd.read_csv(folder / f"{name}.csv") for name in ("scores", "sites", "curve"))
        runs.append(pictures.Run(folder.name, metrics, scores, sites, curve, examples))
    return runs


def _facts(
    sites: gpd.GeoDataFrame, composites: pd.DataFrame, tiles: int, pairs: int
) -> list[tuple[str, str]]:
    nouns = (
        (len(sites), ("site",)), (sites.country.nunique(), ("country", "countries")),
        (composites.period.nunique(), ("period",)), (int(composites.kept.sum()), ("image",)),
        (tiles, ("tile",)), (pairs, ("pair",)),
    )  # fmt: skip
    found = [counted(number, *noun).partition(" ") for number, noun in nouns]
    return [(number, noun) for number, _, noun in found]


def _left_out(composites: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Site, period and reason of each image that there is not."""
    gone = composites[~composites.kept]
    return list(zip(gone.site_id, gone.period, gone.reason, strict=True))


def _interval_unit(pairs: pd.DataFrame) -> str:
    """Of the intervals between periods, by how long their names are."""
    label = str(pairs.t1.iloc[0]) if len(pairs) else ""
    return {4: ", years", 7: ", months", 10: ", days"}.get(len(label), "") if label[:1].isdigit() else ""


def _availability(composites: pd.DataFrame, recipe: Recipe) -> dict[str, Any]:
    """Site by period: clear share of the AOI, and why a period was left out. Of many sites those that lack
    most."""
    rows = []
    lacking = composites.groupby("site_id").kept.mean().sort_values(kind="stable").index[:SHOWN]
    shown = composites[composites.site_id.isin(lacking)]
    for site_id, group in shown.groupby("site_id", sort=True):
        cells = {
            row.period: {
                "share": row.clear,
                "kept": row.kept,
                "days": row.days,
                "reason": row.reason,
            }
            for row in group.itertuples()
        }
        rows.append((site_id, cells))
    known = set(composites.period)
    labels = [period.label for period in recipe.periods.periods() if period.label in known]
    return {"periods": labels, "rows": rows, "of": composites.site_id.nunique()}


def _months(scenes: pd.DataFrame, recipe: Recipe) -> dict[str, Any]:
    """Site by month of acquisition: days on which enough of the AOI was clear to be chosen from. Calendar
    months of all years together where there are more than two years."""
    clear = scenes[(scenes.day != "") & scenes.day_clear.ge(recipe.selection.min_clear)]
    days = clear[["site_id", "day"]].drop_duplicates()
    if days.empty:
        return {"heads": [], "rows": [], "most": 0}
    named = sorted(set(days.day.str[:7]))
    every = pd.period_range(named[0], named[-1], freq="M").astype(str).tolist()
    if len(every) > 24:
        days = days.assign(month=days.day.str[5:7].astype(int))
        heads = dict(zip(range(1, 13), MONTHS, strict=True))
    else:
        days = days.assign(month=days.day.str[:7])
        heads = {month: month for month in every}
    table = pd.crosstab(days.site_id, days.month)
    table = table.reindex(columns=list(heads), fill_value=0).reindex(scenes.site_id.unique(), fill_value=0)
    least = table.sum(axis=1).sort_values(kind="stable").index[:SHOWN]
    rows = [(str(site), [int(n) for n in table.loc[site]]) for site in sorted(least)]
    return {
        "heads": list(heads.values()),
        "rows": rows,
        "most": int(table.to_numpy().max()),
        "of": len(table),
    }


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SHOWN = 200
"""Lines of a table that has one a site: the rest is in the index tables."""


def _reasons(scenes: pd.DataFrame) -> list[tuple[str, int]]:
    """How many candidate scenes met which fate."""
    counts = scenes.status.value_counts()
    return [(TITLES[Status(str(name))], int(count)) for name, count in counts.items()]


def _shifts(scenes: pd.DataFrame) -> dict[str, Any]:
    """How far the dates lie off their sites' references, metres: as provided, and as used."""
    before, after = drawings.shift_lengths(scenes)
    return {
        "measured": len(before),
        "unsure": int((scenes.selected & ~scenes.confidence.ge(coregister.TRUSTED)).sum()),
        "corrected": int(scenes.corrected.sum()),
        "before": (before.median(), before.quantile(0.9)),
        "after": (after.median(), after.quantile(0.9)),
    }


def _split_of_sites(tiles: pd.DataFrame) -> pd.Series:
    """The split of each site's tiles; `mixed` where they are of several."""
    return tiles.groupby("site_id").split.agg(lambda own: own.iloc[0] if len(set(own)) == 1 else "mixed")


def _balanced(row: dict[str, Any]) -> dict[str, Any]:
    """A split's classes as shares of what is known."""
    known, pixels = row["changed"] + row["unchanged"], row["mine"] + row["background"]
    return {
        **row,
        "changed_share": row["changed"] / known if known else None,
        "unknown_share": row["unknown"] / (known + row["unknown"]) if known + row["unknown"] else None,
        "mine_share": row["mine"] / pixels if pixels else None,
    }


SUMMED = ["sites", "known_km2", "footprint_first_km2", "footprint_last_km2", "changed_km2"]


def _by_country(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by country and production type, of several types with their country's sum, and the sum of all
    (EuroMineNet's table 1). `growth` is of the footprint, a share of the first."""
    if table.empty:
        return []
    found = []
    for country, own in table.groupby("country", sort=False):
        rows = tables.records(own)
        if len(own) > 1:
            rows.append({**own[SUMMED].sum(min_count=1), "country": country, "production": "all"})
        found += rows
    found.append({**table[SUMMED].sum(min_count=1), "country": "total", "production": ""})
    return [{**row, "growth": _growth(row)} for row in found]


def _growth(row: dict[str, Any]) -> float | None:
    """None without a first footprint."""
    first, last = row["footprint_first_km2"], row["footprint_last_km2"]
    return (last - first) / first if first > 0 else None


def _by_country_period(table: pd.DataFrame) -> dict[str, Any]:
    """Footprints by country, a row each, and period, of which every second, third, ... is shown where there
    are many."""
    areas = table.pivot_table("footprint_km2", "country", "period")
    shown = areas[areas.columns[:: -(-len(areas.columns) // paper_tables.MOST) or 1]]
    rows = [(country, list(row)) for country, row in zip(shown.index, shown.to_numpy(), strict=True)]
    return {"heads": list(shown.columns), "rows": rows}


def _largest(each: pd.DataFrame, most: int = 12) -> list[dict[str, Any]]:
    """The sites with most change."""
    shown = each.sort_values("changed_km2", ascending=False).head(most)
    days = {
        day: shown[day].astype(object).where(shown[day].notna(), None) for day in ("first_day", "last_day")
    }
    return tables.records(shown.assign(**days))


def _analysis(benchmark: BenchmarkPaths) -> list[tuple[str, list[tuple[str, int]]]]:
    """Rows of each analysis set by level."""
    found = []
    for name in analysis_sets.COLUMNS:
        counts = tables.read(analysis_sets.path(benchmark, name), "tile", ["level"]).level.value_counts()
        levels = [level for level in LEVELS if level in counts.index]
        found.append((name.replace("_", " "), [(level, int(counts[level])) for level in levels]))
    return found


def _analysed(benchmark: BenchmarkPaths) -> list[dict[str, Any]]:
    """F1 by level of each analysis set that runs were scored on (`evaluate --analysis`), and the mean over
    the runs, of those that have one (INSINet, 3.3)."""
    found = []
    for name in analysis_sets.COLUMNS:
        paths = sorted((benchmark.data / "analysis").glob(f"*/{name}.csv"))
        if not paths:
            continue
        of_runs = {path.parent.name: pd.read_csv(path, dtype={"level": str}) for path in paths}
        table = pd.DataFrame({run: own.set_index("level").f1 for run, own in of_runs.items()}).T
        table = table[[level for level in LEVELS if level in table]]
        if len(table) > 1:
            table.loc["mean"] = table.mean()
        rows = [(str(run), list(row)) for run, row in zip(table.index, table.to_numpy(), strict=True)]
        found.append({"title": name.replace("_", " "), "heads": list(table.columns), "rows": rows})
    return found


def _scores(runs: list[pictures.Run], board: pd.DataFrame | None) -> list[dict[str, Any]]:
    """One table a task: the models by F1, then the trivial rules, which are the same for all of them."""
    sizes = {} if board is None else {row["run"]: row for row in tables.records(board)}
    tasks: list[dict[str, Any]] = []
    for task, title in (("change", "Change detection"), ("segmentation", "Footprint segmentation")):
        own = [run for run in runs if run.metrics["task"] == task]
        if own:
            own.sort(key=lambda run: -(run.metrics["f1"] or 0))
            trivial: Mapping[str, Any] = own[0].metrics["trivial"]
            rows = [_row(run, sizes.get(run.model)) for run in own]
            rows += [
                {
                    "name": name.replace("_", " "),
                    "kind": "trivial",
                    "scores": scores,
                    "size": None,
                    "interval": None,
                }
                for name, scores in trivial.items()
            ]
            unit = "pairs" if task == "change" else "images"
            shown = {
                m: name for m, name in HEADS.items() if any(r["scores"].get(m) is not None for r in rows)
            }
            split = own[0].metrics["split"]
            tasks.append({"title": title, "split": split, "rows": rows, "unit": unit, "metrics": shown})
    return tasks


def _row(run: pictures.Run, size: dict[str, Any] | None) -> dict[str, Any]:
    scores = {**run.metrics, "change_f1": (run.metrics.get("post_classification") or {}).get("f1")}
    interval = run.metrics.get("f1_interval", [None])
    known = interval if None not in interval else None
    is_sized = size is not None and not size["external"]
    return {
        "name": f"{run.model}{_whose(run)}",
        "kind": "model",
        "scores": scores,
        "size": size if is_sized else None,
        "interval": known,
    }


def _whose(run: pictures.Run) -> str:
    """What stands behind the name of a run that another framework predicted."""
    external = run.metrics.get(EXTERNAL)
    if external is None:
        return ""
    share = f", partial: {external['predicted']:,} of {external['asked']:,} maps"
    return f" (external{share if external['predicted'] < external['asked'] else ''})"


def _few_shot(runs: list[pictures.Run]) -> dict[str, dict[int | str, float]]:
    """F1 by how many labelled sites were learnt from, of the models that have such runs."""
    found: dict[str, dict[int | str, float]] = {}
    for run in runs:
        name = RunName.parse(run.model)
        if name.sites is not None:
            of_all = str(replace(name, sites=None))
            found.setdefault(of_all, {})[name.sites] = _known(run.metrics["f1"])
    for run in runs:
        if run.model in found:
            found[run.model]["all"] = _known(run.metrics["f1"])
    return {name: {sites: own[sites] for sites in sorted(own, key=_few_first)} for name, own in found.items()}


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _few_first(sites: int | str) -> float:
    return float(sites) if isinstance(sites, int) else float("inf")


def _smoothed(runs: list[pictures.Run]) -> list[dict[str, Any]]:
    """Footprint runs before and after smoothing over time, where there are both."""
    named = {run.model: run.metrics for run in runs}
    pairs = [
        (named.get(str(RunName.parse(name).trained)), own)
        for name, own in named.items()
        if RunName.parse(name).smoothing
    ]
    both = [(before, own) for before, own in pairs if before and own["task"] == "segmentation"]
    return [_over_time(metrics) for pair in both for metrics in pair]


def _over_time(metrics: dict[str, Any]) -> dict[str, Any]:
    """What of a run's scores is about time."""
    change = (metrics.get("post_classification") or {}).get("shortest") or {}
    return {
        "name": metrics["model"], "of1": metrics["of1"], "lca": metrics["lca"], "gca": metrics["gca"],
        "change": change.get("f1"), "flicker": metrics["flicker"]["predicted"],
        "true_flicker": metrics["flicker"]["true"],
    }  # fmt: skip


def _external(runs: list[pictures.Run]) -> list[dict[str, Any]]:
    """Who predicted what, of the runs that are not ours."""
    return [{"name": run.model, **run.metrics[EXTERNAL]} for run in runs if EXTERNAL in run.metrics]


def _conditions(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """A table for each task and condition: OF1 of the runs by group, and of how many images or pairs."""
    if table is None or table.empty:
        return []
    found = []
    for (task, condition), own in table.groupby(["task", "condition"], sort=True):
        if set(own.group) == {conditions.UNKNOWN}:
            continue
        order = [*conditions.SEASONS, *(name for _, names in conditions.STEPS.values() for name in names)]
        groups = [group for group in (*order, conditions.UNKNOWN) if group in set(own.group)]
        scores = own.pivot_table("of1", "run", "group", sort=False, dropna=False).reindex(columns=groups)
        items = own.groupby("group")["items"].max()
        word = "Change" if task == "change" else "Footprints"
        found.append({
            "title": f"{word} by {condition}", "heads": [(group, int(items[group])) for group in groups],
            "rows": [(run, list(row)) for run, row in zip(scores.index, scores.to_numpy(), strict=True)],
        })  # fmt: skip
    return found


def _ablations(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """A table for each part that runs were made without: scores with it, without it and their difference."""
    if table is None:
        return []
    return [
        {"part": ablations.PARTS.get(str(option), str(option)), "option": option,
         "heads": ablations.heads(), "rows": tables.records(own)}
        for option, own in table.groupby("option", sort=True)
    ]  # fmt: skip


def _tests(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs of runs, at most forty: those that differ most surely, and then the most, first."""
    by_size = table.assign(size=-table.difference.abs())
    return tables.records(by_size.sort_values(["p", "size", "first", "second"]).head(40))
