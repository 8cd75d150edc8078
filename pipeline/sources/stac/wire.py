"""Send pystac-client's requests through `pipeline.web.client`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from pystac_client.stac_api_io import StacApiIO

from minebench.errors import WorkError
from pipeline.web import client


class Wire(StacApiIO):
    """The requests of one search.

    All go to the host of `service`: a `next` link to another host is refused, whatever its method and body.
    """

    def __init__(self, service: str, parallel: int, attempts: int = client.ATTEMPTS) -> None:
        super().__init__(max_retries=None)
        self.service, self.parallel, self.attempts = service, parallel, attempts

    def json_loads(self, txt: str, *_: Any, **__: Any) -> Any:
        # pystac uses orjson where it is installed, which refuses a whole page for one NaN.
        return json.loads(txt)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        body, method = None, method or "GET"
        href = client.followed(self.service, href)
        if method not in ("GET", "POST"):
            raise WorkError(
                f"{client.host(href)} pages with method {method!s:.20}; a search takes GET or POST."
            )
        headers = {"Accept": "application/geo+json, application/json", **(headers or {})}
        if method == "POST":
            body, headers["Content-Type"] = json.dumps(parameters), "application/json"
        elif parameters:
            href = f"{href}{'&' if '?' in href else '?'}{urlencode(parameters)}"
        options: dict[str, Any] = {"method": method, "headers": headers, "body": body}
        options |= {"limit": client.LARGEST_LISTING, "parallel": self.parallel, "attempts": self.attempts}
        answer = client.get(href, **options)
        client.decoded(answer, href)
        return answer.content.decode()
