"""Which addresses are public, however they are written."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def meant(text: str) -> Address:
    """The address that is reached in the end: the IPv4 one inside an IPv6 one that stands for it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach it: no loopback, private, link-local, shared or reserved one."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not (isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address.teredo is not None))


def is_within(address: Address, name: str) -> bool:
    """Whether it is what `name` says, an address or a network; a host's name says neither."""
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:  # a name
        return False
