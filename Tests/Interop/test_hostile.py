"""Bad input while a call runs: every piece is refused or dropped, the server stays, and the call is not hurt."""

import contextlib
import os
import random
import socket
import ssl
import struct
import time

import pytest
from conftest import RAW, STRANGER
from support.audio import CARRIER
from support.sip import Dialog, Endpoint, Media, sdp
from test_registration import websocket


@pytest.fixture
def running_call(server, trunk, party):
    """A call to the echo that must sound the same after whatever the test does."""
    voice, dialog = party(CARRIER), Dialog(trunk)
    media = Media(dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port)).body)
    voice.start(media.address, media.port)
    voice.wait_packets(50)
    first = len(voice.packets)
    yield media
    assert server.alive, server.log()[-3000:]
    voice.listen(1.2)
    assert voice.heard(first).last(1).is_tone(CARRIER)
    packets = [packet for packet in voice.packets[first:] if packet.payload_type == 0]
    steps = [(b.sequence - a.sequence) & 0xFFFF for a, b in zip(packets, packets[1:])]
    assert set(steps) == {1}, "not one packet of the call was lost"
    gaps = [b.at - a.at for a, b in zip(packets, packets[1:])]
    assert max(gaps) < 0.5, f"a gap of {max(gaps):.3f} s"
    assert dialog.bye().status == 200


def junk(random_source, count):
    """Datagrams of every kind of wrong: noise, cut messages, huge numbers, missing and repeated fields."""
    whole = (
        b"INVITE sip:600@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.66:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        b"From: <sip:x@y>;tag=1\r\nTo: <sip:600@z>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    for _ in range(count):
        kind = random_source.randrange(6)
        if kind == 0:
            yield random_source.randbytes(random_source.randrange(1, 1400))
        elif kind == 1:
            yield whole[: random_source.randrange(1, len(whole))]
        elif kind == 2:
            data = bytearray(whole)
            for _ in range(random_source.randrange(1, 12)):
                data[random_source.randrange(len(data))] = random_source.randrange(256)
            yield bytes(data)
        elif kind == 3:
            yield whole.replace(b"CSeq: 1", b"CSeq: 99999999999999999999")
        elif kind == 4:
            yield whole.replace(b"Content-Length: 0", b"Content-Length: -1")
        else:
            yield whole.replace(b"Max-Forwards", b"Via: " + b"," * random_source.randrange(500) + b"\r\nMax-Forwards")


def test_junk_datagrams_on_sip(server, known, running_call):
    source, seed = random.Random(20261120), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    seed.bind((STRANGER, 0))
    for number, data in enumerate(junk(source, 3000)):
        seed.sendto(data, server.sip)
        if number % 50 == 0:
            time.sleep(0.01)
    seed.close()


def test_junk_on_the_media_port(server, known, running_call):
    """RTP, RTCP, STUN and DTLS look-alikes, cut and turned, at the port of the running call and at its neighbours."""
    source, sender = random.Random(7), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((STRANGER, 0))
    heads = (b"\x80\x00", b"\x80\xc8", b"\x81\xcd", b"\x00\x01", b"\x16\xfe\xfd", b"\x90\x00", b"\xbf\xff", b"")
    for number in range(4000):
        data = heads[number % len(heads)] + source.randbytes(source.randrange(0, 300))
        for port in (running_call.port, running_call.port + 1):
            sender.sendto(data, (running_call.address, port))
        if number % 40 == 0:
            time.sleep(0.01)
    sender.close()


def test_junk_on_the_ice_port_of_a_browser_call(server, known, agent):
    """The same at the browser's leg: STUN, DTLS and SRTP that do not authenticate."""
    from support.audio import ALICE

    alice = agent("1001", ALICE)
    alice.call("600")
    assert alice.listen(2).last(1).is_tone(ALICE)
    remote = alice.page.evaluate(
        "(async () => { const r = [...(await ear.connections.at(-1).getStats()).values()];"
        " const p = r.find((e) => e.type === 'candidate-pair' && e.nominated && e.state === 'succeeded');"
        " const c = r.find((e) => e.id === p.remoteCandidateId); return [c.address, c.port]; })()"
    )
    source, sender = random.Random(8), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((STRANGER, 0))
    for number in range(4000):
        kind = number % 4
        if kind == 0:
            cookie = struct.pack("!HHI", 1, source.randrange(0, 200), 0x2112A442)
            data = cookie + source.randbytes(12 + source.randrange(0, 200))
        elif kind == 1:
            data = bytes([source.randrange(20, 64), 254, 253]) + source.randbytes(source.randrange(0, 300))
        elif kind == 2:
            data = struct.pack("!BBHII", 0x80, 111, number & 0xFFFF, number, 1) + source.randbytes(60)
        else:
            data = source.randbytes(source.randrange(0, 1400))
        sender.sendto(data, tuple(remote))
        if number % 40 == 0:
            time.sleep(0.01)
    sender.close()
    assert alice.listen(1.5).last(1).is_tone(ALICE)
    alice.hang_up()
    assert server.record(known, to="600")["outcome"] == "answered"


def frame(opcode, payload, final=True, mask=True, length=None):
    """A WebSocket frame (RFC 6455 §5.2); `length` lies about the payload's."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        head += bytes([(0x80 if mask else 0) | size])
    elif size < 65536:
        head += bytes([(0x80 if mask else 0) | 126]) + struct.pack("!H", size)
    else:
        head += bytes([(0x80 if mask else 0) | 127]) + struct.pack("!Q", size)
    key = os.urandom(4) if mask else b""
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if mask else head + payload


def closed_within(connection, seconds):
    """Whether the server ends the connection in that time."""
    connection.settimeout(0.5)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not connection.recv(65536):
                return True
        except (TimeoutError, socket.timeout):
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"", length=2**40),
        frame(1, b"x" * 300_000),
        frame(1, b"OPTIONS sip:x SIP/2.0\r\n", mask=False),
        frame(3, b"reserved opcode"),
        frame(9, b"p" * 200),
        frame(1, b"a", final=False) * 3 + frame(8, b""),
        frame(1, b"\xff\xfe\xfd not UTF-8"),
        b"\xff" * 4096,
    ],
    ids=["2^40", "300kB", "unmasked", "opcode", "ping200", "fragments", "utf8", "noise"],
)
def test_bad_websocket_frames(server, known, running_call, data):
    head, connection = websocket(server, "sip")
    assert "101" in head
    try:
        connection.sendall(data)
    except OSError:
        pass
    fate = closed_within(connection, 10)
    connection.close()
    assert fate or b"not UTF-8" in data or len(data) < 40, "a connection that breaks the protocol is closed"


def test_junk_sip_over_websocket_leaves_the_connection_or_ends_it_but_never_the_server(server, known, running_call):
    source = random.Random(11)
    for data in junk(source, 300):
        _, connection = websocket(server, "sip")
        try:
            connection.sendall(frame(2, data) + frame(1, data))
        except OSError:
            pass
        connection.close()


def test_slow_loris_on_http_tls_sip_and_websocket(server, known, running_call):
    """Many connections that never say a whole thing are let go; honest ones are served meanwhile."""
    held = []
    for port, start in (
        (server.http_port, b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "),
        (server.sip_port, b"INVITE sip:600@x SIP/2.0\r\nVia: "),
        (server.https_port, b"\x16\x03\x01\x02\x00\x01"),
        (server.sips_port, b"\x16\x03\x01"),
    ):
        for _ in range(50):
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            connection.sendall(start)
            held.append(connection)
    try:
        assert server.get("/healthz")[0] == 200
        left, deadline = list(held), time.monotonic() + 75
        while left and time.monotonic() < deadline:
            for connection in list(left):
                try:
                    # A byte now and then, as a slow loris does, so that no idle timer alone would notice.
                    connection.sendall(b"a")
                    connection.setblocking(False)
                    try:
                        if not connection.recv(4096):
                            left.remove(connection)
                    except BlockingIOError:
                        pass
                    connection.setblocking(True)
                except OSError:
                    left.remove(connection)
            time.sleep(1)
        ports = {connection.getpeername()[1] for connection in left}
        assert not left, f"{len(left)} of {len(held)} still open after 75 s, at ports {ports} of {server.configuration}"
    finally:
        for connection in held:
            connection.close()


def test_oversized_sip_on_tcp_is_refused(server, known, running_call):
    with socket.create_connection(server.sip, timeout=5) as connection:
        try:
            connection.sendall(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 99999999\r\n" + b"X: " + b"y" * 2_000_000)
        except OSError:
            pass
        assert closed_within(connection, 10)


def test_oversized_http_is_refused(server, known, running_call):
    for data in (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000):
        with socket.create_connection(("127.0.0.1", server.http_port), timeout=5) as connection:
            try:
                connection.sendall(data)
            except OSError:
                pass
            assert closed_within(connection, 10)


def test_paths_lead_nowhere_outside(server, known):
    for path in ("/desk/../../../../etc/passwd", "/desk/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/desk/%00", "/desk/%0d%0aX-Injected:%20yes"):
        with socket.create_connection(("127.0.0.1", server.http_port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := connection.recv(65536):
                answer += data
        assert b"root:" not in answer and b"\nX-Injected" not in answer, (path, answer[:200])
        assert answer.split(b" ")[1] in (b"400", b"403", b"404"), (path, answer[:200])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "v=0\r\n",
        "m=audio 1 RTP/AVP 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.12\r\ns=-\r\nc=IN IP4 127.0.0.12\r\nt=0 0\r\nm=audio 99999999 RTP/AVP 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 999.0.0.1\r\ns=-\r\nc=IN IP4 x\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
        sdp(RAW, 40000).replace("PCMU/8000", "PCMU/0"),
        sdp(RAW, 40000) + "a=" + "x" * 50_000 + "\r\n",
        sdp(RAW, 40000) + "m=audio 40000 RTP/AVP 0\r\n" * 400,
        sdp(RAW, 40000).replace("ptime:20", "ptime:-1"),
        "\x00" * 400,
    ],
    ids=["late", "v", "m", "port", "address", "rate", "long", "lines", "ptime", "zeros"],
)
def test_bad_sdp_of_a_trunk_is_answered(server, known, running_call, body, trunk):
    dialog = Dialog(trunk)
    answer = dialog.dial(server.uri("+15550601"), body)
    assert answer.status in (200, 400, 413, 415, 488, 513, 606)
    if answer.status == 200:
        assert dialog.bye().status in (200, 481)


def test_a_tls_port_survives_plain_text(server, known, running_call):
    for port in (server.https_port, server.sips_port):
        for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(2000), b"\x16\x03\x03" + b"\xff\xff" + os.urandom(500)):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(data)
                connection.settimeout(3)
                try:
                    connection.recv(4096)
                except OSError:
                    pass
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.https_port), timeout=5) as plain:
        with context.wrap_socket(plain) as secure:
            assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_a_flood_from_one_source_does_not_stop_another(server, known, running_call):
    flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flood.bind((STRANGER, 0))
    honest = Endpoint("127.0.0.67", 0, server.sip)
    try:
        message = honest.make("OPTIONS", f"sip:{server.domain}").encode()
        for number in range(20_000):
            flood.sendto(message.replace(b"z9hG4bK", b"z9hG4bK%06d" % number), server.sip)
            if number % 200 == 0:
                time.sleep(0.002)
        probe = honest.make("OPTIONS", f"sip:{server.domain}")
        # The kernel's queue may have been full when it came: a client repeats (RFC 3261 §17.1.2.2).
        for seconds in (0.5, 1, 2, 4):
            honest.send(probe)
            with contextlib.suppress(AssertionError):
                assert honest.response(probe, seconds).status == 200
                break
        else:
            raise AssertionError("an honest client was not answered beside a flood")
    finally:
        flood.close()
        honest.close()
