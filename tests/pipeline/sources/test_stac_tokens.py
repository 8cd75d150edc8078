"""Tokens for signed addresses: how often they are asked for, when they are renewed, and who is sent what."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minebench.errors import InputError, Unusable, WorkError
from pipeline.geo.remote import Opener, Signer
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac import signing
from pipeline.web import client
from tests.standins.base import Running, running

SIZE = 1000
AZURE = "https://made.blob.core.windows.net"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.tif").write_bytes(bytes(SIZE))
    with running("cogs", str(folder)) as standin:
        yield standin


@pytest.fixture(autouse=True)
def fresh(files: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_signers", {})
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.01)
    files.set()


def signer(files: Running, collection: str = "sentinel-2-l2a") -> Signer:
    """What a site's source would get, opened anew."""
    return signing.signer(Stac(name="stac", href=f"{files.url}/", sign=f"{files.url}/token"), collection)


def read(files: Running, found: Signer) -> int:
    """Read a signed file; the first bytes' number."""
    opener = Opener(f"{files.url}/signed/a.tif", found, 20)
    try:
        return len(opener.start()[0])
    except OSError:
        assert opener.error is not None
        raise opener.error from None


def tokens(files: Running) -> int:
    return sum("/token/" in str(entry[1]) for entry in files.asked())


def test_a_token_is_asked_for_once_in_a_process(files: Running) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: read(files, signer(files)), range(40))) == {SIZE}
    assert tokens(files) == 1
    read(files, signer(files, "landsat-c2-l2"))
    assert tokens(files) == 2, "one for each collection"


def test_a_token_is_renewed_before_it_runs_out(files: Running) -> None:
    found = signer(files)
    read(files, found)
    assert isinstance(found, signing.TokenSigner)
    found.until = datetime.now(UTC) + timedelta(minutes=4)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: read(files, found), range(16)))
    assert tokens(files) == 2


def test_threads_that_are_refused_together_renew_once(files: Running) -> None:
    found = signer(files)
    read(files, found)
    files.set({"kind": "status", "status": 403, "match": "/signed", "times": 8}, latency=0.05)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: read(files, found), range(8))) == {SIZE}
    assert tokens(files) == 1


def test_three_refusals_in_a_row_are_the_end(files: Running) -> None:
    files.set({"kind": "status", "status": 403, "match": "/signed"})
    says = r"files of sentinel-2-l2a were refused with 3 tokens of http://.*/token in a row: source\.sign"
    with pytest.raises(WorkError, match=says):
        read(files, signer(files))
    asked = len(files.asked())
    assert (asked, tokens(files)) == (6, 3)
    with pytest.raises(WorkError, match=says):
        read(files, signer(files))
    assert (len(files.asked()), tokens(files)) == (asked + 1, 3), "no more tokens for what is refused"
    files.set()
    assert read(files, signer(files)) == SIZE


def test_a_file_that_is_refused_does_not_stop_others(files: Running) -> None:
    found = signer(files)
    for _ in range(4):
        files.set({"kind": "status", "status": 403, "match": "/signed", "times": 2})
        assert read(files, found) == SIZE


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, r"/token has no token for sentinel-2-l2a \(HTTP 404\); correct source.sign"),
        (429, "There is no token for sentinel-2-l2a: .* failed 7 times: HTTP 429"),
    ],
)
def test_a_token_service_that_refuses(files: Running, status: int, says: str) -> None:
    files.set({"kind": "status", "status": status, "match": "/token"}, latency=0.02)
    found = signer(files)

    def failure(_: int) -> str:
        with pytest.raises(WorkError, match=says) as caught:
            read(files, found)
        assert not isinstance(caught.value, Unusable), "the scene would be left out for good"
        return str(caught.value)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(failure, range(6)))) == 1
    assert len(files.asked()) <= client.ATTEMPTS, "each thread asks anew what has just failed"


def test_no_token_in_the_answer(files: Running) -> None:
    files.set({"kind": "status", "status": 200, "match": "/token", "body": '{"token": "x"}'})
    with pytest.raises(WorkError, match=r"answers without token and msft:expiry; correct source.sign"):
        read(files, signer(files))


@pytest.mark.parametrize(
    "expiry", ["2099-01-01T00:00:00Z", "2099-01-01T00:00:00.1234567Z", "2099-01-01T00:00:00"]
)
def test_forms_of_expiry(files: Running, expiry: str) -> None:
    token = json.dumps({"msft:expiry": expiry, "token": "se=2099&sig=made"})
    files.set({"kind": "status", "status": 200, "match": "/token", "body": token})
    assert signer(files)(f"{AZURE}/b.tif") == f"{AZURE}/b.tif?se=2099&sig=made"


def keys(files: Running) -> list[list[str]]:
    with urllib.request.urlopen(f"{files.url}/keys") as answer:
        found: list[list[str]] = json.load(answer)
        return found


def test_the_subscription_key_goes_to_its_token_service_alone(
    files: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "verysecretkey")
    read(files, signer(files))
    assert keys(files) == [], "source.sign of a recipe is sent the user's key"
    monkeypatch.setitem(signing.KNOWN, "127.0.0.1", f"{files.url}/token")
    signer(files, "landsat-c2-l2")(AZURE)
    assert keys(files) == [["/token/landsat-c2-l2", "verysecretkey"]]
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "wrong")
    with pytest.raises(
        WorkError, match=r"refuses the key in PC_SDK_SUBSCRIPTION_KEY \(HTTP 401\): correct or"
    ):
        signer(files, "naip")(AZURE)


LOCAL = "http://127.0.0.1:1"
STRANGERS = {
    "another host": "https://evil.example/x.tif",
    "by http": "http://made.blob.core.windows.net/x.tif",
    "another port": "https://made.blob.core.windows.net:8443/x.tif",
    "a name that only begins so": "https://made.blob.core.windows.net.evil.example/x.tif",
    "a name without a dot before": "https://evilblob.core.windows.net/x.tif",
    "a user": "https://made.blob.core.windows.net@evil.example/x.tif",
    "two readings": "https://evil.example\\@made.blob.core.windows.net/x.tif",
    "another name of this machine": "http://localhost:1/x.tif",
    "a host of the recipe by http": "http://files.example/x.tif",
    "no address": "https://[::1/x.tif",
}


def signed(url: str, service: str = f"{LOCAL}/token", **options: Any) -> bool:
    """Whether an address gets the token."""
    found = signing.signer(Stac(name="stac", href=f"{LOCAL}/", sign=service, **options), "made")
    assert isinstance(found, signing.TokenSigner)
    found.token, found.until = "sig=made", datetime.max.replace(tzinfo=UTC)
    return "sig=made" in found(url)


@pytest.mark.parametrize("name", STRANGERS)
def test_a_token_goes_to_nobody_else(name: str) -> None:
    assert not signed(STRANGERS[name], sign_hosts=["files.example"])


def test_whom_a_token_goes_to() -> None:
    assert signed(f"{AZURE}/x.tif")
    assert signed(f"{AZURE.upper().replace('HTTPS', 'https')}:443/x.tif")
    assert signed(f"{LOCAL}/x.tif"), "the recipe's own service, on this machine"
    assert signed("https://files.example/x.tif", sign_hosts=["files.example"])
    assert not signed("https://files.example/x.tif")


def test_planetary_computers_tokens_are_for_azure_alone() -> None:
    service = next(iter(signing.KNOWN.values()))
    assert signed(f"{AZURE}/x.tif", service)
    assert not signed(f"{LOCAL}/x.tif", service, sign_hosts=["127.0.0.1"])


def test_a_file_without_a_token_that_is_refused_says_so(files: Running) -> None:
    stranger = files.url.replace("127.0.0.1", "localhost")
    opener = Opener(f"{stranger}/signed/a.tif", signer(files), 20)
    with pytest.raises(OSError, match=r"localhost:\d+ refused a file of sentinel-2-l2a, and the tokens of"):
        opener.start()
    assert tokens(files) == 0, "a token for nobody"


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"source\.sign_hosts: a b/c is no host"):
        signed(AZURE, sign_hosts=["a b/c"])
