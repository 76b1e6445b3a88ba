"""Guests of a room: LiveKit's own SDK for Python (libwebrtc inside), as agents and back ends use it.

Everything here is asynchronous: a test that takes a `house` is a coroutine, and all its guests leave when it ends.
"""

import array
import asyncio
import contextlib
import datetime
import itertools
import math
import time
import uuid

from livekit import api, rtc
from livekit.protocol import models as models_proto

from . import audio
from .picture import Picture, number_of
from .server import KEY

API_KEY = "devkey"
RATE = 16000
_pictures = itertools.count(1)


def token(identity, room, key=API_KEY, secret=KEY, ttl=600, name=None, metadata=None, attributes=None, kind=None, config=None, **grants):
    """A join token. `grants` are those of VideoGrants; room_join is there unless taken away."""
    made = api.AccessToken(key, secret).with_ttl(datetime.timedelta(seconds=ttl)).with_identity(identity)
    made = made.with_grants(api.VideoGrants(**{"room_join": True, "room": room} | grants))
    if name is not None:
        made = made.with_name(name)
    if metadata is not None:
        made = made.with_metadata(metadata)
    if attributes is not None:
        made = made.with_attributes(attributes)
    if kind is not None:
        made = made.with_kind(kind)
    if config is not None:
        made = made.with_room_config(config)
    return made.to_jwt()


class House:
    """One room of a test, its guests and the server's API."""

    def __init__(self, server, room=None):
        self.server = server
        self.room = room or f"room-{uuid.uuid4().hex[:8]}"
        self.guests = []
        self._api = None

    @property
    def api(self):
        if self._api is None:
            self._api = api.LiveKitAPI(self.server.http, API_KEY, KEY)
        return self._api

    async def join(self, identity, url=None, room=None, jwt=None, single=None, timeout=20, options=None, **claims):
        """`single`: one peer connection (/rtc/v1) or two (/rtc); None is the SDK's own choice."""
        guest = Guest(self, identity)
        self.guests.append(guest)
        settings = {"single_peer_connection": single, **(options or {})}
        jwt = jwt or token(identity, room or self.room, **claims)
        await asyncio.wait_for(
            guest.room.connect(url or self.server.http, jwt, rtc.RoomOptions(**settings)), timeout
        )
        return guest

    async def close(self):
        for guest in self.guests:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(guest.leave(), 5)
        if self._api:
            await self._api.aclose()


class Guest:
    """One participant on the SDK, its memory of events, its microphones, cameras, ears and eyes."""

    def __init__(self, house, identity):
        self.house, self.identity = house, identity
        self.room = rtc.Room()
        self.events = []
        self.data = []
        self._tasks = []
        self._ears, self._eyes = {}, {}
        for name in EVENTS:
            self.room.on(name, self._recorder(name))

    def _recorder(self, name):
        def record(*arguments):
            self.events.append((name, arguments))
            if name == "data_received":
                self.data.append(arguments[0])
            if name == "track_subscribed":
                self._watch(arguments[0], arguments[2].identity)

        return record

    def __repr__(self):
        return f"{self.identity}: {[name for name, _ in self.events][-30:]}"

    # Waiting.

    async def until(self, check, timeout=8.0, what=None):
        """Waits until `check()` is true and gives what it gave."""
        deadline = time.monotonic() + timeout
        while not (found := check()):
            assert time.monotonic() < deadline, f"not {what or 'so'} within {timeout} s. {self}"
            await asyncio.sleep(0.02)
        return found

    async def event(self, name, where=lambda *arguments: True, timeout=8.0, since=0):
        """The arguments of the first event of that name, past or coming, for which `where` holds."""
        def find():
            return next((a for n, a in self.events[since:] if n == name and where(*a)), None)

        await self.until(lambda: find() is not None, timeout, name)
        return find()

    def count(self, name):
        return sum(1 for found, _ in self.events if found == name)

    @property
    def mark(self):
        return len(self.events)

    async def sees(self, identity, timeout=8.0):
        """The other's view here."""
        await self.until(lambda: identity in self.room.remote_participants, timeout, f"seeing {identity}")
        return self.room.remote_participants[identity]

    async def misses(self, identity, timeout=8.0):
        await self.until(lambda: identity not in self.room.remote_participants, timeout, f"missing {identity}")

    async def publication(self, identity, source=None, name=None, timeout=8.0):
        """The other's publication of that source or name, once it is known here."""
        def find():
            other = self.room.remote_participants.get(identity)
            for one in other.track_publications.values() if other else ():
                if (source is None or one.source == source) and (name is None or one.name == name):
                    return one
            return None

        return await self.until(find, timeout, f"publication of {identity}")

    # Publishing.

    @property
    def local(self):
        return self.room.local_participant

    async def speak(self, tone, name="microphone", level=-12.0, source=rtc.TrackSource.SOURCE_MICROPHONE, **options):
        """Publishes a tone; gives the publication."""
        line = rtc.AudioSource(48000, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track(name, line)
        self._task(self._sound(line, tone, level))
        publication = await asyncio.wait_for(
            self.local.publish_track(track, rtc.TrackPublishOptions(source=source, **options)), 15
        )
        publication.line = track
        return publication

    async def show(
        self, width=640, height=360, fps=10, name="camera", codec=rtc.VideoCodec.VP8, simulcast=False, number=None,
        source=rtc.TrackSource.SOURCE_CAMERA, bitrate=800_000, **options,
    ):
        """Publishes a picture; gives the publication, whose `number` is what the others see."""
        number = number or (next(_pictures) * 37) % 253 + 1
        line = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track(name, line)
        self._task(self._film(line, Picture(number, width, height), fps))
        publication = await asyncio.wait_for(
            self.local.publish_track(
                track,
                rtc.TrackPublishOptions(
                    source=source, video_codec=codec, simulcast=simulcast,
                    video_encoding=rtc.VideoEncoding(max_framerate=fps, max_bitrate=bitrate), **options,
                ),
            ),
            15,
        )
        publication.line, publication.number = track, number
        return publication

    async def _sound(self, line, tone, level):
        amplitude = 32767 * 10 ** (level / 20)
        # A tenth of a second holds whole periods of every tone that is a multiple of 5 Hz and starts anew without a click
        # every fifth of a second.
        samples = array.array("h", (round(amplitude * math.sin(2 * math.pi * tone * n / 48000)) for n in range(9600)))
        step = 480
        with contextlib.suppress(asyncio.CancelledError, Exception):
            for block in itertools.cycle(range(0, len(samples), step)):
                piece = samples[block : block + step].tobytes()
                await line.capture_frame(rtc.AudioFrame(piece, 48000, 1, step))

    async def _film(self, line, picture, fps):
        start = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError):
            for count in itertools.count():
                line.capture_frame(
                    rtc.VideoFrame(picture.width, picture.height, rtc.VideoBufferType.I420, picture.frame(count))
                )
                await asyncio.sleep(max(0, start + (count + 1) / fps - time.monotonic()))

    # Hearing and seeing.

    def _watch(self, track, identity):
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._ears[identity] = ear = Ear(identity)
            self._task(ear.run(track))
        else:
            self._eyes[(identity, track.sid)] = self._eyes[identity] = eye = Eye()
            self._task(eye.run(track))

    async def ear(self, identity, timeout=8.0):
        return await self.until(lambda: self._ears.get(identity), timeout, f"audio of {identity}")

    async def listen(self, identity, seconds=1.0, timeout=8.0):
        """What is heard of the other in the next seconds."""
        ear = await self.ear(identity, timeout)
        start = len(ear.samples)
        await self.until(lambda: len(ear.samples) >= start + seconds * RATE, timeout, f"{seconds} s of {identity}")
        return audio.Heard(ear.samples[start : start + int(seconds * RATE)], RATE, f"{self.identity} of {identity}")

    async def hears(self, identity, tone, timeout=8.0):
        """Waits until that tone, and hardly anything else, is heard of the other for half a second from now on."""
        deadline = time.monotonic() + timeout
        ear, start, heard = self._ears.get(identity), 0, None
        start = len(ear.samples) if ear else 0
        while time.monotonic() < deadline:
            # The track may be another one by now.
            if self._ears.get(identity) is not ear:
                ear, start = self._ears[identity], 0
            if ear and len(ear.samples) - start >= RATE // 2:
                heard = audio.Heard(ear.samples[-RATE // 2 :], RATE, f"{self.identity} of {identity}")
                if heard.is_tone(tone):
                    return heard
            await asyncio.sleep(0.1)
        raise AssertionError(f"{tone} Hz not heard within {timeout} s: {heard}. {self}")

    async def eye(self, identity, timeout=10.0):
        """`identity`, or `(identity, track sid)`."""
        return await self.until(lambda: self._eyes.get(identity), timeout, f"video of {identity}")

    async def watches(self, identity, number, timeout=12.0, where=lambda frame: True):
        """Waits for three frames, from now on, with that picture."""
        deadline = time.monotonic() + timeout
        eye = self._eyes.get(identity)
        start = len(eye.frames) if eye else 0
        while True:
            if self._eyes.get(identity) is not eye:
                eye, start = self._eyes[identity], 0
            frames = eye.frames[start:] if eye else []
            good = [frame for frame in frames if frame.number == number and where(frame)]
            if len(good) >= 3:
                return good[-1]
            assert time.monotonic() < deadline, (
                f"picture {number} of {identity} not seen within {timeout} s: {frames[-8:]}. {self}"
            )
            await asyncio.sleep(0.05)

    async def statistics(self):
        return await self.room.get_rtc_stats()

    def _task(self, work):
        self._tasks.append(asyncio.ensure_future(work))

    async def leave(self):
        for task in self._tasks:
            task.cancel()
        if self.room.isconnected():
            await self.room.disconnect()


class Ear:
    """The samples of one track so far."""

    def __init__(self, identity):
        self.identity, self.samples = identity, []

    async def run(self, track):
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
        with contextlib.suppress(asyncio.CancelledError):
            try:
                async for event in stream:
                    self.samples.extend(event.frame.data)
            finally:
                await stream.aclose()


class Frame:
    def __init__(self, number, width, height):
        self.number, self.width, self.height, self.time = number, width, height, time.monotonic()

    def __repr__(self):
        return f"<{self.number} {self.width}x{self.height}>"


class Eye:
    """The frames of one track so far: what they show and how large they are."""

    def __init__(self):
        self.frames = []

    @property
    def last(self):
        return self.frames[-1] if self.frames else None

    async def run(self, track):
        stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
        with contextlib.suppress(asyncio.CancelledError):
            try:
                async for event in stream:
                    frame = event.frame
                    self.frames.append(
                        Frame(number_of(frame.get_plane(0), frame.width, frame.height), frame.width, frame.height)
                    )
            finally:
                await stream.aclose()


EVENTS = [
    "participant_connected", "participant_disconnected", "participant_active", "local_track_published",
    "local_track_unpublished", "local_track_republished", "local_track_subscribed", "track_published",
    "track_unpublished", "track_subscribed", "track_unsubscribed", "track_subscription_failed", "track_muted",
    "track_unmuted", "active_speakers_changed", "room_metadata_changed", "participant_metadata_changed",
    "participant_name_changed", "participant_attributes_changed", "connection_quality_changed",
    "participant_permissions_changed", "data_received", "sip_dtmf_received", "transcription_received",
    "connection_state_changed", "connected", "disconnected", "reconnecting", "reconnected", "room_updated", "moved",
    "token_refreshed",
]
DisconnectReason = models_proto.DisconnectReason
