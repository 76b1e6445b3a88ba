"""Where a server's webhooks arrive: keeps what came, and can refuse for a while."""

import http.server
import threading
import time

from livekit import api

from .server import KEY


class Webhooks:
    def __init__(self, key="devkey", secret=KEY):
        self.requests, self.taken, self.failures = [], [], 0
        self.receiver = api.WebhookReceiver(api.TokenVerifier(key, secret))
        self.problems = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                if outer.failures > 0:
                    outer.failures -= 1
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                outer.requests.append((dict(self.headers), body))
                # At once: the signature is good for five minutes.
                try:
                    outer.taken.append(outer.receiver.receive(body, self.headers["Authorization"]))
                except Exception as error:
                    outer.problems.append(f"{error!r} of {body[:200]}")
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def sections(self):
        """What the server's configuration says of them."""
        return {"webhooks": {"urls": [self.url], "key": "devkey"}}

    def events(self, room=None):
        """The events so far as LiveKit's receiver reads them, signature and digest checked."""
        assert not self.problems, self.problems
        return [event for event in list(self.taken) if room is None or event.room.name == room]

    def wait(self, name, room=None, where=lambda event: True, timeout=8.0):
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events(room):
                if event.event == name and where(event):
                    return event
            names = [event.event for event in self.events(room)]
            assert time.monotonic() < deadline, f"no webhook {name} within {timeout} s: {names}"
            time.sleep(0.05)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
