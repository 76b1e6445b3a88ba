"""A server, a router that hides a client behind its own address, and that client: three network namespaces.

The router may get another address at any moment, as home and mobile networks do: what the client sends then comes from
elsewhere, and what is sent to the old address reaches nobody. Needs root, Debian's iproute2 and iptables.
"""

import contextlib
import os
import subprocess

from .link import ip


class Router:
    """Use as a context. Sides: 0 is the server, 1 the client. `signalling`: the server's address on a second path, which
    knows no translation, where `direct`."""

    def __init__(self, direct=False):
        mark = f"{os.getpid() % 10000}"
        self.names = (f"parley-s{mark}", f"parley-c{mark}")
        self.router = f"parley-r{mark}"
        self.addresses = ("10.79.0.1", "10.79.1.2")
        self.direct, self.outside = direct, 2
        self.signalling = "10.79.2.1" if direct else self.addresses[0]

    def __enter__(self):
        self._remove()
        server, client, router = *self.names, self.router
        try:
            for name in (server, client, router):
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            self._join(server, "eth0", f"{self.addresses[0]}/24", router, "out", f"10.79.0.{self.outside}/24")
            self._join(client, "eth0", f"{self.addresses[1]}/24", router, "in", "10.79.1.1/24")
            ip("-n", client, "route", "add", "default", "via", "10.79.1.1")
            if self.direct:
                self._join(server, "eth1", f"{self.signalling}/24", client, "eth1", "10.79.2.2/24")
            inside = ["ip", "netns", "exec", router]
            subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
            subprocess.run(
                [*inside, "iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "out", "-j", "MASQUERADE"], check=True
            )
        except BaseException:
            self._remove()
            raise
        return self

    @staticmethod
    def _join(one, device, address, other, peer, other_address):
        ip("-n", one, "link", "add", device, "type", "veth", "peer", "name", peer, "netns", other)
        for name, label, own in ((one, device, address), (other, peer, other_address)):
            ip("-n", name, "address", "add", own, "dev", label)
            ip("-n", name, "link", "set", label, "up")

    def rebind(self):
        """Another address from now on: the kernel forgets what it translated to the old one."""
        before, self.outside = self.outside, self.outside + 1
        ip("-n", self.router, "address", "del", f"10.79.0.{before}/24", "dev", "out")
        ip("-n", self.router, "address", "add", f"10.79.0.{self.outside}/24", "dev", "out")

    def __exit__(self, *_):
        self._remove()

    def _remove(self):
        for name in (*self.names, self.router):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

    def command(self, side, *arguments):
        return ["ip", "netns", "exec", self.names[side], *arguments]
