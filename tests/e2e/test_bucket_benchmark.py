"""A site in the Copernicus Data Space's form, from a STAC API and a private bucket, by the command line."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import contents, run
from tests.e2e.test_earthengine import assert_same_cubes, scenes
from tests.e2e.test_stac_benchmark import BETA, scenes_of, stac_project
from tests.pipeline.sources.test_stac_api import Item, api, planetary_computer
from tests.standins import archive
from tests.standins.base import running
from tests.standins.s3 import KEY, SECRET, TOKEN


def copernicus(item: Item) -> Item:
    """Assets by band and pixel, in a bucket; the baseline where the processing extension has it."""
    made = planetary_computer(item, "s3://eodata")
    own = made["properties"]
    own["processing:version"] = own.pop("s2:processing_baseline")
    assets = {}
    for band, asset in made["assets"].items():
        size = round(asset["proj:transform"][0])
        href = asset["href"].replace("/signed/", "/")
        assets[f"{band}_{size}m"] = {**asset, "href": href, "auth:refs": ["s3"]}
    return {**made, "assets": assets}


def test_a_site_from_a_private_bucket(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL_S3", "S3_ENDPOINT", "NO_SIGN_REQUEST"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    own = built / "data" / "tiny" / "archive"
    shutil.copytree(own / BETA, tmp_path / "buckets" / "eodata" / BETA)
    items = [copernicus(item) for item in archive.items(own) if BETA in str(item["assets"])]
    with running("s3", str(tmp_path / "buckets")) as bucket, api(tmp_path, items) as href:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
        project = stac_project(tmp_path / "p", built, href)
        locked = run("fetch", cwd=project)
        assert locked.returncode != 0
        assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment" in locked.stderr
        for name, value in {
            "ACCESS_KEY_ID": KEY,
            "SECRET_ACCESS_KEY": SECRET,
            "SESSION_TOKEN": TOKEN,
        }.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        for words in (("fetch", "--refresh"), ("compose",)):
            done = run(*words, cwd=project)
            assert done.returncode == 0, done.stderr
    assert scenes(project).checksum.tolist() == scenes_of(BETA, built).checksum.tolist()
    assert_same_cubes(project, built, [BETA])
    secrets = [word.encode() for word in (KEY, SECRET, TOKEN, "X-Amz-Signature")]
    written = {**contents(project / "data"), **contents(project / "catalogs")}
    assert f"tiny/scenes/{BETA}/SHA256SUMS" in written
    assert not [path for path, content in written.items() if any(word in content for word in secrets)]
