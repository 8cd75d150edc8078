"""HTTP as the pipeline speaks it: retried, bounded, counted, and silent about secrets.

Every request of every source goes through `request` here: provider limits, patience and what is
never followed are decided in one place.
"""

import json
import math
import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
import tenacity

from minebench import __version__
from minebench.errors import Unusable, WorkError, redacted
from pipeline.core import limits
from pipeline.web import deadlines, origins, patience, throttling

ATTEMPTS = 7
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
"""Waits double from the first and carry up to a second of jitter, so that many threads which were
refused together do not come back together."""
LONGEST_ASKED_S = 120.0
"""Longest wait that a service may ask for with Retry-After; one that asks for more is not waited for."""
CONNECT_S, SILENCE_S, WHOLE_S = 10, 60, 300
"""Longest time to connect; before an answer begins (`silence` of a request) and between two parts of it; and
of a try, from its beginning to the end of its answer. A try that may wait longer for its answer to begin may
take so much longer."""
SLOW_ATTEMPTS = 2
"""Tries of an answer that takes longer than that: the next one is hardly faster."""
LARGEST_ANSWER = 64 * 2**20
LARGEST_LISTING = 16 * 2**20
REDIRECTS = 5
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that pass by themselves; all others stand."""


class Refused(WorkError):
    """An answer that stands and cannot be used: an error status, another host, too large, no JSON."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Gone(Refused, Unusable):
    """404 or 410: it is not there (any more)."""


class Failed(WorkError):
    """No try got an answer that stands; `status` is the last try's, 0 where there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _Passing(Failed):
    """A failure worth another try: a dropped or half answer, a timeout, a busy server. `wait` is the
    seconds that the service asks for."""

    def __init__(self, message: str, status: int = 0, wait: float = 0.0) -> None:
        super().__init__(message, status)
        self.wait = wait


class _Slow(_Passing):
    """An answer that was not whole in time."""


@dataclass(frozen=True)
class Answer:
    """A whole answer, of any status that stands. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class _Order:
    """What to ask, and how patiently."""

    url: str
    method: str
    headers: dict[str, str]
    body: Any
    limit: int
    parallel: int
    signed: Callable[[str], str]
    silence: float


def request(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    limit: int = LARGEST_ANSWER,
    parallel: int = 20,
    signed: Callable[[str], str] = lambda url: url,
    attempts: int = ATTEMPTS,
    silence: float | None = None,
) -> Answer:
    """Send a request until an answer stands; at most `parallel` to one host at a time.

    `signed` adds a credential to the address just before each try. An answer may begin after `silence`
    seconds, SILENCE_S where nothing is said. Refused for an answer over `limit` bytes or a redirect that is
    not `followed`; Failed when all `attempts` failed or the service asks for a longer wait than
    LONGEST_ASKED_S. All of it ends sooner where `pipeline.web.patience` says so.
    """
    silence = SILENCE_S if silence is None else silence
    order = _Order(url, method, dict(headers or {}), body, limit, parallel, signed, silence)
    retrying = tenacity.Retrying(
        stop=_enough(min(attempts, patience.current().attempts)),
        wait=_waiting,
        retry=tenacity.retry_if_exception_type(_Passing),
        before_sleep=lambda _: limits.count(retries=1),
        reraise=True,
    )
    try:
        return retrying(_try, order)
    except _Passing as error:
        tries = retrying.statistics["attempt_number"]
        raise Failed(f"{host(url)} failed {tries} times: {error}", error.status) from None


def _enough(attempts: int) -> Callable[[tenacity.RetryCallState], bool]:
    """When to give up: after so many tries, or where the next one would come too late."""

    def is_enough(state: tenacity.RetryCallState) -> bool:
        late = patience.current().left(math.inf) <= state.upcoming_sleep
        slow = state.outcome is not None and isinstance(state.outcome.exception(), _Slow)
        most = min(attempts, SLOW_ATTEMPTS) if slow else attempts
        return state.attempt_number >= most or late

    return is_enough


def _waiting(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: what the service asks for, and no less than without it."""
    usual = FIRST_WAIT_S * 2 ** (state.attempt_number - 1) + random.uniform(0, 1)
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, _Passing) else 0.0
    return max(min(usual, LONGEST_WAIT_S), asked and asked + min(random.uniform(0, 1), LONGEST_WAIT_S))


def get(url: str, **options: Any) -> Answer:
    """`request` for an answer of status 2xx; Gone or Refused otherwise."""
    answer = request(url, **options)
    if answer.status in (404, 410):
        raise Gone(f"{redacted(url)} is not there (HTTP {answer.status}).", answer.status)
    if not 200 <= answer.status < 300:
        raise Refused(f"{redacted(url)} was refused with HTTP {answer.status}.", answer.status)
    return answer


def get_json(url: str, **options: Any) -> Any:
    """A JSON answer, decoded; Refused where it is something else, such as a login page."""
    answer = get(url, **{"limit": LARGEST_LISTING, **options})
    return decoded(answer, url)


def decoded(answer: Answer, url: str) -> Any:
    """The JSON in an answer; Refused where there is none."""
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        kind = answer.headers.get("content-type", "").split(";")[0] or "something else"
        raise Refused(f"{redacted(url)} answers with {kind} where JSON was expected.") from None


def get_range(url: str, start: int, size: int, **options: Any) -> tuple[bytes, int]:
    """Bytes `start` to before `start + size`, fewer at the file's end, and the file's length."""
    span = f"bytes={start}-{start + size - 1}"
    answer = get(url, **{**options, "headers": {"Range": span}, "limit": size})
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
    if answer.status != 206 or not match:
        raise Refused(f"{redacted(url)} does not serve byte ranges, which reading a part needs.")
    first, last, length = map(int, match.groups())
    if first != start or last != min(start + size, length) - 1 or len(answer.content) != last - first + 1:
        raise Refused(f"{redacted(url)} sent other bytes than asked for.")
    return answer.content, length


def host(url: str) -> str:
    """Host and port, for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def followed(start: str, target: str, verb: str = "links") -> str:
    """Return where an address is asked that an answer of `start` names: on the same host and port, and by
    https where it was so at the start. Refused for any other."""
    try:
        own = origins.of(start)
        target = origins.https_of(urljoin(start, target), own)
        where, place = origins.of(target), host(target)
    except ValueError:
        raise Refused(f"{host(start)} {verb} to {redacted(target)[:100]}, which is no web address.") from None
    if where == own:
        return target
    if where.host == own.host:
        raise Refused(f"{host(start)} {verb} to {where.scheme}://{place}, which is not followed.")
    raise Refused(f"{host(start)} {verb} to another host, {place}, which is not followed.")


_answered: set[str] = set()
"""Hosts that have answered well in this process."""


def _try(order: _Order) -> Answer:
    """One try, following redirects on the same host."""
    url = order.url
    for _ in range(REDIRECTS):
        with limits.gate(host(url), order.parallel):
            limits.keep_rate(host(url))
            address = order.signed(url)
            answer = _send(address, order)
        if answer.status not in (301, 302, 303, 307, 308):
            break
        url = followed(url, answer.headers.get("location", ""), "redirects")
    if 200 <= answer.status < 300:
        _answered.add(host(url))
    elif answer.status in PASSING or throttling.is_slow_down(
        answer.status, answer.headers, answer.content,
        signed=address != url, well_before=host(url) in _answered,
    ):  # fmt: skip
        raise _passing(answer, address, order.headers)
    return answer


def _passing(answer: Answer, address: str, headers: Mapping[str, str]) -> Failed:
    """Why an answer that does not stand was given, and whether to wait for another."""
    said = throttling.sentence(answer.content, _secrets(address, headers))
    text = f"HTTP {answer.status}{f': {said}' if said else ''}."
    wait = throttling.asked_wait(answer.headers) or 0.0
    if wait > LONGEST_ASKED_S:
        return Failed(
            f"{host(address)} asks to wait {wait:.0f} s, and no more than {LONGEST_ASKED_S:.0f} s are waited "
            f"({text.rstrip('.')}): run this again later.",
            answer.status,
        )
    return _Passing(text, answer.status, wait)


_SECRET = re.compile(r"auth|key|token|cookie|secret|sig|password|credential", re.IGNORECASE)
_LONG = 16
"""Parts of a path from this length on may be keys."""


def _secrets(address: str, headers: Mapping[str, str]) -> list[str]:
    """What a service must not be quoted with: keys stand in headers, in queries and in paths."""
    parts = urlsplit(address)
    named = [*headers.items(), *parse_qsl(parts.query)]
    values = [value for name, value in named if _SECRET.search(name)]
    return values + [part for part in parts.path.split("/") if len(part) >= _LONG]


def _send(url: str, order: _Order) -> Answer:
    left = patience.current().left
    if not left(1):
        raise _Passing("there was no time left to ask.")
    limits.count(requests=1)
    whole = left(WHOLE_S + max(0, order.silence - SILENCE_S))
    deadlines.CLOCK.start(whole, order.silence)
    try:
        with _session().request(
            order.method,
            url,
            data=order.body,
            headers=order.headers,
            stream=True,
            timeout=(max(0.01, left(CONNECT_S)), max(0.01, left(order.silence))),
            allow_redirects=False,
        ) as response:
            lower = {name.lower(): value for name, value in response.headers.items()}
            began = response.elapsed.total_seconds()
            limits.saw(limits.Sighting(url.partition("?")[0], response.status_code, lower, began))
            deadlines.CLOCK.silence = SILENCE_S
            content = _body(response, order.limit)
            return Answer(response.status_code, lower, content)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        if deadlines.CLOCK.is_over:
            raise _Slow(f"the answer took longer than {whole:.3g} s.") from None
        raise _Passing(f"{_plainly(error)}.") from None
    except requests.RequestException as error:
        raise Refused(f"{redacted(url)} cannot be asked: {redacted(str(error)).rstrip('.')}.") from None


def _body(response: requests.Response, limit: int) -> bytes:
    """The whole body; never more than `limit` bytes of it in memory."""
    promised = response.headers.get("Content-Length", "")
    if promised.isdigit() and int(promised) > limit:
        raise Refused(f"{host(response.url)} announces {promised} bytes, more than the limit of {limit}.")
    parts, size = [], 0
    for part in response.iter_content(2**16):
        parts.append(part)
        size += len(part)
        limits.count(received=len(part))
        if size > limit:
            raise Refused(f"{host(response.url)} sends more than the limit of {limit} bytes.")
    encoded = response.headers.get("Content-Encoding")
    if promised.isdigit() and not encoded and response.request.method != "HEAD" and size != int(promised):
        raise _Passing(f"the answer broke off after {size} of {promised} bytes.")
    return b"".join(parts)


def _plainly(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer broke off"
    return "the connection was refused or dropped"


_local = threading.local()


def _session() -> requests.Session:
    """A session a thread, so that connections are kept open and never shared."""
    if not hasattr(_local, "session"):
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, deadlines.TimedAdapter())
        # Keeps .netrc out: a password in it must not go to a host that some catalog names.
        session.auth = lambda prepared: prepared
        session.headers["User-Agent"] = f"minebench/{__version__}"
        session.headers["Accept-Encoding"] = "gzip"
        _local.session = session
    return _local.session
