"""s3:// addresses: where they are on the web, and how requests to them are signed.

Keys come from the environment alone, under the names that AWS's own tools read, and go into the address of a
request just before it is sent (`pipeline.core.web`); nothing else ever holds them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from pipeline.core import web
from pipeline.core.errors import WorkError
from pipeline.geo.remote import Signer, Unsigned

SCHEME = "s3://"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN = "AWS_SESSION_TOKEN"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
EXPIRES_S = 300
"""How long a signed address is good for; each try of a request is signed anew."""
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
REGION = re.compile(r"[a-z0-9-]{1,40}")
WRONG = frozenset({301, 307, 400, 401, 403})
"""Statuses of an answer to wrong keys, another region, or a reader who does not pay."""


@dataclass(frozen=True)
class Bucket:
    """What is publicly known of a bucket: where it is, and what it asks of its readers."""

    region: str
    endpoint: str = ""
    is_public: bool = False
    readers_pay: bool = False
    keys: str = "keys of an AWS account"


KNOWN = {
    "eodata": Bucket("default", "https://eodata.dataspace.copernicus.eu",
                     keys="the S3 keys of a Copernicus Data Space account"),
    "usgs-landsat": Bucket("us-west-2", readers_pay=True),
    "naip-analytic": Bucket("us-west-2", readers_pay=True),
    "sentinel-s2-l1c": Bucket("eu-central-1", readers_pay=True),
    "sentinel-s2-l2a": Bucket("eu-central-1", readers_pay=True),
    "sentinel-cogs": Bucket("us-west-2", is_public=True),
    "e84-earth-search-sentinel-data": Bucket("us-west-2", is_public=True),
    "us-west-2.opendata.source.coop": Bucket("us-west-2", is_public=True),
    "deafrica-sentinel-2": Bucket("af-south-1", is_public=True),
}  # fmt: skip
"""Buckets of the catalogues in docs/sources.md."""


class BucketOptions(Protocol):
    """What a recipe's source says of the buckets that it reads."""

    @property
    def s3_endpoint(self) -> str | None: ...

    @property
    def s3_region(self) -> str | None: ...

    @property
    def requester_pays(self) -> bool: ...

    @property
    def no_sign_request(self) -> bool: ...


class Buckets:
    """How a recipe's source reads s3:// addresses."""

    def __init__(self, options: BucketOptions) -> None:
        self.options = options

    def flaw(self, href: str, storage: Mapping[str, Any]) -> str:
        """Return what must be set before an address can be read; empty where nothing is missing.

        `storage` is what the item says by the storage extension: region, requester_pays.
        """
        bucket, key = _parts(href)
        if not BUCKET.fullmatch(bucket) or not key:
            return "names no file in a bucket (s3)"
        known = KNOWN.get(bucket)
        if self._is_unsigned(bucket):
            return ""
        pays = storage.get("requester_pays") is True or (known is not None and known.readers_pay)
        if pays and not self._pays():
            return (
                f"is in bucket {bucket}, whose readers pay AWS for what they read: set source.requester_pays "
                f"to true if you want to, and {_both()}"
            )
        if all(os.environ.get(name) for name in KEYS):
            return ""
        if known:
            return f"is in bucket {bucket}, which needs {known.keys}: set {_both()}"
        return f"is in bucket {bucket}: set {_both()}, or source.no_sign_request if the bucket is public"

    def address(self, href: str, region: str) -> str:
        """Return where an s3:// address is on the web, without any credential."""
        bucket, key = _parts(href)
        path = quote(key, safe="/~")
        if endpoint := self._endpoint(bucket):
            return f"{endpoint.rstrip('/')}/{bucket}/{path}"
        host = f"s3.{self._region(bucket, region)}.amazonaws.com"
        # A certificate for *.s3... does not cover names with dots.
        return f"https://{host}/{bucket}/{path}" if "." in bucket else f"https://{bucket}.{host}/{path}"

    def signer(self, href: str, region: str) -> Signer:
        """Return what signs requests for an address; nothing is added where its bucket is public."""
        bucket, _ = _parts(href)
        if self._is_unsigned(bucket):
            return Unsigned()
        return KeySigner(self._region(bucket, region), self._pays())

    @contextmanager
    def explained(self, href: str, region: str) -> Iterator[None]:
        """Say what may be wrong where an s3:// address is refused."""
        try:
            yield
        except web.Refused as error:
            if not href.startswith(SCHEME) or error.status not in WRONG:
                raise
            bucket, _ = _parts(href)
            if self._is_unsigned(bucket):
                advice = "its bucket may not be public: remove no_sign_request and set " + _both()
            else:
                advice = f"check {KEYS[0]}, {KEYS[1]}{'' if self._pays() else ', source.requester_pays'}"
                advice += f" and source.s3_region ({self._region(bucket, region)})"
            where = web.host(self.address(href, region))
            raise WorkError(f"{href} was refused by {where} with HTTP {error.status}: {advice}.") from None

    def _is_unsigned(self, bucket: str) -> bool:
        if self.options.no_sign_request or _is_yes("AWS_NO_SIGN_REQUEST"):
            return True
        known = KNOWN.get(bucket)
        return known is not None and known.is_public and not self._named_endpoint()

    def _pays(self) -> bool:
        return self.options.requester_pays or os.environ.get("AWS_REQUEST_PAYER", "") == "requester"

    def _named_endpoint(self) -> str:
        """The endpoint of the recipe or of the environment."""
        return self.options.s3_endpoint or next((e for n in ENDPOINTS if (e := os.environ.get(n))), "")

    def _endpoint(self, bucket: str) -> str:
        """The address of the service that has a bucket; empty for AWS's own."""
        named = self._named_endpoint() or (KNOWN[bucket].endpoint if bucket in KNOWN else "")
        return f"https://{named}" if named and "://" not in named else named

    def _region(self, bucket: str, region: str) -> str:
        """Recipe, item, what is known, environment. An item's word must not lead to another host."""
        known = KNOWN[bucket].region if bucket in KNOWN else ""
        said = [self.options.s3_region, region, known, *(os.environ.get(name) for name in REGIONS)]
        return next((one for one in said if one and REGION.fullmatch(one)), "us-east-1")


class KeySigner:
    """See `pipeline.geo.remote.Signer`. Signature version 4 in the address, with the environment's keys."""

    def __init__(self, region: str, pays: bool) -> None:
        self.region, self.pays = region, pays

    def __call__(self, url: str) -> str:
        # Here and not above: only who reads s3:// addresses needs it.
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        key, secret = (os.environ.get(name, "") for name in KEYS)
        keys = Credentials(key, secret, os.environ.get(TOKEN) or None)
        asked = f"{url}?x-amz-request-payer=requester" if self.pays else url
        request = AWSRequest("GET", asked)
        S3SigV4QueryAuth(keys, "s3", self.region, expires=EXPIRES_S).add_auth(request)
        return str(request.url)

    def renew(self) -> bool:
        # Every signature is new, and of the same keys.
        return False

    def accept(self) -> None:
        pass


def _parts(href: str) -> tuple[str, str]:
    """The bucket and the key of an s3:// address."""
    bucket, _, key = href.removeprefix(SCHEME).partition("/")
    return bucket, key


def _both() -> str:
    return f"{KEYS[0]} and {KEYS[1]} in the environment"


def _is_yes(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"yes", "true", "1"}
