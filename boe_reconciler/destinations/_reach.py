"""Which hosts a destination may talk to, judged again right before each request."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.hosts import is_allowed

#: Where clouds give a machine its own credentials, besides all link-local addresses.
_METADATA = {ip_address(each) for each in ("fd00:ec2::254", "100.100.100.200")}


def refuse(url: str, endpoint: str | None, hosts: Sequence[str] | None) -> None:
    """Permanent `host_refused` for a request that must not leave.

    `endpoint` is the Connection's: nothing else is reached than that host and those
    below it, whatever an answer redirects to. Policy's `hosts` judge it once more.
    """
    host = urlsplit(url).hostname or ""
    home = (urlsplit(endpoint).hostname or "") if endpoint else None
    if home is not None and host != home and not host.endswith("." + home):
        raise Permanent("host_refused", f"{host} is another host than {home}")
    if home is not None and not is_allowed(home, hosts):
        detail = f"{home} may not be reached"
        raise Permanent("host_refused", detail, "see allow.hosts in policy.yaml")
    for address in _addresses(host):
        if address.is_link_local or address in _METADATA:
            detail = f"{host} leads to {address}, which gives away credentials"
            raise Permanent("host_refused", detail, "see the endpoint's name server")


def _addresses(host: str) -> list[IPv4Address | IPv6Address]:
    """Empty where the name does not resolve here: the connection will tell of it."""
    found = []
    with suppress(OSError):
        for *_, to in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
            found.append(ip_address(str(to[0]).partition("%")[0]))
    return [getattr(each, "ipv4_mapped", None) or each for each in found]
