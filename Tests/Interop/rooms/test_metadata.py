"""What participants and rooms say of themselves, and who may change it."""

import asyncio

import pytest
from livekit import api, rtc

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])


@WAYS
async def test_participants_describe_themselves(house, single):
    ann = await house.join("ann", single=single, can_update_own_metadata=True, attributes={"seat": "1", "hat": "red"})
    bob = await house.join("bob", single=single)
    seen = await bob.sees("ann")
    await ann.local.set_metadata("new metadata")
    await ann.local.set_name("Ann the Second")
    await ann.local.set_attributes({"seat": "2", "hat": "", "shoe": "blue"})
    await bob.until(lambda: seen.metadata == "new metadata", what="metadata")
    await bob.until(lambda: seen.name == "Ann the Second", what="name")
    await bob.until(lambda: dict(seen.attributes) == {"seat": "2", "shoe": "blue"}, what="attributes")
    await ann.until(lambda: dict(ann.local.attributes) == {"seat": "2", "shoe": "blue"}, what="own attributes")
    assert ann.local.metadata == "new metadata" and ann.local.name == "Ann the Second"
    for name in ("participant_metadata_changed", "participant_name_changed", "participant_attributes_changed"):
        await bob.event(name)
        await ann.event(name)
    # The late learn the newest.
    carl = await house.join("carl", single=single)
    assert dict((await carl.sees("ann")).attributes) == {"seat": "2", "shoe": "blue"}


@WAYS
async def test_only_with_permission(house, single):
    ann = await house.join("ann", single=single, metadata="old")
    bob = await house.join("bob", single=single)
    seen = await bob.sees("ann")
    # The SDK for Python hides the refusal; what counts is that nothing changes.
    try:
        await asyncio.wait_for(ann.local.set_metadata("new"), 6)
    except Exception:
        pass
    await asyncio.sleep(0.3)
    assert seen.metadata == "old"
    assert bob.count("participant_metadata_changed") == 0


@WAYS
async def test_the_room_s_metadata(house, single):
    ann = await house.join("ann", single=single)
    room = await house.api.room.update_room_metadata(api.UpdateRoomMetadataRequest(room=house.room, metadata="of the room"))
    assert room.metadata == "of the room"
    await ann.event("room_metadata_changed")
    assert ann.room.metadata == "of the room"
    assert (await house.join("bob", single=single)).room.metadata == "of the room"


@WAYS
async def test_the_server_describes_participants(house, single):
    ann = await house.join("ann", single=single)
    bob = await house.join("bob", single=single)
    seen = await bob.sees("ann")
    info = await house.api.room.update_participant(
        api.UpdateParticipantRequest(room=house.room, identity="ann", name="By server", metadata="m", attributes={"a": "b"})
    )
    assert (info.name, info.metadata, dict(info.attributes)) == ("By server", "m", {"a": "b"})
    await bob.until(lambda: (seen.name, seen.metadata, dict(seen.attributes)) == ("By server", "m", {"a": "b"}))
    await ann.until(lambda: (ann.local.name, ann.local.metadata) == ("By server", "m"))


@WAYS
async def test_permissions_taken_and_given(house, single):
    ann = await house.join("ann", single=single)
    bob = await house.join("bob", single=single)
    await ann.speak(455)
    await bob.hears("ann", 455)
    await house.api.room.update_participant(
        api.UpdateParticipantRequest(
            room=house.room, identity="ann",
            permission=api.ParticipantPermission(can_subscribe=True, can_publish=False, can_publish_data=False),
        )
    )
    await ann.event("participant_permissions_changed")
    assert not ann.local.permissions.can_publish
    # Losing the permission takes away what is published.
    await bob.event("track_unpublished")
    try:
        await asyncio.wait_for(ann.local.publish_data(b"no"), 2)
    except (rtc.participant.PublishDataError, asyncio.TimeoutError):
        pass
    await asyncio.sleep(0.3)
    assert not bob.data


@WAYS
async def test_subscription_permissions(house, single):
    ann = await house.join("ann", single=single)
    ann.local.set_track_subscription_permissions(
        allow_all_participants=False,
        participant_permissions=[rtc.ParticipantTrackPermission(participant_identity="bob", allow_all=True)],
    )
    await asyncio.sleep(0.5)
    bob, carl = await house.join("bob", single=single), await house.join("carl", single=single)
    await ann.speak(455)
    await bob.hears("ann", 455)
    await asyncio.sleep(0.5)
    assert carl.count("track_subscribed") == 0
    ann.local.set_track_subscription_permissions(allow_all_participants=True, participant_permissions=[])
    await carl.hears("ann", 455, timeout=12)


@WAYS
async def test_who_speaks(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    spoken = await ann.speak(455, level=-10)
    await bob.hears("ann", 455)
    await bob.event("active_speakers_changed", lambda speakers: [one.identity for one in speakers] == ["ann"])
    since = bob.mark
    spoken.line.mute()
    await bob.event("active_speakers_changed", lambda speakers: not speakers, since=since)


@WAYS
async def test_quality_is_told(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await ann.speak(455)
    await bob.hears("ann", 455)
    found = await bob.event("connection_quality_changed", timeout=14)
    assert found[1] in (
        rtc.ConnectionQuality.QUALITY_EXCELLENT, rtc.ConnectionQuality.QUALITY_GOOD,
    )
