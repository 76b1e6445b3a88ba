"""Encoders and players: aiortc behind WHIP (RFC 9725) and WHEP, with nothing but HTTP for signalling."""

import asyncio
import contextlib
import fractions
import json
import re
import time
import urllib.error
import urllib.request

import aioice.ice
import av
import numpy
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from . import audio
from .picture import Picture, number_of

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
RATE = 16000

# aioice leaves loopback out; here nothing else is used.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def problem(self):
        """The last part of the problem's type."""
        assert self.headers["Content-Type"] == "application/problem+json", self.headers["Content-Type"]
        found = json.loads(self.body)
        assert found["status"] == self.status and found["detail"], found
        return found["type"].rsplit(":", 1)[1]

    def __repr__(self):
        return f"<{self.status} {self.body[:300]}>"


def request(method, url, jwt=None, body=None, content_type=None, **headers):
    """One HTTP request; headers with underscores for hyphens."""
    asked = urllib.request.Request(url, data=body.encode() if body is not None else None, method=method)
    if jwt:
        asked.add_header("Authorization", f"Bearer {jwt}")
    if content_type:
        asked.add_header("Content-Type", content_type)
    for name, value in headers.items():
        asked.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(asked, timeout=25) as answer:
            return Reply(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, error.read().decode(errors="replace"))


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, frequency, level=-12.0):
        super().__init__()
        self.frequency, self.amplitude = frequency, 32767 * 10 ** (level / 20)
        self.at, self.start = 0, None

    async def recv(self):
        if self.readyState != "live":
            raise MediaStreamError
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0.0, self.start + self.at / 48000 - time.monotonic()))
        phase = 2 * numpy.pi * self.frequency * numpy.arange(self.at, self.at + 960) / 48000
        samples = (self.amplitude * numpy.sin(phase)).astype(numpy.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self.at, fractions.Fraction(1, 48000)
        self.at += 960
        return frame


class Camera(MediaStreamTrack):
    kind = "video"

    def __init__(self, number, width=320, height=240, fps=10):
        super().__init__()
        self.picture, self.fps = Picture(number, width, height), fps
        self.count, self.start = 0, None

    async def recv(self):
        if self.readyState != "live":
            raise MediaStreamError
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0.0, self.start + self.count / self.fps - time.monotonic()))
        width, height = self.picture.width, self.picture.height
        planes = numpy.frombuffer(self.picture.frame(self.count), dtype=numpy.uint8).reshape(height * 3 // 2, width)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self.count * 90000 // self.fps, fractions.Fraction(1, 90000)
        self.count += 1
        return frame


class Session:
    """One peer connection and the HTTP resource that it has become."""

    def __init__(self, url, jwt):
        self.url, self.jwt = url, jwt
        self.pc = RTCPeerConnection()
        self.resource = self.tag = None

    async def post(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        reply = await asyncio.to_thread(request, "POST", self.url, self.jwt, self.pc.localDescription.sdp, SDP)
        assert reply.status == 201, reply
        assert reply.headers["Content-Type"] == SDP
        base = re.match(r"https?://[^/]+", self.url).group(0)
        self.resource, self.tag = base + reply.headers["Location"], reply.headers["ETag"]
        await self.pc.setRemoteDescription(RTCSessionDescription(reply.body, "answer"))
        return reply

    async def connected(self, timeout=10.0):
        deadline = time.monotonic() + timeout
        while self.pc.connectionState != "connected":
            assert time.monotonic() < deadline, f"{self.url}: {self.pc.connectionState}"
            await asyncio.sleep(0.02)

    async def patch(self, body, tag=None):
        return await asyncio.to_thread(
            request, "PATCH", self.resource, self.jwt, body, FRAGMENT, **({"If_Match": tag} if tag else {})
        )

    async def delete(self):
        return await asyncio.to_thread(request, "DELETE", self.resource, self.jwt)

    async def close(self):
        if self.resource:
            with contextlib.suppress(OSError):
                await self.delete()
        await self.pc.close()


class Encoder(Session):
    """Publishes a tone and a picture."""

    def __init__(self, url, jwt, tone=None, number=None):
        super().__init__(url, jwt)
        if tone:
            self.pc.addTransceiver(Tone(tone), direction="sendonly")
        if number:
            self.pc.addTransceiver(Camera(number), direction="sendonly")

    async def start(self):
        reply = await self.post()
        await self.connected()
        return reply


class Player(Session):
    """Receives so many tracks of each kind, by the order of the sections."""

    def __init__(self, url, jwt, audios=1, videos=1):
        super().__init__(url, jwt)
        self.samples, self.numbers, self.tasks = {}, {}, []

        @self.pc.on("track")
        def on_track(track):
            self.tasks.append(asyncio.ensure_future(self.watch(track)))

        for kind, count in (("audio", audios), ("video", videos)):
            for _ in range(count):
                self.pc.addTransceiver(kind, direction="recvonly")

    async def start(self):
        reply = await self.post()
        await self.connected()
        return reply

    async def watch(self, track):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        heard, seen = self.samples.setdefault(track.id, []), self.numbers.setdefault(track.id, [])
        with contextlib.suppress(MediaStreamError, asyncio.CancelledError):
            while True:
                frame = await track.recv()
                if track.kind == "audio":
                    for piece in resampler.resample(frame):
                        heard.extend(piece.to_ndarray().flatten().tolist())
                else:
                    luma = frame.reformat(format="yuv420p").planes[0]
                    seen.append(number_of(bytes(luma), frame.width, frame.height, luma.line_size))

    async def hears(self, tone, timeout=10.0):
        """Waits until one of the tracks is that tone."""
        def find():
            for samples in self.samples.values():
                if len(samples) >= RATE // 2 and audio.Heard(samples[-RATE // 2 :], RATE).is_tone(tone):
                    return True
            return False

        await self.until(find, timeout, f"{tone} Hz")

    async def sees(self, number, timeout=15.0):
        await self.until(
            lambda: any(seen[-3:] == [number] * 3 for seen in self.numbers.values()), timeout, f"picture {number}"
        )

    async def until(self, check, timeout, what):
        deadline = time.monotonic() + timeout
        while not check():
            assert time.monotonic() < deadline, (
                f"not {what} within {timeout} s; frames {[(len(n), n[-3:]) for n in self.numbers.values()]}, "
                f"samples {[len(s) for s in self.samples.values()]}"
            )
            await asyncio.sleep(0.05)

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await super().close()
