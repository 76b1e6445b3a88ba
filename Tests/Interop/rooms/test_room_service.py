"""The server's API as back ends call it: livekit-api for everything, plain HTTP for JSON and for errors."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from livekit import api, rtc
from livekit.protocol import models as models_proto

from support import audio
from support.rooms import API_KEY, KEY, RATE, DisconnectReason, token

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])
ADMIN = {"room_admin": True, "room_create": True, "room_list": True}


def twirp(server, method, body, jwt=None, kind="application/json", service="RoomService"):
    """(status, decoded JSON)."""
    request = urllib.request.Request(
        f"{server.http}/twirp/livekit.{service}/{method}", data=body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    request.add_header("Content-Type", kind)
    if jwt:
        request.add_header("Authorization", f"Bearer {jwt}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def admin(room="", **grants):
    return api.AccessToken(API_KEY, KEY).with_grants(api.VideoGrants(room=room, **(ADMIN | grants))).to_jwt()


async def refused(work, code):
    with pytest.raises(api.TwirpError) as error:
        await work
    assert error.value.code == code, str(error.value)
    assert error.value.message
    return error.value


async def test_rooms_are_made_listed_and_ended(house):
    made = await house.api.room.create_room(
        api.CreateRoomRequest(
            name=house.room, empty_timeout=120, departure_timeout=30, max_participants=7, metadata="of the API"
        )
    )
    assert made.sid.startswith("RM_")
    assert (made.name, made.empty_timeout, made.departure_timeout, made.max_participants, made.metadata) == (
        house.room, 120, 30, 7, "of the API",
    )
    assert made.creation_time > 1_600_000_000
    again = await house.api.room.create_room(api.CreateRoomRequest(name=house.room))
    assert again.sid == made.sid
    listed = await house.api.room.list_rooms(api.ListRoomsRequest())
    assert house.room in [room.name for room in listed.rooms]
    listed = await house.api.room.list_rooms(api.ListRoomsRequest(names=[house.room, "no such room"]))
    assert [room.name for room in listed.rooms] == [house.room]
    await house.api.room.delete_room(api.DeleteRoomRequest(room=house.room))
    listed = await house.api.room.list_rooms(api.ListRoomsRequest(names=[house.room]))
    assert not listed.rooms
    await refused(house.api.room.delete_room(api.DeleteRoomRequest(room=house.room)), "not_found")


@WAYS
async def test_deleting_a_room_ends_everybody_s_stay(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await house.api.room.delete_room(api.DeleteRoomRequest(room=house.room))
    for guest in (ann, bob):
        assert (await guest.event("disconnected"))[0] == DisconnectReason.ROOM_DELETED
    # The name is free for a new room.
    old = await ann.room.sid
    carl = await house.join("carl", single=single)
    assert await carl.room.sid != old


@WAYS
async def test_participants_are_listed(house, single):
    ann = await house.join("ann", single=single, name="Ann", metadata="m", attributes={"a": "1"})
    await ann.speak(455)
    await ann.show()

    async def published():
        return len((await house.api.room.get_participant(api.RoomParticipantIdentity(room=house.room, identity="ann"))).tracks) == 2

    for _ in range(100):
        if await published():
            break
        await asyncio.sleep(0.05)
    listed = await house.api.room.list_participants(api.ListParticipantsRequest(room=house.room))
    (info,) = listed.participants
    assert (info.identity, info.sid, info.name, info.metadata, dict(info.attributes)) == (
        "ann", ann.local.sid, "Ann", "m", {"a": "1"},
    )
    assert info.state == models_proto.ParticipantInfo.State.ACTIVE
    assert info.is_publisher and info.joined_at > 1_600_000_000
    assert info.permission.can_publish and info.permission.can_subscribe and info.permission.can_publish_data
    kinds = {track.type: track for track in info.tracks}
    sound, picture = kinds[models_proto.TrackType.AUDIO], kinds[models_proto.TrackType.VIDEO]
    assert (sound.source, sound.mime_type.lower()) == (models_proto.TrackSource.MICROPHONE, "audio/opus")
    assert (picture.source, picture.width, picture.height) == (models_proto.TrackSource.CAMERA, 640, 360)
    room = (await house.api.room.list_rooms(api.ListRoomsRequest(names=[house.room]))).rooms[0]
    assert (room.num_participants, room.num_publishers) == (1, 1)


@WAYS
async def test_participants_are_removed(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await house.api.room.remove_participant(api.RoomParticipantIdentity(room=house.room, identity="bob"))
    assert (await bob.event("disconnected"))[0] == DisconnectReason.PARTICIPANT_REMOVED
    gone = (await ann.event("participant_disconnected"))[0]
    assert (gone.identity, gone.disconnect_reason) == ("bob", DisconnectReason.PARTICIPANT_REMOVED)
    await refused(
        house.api.room.remove_participant(api.RoomParticipantIdentity(room=house.room, identity="bob")), "not_found"
    )


@WAYS
async def test_tracks_are_muted_by_the_server(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    spoken = await ann.speak(455)
    await bob.hears("ann", 455)
    answer = await house.api.room.mute_published_track(
        api.MuteRoomTrackRequest(room=house.room, identity="ann", track_sid=spoken.sid, muted=True)
    )
    assert answer.track.muted and answer.track.sid == spoken.sid
    await bob.event("track_muted")
    await ann.until(lambda: spoken.muted, what="muted at the publisher")
    await asyncio.sleep(0.5)
    assert (await bob.listen("ann", 0.5)).is_silent
    await refused(
        house.api.room.mute_published_track(
            api.MuteRoomTrackRequest(room=house.room, identity="ann", track_sid=spoken.sid, muted=False)
        ),
        "failed_precondition",
    )
    await refused(
        house.api.room.mute_published_track(
            api.MuteRoomTrackRequest(room=house.room, identity="ann", track_sid="TR_unknown", muted=True)
        ),
        "not_found",
    )


@WAYS
async def test_subscriptions_are_changed_by_the_server(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    spoken = await ann.speak(455)
    await bob.hears("ann", 455)

    def change(subscribe):
        return house.api.room.update_subscriptions(
            api.UpdateSubscriptionsRequest(
                room=house.room, identity="bob", track_sids=[spoken.sid], subscribe=subscribe
            )
        )

    # The native SDK has no event for tracks that the server takes away.
    await change(False)
    await asyncio.sleep(1)
    ear = await bob.ear("ann")
    count = len(ear.samples)
    await asyncio.sleep(0.5)
    assert len(ear.samples) == count or audio.Heard(ear.samples[count:], RATE).is_silent
    await change(True)
    await bob.hears("ann", 455)


@WAYS
async def test_the_server_sends_data(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    for kind, target, text in (
        (models_proto.DataPacket.Kind.RELIABLE, [], b"to all"), (models_proto.DataPacket.Kind.LOSSY, ["bob"], b"to bob"),
    ):
        await house.api.room.send_data(
            api.SendDataRequest(room=house.room, data=text, kind=kind, destination_identities=target, topic="server")
        )
    await bob.until(lambda: len(bob.data) == 2, what="two packets")
    await ann.until(lambda: ann.data, what="a packet")
    await asyncio.sleep(0.3)
    assert [packet.data for packet in ann.data] == [b"to all"]
    assert sorted(packet.data for packet in bob.data) == [b"to all", b"to bob"]
    assert all(packet.participant is None and packet.topic == "server" for packet in bob.data)


async def test_data_with_the_same_nonce_comes_once(house):
    ann = await house.join("ann")
    # The SDK makes a nonce for each call itself.
    body = {"room": house.room, "data": "eA==", "kind": "RELIABLE", "nonce": "bm5ubm5ubm5ubm5ubm5ubg=="}
    for _ in range(3):
        status, _ = await asyncio.to_thread(twirp, house.server, "SendData", body, admin(room=house.room))
        assert status == 200
    await ann.until(lambda: ann.data, what="a packet")
    await asyncio.sleep(0.3)
    assert [packet.data for packet in ann.data] == [b"x"]


async def test_what_is_unknown_is_not_found(house):
    await house.join("ann")
    calls = house.api.room
    for work in (
        calls.get_participant(api.RoomParticipantIdentity(room=house.room, identity="nobody")),
        calls.get_participant(api.RoomParticipantIdentity(room="no-such-room", identity="ann")),
        calls.update_participant(api.UpdateParticipantRequest(room=house.room, identity="nobody", metadata="x")),
        calls.update_room_metadata(api.UpdateRoomMetadataRequest(room="no-such-room", metadata="x")),
        calls.update_subscriptions(
            api.UpdateSubscriptionsRequest(room=house.room, identity="nobody", track_sids=["TR_x"], subscribe=True)
        ),
        calls.send_data(api.SendDataRequest(room="no-such-room", data=b"x", kind=models_proto.DataPacket.Kind.RELIABLE)),
    ):
        assert (await refused(work, "not_found")).status == 404


async def test_invalid_names_are_refused(house):
    await refused(house.api.room.create_room(api.CreateRoomRequest(name="")), "invalid_argument")
    await refused(house.api.room.create_room(api.CreateRoomRequest(name="x" * 300)), "invalid_argument")


def test_json_in_both_spellings(rooms):
    name = "json-room"
    status, room = twirp(rooms, "CreateRoom", {"name": name, "empty_timeout": 60, "maxParticipants": 3}, admin())
    assert status == 200, room
    # snake_case, as LiveKit writes it; zero values are left out, which every reader of protobuf's JSON takes.
    assert room["name"] == name and room["empty_timeout"] == 60 and room["max_participants"] == 3
    assert room.get("num_participants", 0) == 0
    assert isinstance(room["creation_time"], str)
    status, found = twirp(rooms, "ListRooms", {"names": [name], "unknownField": 1}, admin())
    assert status == 200 and found["rooms"][0]["sid"] == room["sid"]
    assert twirp(rooms, "DeleteRoom", {"room": name}, admin()) == (200, {})


def test_grants_are_asked_for(rooms):
    name = "grant-room"
    assert twirp(rooms, "CreateRoom", {"name": name}, admin())[0] == 200
    cases = [
        ("CreateRoom", {"name": name}, {"room_create": False}),
        ("DeleteRoom", {"room": name}, {"room_create": False}),
        ("ListRooms", {}, {"room_list": False}),
        ("ListParticipants", {"room": name}, {"room_admin": False}),
        ("GetParticipant", {"room": name, "identity": "x"}, {"room_admin": False}),
        ("RemoveParticipant", {"room": name, "identity": "x"}, {"room_admin": False}),
        ("MutePublishedTrack", {"room": name, "identity": "x"}, {"room_admin": False}),
        ("UpdateParticipant", {"room": name, "identity": "x"}, {"room_admin": False}),
        ("UpdateSubscriptions", {"room": name, "identity": "x"}, {"room_admin": False}),
        ("SendData", {"room": name}, {"room_admin": False}),
        ("UpdateRoomMetadata", {"room": name}, {"room_admin": False}),
    ]
    for method, body, grants in cases:
        status, error = twirp(rooms, method, body, admin(room=name, **grants))
        assert (status, error["code"]) == (401, "unauthenticated"), (method, error)
    # The admin of one room is not the admin of another.
    status, error = twirp(rooms, "ListParticipants", {"room": name}, admin(room="another"))
    assert (status, error["code"]) == (401, "unauthenticated")
    for jwt in (None, "junk", token("x", name, secret="wrong")):
        status, error = twirp(rooms, "ListRooms", {}, jwt)
        assert (status, error["code"]) == (401, "unauthenticated")
    assert twirp(rooms, "DeleteRoom", {"room": name}, admin())[0] == 200


def test_bad_requests_have_their_codes(rooms):
    status, error = twirp(rooms, "NoSuchMethod", {}, admin())
    assert (status, error["code"]) == (404, "bad_route")
    status, error = twirp(rooms, "ListRooms", {}, admin(), service="NoSuchService")
    assert (status, error["code"]) == (404, "bad_route")
    status, error = twirp(rooms, "ListRooms", b"{not json", admin())
    assert (status, error["code"]) == (400, "malformed")
    status, error = twirp(rooms, "CreateRoom", b"\xff\xff\xff\xff", admin(), kind="application/protobuf")
    assert (status, error["code"]) == (400, "malformed")
    status, error = twirp(rooms, "ListRooms", {}, admin(), kind="text/plain")
    assert (status, error["code"]) == (404, "bad_route")


async def test_what_is_not_served_says_so(house):
    with pytest.raises(api.TwirpError) as error:
        await house.api.ingress.list_ingress(api.ListIngressRequest())
    assert error.value.code in ("unimplemented", "bad_route")


async def call(house, identity, method, payload="", **more):
    body = {"room": house.room, "destination_identity": identity, "method": method, "payload": payload, **more}
    return await asyncio.to_thread(twirp, house.server, "PerformRpc", body, admin(house.room))


@WAYS
async def test_a_back_end_calls_a_participant(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)

    @ann.local.register_rpc_method("greet")
    async def greet(invocation):
        return f"hello {invocation.payload}, said {invocation.caller_identity}"

    @ann.local.register_rpc_method("fail")
    async def fail(invocation):
        raise rtc.RpcError(1234, "not today", "why")

    @ann.local.register_rpc_method("sleep")
    async def sleep(invocation):
        await asyncio.sleep(10)
        return "late"

    assert await call(house, "ann", "greet", "you") == (200, {"payload": "hello you, said server"})
    status, error = await call(house, "ann", "fail")
    assert (status, error["code"], error["msg"]) == (500, "unknown", "not today")
    assert error["meta"] == {"rpc_code": "1234", "rpc_data": "why"}
    status, error = await call(house, "ann", "unheard-of")
    assert (status, error["code"], error["meta"]["rpc_code"]) == (501, "unimplemented", "1400")
    status, error = await call(house, "ann", "sleep", response_timeout_ms=2000)
    assert (status, error["code"], error["meta"]["rpc_code"]) == (408, "deadline_exceeded", "1502")
    status, error = await call(house, "nobody", "greet")
    assert (status, error["code"]) == (404, "not_found")
    # Nothing of all this reached the other one, and participants still call each other.
    assert not bob.data
    assert await bob.local.perform_rpc(destination_identity="ann", method="greet", payload="x") == "hello x, said bob"


@WAYS
async def test_a_participant_is_moved_to_another_room(house, single):
    elsewhere = f"{house.room}-b"
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    cid = await house.join("cid", room=elsewhere, single=single)
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    await house.api.room.move_participant(
        api.MoveParticipantRequest(room=house.room, identity="ann", destination_room=elsewhere)
    )
    await bob.misses("ann")
    await cid.sees("ann", timeout=15)
    await ann.event("reconnected", timeout=15)
    await cid.hears("ann", audio.ALICE, timeout=15)
    await ann.sees("cid")
    assert "bob" not in ann.room.remote_participants
    found = await house.api.room.list_participants(api.ListParticipantsRequest(room=elsewhere))
    assert sorted(one.identity for one in found.participants) == ["ann", "cid"]


async def test_a_move_needs_a_token_for_the_destination(house):
    await house.join("ann")
    body = {"room": house.room, "identity": "ann", "destination_room": "elsewhere"}
    status, error = await asyncio.to_thread(twirp, house.server, "MoveParticipant", body, admin(house.room))
    assert (status, error["code"]) == (401, "unauthenticated")
    allowed = admin(house.room, destination_room="elsewhere")
    status, error = await asyncio.to_thread(
        twirp, house.server, "MoveParticipant", body | {"identity": "nobody"}, allowed
    )
    assert (status, error["code"]) == (404, "not_found")
    status, error = await asyncio.to_thread(
        twirp, house.server, "MoveParticipant", body | {"destination_room": house.room}, admin(house.room, destination_room=house.room)
    )
    assert (status, error["code"]) == (400, "invalid_argument")
