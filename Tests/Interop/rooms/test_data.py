"""Data: packets, texts, files and remote calls from one to the others."""

import asyncio
import hashlib
import os

import pytest
from livekit import rtc

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])


async def pair(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await ann.sees("bob")
    await bob.sees("ann")
    return ann, bob


@WAYS
@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_packets_both_ways(house, single, reliable):
    ann, bob = await pair(house, single)
    for sender, receiver, text, topic in ((ann, bob, b"from ann", "t1"), (bob, ann, "von Bob ö", "")):
        # What is lossy may be lost while channels are being opened.
        for _ in range(20 if not reliable else 1):
            await sender.local.publish_data(text, reliable=reliable, topic=topic)
            await asyncio.sleep(0.1)
            if receiver.data:
                break
        await receiver.until(lambda: receiver.data, what="data")
    packet = bob.data[0]
    assert (packet.data, packet.topic, packet.participant.identity) == (b"from ann", "t1", "ann")
    assert ann.data[0].data == "von Bob ö".encode()
    expected = rtc.DataPacketKind.KIND_RELIABLE if reliable else rtc.DataPacketKind.KIND_LOSSY
    assert packet.kind == expected
    await asyncio.sleep(0.3)
    # Nobody gets their own.
    assert all(packet.participant.identity == "bob" for packet in ann.data)
    assert not reliable or len(ann.data) == len(bob.data) == 1


@WAYS
async def test_packets_for_some(house, single):
    ann, bob = await pair(house, single)
    carl = await house.join("carl", single=single)
    await ann.sees("carl")
    await carl.sees("ann")
    await ann.local.publish_data(b"for carl", destination_identities=["carl"])
    await ann.local.publish_data(b"for all")
    await carl.until(lambda: len(carl.data) == 2, what="two packets")
    await bob.until(lambda: bob.data, what="a packet")
    await asyncio.sleep(0.3)
    assert [packet.data for packet in bob.data] == [b"for all"]
    assert [packet.data for packet in carl.data] == [b"for carl", b"for all"]


@WAYS
async def test_many_reliable_packets_keep_their_order(house, single):
    ann, bob = await pair(house, single)
    for number in range(300):
        await ann.local.publish_data(number.to_bytes(2, "big") + bytes(number * 7 % 900), topic="n")
    await bob.until(lambda: len(bob.data) == 300, 15, "300 packets")
    assert [int.from_bytes(packet.data[:2], "big") for packet in bob.data] == list(range(300))


@WAYS
async def test_large_packets(house, single):
    ann, bob = await pair(house, single)
    for size in (1, 1200, 14_000, 60_000):
        await ann.local.publish_data(bytes(index * 31 % 251 for index in range(size)))
    await bob.until(lambda: len(bob.data) == 4, 10, "4 packets")
    assert [len(packet.data) for packet in bob.data] == [1, 1200, 14_000, 60_000]
    assert bob.data[3].data == bytes(index * 31 % 251 for index in range(60_000))


@WAYS
async def test_who_may_not_send_data(house, single):
    ann = await house.join("ann", single=single)
    bob = await house.join("bob", single=single, can_publish_data=False)
    await bob.sees("ann")
    try:
        await asyncio.wait_for(bob.local.publish_data(b"no"), 3)
    except (rtc.participant.PublishDataError, asyncio.TimeoutError):
        pass
    await ann.local.publish_data(b"yes")
    await bob.until(lambda: bob.data, what="data")
    await asyncio.sleep(0.3)
    assert not ann.data


@WAYS
async def test_texts(house, single):
    ann, bob = await pair(house, single)
    texts = []

    def opened(reader, identity):
        async def read():
            texts.append((identity, reader.info.topic, reader.info.attributes, await reader.read_all()))

        asyncio.ensure_future(read())

    bob.room.register_text_stream_handler("lk.chat", opened)
    long = "".join(f"line {number} ä€𝄞\n" for number in range(4000))
    await ann.local.send_text("hello", topic="lk.chat", attributes={"mood": "good"})
    await ann.local.send_text(long, topic="lk.chat")
    await bob.until(lambda: len(texts) == 2, 15, "two texts")
    texts.sort(key=lambda found: len(found[3]))
    assert texts[0] == ("ann", "lk.chat", {"mood": "good"}, "hello")
    assert texts[1][3] == long


@WAYS
async def test_a_text_in_pieces(house, single):
    ann, bob = await pair(house, single)
    pieces, done = [], asyncio.Event()

    def opened(reader, identity):
        async def read():
            async for piece in reader:
                pieces.append(piece)
            done.set()

        asyncio.ensure_future(read())

    bob.room.register_text_stream_handler("words", opened)
    writer = await ann.local.stream_text(topic="words", destination_identities=["bob"])
    for word in ("one ", "two ", "three"):
        await writer.write(word)
        await asyncio.sleep(0.1)
    await writer.aclose()
    await asyncio.wait_for(done.wait(), 8)
    assert "".join(pieces) == "one two three"


@WAYS
@pytest.mark.parametrize("size", [100, 300_000])
async def test_files(house, single, size):
    ann, bob = await pair(house, single)
    files = []

    def opened(reader, identity):
        async def read():
            found = bytearray()
            async for piece in reader:
                found += piece
            files.append((identity, reader.info.name, reader.info.mime_type, bytes(found)))

        asyncio.ensure_future(read())

    bob.room.register_byte_stream_handler("files", opened)
    content = os.urandom(size)
    await ann.local.send_bytes(content, topic="files", name="a.bin", mime_type="application/x-test")
    await bob.until(lambda: files, 20, "a file")
    identity, name, kind, found = files[0]
    assert (identity, name, kind) == ("ann", "a.bin", "application/x-test")
    assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()


@WAYS
async def test_calls_both_ways(house, single):
    ann, bob = await pair(house, single)
    for guest in (ann, bob):

        @guest.local.register_rpc_method("greet")
        async def greet(invocation, me=guest.identity):
            return f"{me} greets {invocation.caller_identity}: {invocation.payload}"

        @guest.local.register_rpc_method("fail")
        async def fail(invocation):
            raise rtc.RpcError(1234, "not today", "why")

    said = await ann.local.perform_rpc(destination_identity="bob", method="greet", payload="hi")
    assert said == "bob greets ann: hi"
    said = await bob.local.perform_rpc(destination_identity="ann", method="greet", payload="x" * 14_000)
    assert said == "ann greets bob: " + "x" * 14_000
    with pytest.raises(rtc.RpcError) as error:
        await ann.local.perform_rpc(destination_identity="bob", method="fail", payload="")
    assert (error.value.code, error.value.message, error.value.data) == (1234, "not today", "why")
    with pytest.raises(rtc.RpcError) as error:
        await ann.local.perform_rpc(destination_identity="bob", method="unknown", payload="")
    assert error.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


@WAYS
async def test_a_call_to_nobody(house, single):
    ann, _ = await pair(house, single)
    with pytest.raises(rtc.RpcError) as error:
        await ann.local.perform_rpc(destination_identity="nobody", method="greet", payload="", response_timeout=3)
    assert error.value.code in (
        rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT, rtc.RpcError.ErrorCode.RECIPIENT_NOT_FOUND,
        rtc.RpcError.ErrorCode.RESPONSE_TIMEOUT, rtc.RpcError.ErrorCode.RECIPIENT_DISCONNECTED,
    )


@WAYS
async def test_digits(house, single):
    ann, bob = await pair(house, single)
    for code, digit in ((5, "5"), (11, "#")):
        await ann.local.publish_dtmf(code=code, digit=digit)
    await bob.until(lambda: bob.count("sip_dtmf_received") == 2, what="two digits")
    found = [arguments[0] for name, arguments in bob.events if name == "sip_dtmf_received"]
    assert [(one.code, one.digit, one.participant.identity) for one in found] == [(5, "5", "ann"), (11, "#", "ann")]


async def test_data_beside_media(house):
    ann, bob = await pair(house, None)
    await ann.speak(455)
    await bob.hears("ann", 455)
    await ann.local.publish_data(b"one")
    await bob.until(lambda: bob.data, what="data")
    shown = await ann.show()
    await bob.watches("ann", shown.number)
    await ann.local.publish_data(b"two")
    await bob.until(lambda: len(bob.data) == 2, what="data")
