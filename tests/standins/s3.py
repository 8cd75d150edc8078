"""An S3 server: moto's, behind a gate that looks at signatures as AWS does.

moto has the API (buckets, ranges, access lists, errors in XML) and takes any signature in an address for a
good one; the gate computes it anew, by its own code. Folders of `folder` become buckets; those named
*-public are open to all, and readers of those named *-paid must say that they pay.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.standins.base import Handler

KEY, SECRET, TOKEN = "AKIAMINEBENCHTEST", "made+secret/for/tests", "made-session-token"
TIME = "%Y%m%dT%H%M%SZ"


def prepare(url: str, folder: str) -> dict[str, Any]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.test import Client

    client = Client(DomainDispatcherApplication(create_backend_app))
    root = Path(folder)
    for bucket in sorted(path for path in root.iterdir() if path.is_dir()):
        assert client.put(f"/{bucket.name}", base_url=url).status_code == 200
        access = "public-read" if bucket.name.endswith("-public") else "private"
        for path in sorted(path for path in bucket.rglob("*") if path.is_file()):
            key = quote(path.relative_to(root).as_posix())
            done = client.put(f"/{key}", base_url=url, data=path.read_bytes(), headers={"x-amz-acl": access})
            assert done.status_code == 200
    return {"client": client, "url": url}


class Answering(Handler):
    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        words = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if "X-Amz-Signature" in words and (code := self._refusal(method, words)):
            return 403, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()
        bucket = urlsplit(path).path.split("/")[1]
        if bucket.endswith("-paid") and words.get("x-amz-request-payer") != "requester":
            return 403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>"
        data = self.setup_data
        asked = {name: value for name, value in self.headers.items() if name != "Host"}
        answer = data["client"].open(self.path, base_url=data["url"], method=method, headers=asked, data=body)
        kept = {
            name: value for name, value in answer.headers if name.lower() in ("content-type", "content-range")
        }
        return answer.status_code, kept, answer.get_data()

    def _refusal(self, method: str, words: dict[str, str]) -> str:
        """Why a signed address is not accepted."""
        key, *scope = words["X-Amz-Credential"].split("/")
        until = datetime.strptime(words["X-Amz-Date"], TIME).replace(tzinfo=UTC)
        if key != KEY:
            return "InvalidAccessKeyId"
        if words.get("X-Amz-Security-Token", TOKEN) != TOKEN:
            return "InvalidToken"
        if datetime.now(UTC) > until + timedelta(seconds=int(words["X-Amz-Expires"])):
            return "AccessDenied"
        good = signature(method, self.path, self.headers["Host"], words, scope)
        return "" if hmac.compare_digest(good, words["X-Amz-Signature"]) else "SignatureDoesNotMatch"


def signature(method: str, path: str, host: str, words: dict[str, str], scope: list[str]) -> str:
    """Signature version 4 of a request whose signature stands in its address."""
    assert words["X-Amz-SignedHeaders"] == "host"
    pairs = sorted((quote(k, "~"), quote(v, "~")) for k, v in words.items() if k != "X-Amz-Signature")
    place = quote(unquote(urlsplit(path).path), "/~")
    asked = [
        method,
        place,
        "&".join(f"{k}={v}" for k, v in pairs),
        f"host:{host}\n",
        "host",
        "UNSIGNED-PAYLOAD",
    ]
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", words["X-Amz-Date"], "/".join(scope), digest])
    secret = f"AWS4{SECRET}".encode()
    for part in scope:
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
