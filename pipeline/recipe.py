"""recipe.yaml: everything that decides what a benchmark is, in one validated file."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.core import periods
from pipeline.core.errors import InputError
from pipeline.core.periods import Period

Month = Annotated[int, Field(ge=1, le=12)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of the recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sensor(Part):
    """What a pixel holds. `resolution` in metres; `dtype` uint8 makes the cube's array `image`."""

    bands: tuple[str, ...] = Field(min_length=1)
    resolution: float = Field(gt=0)
    dtype: Literal["uint16", "uint8"] = "uint16"
    rgb: tuple[str, str, str]
    """Bands shown as red, green and blue."""
    snap: float | None = None
    """AOI corners lie on multiples of this, metres; the sensor's coarsest band. Default: resolution."""

    @model_validator(mode="after")
    def _check(self) -> "Sensor":
        if missing := set(self.rgb) - set(self.bands):
            raise ValueError(f"rgb names {', '.join(sorted(missing))}, which bands does not list")
        if len(set(self.bands)) != len(self.bands):
            raise ValueError("bands lists a band twice")
        if self.snap is not None and (self.snap / self.resolution) % 1:
            raise ValueError("snap must be a multiple of resolution")
        return self


class Synthetic(Part):
    """The synthetic archive, made by `minebench archive` for the recipe's sites."""

    name: Literal["synthetic"]
    seed: int = 0
    scenes_per_period: int = Field(default=6, ge=1, le=73)


class Remote(Part):
    """What all sources on the web have."""

    parallel: int = Field(default=20, ge=1, le=100)
    """Requests to one host at a time."""


class Stac(Remote):
    """A STAC API or a static catalog of Sentinel-2 like items."""

    name: Literal["stac"]
    href: str
    collections: tuple[str, ...] = ()
    assets: dict[str, str] = {}
    """Band name to asset key, where they differ."""
    mask: str = "scl"
    """Asset with the scene classification."""
    sign: str | None = None
    """Token service that signs the assets' addresses; Planetary Computer's own is known."""


class EarthEngine(Remote):
    """A Google Earth Engine image collection: Sentinel-2, or any other with a band mapping."""

    name: Literal["earthengine"]
    collection: str = "COPERNICUS/S2_SR_HARMONIZED"
    bands: dict[str, str] = {}
    """Band name to the collection's own; Sentinel-2's are known (B02 is B2 there)."""
    cloud: Literal["scl", "cloud_score_plus", "none"] = "scl"
    """What tells clear from cloudy; `none`: every pixel with data is clear, as in aerial images."""
    cloud_score: Fraction = 0.6
    """Cloud Score+ (cs_cdf) from which a pixel is clear."""
    level1c: Literal["never", "where_no_l2a", "always"] = "never"
    """Whether a period without any Level-2A scene takes Level-1C ones (top of atmosphere)."""
    composite: Literal["here", "server"] = "here"
    """`server` asks for finished medians (fewer bytes, near but not equal numbers)."""
    project: str | None = None
    """Cloud project; default: EARTHENGINE_PROJECT, GOOGLE_CLOUD_PROJECT, or the credentials' own."""
    service_account_key: Path | None = None
    """JSON key file; default: what `earthengine authenticate` or gcloud stored."""
    url: str = "https://earthengine-highvolume.googleapis.com"
    parallel: int = Field(default=40, ge=1, le=100)

    @model_validator(mode="after")
    def _check(self) -> "EarthEngine":
        if self.level1c != "never" and self.cloud != "cloud_score_plus":
            raise ValueError("level1c needs cloud: cloud_score_plus, because Level-1C has no scene classes")
        if self.level1c != "never" and self.composite == "server":
            raise ValueError("level1c and composite: server do not go together")
        return self


class Xyz(Remote):
    """Web-mercator tiles in dated releases, RGB. A release's date is not the day of its images."""

    name: Literal["xyz"]
    template: str
    """Address with {z}, {x}, {y}, {release} and, for a key from the environment, {key}."""
    releases: dict[str, str] = Field(min_length=1)
    """Date (YYYY-MM-DD) to the release's name in the address."""
    zoom: int = Field(ge=0, le=23)
    attribution: str
    terms: str
    """Address of the terms of use."""
    key_from: str | None = None
    """Environment variable with the key."""
    per_second: float = Field(default=10, gt=0)
    """Most requests a second."""
    parallel: int = Field(default=4, ge=1, le=16)

    @model_validator(mode="after")
    def _check(self) -> "Xyz":
        for place in ("{z}", "{x}", "{y}"):
            if place not in self.template:
                raise ValueError(f"template lacks {place}")
        if ("{key}" in self.template) != (self.key_from is not None):
            raise ValueError("key_from and {key} in template go together")
        if not self.template.startswith(("https://", "http://")):
            raise ValueError("template must be an http(s) address")
        for day in self.releases:
            date.fromisoformat(day)
        return self


class Local(Part):
    """A folder of dated GeoTIFFs. Dates come from `pattern`, a regular expression on the file name
    with a group `date` (YYYY, YYYYMMDD or YYYY-MM-DD), or from `dates`."""

    name: Literal["local"]
    path: Path
    pattern: str | None = None
    dates: Path | None = None
    """CSV with columns file and date, and if need be nodata, a line a file."""
    bands: dict[str, Annotated[int, Field(ge=1)]]
    """Band name to 1-based band number in the file."""
    nodata: float | None = None
    """Overrides the files' own nodata value."""

    @model_validator(mode="after")
    def _check(self) -> "Local":
        if (self.pattern is None) == (self.dates is None):
            raise ValueError("give either pattern or dates")
        return self


class Import(Part):
    """Files that somebody published, as `minebench ingest` found them. Their pixels are taken as they
    are: nothing is searched, chosen or resampled."""

    name: Literal["import"]
    layout: Literal["minenetcd256", "oms2cd", "euromine"]
    path: Path


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
        return periods.every(self.unit, self.start, self.end)


class Dates(Part):
    """Periods named one by one, each 2018, 2018-03 or 2018-03-09; two make it bitemporal."""

    dates: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Dates":
        self.periods()
        return self

    def periods(self) -> list[Period]:
        return periods.listed(self.dates)


class Spans(Part):
    """Periods by names of one's own, each with its first and last day: for pairs whose years differ
    from site to site, such as `before: [2009-01-01, 2018-12-31]`. Spans may overlap."""

    spans: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], tuple[date, date]] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Spans":
        for name, (first, last) in self.spans.items():
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
    """Months searched in each year; without it the whole period."""
    max_cloud: float = Field(default=80, ge=0, le=100)
    """Per cent, by the scene's metadata: a loose first filter."""
    min_clear: Fraction = 0.3
    """Of the AOI, measured, for a day to be used."""
    min_period_clear: Fraction = 0.9
    """Of the AOI with at least one clear pixel, for a period to be kept."""
    max_days: int = Field(default=12, ge=1, le=64)
    """Clearest days a composite takes."""
    clear_classes: tuple[int, ...] = (4, 5, 6, 7)
    """Scene classes (SCL) taken as clear: vegetation, bare, water, unclassified."""
    cloud_margin: int = Field(default=2, ge=0, le=50)
    """Pixels of the mask grown around every unclear one."""
    exclude: tuple[str, ...] = ()
    """Ids of scenes left out by hand."""
    coregister: bool = False
    """Whether measured shifts between dates are corrected; they are measured in any case."""
    min_months_apart: int = Field(default=0, ge=0)
    """Pairs whose images were acquired nearer in time than this are not made."""


class Join(Part):
    """A second list whose attributes go to the nearest polygon."""

    file: str
    layer: str | None = None
    columns: dict[str, str] = {}
    max_distance_m: float = Field(default=5000, gt=0)


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


class Sites(Part):
    """How a mine list becomes sites."""

    mines: str
    """File in the benchmark's mines/ folder, a path, or the name of a published list: maus-v1,
    maus-v2, jasansky-2023, jasansky-2024, tang-2023."""
    layer: str | None = None
    columns: dict[str, str] = {}
    """Our column (name, country, commodity, ...; for CSV also lon, lat) to the list's own."""
    geometry: Literal["footprint", "extent"] = "footprint"
    """Whether the list's polygons outline mines, or only say where to look."""
    point_radius_m: float = Field(default=1000, gt=0)
    """Half the side of the box that a point becomes."""
    gadm: bool = False
    """Whether a mine without a geometry becomes its GADM unit, from mines/gadm/gadm41_<ISO3>.gpkg."""
    join: Join | None = None
    production: dict[str, tuple[str, ...]] = {}
    """Production type to the commodities that count as it, for mines whose list names none."""
    filters: Filters = Filters()
    per_country: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Country (ISO3) to how many sites, those of the largest footprints; other countries are left out."""
    group_m: float = Field(default=0, ge=0)
    """Mines closer than this become one site."""
    buffer_m: float = Field(default=500, ge=0)
    square: bool = True
    min_size_m: float = Field(default=0, ge=0)
    """Least side of the AOI."""
    limit: int | None = Field(default=None, ge=1)
    """Only so many sites, a fixed sample: for trying a long list."""


class Labels(Part):
    """Where labels come from: the synthetic archive, files in annotations/, the imported files, or
    nowhere."""

    source: Literal["archive", "annotations", "import", "none"]
    kind: Literal["footprint", "change"] = "footprint"
    """`footprint`: a mask a date; a pair's change is where two masks differ. `change`: a mask a pair,
    drawn as such; annotations have columns t1 and t2 with the periods, and there are no footprints."""
    column: str = "year"
    """Column of the annotations with a year or a date."""
    meaning: str = "Mine footprint: pits, dumps, tailings, plants and roads of a mine, as one class."
    """What a labelled pixel is, in a sentence or two; goes into the dataset card."""


class Tiling(Part):
    """Tiles in pixels."""

    size: int = Field(gt=0)
    stride: int | None = Field(default=None, gt=0)
    """Default: size, so that tiles do not overlap."""
    edge: Literal["shift", "drop"] = "shift"
    """The last tile of a row ends at the edge, or is left out."""
    pad: bool = True
    """A scene smaller than a tile is repeated to fill it, or makes no tile."""
    neighbours: bool = False
    """Whether items carry the 3x3 neighbourhood of the tile, reduced to the tile's size."""
    beyond: Literal["mirror", "nodata"] = "mirror"
    """What neighbours hold beyond the site's edge: its mirror image, or 0."""


class Split(Part):
    """Fractions of the sites; close sites stay together.

    `by: tile` draws tiles, and `by: list` takes `list`, a CSV in the benchmark's mines/ with columns
    site_id (or name) and split: both can put neighbours into different splits, which is measured
    and said (index/statistics/leakage.parquet).
    """

    by: Literal["site", "tile", "list"] = "site"
    list: str | None = None
    train: Fraction = 0.7
    val: Fraction = 0.1
    test: Fraction = 0.2
    stratify: tuple[Literal["country", "commodity", "production"], ...] = ()
    min_distance_m: float = Field(default=0, ge=0)
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the k-fold cross-validation by site in index/folds.parquet."""
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> "Split":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("train, val and test must add up to 1")
        if (self.by == "list") != (self.list is not None):
            raise ValueError("by: list and list go together")
        return self


class Recipe(Part):
    """A benchmark's recipe. Every part must be there: dvc.yaml names each as a parameter."""

    title: str
    sensor: Sensor
    source: Annotated[Synthetic | Stac | EarthEngine | Xyz | Local | Import, Field(discriminator="name")]
    periods: Every | Dates | Spans
    selection: Selection
    sites: Sites
    labels: Labels
    tiling: Tiling
    pairs: Literal["all", "consecutive", "first_last"] | tuple[tuple[str, str], ...]
    split: Split
    citation: str

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.labels.source == "archive" and self.source.name != "synthetic":
            raise ValueError("labels: source archive needs source: name: synthetic")
        if (self.labels.source == "import") != (self.source.name == "import"):
            raise ValueError("labels: source import and source: name: import go together")
        return self


def load(path: Path) -> Recipe:
    """Read and check a recipe. InputError names the file and the first wrong field."""
    try:
        content: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no recipe at {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        where = f" line {error.problem_mark.line + 1}" if hasattr(error, "problem_mark") else ""
        raise InputError(f"{path}{where} is not valid YAML: check indentation and quotes.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must be a mapping of fields such as title, sensor and source.")
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first mistake as 'field: what is wrong.', and how many more there are."""
    mistakes = error.errors()
    mistake = mistakes[0]
    field = ".".join(str(step) for step in mistake["loc"]) or "recipe"
    reason = mistake["msg"].removeprefix("Value error, ").rstrip(".")
    if mistake["type"] == "extra_forbidden":
        reason = "no such field; remove it or mend its spelling"
    elif mistake["type"] == "missing":
        reason = "missing; add it"
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{field}: {reason}{more}."
