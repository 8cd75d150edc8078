"""How long is waited between the tries of a request, on a clock that only counts; and for an answer."""

import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity

from minebench.errors import WorkError
from pipeline.core.limits import Traffic, counting
from pipeline.web import client as web
from pipeline.web import patience, throttling

ADDRESS = "http://127.0.0.1:1/x"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited, one by one."""
    found: list[float] = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=found.append))
    return found


@pytest.fixture(autouse=True)
def nothing_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_answered", set())


def answers(
    monkeypatch: pytest.MonkeyPatch, statuses: list[int], headers: dict[str, str] | None = None,
    body: bytes = b"whole",
) -> None:  # fmt: skip
    """Each try is answered with the next of the statuses; what is not 200 has the headers and the body."""
    left = iter(statuses)

    def send(*_: Any) -> web.Answer:
        status = next(left)
        return web.Answer(status, {}, b"whole") if status == 200 else web.Answer(status, headers or {}, body)

    monkeypatch.setattr(web, "_send", send)


def test_waits_double_and_differ(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [429, 503, 500, 502, 504, 408, 200])
    traffic = Traffic()
    with counting(traffic):
        assert web.request(ADDRESS).content == b"whole"
    assert traffic.retries == len(waits) == 6
    for number, seconds in enumerate(waits):
        shortest = web.FIRST_WAIT_S * 2**number
        assert shortest <= seconds <= shortest + 1
    assert len({round(seconds % 0.25, 6) for seconds in waits}) > 1, "all come back together"


def test_no_wait_is_longer_than_the_longest(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LONGEST_WAIT_S", 2.0)
    answers(monkeypatch, [503] * 7)
    with pytest.raises(WorkError, match="failed 7 times: HTTP 503"):
        web.request(ADDRESS)
    assert len(waits) == web.ATTEMPTS - 1
    assert waits[-2:] == [2.0, 2.0]


@pytest.mark.parametrize("status", [200, 401, 403, 404, 410])
def test_what_stands_is_not_waited_for(
    status: int, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [status])
    assert web.request(ADDRESS).status == status
    assert waits == []


DATES = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:40 GMT"}


@pytest.mark.parametrize("headers", [{"retry-after": "40"}, DATES])
@pytest.mark.parametrize("status", [429, 503, 403])
def test_retry_after_is_obeyed(
    status: int, headers: dict[str, str], waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [status, status, 200], headers)
    assert web.request(ADDRESS).status == 200
    assert len(waits) == 2
    assert all(40 <= seconds <= 41 for seconds in waits)
    assert waits[0] != waits[1], "all come back together"


@pytest.mark.parametrize("text", ["0", "soon", "-5", "Wed, 21 Oct 2015 07:28:40 GMT"])
def test_retry_after_never_shortens_a_wait(
    text: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [503] * 6 + [200], {"retry-after": text})
    web.request(ADDRESS)
    assert all(web.FIRST_WAIT_S * 2**n <= s <= web.FIRST_WAIT_S * 2**n + 1 for n, s in enumerate(waits))


def test_a_longer_wait_than_the_bound_fails_at_once(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [429], {"retry-after": "3600"}, b'{"message": "Monthly quota used."}')
    says = (
        r"asks to wait 3600 s, and no more than 120 s are waited \(HTTP 429: Monthly quota used\): run this"
    )
    with pytest.raises(web.Failed, match=says):
        web.request(ADDRESS)
    assert waits == []


S3 = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
EXPIRED = (
    b"<Error><Code>AuthenticationFailed</Code><Message>Signature not valid: request rate</Message></Error>"
)
GOOGLE = b'{"error": {"code": 403, "message": "Wait.", "errors": [{"reason": "rateLimitExceeded"}]}}'
AMAZON = {"x-amzn-errortype": "ThrottlingException"}
BARE = b'{"message": "Forbidden"}'
SLOW: dict[str, tuple[dict[str, str], bytes, bool, bool]] = {
    "s3": ({}, S3, False, True),
    "google": ({}, GOOGLE, False, True),
    "header": (AMAZON, b"", False, True),
    "gateway at first": ({}, BARE, False, False),
    "gateway later": ({}, BARE, True, True),
    "cloudfront later": ({}, b"<HTML><H1>ERROR</H1>The request could not be satisfied.</HTML>", True, True),
    "denied": ({}, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", True, False),
    "expired": ({}, EXPIRED, True, False),
    "nothing": ({}, b"", True, False),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_403_that_means_slow_down(name: str, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    headers, body, before, slow = SLOW[name]
    answers(monkeypatch, [200, 403, 403, 200] if before else [403, 403, 200], headers, body)
    if before:
        web.request(ADDRESS)
    assert web.request(ADDRESS).status == (200 if slow else 403)
    assert len(waits) == (2 if slow else 0)


def test_a_signed_address_is_not_waited_for(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [200, 403], {}, BARE)
    web.request(ADDRESS)
    assert web.request(ADDRESS, signed=lambda url: f"{url}?sig=x").status == 403
    assert waits == []


SAID = {
    b'{"statusCode": 429, "message": "Rate limit is exceeded. Try again in 23 seconds."}':
        "Rate limit is exceeded. Try again in 23 seconds",
    b'{"error": {"code": 429, "message": "Quota exceeded for metric EECU", "status": "RESOURCE_EXHAUSTED"}}':
        "Quota exceeded for metric EECU",
    b'{"error":"WAF","message":"Rate limit exceeded","status":429}': "Rate limit exceeded",
    b'{"error": "too much"}': "too much",
    b'{"code": "InternalServerError", "description": "timed out"}': "timed out",
    b'{"detail": [{"loc": ["body"], "msg": "limit too large"}]}': "limit too large",
    b"<Error><Code>ServerBusy</Code><Message>\nEgress is over the\n account limit.</Message></Error>":
        "Egress is over the account limit",
    b"  plain\x1b[31m text.\r\n": "plain [31m text",
    b"see https://a.b/c?sig=hidden&x=1": "see https://a.b/c",
    b"<html><body>Sorry</body></html>": "",
    b'{"half': "",
    b"x" * 500: "x" * 200,
    b"": "",
}  # fmt: skip


@pytest.mark.parametrize("content", SAID)
def test_what_an_answer_says(content: bytes) -> None:
    assert throttling.sentence(content) == SAID[content]


def test_what_the_last_answer_said_is_told_without_secrets(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        b'{"error": {"message": "Too many for ya29.abcd at /tiles/0123456789abcdef0123/1 with sigsigsig."}}'
    )
    answers(monkeypatch, [503] * 6 + [429], {}, body)
    with pytest.raises(web.Failed, match=r"127\.0\.0\.1:1 failed 7 times: HTTP 429: Too many for") as caught:
        web.request(
            "http://127.0.0.1:1/tiles/0123456789abcdef0123/1",
            headers={"authorization": "ya29.abcd"},
            signed=lambda url: f"{url}?sig=sigsigsig",
        )
    assert str(caught.value).endswith("Too many for *** at /tiles/***/1 with ***.")
    assert caught.value.status == 429


@contextmanager
def served(*parts: tuple[float, bytes]) -> Iterator[str]:
    """A server that sends parts of one answer, each after some seconds, to whoever asks; its address."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client:
            client.recv(2**16)
            with suppress(OSError):
                for seconds, part in parts:
                    time.sleep(seconds)
                    client.sendall(part)
                time.sleep(2)

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def test_an_answer_may_begin_late_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LONGEST_WAIT_S", 0.01)
    with served((0.5, HEAD + b"done")) as url:
        with pytest.raises(web.Failed, match="failed 2 times: no answer in time"):
            web.request(url, silence=0.1, attempts=2)
        assert web.request(url, silence=30).content == b"done"


def test_only_the_beginning_may_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SILENCE_S", 0.1)
    with served((0.3, HEAD), (1.0, b"done")) as url, pytest.raises(web.Failed, match="failed 1 times"):
        web.request(url, silence=30, attempts=1)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
NOTHING = b"\0\0\0\xff\xff"
"""A block of deflate that holds nothing."""
DRIPS = {
    "status line": (b"HTTP/1.1 ", b"2"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "body to the end of the connection": (b"HTTP/1.0 200 OK\r\n\r\n", b"x"),
    "chunks": (CHUNKED + b"\r\n", b"1\r\nx\r\n"),
    "length of a chunk": (CHUNKED + b"\r\n", b"0"),
    "gzip of nothing": (
        CHUNKED + b"Content-Encoding: deflate\r\n\r\n2\r\n" + zlib.compress(b"")[:2] + b"\r\n",
        b"5\r\n" + NOTHING + b"\r\n",
    ),
}


@pytest.mark.parametrize("name", DRIPS)
def test_an_answer_that_drips_ends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "WHOLE_S", 0.2)
    first, drop = DRIPS[name]
    with (
        served((0, first), *[(0.03, drop)] * 100) as url,
        pytest.raises(web.Failed, match=r"failed 1 times: the answer took longer than 0\.2 s"),
    ):
        web.request(url, attempts=1)


def test_a_slow_answer_is_asked_for_once_more_only(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "WHOLE_S", 0.1)
    with served((0, HEAD), (1.0, b"done")) as url, pytest.raises(web.Failed, match="failed 2 times"):
        web.request(url)
    assert len(waits) == 1


def test_an_answer_that_may_begin_late_may_end_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "WHOLE_S", 0.1)
    with served((0.3, HEAD), (0.1, b"done")) as url:
        assert web.request(url, silence=web.SILENCE_S + 20).content == b"done"


def test_patience_ends_an_answer_that_drips() -> None:
    with (
        served((0, HEAD.replace(b"4", b"4000")), *[(0.03, b"x")] * 100) as url,
        patience.patient(0.2, 5),
        pytest.raises(web.Failed, match="the answer took longer than 0"),
    ):
        web.request(url)


FOLLOWED = {
    ("https://a.b/x", "https://a.b/y?z=1"): "https://a.b/y?z=1",
    ("https://a.b/x", "https://A.B:443/y"): "https://A.B:443/y",
    ("https://me:pw@a.b/x", "https://a.b/y"): "https://a.b/y",
    ("https://a.b/x", "http://a.b/y?z=1"): "https://a.b/y?z=1",
    ("http://a.b/x", "http://a.b/y"): "http://a.b/y",
    ("http://a.b/x/", "../y"): "http://a.b/y",
}
NOT_FOLLOWED = {
    ("https://a.b/x", "https://c.d/y"): r"a\.b links to another host, c\.d, which",
    ("https://a.b/x", "https://a.b.c/y"): r"another host, a\.b\.c, which",
    ("https://a.b/x", "https://a.b@c.d/y"): r"another host, c\.d, which",
    ("https://a.b/x", "https://c.d\\@a.b/y"): "another host",
    ("https://a.b/x", "http://a.b:8080/y"): r"links to http://a\.b:8080, which is not followed",
    ("http://a.b/x", "http://a.b:8080/y"): r"links to http://a\.b:8080, which is not followed",
    ("https://a.b/x", "file:///etc/passwd"): "links to file:///etc/passwd, which is no web address",
    ("https://a.b/x", "https://[::1/y"): "no web address",
    ("https://a.b/x", "https://a\u2100b/y"): "no web address",
}


@pytest.mark.parametrize(("start", "target"), FOLLOWED)
def test_what_is_followed(start: str, target: str) -> None:
    assert web.followed(start, target) == FOLLOWED[start, target]


@pytest.mark.parametrize(("start", "target"), NOT_FOLLOWED)
def test_what_is_not_followed(start: str, target: str) -> None:
    with pytest.raises(web.Refused, match=NOT_FOLLOWED[start, target]):
        web.followed(start, target)
