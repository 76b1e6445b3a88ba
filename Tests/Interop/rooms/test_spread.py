"""A room on all workers: beyond `rooms.receivers-per-worker` those who receive live on another worker than who sends."""

import asyncio

import pytest
from livekit import rtc

from support.rooms import House
from support.server import ParleyServer

CAMERA = rtc.TrackSource.SOURCE_CAMERA
LOW, HIGH = (rtc.VideoQuality.Value(f"VIDEO_QUALITY_{name}") for name in ("LOW", "HIGH"))


@pytest.fixture(scope="module")
def spread(directory):
    """One receiver a worker: the second one lives elsewhere, the third at home again."""
    parley = ParleyServer(
        directory / "spread", users=(), rooms={"receivers-per-worker": 1}, media={"workers": 3})
    parley.start()
    yield parley
    status = parley.stop()
    assert status == 0, f"parley ended with {status}:\n{parley.log()[-3000:]}"


@pytest.fixture
def wide(spread, request):
    start = len(spread.log())
    yield House(spread)
    assert "room spreads" in spread.log()[start:], "all lived on one worker"
    assert spread.alive, f"the server died:\n{spread.log()[-4000:]}"


async def test_everybody_hears_and_sees_everybody(wide):
    names = {f"guest-{n}": 300 + 205 * n for n in range(4)}
    guests = await asyncio.gather(*(wide.join(name, single=False) for name in names))
    shown = {}
    for guest in guests:
        await guest.speak(names[guest.identity])
    for guest in guests[:2]:
        shown[guest.identity] = await guest.show(320, 180)
    for guest in guests:
        for other, tone in names.items():
            if other != guest.identity:
                await guest.hears(other, tone, 40)
        for other, picture in shown.items():
            if other != guest.identity:
                await guest.watches(other, picture.number, timeout=20)


async def test_layers_switch_on_another_worker(wide):
    ann, bob, carl = [await wide.join(name, single=False) for name in ("ann", "bob", "carl")]
    shown = await ann.show(960, 540, simulcast=True, bitrate=1_200_000)
    watchers = [bob, carl]
    for guest in watchers:
        await guest.watches("ann", shown.number, timeout=20, where=lambda frame: frame.width == 960)
    for guest in watchers:
        publication = await guest.publication("ann", CAMERA)
        publication.set_video_quality(LOW)
        await guest.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == 320)
        publication.set_video_quality(HIGH)
        await guest.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == 960)


async def test_who_comes_late_gets_a_key_frame_and_who_mutes_is_silent(wide):
    ann, bob, carl = [await wide.join(name, single=False) for name in ("ann", "bob", "carl")]
    shown = await ann.show(320, 180)
    spoken = await ann.speak(455)
    await asyncio.gather(*(guest.hears("ann", 455, 20) for guest in (bob, carl)))
    late = await wide.join("dora", single=False)
    await late.watches("ann", shown.number, timeout=10)
    since = {guest.identity: guest.mark for guest in (bob, carl, late)}
    spoken.line.mute()
    for guest in (bob, carl, late):
        await guest.event("track_muted", lambda *_: True, since=since[guest.identity], timeout=10)
    spoken.line.unmute()
    await asyncio.gather(*(guest.hears("ann", 455, 20) for guest in (bob, carl, late)))


async def test_data_reaches_all_workers(wide):
    ann, bob, carl, dora = [await wide.join(name, single=False) for name in ("ann", "bob", "carl", "dora")]
    await ann.local.publish_data(b"to all", reliable=True, topic="spread")
    for guest in (bob, carl, dora):
        await guest.until(lambda: guest.data, what="data")
        assert [packet.data for packet in guest.data] == [b"to all"]
