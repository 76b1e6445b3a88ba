"""A network namespace with an address of its own: for programs that do not use 127.0.0.1 for media.

Needs root and Debian's iproute2.
"""

import contextlib
import os
import subprocess

from .link import ip


class Island:
    """Use as a context. `address` is this machine's in there; nothing else can be reached."""

    address = "10.78.0.1"

    def __init__(self, name=None):
        self.name = name or f"parley-i{os.getpid() % 10000}"

    def __enter__(self):
        self._remove()
        ip("netns", "add", self.name)
        try:
            ip("-n", self.name, "link", "set", "lo", "up")
            # A pair of which both ends are here: the kernel that tests run on knows no dummy device.
            ip("-n", self.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
            ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
            for device in ("eth0", "eth1"):
                ip("-n", self.name, "link", "set", device, "up")
            # Browsers find the address of theirs that others may know by asking for the way out.
            ip("-n", self.name, "route", "add", "default", "via", "10.78.0.254")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_):
        self._remove()

    def _remove(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "del", self.name)

    def command(self, *arguments):
        return ["ip", "netns", "exec", self.name, *arguments]
