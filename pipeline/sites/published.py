"""Published mine lists by name: where they are, under which licence, and how they are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """A list on its publisher's server. `file` is the name of the download (empty: what the record
    has of `member`'s kind), `member` the end of the list's own name in it."""

    page: str
    url: str
    file: str
    licence: str
    citation: str
    member: str = ""
    layer: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    record: str = ""
    """Zenodo's description of the record, with its files and checksums."""
    by_hand: str = ""
    """Why it cannot be fetched by the program."""


LISTS = {
    "maus-v1": Published(
        page="https://doi.org/10.1594/PANGAEA.910894",
        url="https://download.pangaea.de/dataset/910894/files/global_mining_polygons_v1.gpkg",
        file="global_mining_polygons_v1.gpkg",
        licence="CC-BY-SA-4.0",
        citation="Maus et al. (2020): Global-scale mining polygons, version 1. PANGAEA.",
        columns={"country": "ISO3_CODE"},
    ),
    "maus-v2": Published(
        page="https://doi.org/10.1594/PANGAEA.942325",
        url="https://download.pangaea.de/dataset/942325/files/global_mining_polygons_v2.gpkg",
        file="global_mining_polygons_v2.gpkg",
        licence="CC-BY-SA-4.0",
        citation="Maus et al. (2022): Global-scale mining polygons, version 2. PANGAEA.",
        columns={"country": "ISO3_CODE"},
    ),
    "jasansky-2023": Published(
        page="https://doi.org/10.5281/zenodo.7369478",
        url="https://zenodo.org/records/7369478/files/open_database_mine_production.zip",
        record="https://zenodo.org/api/records/7369478",
        file="open_database_mine_production.zip",
        member="facilities.gpkg",
        licence="CC-BY-4.0",
        citation="Jasansky et al. (2023): An open database on global coal and metal mine production. "
        "Scientific Data 10, 52.",
        columns={"name": "facility_name", "country": "GID_0", "commodity": "primary_commodity",
                 "status": "activity_status", "equipment": "facility_equipment",
                 "production_start": "production_start"},
    ),
    "jasansky-2024": Published(
        page="https://doi.org/10.5281/zenodo.14195737",
        url="",
        record="https://zenodo.org/api/records/14195737",
        file="",
        member=".gpkg",
        layer="preferred_polygons",
        licence="CC-BY-SA-4.0",
        citation="Jasansky et al. (2024): Global ML-ready dataset for mining areas in satellite images. "
        "Zenodo.",
    ),
    "tang-2023": Published(
        page="https://doi.org/10.5281/zenodo.6806817",
        url="",
        file="74548_projected.shp",
        licence="CC-BY-4.0",
        citation="Tang and Werner (2023): Global mining footprint mapped from high-resolution satellite "
        "imagery. Communications Earth & Environment 4, 134.",
        by_hand="it is a RAR archive: unpack '74548 mine polygons' from it",
    ),
}  # fmt: skip
