"""With this folder on PYTHONPATH, a Python process reaches no host but this machine: what `make nbval` runs under."""

import ipaddress
import socket

_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _refuse_far(address):
    if isinstance(address, tuple) and not _is_here(str(address[0])):
        raise OSError(f"The network is blocked in this test; something asked for {address[0]}.")


def _is_here(host):
    try:
        return host in ("", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _blocked_connect(self, address):
    _refuse_far(address)
    return _connect(self, address)


def _blocked_connect_ex(self, address):
    _refuse_far(address)
    return _connect_ex(self, address)


def _blocked_getaddrinfo(host, *args, **kwargs):
    if host is not None and not _is_here(host.decode() if isinstance(host, bytes) else str(host)):
        raise socket.gaierror(f"The network is blocked in this test; something asked for {host}.")
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect, socket.socket.connect_ex = _blocked_connect, _blocked_connect_ex
socket.getaddrinfo = _blocked_getaddrinfo
