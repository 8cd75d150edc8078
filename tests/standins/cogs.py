"""A file server with byte ranges over the synthetic archive, and a token service beside it.

/open/<path> is served to all, /signed/<path> only with a current signature in the query.
/token/<collection> hands signatures out; each is good for `uses` requests. /keys gives [path, key] of every
request that carried a subscription key; as Azure's gateway does, "wrong" is refused with 401.
"""

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.standins.base import Handler


def prepare(url: str, folder: str, uses: str = "1000000") -> dict[str, Any]:
    return {"root": Path(folder), "uses": int(uses), "left": {}, "keys": [], "lock": threading.Lock()}


class Answering(Handler):
    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        data, parts = self.setup_data, urlsplit(path)
        kind, _, rest = parts.path.lstrip("/").partition("/")
        if kind == "keys":
            return 200, {}, json.dumps(data["keys"]).encode()
        if key := self.headers.get("Ocp-Apim-Subscription-Key"):
            data["keys"].append([parts.path, key])
        if kind == "token" and key == "wrong":
            return (
                401,
                {},
                b'{"statusCode": 401, "message": "Access denied due to invalid subscription key."}',
            )
        if kind == "token":
            return self._token()
        if kind == "signed" and not self._is_signed(parse_qs(parts.query)):
            return 403, {}, b"AuthenticationFailed"
        file = (data["root"] / rest).resolve()
        if not file.is_relative_to(data["root"].resolve()) or not file.is_file():
            return 404, {}, b""
        if file.suffix == ".json":
            return 200, {"Content-Type": "application/json"}, file.read_bytes()
        return self._range(file)

    def _range(self, file: Path) -> tuple[int, dict[str, str], bytes]:
        content = file.read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not match:
            return 200, {"Content-Type": "image/tiff"}, content
        first, last = int(match[1]), min(int(match[2]), len(content) - 1)
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}", "Content-Type": "image/tiff"}
        return 206, headers, content[first : last + 1]

    def _token(self) -> tuple[int, dict[str, str], bytes]:
        data = self.setup_data
        with data["lock"]:
            signature = f"secretsig{len(data['left'])}"
            data["left"][signature] = data["uses"]
        expiry = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = {"msft:expiry": expiry, "token": f"st=2026-01-01&sp=rl&sig={signature}"}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _is_signed(self, query: dict[str, list[str]]) -> bool:
        data, signature = self.setup_data, query.get("sig", [""])[0]
        with data["lock"]:
            left = data["left"].get(signature, 0)
            data["left"][signature] = left - 1
        return left > 0
