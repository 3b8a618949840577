"""Addresses by which limits and queues count."""

from __future__ import annotations

import ipaddress

UNKNOWN = "unknown"


def household(host: str) -> str:
    """An address by which limits count: IPv6 by its first 64 bits."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
