"""A little speech service with the contract of Docs/speech.md, and its bad days."""

import array
import io
import json
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import audio

# What the service's voice sounds like.
TONE = 700


def wav_bytes(samples, rate=22_050):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array.array("h", samples).tobytes())
    return out.getvalue()


class SpeechService:
    """`mode`: ok, hang, slow (a byte at a time), error, refuse (400), page (HTML), cut, lie (a huge chunk), cut-off."""

    def __init__(self, port=0, voices=("alba", "thorsten")):
        service = self
        self.mode, self.orders, self.voices = "ok", [], list(voices)
        self.released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, kind, body, length=None):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if service.mode == "hang":
                    service.released.wait(30)
                if self.path == "/health":
                    self.answer(200 if service.mode == "ok" else 500, "application/json", b'{"status":"ok"}')
                elif self.path == "/voices":
                    self.answer(200, "application/json", json.dumps({"voices": [{"name": v} for v in service.voices]}).encode())
                else:
                    self.answer(404, "text/plain", b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/tts", self.path
                order = json.loads(body)
                service.orders.append(order)
                sound = wav_bytes(audio.tone(TONE, 22_050, 0.8))
                match service.mode:
                    case "ok":
                        self.answer(200, "audio/wav", sound)
                    case "hang":
                        service.released.wait(30)
                    case "slow":
                        self.send_response(200)
                        self.send_header("Content-Length", str(len(sound)))
                        self.end_headers()
                        try:
                            for byte in sound[:300]:
                                self.wfile.write(bytes([byte]))
                                time.sleep(0.05)
                        except OSError:
                            pass
                        self.close_connection = True
                    case "error":
                        self.answer(500, "text/plain", b"out of memory")
                    case "refuse":
                        self.answer(400, "text/plain", b"no such voice")
                    case "page":
                        self.answer(200, "text/html", b"<html>It works</html>")
                    case "cut":
                        self.answer(200, "audio/wav", sound[:30])
                    case "lie":
                        self.answer(200, "audio/wav", sound[:16] + b"\xf0\xff\xff\xff" + sound[20:])
                    case "cut-off":
                        self.answer(200, "audio/wav", sound[:1000], length=len(sound))
                        self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def become(self, mode):
        self.mode = mode
        self.orders.clear()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
