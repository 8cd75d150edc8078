"""Whose an address is: scheme, host and port as the client that asks it understands them."""

import ipaddress
import socket
from typing import NamedTuple

from urllib3.util import parse_url

PORTS = {"http": 80, "https": 443}
INNER_NAMES = frozenset({"metadata", "metadata.google.internal"})
"""Names of what tells a machine in a cloud its own secrets."""
INNER = ipaddress.ip_network("fd00:ec2::/32")
"""Where AWS answers the same by IPv6; by IPv4 all clouds answer at a link-local address."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(NamedTuple):
    """What a credential belongs to. The host is in lower case, without the brackets of IPv6."""

    scheme: str
    host: str
    port: int


def of(url: str) -> Origin:
    """Return an address's origin, by the parser of the library that connects: another one may see another
    host in `https://a\\@b/`. ValueError where it is no web address."""
    parts = parse_url(url)
    if parts.scheme not in PORTS or not parts.host:
        raise ValueError(f"{parts.scheme or 'no scheme'} is not the web's")
    return Origin(parts.scheme, parts.host.lower().strip("[]").rstrip("."), parts.port or PORTS[parts.scheme])


def https_of(url: str, start: Origin) -> str:
    """Return an http address as https where that is the origin `start`, else the address as it is: services
    behind a proxy name themselves so."""
    own = of(url)
    behind_proxy = (own.scheme, own.port, start.scheme, start.port) == ("http", 80, "https", 443)
    if not behind_proxy or own.host != start.host:
        return url
    return str(parse_url(url)._replace(scheme="https", port=None))


def is_loopback(host: str) -> bool:
    """Return whether a host is the machine itself."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def is_inner(host: str) -> bool:
    """Return whether a host is link-local, where a cloud tells a machine's own secrets; names are not
    resolved."""
    address = _address(host)
    if address is None:
        return host in INNER_NAMES
    return address.is_link_local or address in INNER


def _address(host: str) -> Address | None:
    """The number that a host is written as, also as 2852039166 or 0xa9fea9fe; None for a name."""
    try:
        address: Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError, ValueError):
            return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
