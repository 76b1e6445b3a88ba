"""What other systems are told, as LiveKit's own receiver verifies it."""

import asyncio
import base64
import hashlib

from livekit import api

from support.server import ParleyServer
from support.rooms import House


async def wait(webhooks, *arguments, **options):
    return await asyncio.to_thread(webhooks.wait, *arguments, **options)


async def test_the_story_of_a_room(house, webhooks):
    ann = await house.join("ann", name="Ann", attributes={"a": "b"})
    started = await wait(webhooks, "room_started", house.room)
    joined = await wait(webhooks, "participant_joined", house.room)
    assert started.room.sid == await ann.room.sid and started.id and started.created_at > 1_600_000_000
    assert (joined.participant.identity, joined.participant.sid, joined.participant.name) == ("ann", ann.local.sid, "Ann")
    spoken = await ann.speak(455)
    published = await wait(webhooks, "track_published", house.room)
    assert (published.track.sid, published.participant.identity) == (spoken.sid, "ann")
    await ann.local.unpublish_track(spoken.sid)
    gone = await wait(webhooks, "track_unpublished", house.room)
    assert gone.track.sid == spoken.sid
    await ann.leave()
    left = await wait(webhooks, "participant_left", house.room)
    assert left.participant.identity == "ann"
    await house.api.room.delete_room(api.DeleteRoomRequest(room=house.room))
    await wait(webhooks, "room_finished", house.room)
    events = webhooks.events(house.room)
    assert [event.event for event in events] == [
        "room_started", "participant_joined", "track_published", "track_unpublished", "participant_left", "room_finished",
    ]
    assert len({event.id for event in events}) == len(events)


async def test_how_they_look_on_the_wire(house, webhooks):
    await house.join("ann")
    await wait(webhooks, "participant_joined", house.room)
    headers, body = next((headers, body) for headers, body in webhooks.requests if house.room in body)
    assert headers["Content-Type"] == "application/webhook+json"
    assert not headers["Authorization"].startswith("Bearer")
    assert '"createdAt"' in body and '"created_at"' not in body
    claims = webhooks.receiver._verifier.verify(headers["Authorization"])
    assert base64.b64decode(claims.sha256) == hashlib.sha256(body.encode()).digest()


async def test_they_are_sent_again_until_taken(house, webhooks):
    webhooks.failures = 2
    await house.join("ann")
    await wait(webhooks, "participant_joined", house.room, timeout=30)
    names = [event.event for event in webhooks.events(house.room)]
    assert names == ["room_started", "participant_joined"]


async def test_they_outlive_a_crash(tmp_path, webhooks):
    server = ParleyServer(tmp_path / "parley", users=(), **webhooks.sections).start()
    house = House(server)
    webhooks.failures = 1000
    try:
        await house.join("ann")
        await asyncio.sleep(0.5)
    finally:
        await house.close()
        server.kill()
        webhooks.failures = 0
    server.start()
    try:
        await wait(webhooks, "room_started", house.room, timeout=20)
    finally:
        server.stop()
