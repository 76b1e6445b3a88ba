"""Clients that break the rules cost nobody but themselves."""

import asyncio
import base64
import gzip
import os
import random
import signal

import pytest
import websockets
from livekit import rtc
from livekit.protocol import rtc as proto

from support.processes import guest_process
from support.rooms import token


def address(house, path="/rtc", **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return house.server.http.replace("http", "ws", 1) + path + (f"?{text}" if text else "")


async def open_signal(house, identity="eve", **grants):
    jwt = token(identity, house.room, **grants)
    return await websockets.connect(
        address(house, auto_subscribe=1, protocol=16, sdk="python", access_token=jwt), max_size=4 << 20
    )


async def still_well(house):
    """Two guests with good manners meet after all."""
    ann, bob = await house.join("ann"), await house.join("bob")
    await ann.sees("bob")
    await ann.local.publish_data(b"x")
    await bob.until(lambda: bob.data, what="data")


async def first(socket):
    found = await asyncio.wait_for(socket.recv(), 5)
    response = proto.SignalResponse()
    response.ParseFromString(found)
    return response


async def test_join_is_the_first_message(house):
    async with await open_signal(house) as socket:
        response = await first(socket)
        assert response.WhichOneof("message") == "join"
        join = response.join
        assert join.room.name == house.room and join.participant.identity == "eve"
        assert join.ping_interval > 0 and join.ping_timeout > join.ping_interval
        assert join.server_info.protocol >= 9 and join.server_info.version.startswith("1.")
        assert join.subscriber_primary


async def test_text_is_answered_with_text(house):
    async with await open_signal(house) as socket:
        assert isinstance(await asyncio.wait_for(socket.recv(), 5), bytes)
        await socket.send('{"pingReq":{"timestamp":"123","rtt":"0"}}')
        for _ in range(20):
            found = await asyncio.wait_for(socket.recv(), 5)
            if isinstance(found, str) and "pongResp" in found:
                assert '"123"' in found
                return
    raise AssertionError("no pong in JSON")


async def test_pings_are_answered_in_both_forms(house):
    async with await open_signal(house) as socket:
        await socket.send(proto.SignalRequest(ping=77).SerializeToString())
        await socket.send(proto.SignalRequest(ping_req=proto.Ping(timestamp=78)).SerializeToString())
        seen = set()
        while seen < {"pong", "pong_resp"}:
            response = await first(socket)
            seen.add(response.WhichOneof("message"))
            if response.WhichOneof("message") == "pong_resp":
                assert response.pong_resp.last_ping_timestamp == 78
                assert response.pong_resp.timestamp > 1_600_000_000_000


async def test_silence_ends_the_signal(house):
    async with await open_signal(house) as socket:
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(socket.recv(), 30)


@pytest.mark.parametrize("seed", range(3))
async def test_junk(house, seed):
    dice = random.Random(seed)
    for _ in range(10):
        async with await open_signal(house, f"eve-{seed}") as socket:
            try:
                for _ in range(30):
                    await socket.send(dice.randbytes(dice.randrange(200)))
            except websockets.ConnectionClosed:
                pass
    await still_well(house)


async def test_absurd_requests(house):
    requests = [
        proto.SignalRequest(),
        proto.SignalRequest(offer=proto.SessionDescription(type="offer", sdp="v=0\r\n" * 20000, id=1)),
        proto.SignalRequest(offer=proto.SessionDescription(type="offer", sdp="", id=0)),
        proto.SignalRequest(answer=proto.SessionDescription(type="answer", sdp="v=0\r\nm=", id=4_000_000_000)),
        proto.SignalRequest(answer=proto.SessionDescription(type="offer", sdp="\0", id=1)),
        proto.SignalRequest(trickle=proto.TrickleRequest(candidateInit="{", target=0)),
        proto.SignalRequest(trickle=proto.TrickleRequest(candidateInit='{"candidate":null}', target=1)),
        proto.SignalRequest(mute=proto.MuteTrackRequest(sid="TR_nothing", muted=True)),
        proto.SignalRequest(subscription=proto.UpdateSubscription(track_sids=["TR_nothing"] * 1000, subscribe=True)),
        proto.SignalRequest(track_setting=proto.UpdateTrackSettings(track_sids=["x" * 5000], width=4_000_000_000)),
        proto.SignalRequest(sync_state=proto.SyncState()),
        proto.SignalRequest(add_track=proto.AddTrackRequest(cid="c" * 100_000, name="n" * 100_000)),
        proto.SignalRequest(update_metadata=proto.UpdateParticipantMetadata(metadata="m" * 1_000_000)),
        proto.SignalRequest(simulate=proto.SimulateScenario(server_leave=True)),
    ]
    for number, request in enumerate(requests):
        async with await open_signal(house, f"eve-{number}", can_update_own_metadata=True) as socket:
            try:
                await first(socket)
                for _ in range(3):
                    await socket.send(request.SerializeToString())
                await socket.send(proto.SignalRequest(ping=1).SerializeToString())
                await asyncio.sleep(0.05)
            except websockets.ConnectionClosed:
                pass
    await still_well(house)


async def test_ten_thousand_candidates(house):
    async with await open_signal(house) as socket:
        await first(socket)
        try:
            for number in range(10_000):
                line = f"candidate:{number} 1 udp 2122260223 10.0.{number // 256 % 256}.{number % 256} 5000 typ host"
                await socket.send(
                    proto.SignalRequest(
                        trickle=proto.TrickleRequest(
                            candidateInit=f'{{"candidate":"{line}","sdpMid":"0","sdpMLineIndex":0}}', target=1
                        )
                    ).SerializeToString()
                )
        except websockets.ConnectionClosed:
            pass
    await still_well(house)


async def test_a_message_that_is_too_large(house):
    async with await open_signal(house) as socket:
        with pytest.raises(websockets.ConnectionClosed):
            await socket.send(bytes(3 << 20))
            while True:
                await asyncio.wait_for(socket.recv(), 8)
    await still_well(house)


@pytest.mark.parametrize("what", ["junk", "bomb", "cut"])
async def test_a_bad_join_request(house, what):
    jwt = token("eve", house.room)
    if what == "junk":
        wrapped = b"\xff" * 40
    else:
        inner = gzip.compress(bytes(64 << 20)) if what == "bomb" else gzip.compress(b"x" * 100)[:-12]
        wrapped = proto.WrappedJoinRequest(compression=proto.WrappedJoinRequest.GZIP, join_request=inner).SerializeToString()
    text = base64.urlsafe_b64encode(wrapped).decode()
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await websockets.connect(
            address(house, "/rtc/v1", join_request=text[:60000]), additional_headers={"Authorization": f"Bearer {jwt}"}
        )
    assert refusal.value.response.status_code in (400, 414, 431)
    await still_well(house)


async def test_a_resume_of_nobody_is_told_to_join_anew(house):
    jwt = token("eve", house.room)
    socket = await websockets.connect(
        address(house, reconnect=1, sid="PA_nobodyknows", auto_subscribe=1, protocol=16, access_token=jwt)
    )
    async with socket:
        response = await first(socket)
        assert response.WhichOneof("message") == "leave"
        assert response.leave.action == proto.LeaveRequest.Action.RECONNECT


async def test_a_stranger_cannot_resume_another_s_session(house):
    ann = await house.join("ann")
    jwt = token("eve", house.room)
    socket = await websockets.connect(
        address(house, reconnect=1, sid=ann.local.sid, auto_subscribe=1, protocol=16, access_token=jwt)
    )
    async with socket:
        response = await first(socket)
        assert response.WhichOneof("message") == "leave"
    await asyncio.sleep(0.5)
    assert ann.room.isconnected() and ann.count("reconnecting") == 0


async def test_a_hundred_connections_of_one_identity(house):
    sockets = []
    for _ in range(100):
        sockets.append(await open_signal(house))
    await asyncio.sleep(0.3)
    live = 0
    for socket in sockets:
        try:
            while True:
                found = await asyncio.wait_for(socket.recv(), 0.05)
                response = proto.SignalResponse()
                response.ParseFromString(found)
                if response.WhichOneof("message") == "leave":
                    break
        except asyncio.TimeoutError:
            live += 1
        except websockets.ConnectionClosed:
            pass
    assert live <= 1
    for socket in sockets:
        await socket.close()
    await still_well(house)
    assert rtc.Room


async def test_a_receiver_that_takes_nothing(house):
    """Its reliable data is kept up to a bound; then it is cut off, and the others never notice."""
    ann, bob = await house.join("ann"), await house.join("bob")
    stopped = await guest_process(house, "stopped", False)
    try:
        await ann.sees("stopped")
        await bob.sees("stopped")
        status = f"/proc/{house.server.process.pid}/status"

        def resident():
            with open(status) as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

        before = resident()
        os.kill(stopped.pid, signal.SIGSTOP)
        sent = 0
        for number in range(900):
            await ann.local.publish_data(number.to_bytes(2, "big") + bytes(13_998))
            sent += 1
        await bob.until(lambda: len(bob.data) == sent, 40, "all packets at the other receiver")
        assert [int.from_bytes(packet.data[:2], "big") for packet in bob.data] == list(range(sent))
        # 12.6 MB were sent; 4 MiB wait at most, in and outside of SCTP a little more.
        assert resident() - before < 40_000, (before, resident())
        await ann.local.publish_data(b"still there")
        await bob.until(lambda: bob.data[-1].data == b"still there", what="the last packet")
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.kill()
        await stopped.wait()
