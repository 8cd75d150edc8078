"""What a service says when it refuses for now: how long to wait, that requests come too fast, and why."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from minebench.errors import redacted

LONGEST_SENTENCE = 200
LOOKED_AT = 4096
"""Bytes of an answer that are looked at for a sentence."""
SLOW_DOWN = re.compile(
    rb"slow ?down|request ?rate|too ?many ?requests|throttl|rate ?(limit|exceeded)|RequestLimitExceeded",
    re.IGNORECASE,
)
"""Words of S3, Azure, AWS's gateways and Google (`rateLimitExceeded`) for "requests come too fast"."""
SIGNATURE = re.compile(rb"signature|expired|AuthenticationFailed|InvalidToken", re.IGNORECASE)
"""Words of S3 and Azure for a credential that has run out: waiting mends nothing."""
GATEWAY = re.compile(
    rb'\s*\{\s*"message"\s*:\s*"Forbidden"\s*\}\s*|.*The request could not be satisfied.*', re.DOTALL
)
"""All that AWS's API gateway and CloudFront say, of a throttled request (Element84/earth-search #19) and of a
forbidden one alike."""
FIELDS = ("message", "detail", "description", "msg", "errorMessage", "title")
"""Fields of JSON answers with a sentence, the best first; `error` may hold them or be the sentence."""


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for; None where it is not there or says nothing. A date counts from the
    service's own clock, where that is told."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    return max(0.0, (until - (_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds())


def is_slow_down(
    status: int, headers: Mapping[str, str], content: bytes, *, signed: bool, well_before: bool
) -> bool:
    """Whether a 403 means that requests come too fast, by the first of these that holds:

    1. it speaks of a signature or of what has expired: no;
    2. it has a Retry-After, or says so in its words: yes;
    3. it is a gateway's bare "Forbidden" to an unsigned request: yes where the host has answered well before
       in this process, since then it is not closed to us;
    4. no.
    """
    if status != 403:
        return False
    start = content[:LOOKED_AT] + headers.get("x-amzn-errortype", "").encode()
    if SIGNATURE.search(start):
        return False
    if asked_wait(headers) is not None or SLOW_DOWN.search(start):
        return True
    return well_before and not signed and GATEWAY.fullmatch(content[:LOOKED_AT]) is not None


def sentence(content: bytes, secrets: Iterable[str] = ()) -> str:
    """What an answer says, on one line and without `secrets`; empty where it says nothing to a reader."""
    text = content[:LOOKED_AT].decode(errors="replace").strip()
    try:
        text = _said(json.loads(content)) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return ""
    if text.startswith("<"):
        message = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
        text = message[1] if message else ""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return redacted(text)[:LONGEST_SENTENCE].rstrip(". ")


def _said(answer: Any) -> str:
    """Return the sentence in a JSON answer."""
    if isinstance(answer, list):
        return _said(answer[0]) if answer else ""
    if not isinstance(answer, dict):
        return answer if isinstance(answer, str) else ""
    if isinstance(answer.get("error"), dict) and (text := _said(answer["error"])):
        return text
    for field in FIELDS:
        if text := _said(answer.get(field)):
            return text
    error = answer.get("error")
    return error if isinstance(error, str) else ""


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
