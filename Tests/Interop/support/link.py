"""An emulated link between two network namespaces: rate, queue, delay, jitter and loss, changed while it runs.

The kernel that tests run on has no netem, so packets pass through a process: two TUN devices, one in each namespace, and
a thread between them that forwards with a seeded rate, queue, delay, jitter and loss. Needs root and /dev/net/tun.
"""

import collections
import contextlib
import fcntl
import os
import random
import select
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Way:
    """One direction. Attributes may be changed at any time; `rate` in bits a second, None for no limit; times in seconds."""

    def __init__(self, seed, rate=None, queue=0.5, delay=0.02, jitter=0.0, loss=0.0):
        self.rate, self.queue, self.delay, self.jitter, self.loss = rate, queue, delay, jitter, loss
        self.random = random.Random(seed)
        self.waiting = collections.deque()
        self.busy = self.last = 0.0
        self.packets = self.bytes = self.lost = self.dropped = 0
        self.longest = 0.0

    def take(self, packet, now):
        if self.loss and self.random.random() < self.loss:
            self.lost += 1
            return
        wait = max(self.busy - now, 0.0)
        if self.rate:
            if wait > self.queue:
                self.dropped += 1
                return
            self.longest = max(self.longest, wait)
            self.busy = now + wait + len(packet) * 8 / self.rate
        else:
            self.busy = now
        # Jitter never reorders: radios and Wi-Fi hold back, they do not overtake.
        self.last = max(self.last, self.busy + self.delay + self.random.uniform(0, self.jitter))
        self.waiting.append((self.last, packet))

    def wait(self, now):
        """What a packet that came now would wait in the queue."""
        return max(self.busy - now, 0.0)


class Link:
    """Two namespaces, `names`, with `addresses`, joined. Use as a context.

    `down` is the way from the first to the second, `up` the other one.
    """

    def __init__(self, names=("parley-s", "parley-c"), addresses=("10.77.0.1", "10.77.0.2"), seed=1, **settings):
        self.names, self.addresses = names, addresses
        self.down = Way(seed, **settings)
        self.up = Way(seed + 1, delay=self.down.delay)
        self._devices, self._stop = [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        try:
            for name in self.names:
                with contextlib.suppress(subprocess.CalledProcessError):
                    ip("netns", "del", name)
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            for index, name in enumerate(self.names):
                device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                self._devices.append(device)
                label = f"pl{os.getpid() % 10000}x{index}"
                fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", label.encode(), IFF_TUN | IFF_NO_PI))
                ip("link", "set", label, "netns", name)
                ip("-n", name, "link", "set", label, "name", "eth0", "mtu", "1400")
                ip("-n", name, "address", "add", f"{self.addresses[index]}/30", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._close()

    def _close(self):
        for device in self._devices:
            os.close(device)
        self._devices = []
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

    def command(self, side, *arguments):
        """`arguments` as a command inside the first (0) or second (1) namespace."""
        return ["ip", "netns", "exec", self.names[side], *arguments]

    def _run(self):
        # The link must be on time whatever else the machine does.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        poll = select.epoll()
        for device in self._devices:
            poll.register(device, select.EPOLLIN)
        ways = {self._devices[0]: (self.down, self._devices[1]), self._devices[1]: (self.up, self._devices[0])}
        while not self._stop.is_set():
            due = min((way.waiting[0][0] for way, _ in ways.values() if way.waiting), default=None)
            timeout = 0.05 if due is None else min(max(due - time.monotonic(), 0.0), 0.05)
            for device, _ in poll.poll(timeout):
                way = ways[device][0]
                for _ in range(64):
                    try:
                        packet = os.read(device, 65536)
                    except BlockingIOError:
                        break
                    way.take(packet, time.monotonic())
            now = time.monotonic()
            for way, target in ways.values():
                while way.waiting and way.waiting[0][0] <= now:
                    packet = way.waiting.popleft()[1]
                    way.packets += 1
                    way.bytes += len(packet)
                    with contextlib.suppress(OSError):
                        os.write(target, packet)
        poll.close()
