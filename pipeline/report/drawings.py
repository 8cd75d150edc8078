"""Maps and charts as inline SVG."""

import html
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Literal

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType

from minebench.periods import Period
from pipeline.geo import countries, geodesy
from pipeline.report.pictures import Run
from pipeline.scenes import coregister

SPLIT_COLOURS = {
    "train": "#0072b2",
    "val": "#e69f00",
    "test": "#d55e00",
    "mixed": "#cc79a7",
    "none": "#8a8f98",
}
GREY = "#8a8f98"
NAMED = 25
"""Most sites that the map names."""
OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b3a600", "#8a8f98")
"""Colours that colour-blind people tell apart."""
FONT: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "text.parse_math": False,
    "svg.hashsalt": "minebench",
    "font.size": 9,
    "axes.prop_cycle": cycler(color=OKABE_ITO),
}


@contextmanager
def _style() -> Iterator[None]:
    """Draw text as text. The reader's browser has letters that matplotlib's font lacks, in names of mines."""
    with mpl.rc_context(FONT), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def world(sites: gpd.GeoDataFrame, names: dict[str, str]) -> str | None:
    """The sites on a map of the land around them, coloured by split, with their names where there are few;
    None where none has a place."""
    sites = sites[sites.epsg > 0]
    if sites.empty:
        return None
    lon, lat = geodesy.centres(sites.geometry.to_numpy()).T
    with _style():
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.subplots()
        countries.borders().plot(ax=axes, color="#e7e9ec", edgecolor="#ffffff", linewidth=0.5)
        for split, colour in SPLIT_COLOURS.items():
            own = (sites.split == split).to_numpy()
            if own.any():
                axes.scatter(
                    lon[own],
                    lat[own],
                    s=34,
                    color=colour,
                    edgecolor="white",
                    linewidth=0.7,
                    label=split,
                    zorder=3,
                )
        none = sites.split.isna().to_numpy()
        if none.any():
            axes.scatter(lon[none], lat[none], s=34, marker="x", color=GREY, label="no image", zorder=3)
        x0, x1 = _span(lon, 30, -180, 180)
        y0, y1 = _span(lat, 14, -60, 85)
        axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect=1 / max(0.3, np.cos(np.radians((y0 + y1) / 2))))
        axes.set_axis_off()
        axes.legend(loc="lower left", frameon=False, ncols=4)
        if len(sites) <= NAMED:
            _name(figure, axes, list(zip(sites.site_id.map(names), lon, lat, strict=True)))
        return _svg(figure, "Map of the sites, coloured by split")


def _name(figure: Figure, axes: Axes, places: list[tuple[str, float, float]]) -> None:
    """Names beside places, on the side where none is yet; a name that fits on no side is left out."""
    figure.draw_without_rendering()
    taken: list[Any] = []
    for name, x, y in places:
        for offset, align in (((5, 3), "left"), ((-5, 3), "right"), ((5, -9), "left"), ((-5, -9), "right")):
            text = axes.annotate(
                name, (x, y), offset, textcoords="offset points", ha=align, fontsize=7, color="#444"
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def shift_lengths(scenes: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Length of each reliably measured shift, metres, before and after correction; without the
    references themselves, which are 0 by definition."""
    sure = scenes[scenes.confidence.ge(coregister.TRUSTED) & (scenes.dx.ne(0) | scenes.dy.ne(0))]
    before = pd.Series(np.hypot(sure.dx, sure.dy))
    after = pd.Series(np.hypot(sure.dx_left, sure.dy_left))
    return before, after.where(sure.corrected, before)


def shifts(scenes: pd.DataFrame) -> str:
    """Shifts of the dates against their site's reference: how many are below each length."""
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        before, after = shift_lengths(scenes)
        for lengths, colour, label in ((before, GREY, "as provided"), (after, "#3b6fb6", "as used")):
            ordered = np.sort(lengths.to_numpy())
            share = np.arange(1, len(ordered) + 1) / max(1, len(ordered)) * 100
            axes.step(ordered, share, where="post", color=colour, label=label)
        axes.set(xlabel="shift against the reference, m", ylabel="dates, %", ylim=(0, 102), xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
        return _svg(
            figure, "Curve: share of the dates whose shift is below each length, as provided and as used"
        )


def footprints(by_period: pd.DataFrame) -> str:
    """Mine footprint's share of the known area by period."""
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        axes.bar(
            by_period.period.astype(str),
            by_period.share * 100,
            color=SPLIT_COLOURS["train"],
            width=0.65,
        )
        _tidy(axes, "Footprint, % of known area")
        if len(by_period) > 12:
            axes.set_xticks(axes.get_xticks()[:: len(by_period) // 8])
        return _svg(figure, "Bars: footprint's share of the known area by period")


MOST_BARS = 20


def countries_and_sites(each: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Sites by country, and changed area by country and by site (MineNetCD's figure 5), the most first; those
    without anything to show are left out."""
    country = each.country.fillna("unknown")
    by_site = each.changed_km2.set_axis(each.site_id.map(names))
    wanted = (("Sites by country", country.value_counts()),
              ("Changed by country, km²", each.groupby(country).changed_km2.sum(min_count=1)),
              ("Changed by site, km²", by_site))  # fmt: skip
    return [_bars(title, values.dropna()) for title, values in wanted if values.notna().any()]


def _bars(title: str, values: pd.Series) -> str:
    """Horizontal bars of the largest values, by their index."""
    shown = values.sort_values(ascending=False, kind="stable").head(MOST_BARS)[::-1]
    with _style():
        figure = Figure(figsize=(4.0, 0.9 + 0.2 * len(shown)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(shown)), shown.to_numpy(float), color=SPLIT_COLOURS["train"], height=0.7)
        axes.set_yticks(range(len(shown)), [str(name) for name in shown.index])
        left_out = f", the first {MOST_BARS} of {len(values)}" if len(values) > MOST_BARS else ""
        _tidy(axes, f"{title}{left_out}")
        axes.grid(visible=False, axis="y")
        return _svg(figure, f"Bars: {title}{left_out}")


def acquisitions(days: pd.DataFrame) -> str | None:
    """How many images begin in each month; by year where there are many."""
    dates = pd.to_datetime(days.first_day.dropna())
    if dates.empty:
        return None
    unit = "Y" if (dates.max() - dates.min()).days > 1100 else "M"
    counts = dates.dt.to_period(unit).value_counts().sort_index()
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        axes.bar([str(period) for period in counts.index], counts, color=SPLIT_COLOURS["train"], width=0.65)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        if len(counts) > 8:
            axes.set_xticks(axes.get_xticks()[:: -(-len(counts) // 8)])
        _tidy(axes, f"Images by {'year' if unit == 'Y' else 'month'} of acquisition")
        return _svg(figure, "Bars: how many images begin in each month or year")


def spectra(table: pd.DataFrame, bands: tuple[str, ...]) -> str | None:
    """Histograms of each band before and after, in changed pixels."""
    changed = table[table.area == "changed"]
    if not changed.before.sum():
        return None
    columns = min(5 if len(bands) <= 20 else 8, len(bands))
    rows = -(-len(bands) // columns)
    with _style():
        figure = Figure(figsize=(1.9 * columns, 1.5 * rows + 0.4), layout="constrained")
        grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True)).ravel()
        for axes in grid[len(bands) :]:
            axes.set_axis_off()
        for axes, band in zip(grid, bands, strict=False):
            own = changed[changed.band == band]
            for column, colour in (("before", GREY), ("after", SPLIT_COLOURS["test"])):
                share = own[column] / max(1, own[column].sum())
                axes.step(own.low, share, where="post", color=colour, linewidth=1, label=column)
            axes.set_title(band, loc="left", fontsize=8)
            axes.set_yticks([])
            axes.spines[["top", "right", "left"]].set_visible(False)
        seen = changed[(changed.before > 0) | (changed.after > 0)]
        grid[0].set_xlim(min(0, float(seen.low.min())), float(seen.high.max()))
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
        return _svg(figure, "Histograms of each band in changed pixels, before and after")


def by_interval(runs: list[Run], unit: str) -> str | None:
    """F1 of the change models by interval; None where there is one interval only."""
    change = [run for run in runs if run.metrics["task"] == "change"]
    if not any(len(set(run.table.interval)) > 1 for run in change):
        return None
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        for run in change:
            axes.plot(run.table.interval, run.table.f1, marker="o", label=run.model)
        axes.set(ylim=(0, 1), xlabel=f"interval{unit}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _tidy(axes, "F1 by interval")
        axes.legend(frameon=False, loc="lower right")
        return _svg(figure, "Lines: F1 by interval, one a model")


def by_sites(few: dict[str, dict[int | str, float]]) -> str | None:
    """F1 of models by how many labelled sites they learnt from; None without any."""
    if not few:
        return None
    places = {site for own in few.values() for site in own}
    order = [*sorted(site for site in places if isinstance(site, int)), *(["all"] if "all" in places else [])]
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        for name, own in few.items():
            axes.plot([order.index(site) for site in own], list(own.values()), marker="o", label=name)
        axes.set_xticks(range(len(order)), [str(site) for site in order])
        axes.set(ylim=(0, 1), xlabel="labelled sites")
        _tidy(axes, "F1 by labelled sites")
        if len(few) <= LEGEND:
            axes.legend(frameon=False, loc="lower right")
        return _svg(figure, "Lines: F1 by labelled sites, one a model")


def curves(runs: list[Run], task: str) -> str | None:
    """Precision against recall of a task's models, with a dot where the threshold of the scores is."""
    own = [run for run in runs if run.metrics["task"] == task]
    if not own:
        return None
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        for run in own:
            known = run.curve[run.curve.recall.notna() & run.curve.precision.notna()]
            (line,) = axes.plot(known.recall, known.precision, label=run.model, linewidth=1.4)
            place = run.metrics["recall"], run.metrics["precision"]
            if None not in place:
                axes.plot(*place, "o", color=line.get_color(), markersize=5)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall")
        word = "change" if task == "change" else "footprints"
        _tidy(axes, f"Precision by recall, {word}")
        if len(own) <= LEGEND:
            axes.legend(frameon=False, loc="lower left")
        return _svg(figure, f"Curves: precision by recall of {word}, one a model")


LEGEND = 10
"""Most lines that a legend names."""


def timeline(intervals: pd.DataFrame, column: str, title: str) -> str:
    """Activity of all sites together by interval, a line a source: sums of areas (km²), means of indices."""
    is_area = column.endswith("_m2")
    how: Literal["sum", "mean"] = "sum" if is_area else "mean"
    table = intervals.pivot_table(column, index="t2", columns="source", aggfunc=how, sort=False).sort_index()
    table = table / 1e6 if is_area else table
    with _style():
        figure = Figure(figsize=(4.0, 3.0), layout="constrained")
        axes = figure.subplots()
        for source in table.columns:
            style = {"color": "black", "linewidth": 2} if source == "labels" else {"linewidth": 1.3}
            axes.plot(table.index.astype(str), table[source], marker="o", markersize=3, label=source, **style)
        if len(table) > 8:
            axes.set_xticks(range(0, len(table), -(-len(table) // 8)))
        _tidy(axes, title)
        if len(table.columns) <= LEGEND:
            figure.legend(loc="outside lower left", frameon=False, ncols=3)
        return _svg(figure, f"Lines: {title} by the later date, one a source")


def case_study(intervals: pd.DataFrame, periods: list[Period], start: int, years: int, title: str) -> str:
    """Changed area of one site by interval, a line a source, with a line where the year of the start of
    production begins, and the window of so many years around that year in grey."""
    table = intervals.pivot_table("changed_m2", index="t2", columns="source", sort=False).sort_index() / 1e6
    labels = [period.label for period in periods]
    days = [period.start for period in periods]
    place = date_place(date(start, 1, 1), days)
    window = [date_place(date(year, 1, 1), days) for year in (start - years, start + 1 + years)]
    with mpl.rc_context(FONT):
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axes = figure.subplots()
        for source in table.columns:
            style = {"color": "black", "linewidth": 2} if source == "labels" else {"linewidth": 1.3}
            at = [labels.index(label) for label in table.index]
            axes.plot(at, table[source], marker="o", markersize=3, label=source, **style)
        axes.axvspan(*np.clip(window, 0, len(labels) - 1), color="#eceef1", zorder=0)
        if 0 <= place <= len(labels) - 1:
            axes.axvline(place, color=SPLIT_COLOURS["test"], linestyle="--", linewidth=1.3)
        step = -(-len(labels) // 8)
        axes.set_xticks(range(0, len(labels), step), labels[::step])
        axes.set_xlim(-0.3, len(labels) - 0.7)
        axes.set_ylim(bottom=0)
        _tidy(axes, f"{title}, from {start}: changed, km²")
        if len(table.columns) <= LEGEND:
            figure.legend(loc="outside lower left", frameon=False, ncols=3)
        return _svg(
            figure,
            f"Lines: changed area of {title} by the later date, and the start of production in {start}",
        )


def date_place(day: date, days: list[date]) -> float:
    """Where a day lies among days in order, as a number that may lie between two; below 0 before the first,
    above the last one's after it."""
    if day < days[0]:
        return -1.0
    if day > days[-1]:
        return float(len(days))
    return float(np.interp(day.toordinal(), [own.toordinal() for own in days], range(len(days))))


def stretch_of_colours(dates: list[str]) -> list[tuple[str, str]]:
    """The legend of a when-map: each interval's later date with its colour."""
    colours = mpl.colormaps["viridis"]
    return [(date, mpl.colors.to_hex(colours((i + 1) / len(dates)))) for i, date in enumerate(dates)]


def _span(values: np.ndarray, least: float, low: float, high: float) -> tuple[float, float]:
    """Limits of an axis: the values with room around them, inside the world."""
    room = max(least, 0.12 * (values.max() - values.min()))
    return max(low, values.min() - room), min(high, values.max() + room)


def _tidy(axes: mpl.axes.Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)


def _svg(figure: Figure, said: str) -> str:
    """The figure as SVG; `said` is what it shows, for those who do not see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{html.escape(said)}"', 1)
