"""Connections to public addresses alone: the one module that needs urllib3 to load."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from mmdata.source.urls.manners import Manners


class PrivateAddress(HTTPError):
    """A host whose name leads into a private network, or to this machine."""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet.

    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1"), is_public("169.254.169.254")
    (True, False, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_global and not ip.is_multicast


def refuse_private(host: str, port: int) -> None:
    """Raise PrivateAddress where any address of a host is private."""
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(str(address[0])):
            raise PrivateAddress(f"{host} is {address[0]}, an address of a private network")


class _Public:
    """Looks at the addresses before it connects, and at the one that it got: a name may lead elsewhere by then."""

    def _new_conn(self) -> socket.socket:
        connection: Any = self
        with suppress(socket.gaierror):  # the connection says so in its own way
            refuse_private(connection._dns_host, connection.port)
        opened: socket.socket = super()._new_conn()  # type: ignore[misc]
        address = str(opened.getpeername()[0])
        if not is_public(address):
            opened.close()
            raise PrivateAddress(f"{connection._dns_host} is {address}, an address of a private network")
        return opened


class _PublicHttp(_Public, HTTPConnection):
    pass


class _PublicHttps(_Public, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _PublicHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHttps


def connections(manners: Manners) -> urllib3.PoolManager:
    """Connections that are kept and used again; certificates are verified."""
    pools = urllib3.PoolManager(num_pools=64, maxsize=manners.per_host, cert_reqs="CERT_REQUIRED")
    if not manners.allow_private:
        pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return pools
