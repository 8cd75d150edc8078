"""recipe.yaml: everything that decides what a benchmark is, in one validated file."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from minebench import index, periods
from minebench.errors import BadRecipe, InputError
from minebench.index import Rule
from minebench.layout import BenchmarkPaths
from minebench.periods import Period
from pipeline import sources
from pipeline.core import config
from pipeline.core.config import Fraction, Month, Part
from pipeline.sensors import classes, known
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources.protocol import Options, Setting

MOST_METRES = 200_000.0
"""Of any length in a recipe: a UTM zone is some 600 km wide, and a site lies in one."""
MOST_SITES = 1_000_000
MOST_PERIODS = 1_200
"""A century of months."""


def _few_enough(found: list[Period]) -> list[Period]:
    if len(found) > MOST_PERIODS:
        raise ValueError(f"{len(found):,} periods are more than {MOST_PERIODS:,}; choose a longer unit")
    return found


class Every(Part):
    """One period a `unit` from `start` to `end`, both included: 2018, 2018-03 or 2018-03-09."""

    unit: Literal["year", "two_months", "month", "day"]
    start: str
    end: str

    @model_validator(mode="after")
    def _check(self) -> "Every":
        self.periods()
        return self

    def periods(self) -> list[Period]:
        return _few_enough(periods.every(self.unit, self.start, self.end))


class Dates(Part):
    """Periods named one by one, each 2018, 2018-03 or 2018-03-09; two make it bitemporal."""

    dates: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Dates":
        self.periods()
        return self

    def periods(self) -> list[Period]:
        return _few_enough(periods.listed(self.dates))


class Spans(Part):
    """Periods by names of one's own, each with its first and last day: for pairs whose years differ
    from site to site, such as `before: [2009-01-01, 2018-12-31]`. Spans may overlap."""

    spans: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], tuple[date, date]] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Spans":
        for name, (first, last) in self.spans.items():
            for day in (first, last):
                periods.check_year(day)
            if last < first:
                raise ValueError(f"{name} ends before it starts")
        return self

    def periods(self) -> list[Period]:
        return periods.spans(self.spans)


class Season(Part):
    """First and last month, both included, by hemisphere. A season over New Year belongs to the
    year it ends in."""

    north: tuple[Month, Month]
    south: tuple[Month, Month]

    def at(self, latitude: float) -> tuple[int, int]:
        return self.north if latitude >= 0 else self.south


class Selection(Part):
    """Which scenes make a period's image."""

    policy: Literal["least_cloudy", "composite"] = "composite"
    composite: Literal["median", "medoid"] = "median"
    season: Season | None = None
    """Months searched in each year, for periods of years; without it the whole period."""
    max_cloud: float = Field(default=80, ge=0, le=100)
    """Per cent, by the scene's metadata: a loose first filter."""
    min_clear: Fraction = 0.3
    """Of the AOI, measured, for a day to be used."""
    min_period_clear: Fraction = 0.9
    """Of the AOI with at least one clear pixel, for a period to be kept."""
    max_days: int = Field(default=12, ge=1, le=64)
    """Clearest days a composite takes."""
    clear_classes: tuple[int | str, ...] = classes.USUALLY_CLEAR
    """Classes of pixels taken as clear (`pipeline.sensors.classes` has their names); what a sensor calls
    just clear always is. For Sentinel-2 the numbers of its scene classes (SCL) may stand instead."""
    cloud_margin: int = Field(default=2, ge=0, le=50)
    """Pixels of the mask grown around every unclear one."""
    offset: Literal["trust", "skip"] = "trust"
    """Whether to believe the metadata of a Sentinel-2 scene, or not to use it, where neither they nor its
    pixels tell for sure whether it carries the offset of baseline 04.00."""
    equally_clear: Literal["earliest", "middle"] = "earliest"
    """Which of the days that are equally clear goes first, the earliest, or the one nearest to the middle of
    the season (of the period, without a season). `middle` takes days as equally clear whose clear part of the
    AOI differs by less than a per cent."""
    exclude: tuple[str, ...] = ()
    """Ids of scenes left out by hand."""
    coregister: bool = False
    """Whether measured shifts between dates are corrected."""
    measure_shifts: bool = True
    """Whether shifts between dates are measured; else `dx`, `dy` and `confidence` are empty in the table."""
    min_months_apart: int = Field(default=0, ge=0, le=1200)
    """Pairs whose images were acquired nearer in time than this are not made."""

    @model_validator(mode="after")
    def _check(self) -> "Selection":
        classes.numbers(self.clear_classes)
        if self.coregister and not self.measure_shifts:
            raise ValueError("coregister corrects measured shifts: set measure_shifts to true")
        return self

    @property
    def most_days(self) -> int:
        """Days that may go into a period's image."""
        return 1 if self.policy == "least_cloudy" else self.max_days

    @property
    def clear(self) -> ClearRule:
        """Which pixels are clear."""
        return ClearRule(classes.numbers(self.clear_classes), self.cloud_margin)


class Join(Part):
    """A second list whose attributes go to the nearest polygon."""

    file: str
    layer: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    max_distance_m: float = Field(default=5000, gt=0, le=MOST_METRES, allow_inf_nan=False)


class Filters(Part):
    """A mine is kept when every filter given lets it pass."""

    country: tuple[str, ...] = ()
    commodity: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    equipment: str | None = None
    """Text the equipment must contain, such as "Open pit"."""
    production_start: tuple[int | None, int | None] = (None, None)
    min_area_km2: float | None = None
    max_area_km2: float | None = None
    bounds: tuple[float, float, float, float] | None = None
    """West, south, east, north in degrees: the box that a mine's middle lies in."""

    @field_validator("bounds")
    @classmethod
    def _check_bounds(cls, bounds: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if bounds is not None:
            west, south, east, north = bounds
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    "bounds are west, south, east, north in degrees, the lower of each two first"
                )
        return bounds


class Sites(Part):
    """How a mine list becomes sites."""

    mines: str
    """File in the benchmark's mines/ folder, a path, or the name of a published list: maus-v1,
    maus-v2, jasansky-2023, jasansky-2024, tang-2023."""
    layer: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    """Our column (name, country, commodity, ...; for CSV also lon, lat) to the list's own."""
    geometry: Literal["footprint", "extent"] = "footprint"
    """Whether the list's polygons outline mines, or only say where to look."""
    point_radius_m: float = Field(default=1000, gt=0, le=MOST_METRES, allow_inf_nan=False)
    """Half the side of the box that a point becomes."""
    gadm: bool = False
    """Whether a mine without a geometry becomes its GADM unit, from mines/gadm/gadm41_<ISO3>.gpkg."""
    join: Join | None = None
    production: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Production type to the commodities that count as it, for mines whose list names none."""
    filters: Filters = Filters()
    per_country: dict[str, Annotated[int, Field(ge=1, le=MOST_SITES)]] = Field(default_factory=dict)
    """Country (ISO3) to how many sites, those of the largest footprints; other countries are left out."""
    group_m: float = Field(default=0, ge=0, le=MOST_METRES, allow_inf_nan=False)
    """Mines closer than this become one site, and parts of a mine that lie further apart become sites of
    their own; 0 leaves every mine as it is listed."""
    buffer_m: float = Field(default=500, ge=0, le=MOST_METRES, allow_inf_nan=False)
    square: bool = True
    min_size_m: float = Field(default=0, ge=0, le=MOST_METRES, allow_inf_nan=False)
    """Least side of the AOI."""
    overlap: Literal["once", "clip", "merge"] = "once"
    """AOIs that lie over one another. `once`: both stay whole, and statistics count the ground once, for
    the site of the larger footprints; `clip`: the other AOI ends there, and its masks are unknown beyond;
    `merge`: they become one site."""
    limit: int | None = Field(default=None, ge=1, le=MOST_SITES)
    """Only so many sites, a fixed sample: for trying a long list."""
    accept_repairs: bool = False
    """Whether a list may be used of which repairing invalid shapes changes an area by more than a tenth."""


class Labels(Part):
    """Where labels come from: the synthetic archive, files in annotations/, the imported files, or
    nowhere."""

    source: Literal["archive", "annotations", "import", "none"]
    kind: Literal["footprint", "change"] = "footprint"
    """`footprint`: a mask per date; a pair's change is where two masks differ. `change`: a mask per pair,
    drawn as such; annotations have columns t1 and t2 with the periods, and there are no footprints."""
    column: str = "year"
    """Column of the annotations with a year or a date."""
    meaning: str = "Mine footprint: pits, dumps, tailings, plants and roads of a mine, as one class."
    """What a labelled pixel is, in a sentence or two; goes into the dataset card."""


class Tiling(Part):
    """Tiles in pixels."""

    size: int = Field(ge=8, le=8192)
    stride: int | None = Field(default=None, gt=0, le=8192)
    """Default: size, so that tiles do not overlap."""
    edge: Literal["shift", "drop", "pad"] = "shift"
    """The last tile of a row ends at the edge, is left out, or goes on beyond the edge, where there is no
    data."""
    pad: bool = True
    """A scene smaller than a tile is repeated to fill it, or makes no tile; with edge `pad` it makes one that
    goes on beyond it."""
    neighbours: bool = False
    """Whether items carry the 3x3 neighbourhood of the tile, reduced to the tile's size."""
    beyond: Literal["mirror", "nodata"] = "mirror"
    """What neighbours hold beyond the site's edge: its mirror image, or 0."""

    def corners(self, shape: tuple[int, int]) -> list[tuple[int, int]]:
        """Upper left corners (y, x) of a site's tiles, row by row."""
        rows, columns = (
            index.starts(side, self.size, self.stride or self.size, self.edge, self.pad) for side in shape
        )
        return [(y0, x0) for y0 in rows for x0 in columns]


class Split(Part):
    """Fractions of the sites; close sites stay together.

    `by: tile` draws tiles, and `by: list` takes `list`, a CSV in the benchmark's mines/ with columns
    site_id (or name) and split: both can put neighbours into different splits, which is measured
    and reported (index/statistics/leakage.parquet).
    """

    by: Literal["site", "tile", "list"] = "site"
    list: str | None = None
    train: Fraction = 0.7
    val: Fraction = 0.1
    test: Fraction = 0.2
    stratify: tuple[Literal["country", "commodity", "production"], ...] = ()
    min_distance_m: float = Field(default=0, ge=0, le=MOST_METRES, allow_inf_nan=False)
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the k-fold cross-validation by site in index/folds.parquet."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    hidden: tuple[Literal["train", "val", "test"], ...] = ()
    """Splits that are published without labels, and scored where the labels are (`minebench score`)."""
    keep: bool | None = None
    """Whether sites of the published release stay in their splits, and new ones fill up what is lacking.
    If left out: as long as the rule is still the one that drew them."""

    @model_validator(mode="after")
    def _check(self) -> "Split":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("train, val and test must add up to 1")
        if (self.by == "list") != (self.list is not None):
            raise ValueError("by: list and list go together")
        return self


class Publish(Part):
    """What the catalog holds beside the cubes."""

    bands: bool = True
    """A GeoTIFF of all bands for each image, which GIS opens; about the cube's size once more."""


def _source(given: Any) -> Any:
    """The options of the source that is named, or of each in a list."""
    if isinstance(given, Options):
        return given
    if not isinstance(given, list):
        return _one_source(given)
    if not given:
        raise ValueError(f"the list is empty; name one of {', '.join(sources.names())}")
    members = []
    for place, one in enumerate(given, 1):
        try:
            members.append(_one_source(one))
        except ValueError as error:
            raise ValueError(f"source {place} of the list: {error}") from None
    if len(members) == 1:
        return members[0]
    from pipeline.sources import in_order

    names = dict.fromkeys(member.name for member in members)
    try:
        return in_order.Options(name=", ".join(names), sources=tuple(members))
    except ValidationError as error:
        raise ValueError(config.first_mistake(error, "recipe").rstrip(".")) from None


def _one_source(given: Any) -> Options:
    """The options of one source. Only its module is imported."""
    if not isinstance(given, dict) or "name" not in given:
        raise ValueError(f"name is missing; choose one of {', '.join(sources.names())}")
    if given["name"] not in sources.names():
        raise ValueError(
            f"name: there is no source '{given['name']}'; choose one of {', '.join(sources.names())}"
        )
    try:
        return sources.options_of(given["name"]).model_validate(given)
    except ValidationError as error:
        raise ValueError(config.first_mistake(error).rstrip(".")) from None


class Recipe(Part):
    """A benchmark's recipe. Every part must be there: dvc.yaml names each as a parameter."""

    title: str
    sensor: Sensor
    source: Annotated[SerializeAsAny[Options], BeforeValidator(_source)]
    periods: Every | Dates | Spans
    selection: Selection
    sites: Sites
    labels: Labels
    tiling: Tiling
    pairs: Rule
    split: Split
    citation: str
    publish: Publish = Publish()

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.labels.source == "archive" and not self.source.is_synthetic:
            raise ValueError("labels: source archive needs source: name: synthetic")
        if (self.labels.source == "import") != self.source.is_published:
            raise ValueError("labels: source import and source: name: import go together")
        try:
            profile = self.profile
        except ValueError as error:
            raise ValueError(f"sensor.profile: {error}") from None
        by_number = [c for c in self.selection.clear_classes if isinstance(c, int)]
        if by_number and not profile.name.startswith("sentinel-2"):
            raise ValueError(
                f"selection.clear_classes: {by_number[0]} is a scene class of Sentinel-2, and the sensor is "
                f"{profile.name}; name the classes, such as water"
            )
        self.source.check(self.sensor, profile, self.selection.clear)
        _check_type(self, profile)
        if profile.yearly:
            _check_yearly(self)
        if self.selection.season is not None:
            _check_season(self.periods.periods())
        return self

    @property
    def profile(self) -> Profile:
        """The sensor: as the recipe names it, or as the source has it."""
        own = self.sensor.profile
        return known.named(own) if own else self.source.profile(self.sensor)

    def setting(self, benchmark: BenchmarkPaths) -> Setting:
        """What the source is opened with."""
        return Setting(benchmark.root, benchmark.data, self.sensor, self.profile, self.selection.clear)


def _check_type(recipe: Recipe, profile: Profile) -> None:
    """ValueError where the cube's type is another sensor's, or one's numbers would be taken for another's."""
    own, dtype = recipe.source.profile(recipe.sensor), recipe.sensor.dtype
    if profile is not own and (profile.dtype or own.dtype):
        raise ValueError(
            f"sensor.profile: source {recipe.source.name} gives {own.name} here, and no {profile.name}"
        )
    if profile.dtype and dtype != profile.dtype:
        raise ValueError(f"sensor.dtype: {profile.name} takes {profile.dtype}, not {dtype}")
    if dtype == "int8" and not profile.dtype:
        raise ValueError(
            "sensor.dtype: int8 is of embeddings; take source source_coop, or with source earthengine set "
            "source.collection to theirs"
        )


def _check_season(found: list[Period]) -> None:
    """ValueError where a period is no calendar year: such a one is searched whole."""
    for period in found:
        if not period.is_year:
            raise ValueError(
                f"selection.season: a season is searched in each year, and period {period.label} is none; "
                "remove season, and name the months themselves under periods.dates"
            )


def _check_yearly(recipe: Recipe) -> None:
    """ValueError where a sensor whose images are of whole years is asked for something else."""
    for period in recipe.periods.periods():
        if not period.is_year:
            raise ValueError(
                f"periods: {period.label} is no year, and each of these images is of a whole year"
            )
    if recipe.selection.season is not None:
        raise ValueError("selection.season: an image of a whole year has no season; remove it")
    if recipe.selection.measure_shifts:
        raise ValueError("selection.measure_shifts: nothing shifts between these images; set it to false")


def load(path: Path) -> Recipe:
    """Read and check a recipe. InputError names the file and the first wrong field."""
    if not Path(path).is_file():
        raise BadRecipe(f"There is no recipe at {path}.")
    try:
        content = config.read(path)
    except InputError as error:
        raise BadRecipe(str(error)) from None
    if not isinstance(content, dict):
        raise BadRecipe(f"{path} must be a mapping of fields such as title, sensor and source.")
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise BadRecipe(f"{path}: {config.first_mistake(error, 'recipe')}") from None
