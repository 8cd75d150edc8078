"""Stage `fetch`: the scenes each period needs, read onto the site's grid and kept.

    index/scenes.parquet               every candidate scene, with its fate
    scenes/<site_id>/<scene>_10m.tif   bands at one pixel size; uint16 or uint8, nodata 0
    scenes/<site_id>/<scene>_SCL.tif   the sensor's own mask, where the source has one
    scenes/<site_id>/SHA256SUMS        of every file above; `sha256sum -c` reads it
    scenes/<site_id>/scenes.parquet    the site's rows
    scenes/<site_id>/receipt.json      what was asked for; written last

The mask of every candidate is read first, the bands only of the chosen ones. Bands whose own grid
fits the site's are kept in their own pixel size, coarse ones with a halo of one pixel for the
interpolation in `compose`; all others are resampled here, once, onto the target grid.

What was fetched is kept by what was asked for: source, bands, grid and shift. No change of the software
drops it. The choice is made once, for each period by itself. As long as a period, the selection rule, the
source and the AOI stay as they are, the scenes listed in index/scenes.parquet are used again, nothing is
searched for, and a scene that is gone or has changed is an error. A new period is searched and chosen
without touching the others. `--refresh` makes a new choice.
"""

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa

from minebench import receipts, tables
from minebench.errors import WorkError
from minebench.layout import BenchmarkPaths
from minebench.text import few
from pipeline import sources
from pipeline.core.limits import Traffic, counting
from pipeline.core.runner import Spread, Step, Tasks, each_step, prune
from pipeline.published import scenes as imported_scenes
from pipeline.recipe import Recipe
from pipeline.scenes import gaps, scene_table
from pipeline.scenes.scene_table import Keys, Listed, Row, rows_of
from pipeline.scenes.status import Status
from pipeline.scenes.store import LONGEST, ROWS, SceneStore
from pipeline.sites import site as sites
from pipeline.sites.site import Site

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """What a run of the stage did."""

    sites: int
    requests: int = 0
    retries: int = 0
    received: int = 0
    unusable: int = 0
    undecided: int = 0
    skipped: int = 0
    by_source: str = ""

    def __str__(self) -> str:
        count = "1 site" if self.sites == 1 else f"{self.sites} sites"
        text = f"fetched {count}" if self.sites else "all sites are up to date"
        if self.requests:
            text += f"; {self.requests:,} requests, {self.retries:,} of them retries, "
            text += f"{self.received / 1e6:,.1f} MB received"
        if self.by_source:
            text += f"; chosen scenes: {self.by_source}"
        if self.unusable:
            text += f"; unusable scenes: {self.unusable:,} (status flawed in index/scenes.parquet)"
        untold = "nothing tells for sure whether they carry the offset of baseline 04.00"
        if self.undecided:
            text += f"; undecided scenes: {self.undecided:,} ({untold}; their metadata are believed, "
            text += "selection.offset: trust)"
        if self.skipped:
            text += (
                f"; undecided scenes: {self.skipped:,} ({untold}; they are not used, selection.offset: skip)"
            )
        return text


@dataclass(frozen=True)
class Task:
    """One site's work. `listed` is the table of scenes, an empty one where all is to be chosen anew."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site
    listed: Listed
    refresh: bool = False

    def __reduce__(self) -> Any:
        # A worker elsewhere gets the rows of its own site.
        listed = self.listed.only(self.site.site_id)
        return Task, (self.benchmark, self.recipe, self.site, listed, self.refresh)

    @property
    def store(self) -> SceneStore:
        return SceneStore(self.benchmark.scenes(self.site.site_id))

    @cached_property
    def keys(self) -> Keys:
        return keys_of(self.benchmark, self.recipe, self.site)

    @cached_property
    def is_as_listed(self) -> bool:
        """Whether the site's last run wrote just the rows that are listed."""
        digest = receipts.read(_receipt(self)).get(ROWS)
        return digest is not None and digest == self.listed.digests.get(self.site.site_id)

    @cached_property
    def is_reopened(self) -> bool:
        """Whether the recipe excludes a scene that was chosen, or no longer excludes one."""
        exclude = set(self.recipe.selection.exclude)
        return any(_is_reopened(scene, chosen, status, exclude) for scene, chosen, status in self._fates)

    @cached_property
    def is_all_flawed(self) -> bool:
        """Whether there were scenes and not one could be used. Nothing was chosen then that could be kept:
        keys that were missing, or a band's name, may be there by now."""
        return {status for scene, _, status in self._fates if scene} == {Status.FLAWED}

    @cached_property
    def is_misnamed(self) -> bool:
        """Whether an earlier version named the kept files by less than a scene's whole id: one id for several
        dates, or a long one that was cut. Then several scenes may have the pixels of one."""
        columns = self.listed.values(self.site.site_id, ["scene_id", "day", "selected"])
        days = {(scene, day) for scene, day, is_chosen in zip(*columns, strict=True) if is_chosen}
        scenes = {scene for scene, _ in days}
        cut = tuple(
            f"{whole[:LONGEST]}_" for scene in scenes if len(whole := quote(scene, safe="")) > LONGEST
        )
        return len(days) > len(scenes) or any(name.startswith(cut) for name in self.store.sums if cut)

    @cached_property
    def _fates(self) -> list[tuple[str, bool, str]]:
        """Id, whether it is chosen, and status of each scene that is listed."""
        columns = self.listed.values(self.site.site_id, ["scene_id", "selected", "status"])
        return list(zip(*columns, strict=True))


@dataclass(frozen=True)
class Outcome:
    """One site's rows, None where they are those that were listed; `traffic` is requests, retries and
    bytes."""

    rows: pd.DataFrame | None
    traffic: tuple[int, int, int] = (0, 0, 0)


@dataclass
class Frozen:
    """Rows of an earlier choice by period. `is_own` says that all periods have some, and just as the
    site's own last run wrote them."""

    by_period: dict[str, list[Row]] = field(default_factory=dict)
    is_own: bool = True

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.by_period.values() for row in rows]


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread, refresh: bool = False) -> Done:
    """Fetch what is missing for every site and write the table of scenes. WorkError names the
    scenes that could not be read; the next run takes up those only."""
    table = sites.read(benchmark)
    if recipe.source.is_published:
        (benchmark.data / "scenes").mkdir(parents=True, exist_ok=True)
        imported = imported_scenes.table(recipe.source.published(benchmark.root), recipe, table)
        tables.write(imported, benchmark.table("scenes"))
        return Done(len(table))
    if gone := prune(benchmark.data / "scenes", set(table.site_id)):
        print(f"fetch: removed the pixels of sites that are not listed any more: {few(gone)}")
    recipe.source.announce(recipe.setting(benchmark))
    listed = Listed(None if refresh else scene_table.read_listed(benchmark))
    found = sites.listed(table, recipe)
    tasks = Tasks(found, lambda site: Task(benchmark, recipe, site, listed, refresh))
    spread = replace(spread, in_threads=spread.in_threads or recipe.source.is_service)
    rows: dict[str, pa.Table | None] = {}
    sums, fetched = np.zeros(3, np.int64), 0
    # Where a site failed its result is missing, and an error comes after the last: nothing is kept then.
    for site, (outcome, made) in zip(found, each_step(STEP, tasks, spread), strict=True):
        # As columns of Arrow: of small frames the thirty columns weigh more than their content.
        new = outcome.rows
        rows[site.site_id] = None if new is None else pa.Table.from_pandas(new, preserve_index=False)
        sums, fetched = sums + outcome.traffic, fetched + made
    scenes = _joined(rows, listed)
    if scenes is not None:
        tables.write(scenes, benchmark.table("scenes"))
    scenes = listed.table if scenes is None else scenes
    _check_read(scenes)
    _check_used(scenes, recipe)
    requests, retries, received = map(int, sums)
    by_source = _by_source(scenes, recipe) if len(recipe.source.members) > 1 else ""
    return Done(fetched, requests, retries, received, by_source=by_source, **_counts(scenes))


def _joined(rows: dict[str, pa.Table | None], listed: Listed) -> pd.DataFrame | None:
    """The table of all sites, in their order; None where it is the one that was listed."""
    new = [table for table in rows.values() if table is not None]
    if not new and list(dict.fromkeys(listed.column("site_id"))) == list(rows):
        return None
    as_listed = [i for site_id, table in rows.items() if table is None for i in listed.places[site_id]]
    parts = [pa.concat_tables(new).to_pandas()] if new else []
    whole = pd.concat([listed.table.iloc[as_listed], *parts], ignore_index=True)
    order = {site_id: place for place, site_id in enumerate(rows)}
    return whole.sort_values("site_id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)


def _check_read(scenes: pd.DataFrame) -> None:
    missing = scenes[scenes.status == Status.NOT_READ]
    if len(missing):
        names = ", ".join(missing.scene_id.unique()[:8]) + (" ..." if missing.scene_id.nunique() > 8 else "")
        raise WorkError(
            f"{missing.scene_id.nunique()} scenes could not be read: {names} "
            f"({missing.reason.iloc[0].removeprefix('not read: ').rstrip('.')}). "
            "Run the command again to fetch just those. If that does not help, list them in "
            "selection.exclude, which chooses anew for their periods; --refresh chooses anew for all."
        )


def _check_used(scenes: pd.DataFrame, recipe: Recipe) -> None:
    """WorkError where a source has no scene at all, or not one that can be used."""
    if len(scenes) and (scenes.status == Status.NONE_FOUND).all():
        raise WorkError(
            f"Source {recipe.source.name} has no scene of any site in any period: its images must cover the "
            "sites, and be of the recipe's periods and season."
        )
    named = scenes[scenes.scene_id != ""]
    if len(named) and (named.status == Status.FLAWED).all():
        reason = named.reason.mode().iloc[0].removeprefix("not used: ")
        raise WorkError(
            f"None of the {named.scene_id.nunique():,} scenes of source {recipe.source.name} can be used: "
            f"{reason}. docs/sources.md says what each catalogue needs, index/scenes.parquet has all reasons."
        )


def _counts(scenes: pd.DataFrame) -> dict[str, int]:
    """Return how many scenes are unusable, used with an offset that nothing confirms, and left out for it."""
    kinds = {
        "unusable": scenes.status == Status.FLAWED,
        "undecided": scenes.selected & scenes.offset_from.str.startswith("undecided"),
        "skipped": scenes.status == Status.UNDECIDED,
    }
    return {kind: int(scenes.scene_id[rows].nunique()) for kind, rows in kinds.items()}


def _by_source(scenes: pd.DataFrame, recipe: Recipe) -> str:
    """Return in words how many of the chosen scenes each source gave."""
    counts = scenes[scenes.selected].source.value_counts()
    return ", ".join(f"{counts.get(label, 0):,} from {label}" for label in recipe.source.members)


def keys_of(benchmark: BenchmarkPaths, recipe: Recipe, site: Site) -> Keys:
    """Fingerprints of what is read of a scene (source, bands, grid), and for each period of what decides
    which scenes are chosen. Neither depends on the software's version or on who asks."""
    setting = recipe.setting(benchmark)
    asked = {label: each.asked(site.site_id, setting) for label, each in recipe.source.members.items()}
    # The first version is left out: requests of minebench 0.1.0, which had none, stay what they are.
    calibration = [recipe.profile.version] if recipe.profile.version > 1 else []
    place = " ".join(map(str, site.layout()))
    requests = {
        label: receipts.fingerprint([*one, recipe.sensor.asked(), place, *calibration])
        for label, one in asked.items()
    }
    return Keys(requests, _choices(list(asked.values()), recipe, site, _rule(recipe)))


def _choices(asked: list[list[Any]], recipe: Recipe, site: Site, rule: dict[str, Any]) -> dict[str, str]:
    """For each period the fingerprint of what decides which scenes are chosen, with what is asked of each
    source. That of one source is what it was before there were lists of them."""
    sources = asked[0] if len(asked) == 1 else asked
    return {
        period.label: receipts.fingerprint(
            [*sources, period.label, period.start, period.end, rule, site.geometry.wkt]
        )
        for period in recipe.periods.periods()
    }


def _rule(recipe: Recipe, exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """The rule of selection, with classes by number: a name and its number are one choice. What tables of
    earlier versions do not know of is left out as long as it says what they did. Scenes to exclude open the
    periods that they are in, see `_closed`."""
    rule = recipe.selection
    as_before = {
        "measure_shifts": rule.measure_shifts,
        "offset": rule.offset == "trust",
        "equally_clear": rule.equally_clear == "earliest",
    }
    given = rule.model_dump(exclude={name for name, same in as_before.items() if same})
    return {**given, "exclude": exclude, "clear_classes": rule.clear.numbers}


def _accepted(task: Task, count: int) -> dict[str, set[str]]:
    """Fingerprints of each period's choice from the first `count` sources, as this version and earlier ones
    make them: their tables stay frozen. They had the excluded scenes in them."""
    recipe, site, asked = task.recipe, task.site, _asked(task)[:count]
    rules = _rule(recipe), _rule(recipe, recipe.selection.exclude)
    by_rule = [_choices(asked, recipe, site, rule) for rule in rules]
    whole = [_choice_before(task)] if count == 1 else []
    return {label: {*(choices[label] for choices in by_rule), *whole} for label in by_rule[0]}


def _choice_before(task: Task) -> str:
    """The fingerprint of a whole site's choice as version 0.1.0 made it, from the first source."""
    recipe = task.recipe
    rule = _rule(recipe, recipe.selection.exclude)
    return receipts.fingerprint([*_asked(task)[0], recipe.periods.model_dump(), rule, task.site.geometry.wkt])


def _asked(task: Task) -> list[list[Any]]:
    """What of each source decides which pixels are read."""
    setting = task.recipe.setting(task.benchmark)
    return [each.asked(task.site.site_id, setting) for each in task.recipe.source.members.values()]


def _key(task: Task) -> str:
    return receipts.fingerprint([task.keys.request, task.keys.choices])


def _is_sound(task: Task) -> bool:
    """Whether the site's own rows are those that are listed, and all its files are whole."""
    if task.refresh or task.is_reopened or task.is_all_flawed or task.is_misnamed:
        return False
    if not (task.is_as_listed or frozen_rows(task, task.keys).is_own):
        return False
    return task.store.is_whole()


def _kept(task: Task) -> Outcome:
    if task.is_as_listed:
        return Outcome(None)
    rows = task.store.rows()
    if rows is None:
        raise WorkError(f"{task.store.folder} lost its table of scenes while it was read: run again.")
    return Outcome(rows)


def _make(task: Task, key: str) -> Outcome:
    """Read again what is frozen, and choose for the periods that are not."""
    # What measures shifts is loaded only where there is something to fetch.
    from pipeline.scenes.selector import SceneSelector

    keys = task.keys
    store = SceneStore.prepared(task.benchmark.scenes(task.site.site_id), keys.request)
    frozen = frozen_rows(task, keys)
    periods = task.recipe.periods.periods()
    traffic = Traffic()
    with counting(traffic):
        source = sources.open(task.benchmark, task.recipe)
        selector = SceneSelector(source, task.recipe, task.site, store, keys, traffic)
        settled = selector.replay(frozen.rows)
        new = [period for period in periods if period.label not in frozen.by_period]
        chosen = selector.select(new, settled) if new else []
    order = {period.label: place for place, period in enumerate(periods)}
    rows = sorted([*settled, *chosen], key=lambda row: order[row["period"]])
    table = scene_table.of_rows(rows)
    if not (table.status == Status.NOT_READ).any():
        store.finish(table, keys.request, key)
    return Outcome(table, (traffic.requests, traffic.retries, traffic.received))


def _receipt(task: Task) -> Path:
    return task.benchmark.scenes(task.site.site_id) / receipts.RECEIPT


STEP = Step("fetch", _key, _receipt, _make, _kept, _is_sound)


def frozen_rows(task: Task, keys: Keys) -> Frozen:
    """What of an earlier choice still holds, period by period: rows that were chosen from the same
    inputs. The site's own rows go before equal ones of the table of scenes, which else decides."""
    if task.refresh or task.is_all_flawed or task.is_misnamed:
        return Frozen(is_own=False)
    own, listed = (_by_period(table) for table in (task.store.rows(), task.listed.of(task.site.site_id)))
    count, exclude = len(task.recipe.source.members), set(task.recipe.selection.exclude)
    accepted, fewer = _accepted(task, count), [_accepted(task, some) for some in range(1, count)]
    found = Frozen()
    for label, choice in keys.choices.items():
        of_fewer = {choice for some in fewer for choice in some[label]}

        both = [rows.get(label, []) for rows in (own, listed)]
        # A period that lacks nothing stays as it is where sources are added to the list.
        complete = [bool(of_fewer) and not gaps.in_rows(rows, task.recipe) for rows in both]
        choices = [accepted[label] | (of_fewer if is_complete else set()) for is_complete in complete]
        mine, theirs = (_closed(rows, allowed, exclude) for rows, allowed in zip(both, choices, strict=True))
        is_own = bool(mine) and (not theirs or _same(mine, theirs))
        found.is_own &= is_own
        if rows := mine if is_own else theirs:
            found.by_period[label] = [{**row, "choice": choice} for row in rows]
    return found


def _by_period(table: pd.DataFrame | None) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows_of(table) if table is not None else []:
        found.setdefault(row["period"], []).append(row)
    return found


def _closed(rows: list[Row], choices: set[str], exclude: set[str]) -> list[Row]:
    """The rows of a period where they are a whole choice made from these inputs, else none. A chosen
    scene that could not be read again is still chosen; one that could not be read for the choice leaves
    it open."""
    is_open = any(
        (row["status"] == Status.NOT_READ and not row["selected"])
        or _is_reopened(row["scene_id"], row["selected"], row["status"], exclude)
        for row in rows
    )
    return [] if is_open or any(row["choice"] not in choices for row in rows) else rows


def _is_reopened(scene_id: str, selected: bool, status: str, exclude: set[str]) -> bool:
    """Whether a scene that was chosen is to be excluded, or one that was excluded no longer is."""
    return selected if scene_id in exclude else status == Status.EXCLUDED


def _same(own: list[Row], listed: list[Row]) -> bool:
    """Whether two tables choose the same scenes with the same pixels."""
    columns = ("scene_id", "selected", "checksum")
    return [[row[c] for c in columns] for row in own] == [[row[c] for c in columns] for row in listed]
