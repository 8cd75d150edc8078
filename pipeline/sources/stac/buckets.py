"""Turn s3:// addresses into https addresses, and sign the requests to them.

Keys come only from the environment, under the names that AWS's own tools use. They enter the address of a
request just before it is sent (`pipeline.web.client`) and are stored nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from minebench.errors import WorkError
from pipeline.geo.remote import Signer, Unsigned
from pipeline.web import client

SCHEME = "s3://"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN = "AWS_SESSION_TOKEN"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
EXPIRES_S = 300
"""Seconds for which a signed address is valid; each attempt of a request is signed again."""
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
REGION = re.compile(r"[a-z0-9-]{1,40}")
WRONG = frozenset({301, 307, 400, 401, 403})
"""HTTP statuses for wrong keys, a wrong region, or a reader who does not agree to pay."""


@dataclass(frozen=True)
class Bucket:
    """What is publicly known of a bucket: where it is, and what it requires of its readers.

    `endpoint` is empty for AWS; `keys` says which keys it takes, for messages.
    """

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
"""Buckets of the catalogues in docs/sources.md, by name."""


class BucketOptions(Protocol):
    """The options of a recipe's source that concern buckets."""

    @property
    def s3_endpoint(self) -> str | None: ...

    @property
    def s3_region(self) -> str | None: ...

    @property
    def requester_pays(self) -> bool: ...

    @property
    def no_sign_request(self) -> bool: ...


class Buckets:
    """Where a recipe's source finds s3:// addresses, and how it signs requests to them."""

    def __init__(self, options: BucketOptions) -> None:
        self.options = options

    def flaw(self, href: str, storage: Mapping[str, Any]) -> str:
        """Return what must be set before an address can be read; empty if nothing is missing.

        `storage` has what the item says by the storage extension: region, requester_pays.
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
                f"to true if you agree to pay, and {_both_keys()}"
            )
        if all(os.environ.get(name) for name in KEYS):
            return ""
        if known:
            return f"is in bucket {bucket}, which needs {known.keys}: set {_both_keys()}"
        return f"is in bucket {bucket}: set {_both_keys()}, or source.no_sign_request if the bucket is public"

    def address(self, href: str, region: str) -> str:
        """Return the web address of an s3:// address, without credentials; `region` is the item's, if any."""
        bucket, key = _parts(href)
        path = quote(key, safe="/~")
        if endpoint := self._endpoint(bucket):
            return f"{endpoint.rstrip('/')}/{bucket}/{path}"
        host = f"s3.{self._region(bucket, region)}.amazonaws.com"
        # The certificate for *.s3.<region>.amazonaws.com does not cover bucket names with dots.
        return f"https://{host}/{bucket}/{path}" if "." in bucket else f"https://{bucket}.{host}/{path}"

    def signer(self, href: str, region: str) -> Signer:
        """Return the signer of requests for an address; for a public bucket it adds nothing."""
        bucket, _ = _parts(href)
        if self._is_unsigned(bucket):
            return Unsigned()
        return KeySigner(self._region(bucket, region), self._pays())

    @contextmanager
    def explained(self, href: str, region: str) -> Iterator[None]:
        """Within it, turn the refusal of an s3:// address into a WorkError that says what may be wrong."""
        try:
            yield
        except client.Refused as error:
            if not href.startswith(SCHEME) or error.status not in WRONG:
                raise
            bucket, _ = _parts(href)
            if self._is_unsigned(bucket):
                advice = "its bucket may not be public: remove no_sign_request and set " + _both_keys()
            else:
                advice = f"check {KEYS[0]}, {KEYS[1]}{'' if self._pays() else ', source.requester_pays'}"
                advice += f" and source.s3_region ({self._region(bucket, region)})"
            where = client.host(self.address(href, region))
            raise WorkError(f"{href} was refused by {where} with HTTP {error.status}: {advice}.") from None

    def _is_unsigned(self, bucket: str) -> bool:
        if self.options.no_sign_request or _is_yes("AWS_NO_SIGN_REQUEST"):
            return True
        known = KNOWN.get(bucket)
        return known is not None and known.is_public and not self._named_endpoint()

    def _pays(self) -> bool:
        return self.options.requester_pays or os.environ.get("AWS_REQUEST_PAYER", "") == "requester"

    def _named_endpoint(self) -> str:
        """Return the endpoint set in the recipe, else in the environment; empty if none is."""
        return self.options.s3_endpoint or next(filter(None, map(os.environ.get, ENDPOINTS)), "")

    def _endpoint(self, bucket: str) -> str:
        """Return the address of the service that has a bucket; empty for AWS."""
        endpoint = self._named_endpoint() or (KNOWN[bucket].endpoint if bucket in KNOWN else "")
        return f"https://{endpoint}" if endpoint and "://" not in endpoint else endpoint

    def _region(self, bucket: str, region: str) -> str:
        """Return the region by the recipe, else the item (`region`), KNOWN, the environment.

        It becomes part of a host's name, so an item must not be able to put another host there.
        """
        known = KNOWN[bucket].region if bucket in KNOWN else ""
        candidates = [self.options.s3_region, region, known, *map(os.environ.get, REGIONS)]
        return next((name for name in candidates if name and REGION.fullmatch(name)), "us-east-1")


class KeySigner:
    """See `pipeline.geo.remote.Signer`. Puts an AWS signature (version 4) into the address, with the
    environment's keys."""

    def __init__(self, region: str, pays: bool) -> None:
        self.region, self.pays = region, pays

    def __call__(self, url: str) -> str:
        # Imported here, as only sources with s3:// addresses need it.
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        key, secret = (os.environ.get(name, "") for name in KEYS)
        keys = Credentials(key, secret, os.environ.get(TOKEN) or None)
        address = f"{url}?x-amz-request-payer=requester" if self.pays else url
        request = AWSRequest("GET", address)
        S3SigV4QueryAuth(keys, "s3", self.region, expires=EXPIRES_S).add_auth(request)
        return str(request.url)

    def renew(self) -> bool:
        # Every request has a new signature already; the keys would be the same.
        return False

    def accept(self) -> None:
        pass


def _parts(href: str) -> tuple[str, str]:
    """Return the bucket and the key of an s3:// address."""
    bucket, _, key = href.removeprefix(SCHEME).partition("/")
    return bucket, key


def _both_keys() -> str:
    """Return which variables hold the keys, in words."""
    return f"{KEYS[0]} and {KEYS[1]} in the environment"


def _is_yes(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"yes", "true", "1"}
