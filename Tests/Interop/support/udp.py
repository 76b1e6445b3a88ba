"""A UDP forwarder that can be cut: the network under a browser's media, which may come back as another one."""

import select
import socket
import threading


class UDPLink:
    def __init__(self, target):
        self.target, self.open, self.running = target, True, True
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.clients = {}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.running:
            backs = dict((back, client) for client, back in list(self.clients.items()))
            ready, _, _ = select.select([self.listener, *backs], [], [], 0.1)
            for one in ready:
                try:
                    data, source = one.recvfrom(4096)
                except OSError:
                    continue
                if not self.open:
                    continue
                if one is not self.listener:
                    self.listener.sendto(data, backs[one])
                    continue
                if source not in self.clients:
                    back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    back.bind(("127.0.0.1", 0))
                    self.clients[source] = back
                self.clients[source].sendto(data, self.target)

    def cut(self):
        self.open = False

    def mend(self):
        """Open again, from other addresses: another network."""
        self.clients = {}
        self.open = True

    def close(self):
        self.running = False
        self.thread.join(1)
        for one in [self.listener, *self.clients.values()]:
            one.close()
