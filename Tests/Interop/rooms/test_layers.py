"""Simulcast: three sizes of one picture, and who gets which."""

import asyncio

import pytest
from livekit import rtc

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])
CAMERA = rtc.TrackSource.SOURCE_CAMERA
LOW, MEDIUM, HIGH = (rtc.VideoQuality.Value(f"VIDEO_QUALITY_{name}") for name in ("LOW", "MEDIUM", "HIGH"))


async def broadcast(house, single, **options):
    ann, bob = await house.join("ann", single=single, **options), await house.join("bob", single=single)
    shown = await ann.show(960, 540, simulcast=True, bitrate=1_200_000)
    return ann, bob, shown, await bob.publication("ann", CAMERA)


@WAYS
async def test_the_largest_layer_by_default(house, single):
    _, bob, shown, publication = await broadcast(house, single)
    assert publication.simulcasted
    await bob.watches("ann", shown.number, timeout=20, where=lambda frame: frame.width == 960)


@WAYS
async def test_layers_switch_on_request(house, single):
    _, bob, shown, publication = await broadcast(house, single)
    await bob.watches("ann", shown.number, timeout=20, where=lambda frame: frame.width == 960)
    for quality, width in ((LOW, 320), (HIGH, 960), (MEDIUM, 640), (LOW, 320), (HIGH, 960)):
        publication.set_video_quality(quality)
        await bob.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == width)


@WAYS
async def test_each_subscriber_has_a_layer_of_its_own(house, single):
    _, bob, shown, publication = await broadcast(house, single)
    carl = await house.join("carl", single=single)
    await carl.watches("ann", shown.number, timeout=20, where=lambda frame: frame.width == 960)
    publication.set_video_quality(LOW)
    await bob.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == 320)
    await carl.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == 960)


@WAYS
async def test_switching_does_not_freeze(house, single):
    _, bob, shown, publication = await broadcast(house, single)
    await bob.watches("ann", shown.number, timeout=20, where=lambda frame: frame.width == 960)
    eye = await bob.eye("ann")
    start = len(eye.frames)
    for quality in (LOW, HIGH, LOW, HIGH):
        publication.set_video_quality(quality)
        await asyncio.sleep(2)
    times = [frame.time for frame in eye.frames[start:]]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert max(gaps) < 1.5, sorted(gaps)[-5:]
    assert all(frame.number == shown.number for frame in eye.frames[start:]), eye.frames[start:]


@WAYS
async def test_layers_that_nobody_watches_stop(house, single):
    ann, bob, shown, publication = await broadcast(house, single, options={"dynacast": True})
    await bob.watches("ann", shown.number, timeout=20, where=lambda frame: frame.width == 960)
    publication.set_video_quality(LOW)
    await bob.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == 320)

    async def sending():
        """Bytes that each layer sent in a second."""
        async def bytes_sent():
            statistics = await ann.statistics()
            return {
                (one.outbound_rtp.outbound.rid): one.outbound_rtp.sent.bytes_sent
                for one in (*statistics.publisher_stats, *statistics.subscriber_stats)
                if one.HasField("outbound_rtp") and one.outbound_rtp.stream.kind == "video"
            }

        before = await bytes_sent()
        await asyncio.sleep(1)
        return {rid: count - before.get(rid, 0) for rid, count in (await bytes_sent()).items()}

    for _ in range(14):
        rates = await sending()
        if rates.get("f", 1) == 0 and rates.get("q", 0) > 0:
            break
    assert rates.get("f") == 0 and rates.get("q", 0) > 0, rates
    # And back at once.
    publication.set_video_quality(HIGH)
    await bob.watches("ann", shown.number, timeout=8, where=lambda frame: frame.width == 960)
