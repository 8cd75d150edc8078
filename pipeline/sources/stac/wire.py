"""pystac-client's requests, sent the pipeline's way."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from pystac_client.stac_api_io import StacApiIO

from pipeline.core import web
from pipeline.core.errors import WorkError


class Wire(StacApiIO):
    """Requests of one search, to the service of the first alone: what a `next` link says (address, method,
    headers, body) goes nowhere else."""

    def __init__(self, service: str, parallel: int, attempts: int = web.ATTEMPTS) -> None:
        super().__init__(max_retries=None)
        self.service, self.parallel, self.attempts = service, parallel, attempts

    def json_loads(self, txt: str, *_: Any, **__: Any) -> Any:
        # pystac's own is stricter: NaN in one item would be the end of a page.
        return json.loads(txt)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        body, method = None, method or "GET"
        href = web.followed(self.service, href)
        if method not in ("GET", "POST"):
            raise WorkError(f"{web.host(href)} leads on by {method!s:.20}, and a search takes GET or POST.")
        headers = {"Accept": "application/geo+json, application/json", **(headers or {})}
        if method == "POST":
            body, headers["Content-Type"] = json.dumps(parameters), "application/json"
        elif parameters:
            href = f"{href}{'&' if '?' in href else '?'}{urlencode(parameters)}"
        options: dict[str, Any] = {"method": method, "headers": headers, "body": body}
        options |= {"limit": web.LARGEST_LISTING, "parallel": self.parallel, "attempts": self.attempts}
        answer = web.get(href, **options)
        web.decoded(answer, href)
        return answer.content.decode()
