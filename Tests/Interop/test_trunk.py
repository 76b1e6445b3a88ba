"""What carriers do that is hard: re-INVITEs, late offers, codec changes, registration, addresses that move."""

import socket
import time

import pytest
from conftest import RAW, STRANGER, eventually
from support import audio
from support.audio import ALICE, BOB, CARRIER
from support.browser import Agent
from support.carrier import Carrier
from support.rtp import Party
from support.sip import Dialog, Endpoint, Media, sdp
from test_calls import hears


@pytest.fixture
def call_out(agent, trunk, party):
    """An answered call from a browser to the test's trunk: (agent, dialog, voice)."""

    def make(number):
        alice, voice = agent("1001", ALICE), party(CARRIER)
        alice.call(number, until=None)
        dialog = Dialog(trunk, trunk.request("INVITE"))
        dialog.accept(sdp(RAW, voice.port))
        voice.start(dialog.media.address, dialog.media.port)
        alice.wait_call("active")
        hears(alice.listen(2).last(1), CARRIER, ALICE)
        return alice, dialog, voice

    return make


def test_the_trunk_holds_by_re_invite_and_each_form_of_hold_counts(server, known, call_out):
    alice, dialog, voice = call_out("9215556001")
    forms = [
        sdp(RAW, voice.port, direction="sendonly", version=2),
        sdp(RAW, voice.port, direction="inactive", version=3),
        sdp("0.0.0.0", voice.port, version=4),
    ]
    for version, body in enumerate(forms):
        answer = dialog.request("INVITE", body)
        assert answer.status == 200
        assert Media(answer.body).direction in ("recvonly", "inactive"), answer.body
        time.sleep(0.5)
        first = len(voice.packets)
        assert not voice.listen(1).is_tone(ALICE), f"form {version}: {first}"
        answer = dialog.request("INVITE", sdp(RAW, voice.port, version=10 + version))
        assert answer.status == 200 and Media(answer.body).direction == "sendrecv"
        hears(voice.listen(1.5).last(1), ALICE, CARRIER)
        hears(alice.listen(1.5).last(1), CARRIER, ALICE)
    dialog.bye()


def test_the_trunk_changes_the_codec_and_its_port_in_the_call(server, known, call_out, party):
    alice, dialog, voice = call_out("9215556002")
    before = {packet.ssrc for packet in voice.packets}
    other = party(BOB, law="PCMA")
    answer = dialog.request("INVITE", sdp(RAW, other.port, ((8, "PCMA/8000"), (101, "telephone-event/8000")), version=2))
    assert answer.status == 200 and "8" in Media(answer.body).formats
    media = Media(answer.body)
    voice.pause()
    other.start(media.address, media.port)
    hears(alice.listen(2.5).last(1), BOB, CARRIER)
    hears(other.listen(1.5).last(1), ALICE)
    assert {packet.payload_type for packet in other.packets} == {8}
    assert {packet.ssrc for packet in other.packets} == before, "one sequence space a leg"
    dialog.bye()


def test_the_origin_version_of_our_sdp_only_rises(server, known, call_out):
    _, dialog, voice = call_out("9215556003")
    seen = [dialog.media]
    for version in (2, 3):
        seen.append(Media(dialog.request("INVITE", sdp(RAW, voice.port, version=version)).body))
    assert len({media.session for media in seen}) == 1
    versions = [media.version for media in seen]
    assert versions == sorted(versions), versions
    dialog.bye()


def test_a_re_invite_without_an_offer_gets_one(server, known, call_out, trunk):
    alice, dialog, voice = call_out("9215556004")
    dialog.sequence += 1
    message = dialog.make("INVITE", dialog.sequence)
    trunk.send(message)
    answer = trunk.response(message)
    assert answer.status == 200 and "0" in Media(answer.body).formats
    dialog.acknowledge(sdp(RAW, voice.port, version=2), sequence=dialog.sequence)
    hears(alice.listen(1.5).last(1), CARRIER, ALICE)
    hears(voice.listen(1.5).last(1), ALICE, CARRIER)
    dialog.bye()


def test_an_invite_without_an_offer_is_answered_with_one(server, known, agent, trunk, party):
    alice, voice, dialog = agent("1001", ALICE), party(CARRIER), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), "", final=False)
    alice.wait_ringing()
    alice.answer()
    answer = trunk.response(dialog.sent, 10)
    assert answer.status == 200
    offer = Media(answer.body)
    assert {"0", "8"} & set(offer.formats)
    dialog.remote = answer.get("to")
    dialog._target(answer)
    dialog.routes = list(reversed(answer.all("record-route")))
    dialog.acknowledge(sdp(RAW, voice.port))
    voice.start(offer.address, offer.port)
    hears(alice.listen(2.5).last(1), CARRIER, ALICE)
    hears(voice.listen(1.5).last(1), ALICE, CARRIER)
    dialog.bye()
    assert server.record(known, to="+15550100")["outcome"] == "answered"


def test_a_video_line_is_answered_with_port_0(server, known, trunk, party):
    voice, dialog = party(CARRIER), Dialog(trunk)
    video = "m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    answer = dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port, extra=video))
    assert answer.status == 200
    lines = [line for line in answer.body.splitlines() if line.startswith("m=")]
    assert len(lines) == 2 and lines[1].startswith("m=video 0 "), lines
    dialog.bye()


def test_rtp_from_another_source_is_not_let_in(server, known, call_out):
    """RTP bleed: whoever guesses the port neither hears the call nor is heard in it."""
    alice, dialog, voice = call_out("9215556006")
    with Party(STRANGER, BOB) as intruder:
        intruder.start(dialog.media.address, dialog.media.port)
        hears(alice.listen(2).last(1.5), CARRIER, BOB)
        assert not intruder.packets, "nothing is sent to whoever sends"
    hears(voice.listen(1).last(0.8), ALICE)
    dialog.bye()
    record = server.record(known, to="9215556006")
    trunk_leg = next(leg for leg in record["legs"] if leg["kind"] == "trunk")
    assert trunk_leg["media"]["packets_rejected"] > 50


def test_the_peers_true_address_is_learnt_once(server, known, agent, trunk, party):
    """The SDP names a port that NAT changed; the first packets tell the true one."""
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215556007", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.accept(sdp(RAW, 9))
    voice.start(dialog.media.address, dialog.media.port)
    alice.wait_call("active")
    hears(voice.listen(2).last(1), ALICE)
    hears(alice.listen(1).last(0.8), CARRIER)
    dialog.bye()


def test_sequence_numbers_run_on_through_hold(server, known, call_out):
    alice, dialog, voice = call_out("9215556008")
    for _ in range(2):
        alice.hold()
        voice.listen(0.6)
        alice.resume()
        voice.listen(0.6)
    packets = [packet for packet in voice.packets if packet.payload_type == 0]
    assert len({packet.ssrc for packet in packets}) == 1
    steps = [(b.sequence - a.sequence) & 0xFFFF for a, b in zip(packets, packets[1:])]
    assert set(steps) == {1}, steps
    ticks = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in zip(packets, packets[1:])]
    assert all(tick >= 160 and tick < 2**31 for tick in ticks), "time only goes on"
    dialog.bye()


def test_rtcp_reports_come_with_round_trip(server, known, agent, trunk, party):
    """Every five seconds or so a compound packet that begins with a report (RFC 3550 §6.1)."""
    alice, voice = agent("1001", ALICE), party(CARRIER)
    reports = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reports.bind((RAW, voice.port + 1))
    reports.settimeout(12)
    try:
        alice.call("9215556009", until=None)
        dialog = Dialog(trunk, trunk.request("INVITE"))
        dialog.accept(sdp(RAW, voice.port))
        voice.start(dialog.media.address, dialog.media.port)
        data, source = reports.recvfrom(2048)
        assert data[0] >> 6 == 2 and data[1] in (200, 201)
        assert source == (dialog.media.address, dialog.media.port + 1)
        dialog.bye()
    finally:
        reports.close()


@pytest.mark.slow
def test_a_carrier_that_wants_registration_and_digest(new_server, browsers):
    """Parley registers there, refreshes in time, answers 407 on INVITE, is called back, and unregisters at its end."""
    carrier = Carrier("127.0.0.14", "parley-test", "s3cret", expires=60)
    try:
        parley = new_server(
            users=("1001",),
            trunks=[
                {
                    "name": "registered",
                    "host": f"127.0.0.14:{carrier.port}",
                    "auth": {"username": "parley-test", "password": "s3cret"},
                    "register": True,
                    "codecs": ["PCMU"],
                }
            ],
            numbers=[{"number": "+15550100", "to": "user:1001"}],
            routes=[{"match": r"^9(\d+)$", "to": "trunk:registered", "number": "$1"}],
        )
        assert carrier.registered.wait(10), carrier.trace()
        _, contact, _ = carrier.registrations[-1]
        carrier.server = parley.sip
        alice = Agent(browsers, parley, "1001", ALICE)
        voice = Party("127.0.0.14", CARRIER)
        try:
            alice.call("915557001", until=None)
            dialog = Dialog(carrier, carrier.request("INVITE"))
            assert carrier.verified(dialog.invite, "Proxy-Authorization")
            dialog.accept(sdp("127.0.0.14", voice.port))
            voice.start(dialog.media.address, dialog.media.port)
            alice.wait_call("active")
            hears(alice.listen(2).last(1), CARRIER, ALICE)
            alice.hang_up()
            dialog.wait_bye()
            incoming = Dialog(carrier)
            target = contact.split("<")[1].split(">")[0]
            incoming.dial(target.replace(target.split("@")[0], "sip:+15550100"), sdp("127.0.0.14", voice.port), final=False)
            alice.wait_ringing()
            alice.answer()
            assert incoming.finish().status == 200
            incoming.bye()
            first = len(carrier.registrations)
            eventually(lambda: len(carrier.registrations) > first, 60, "registration refreshed")
        finally:
            alice.close()
            voice.close()
        assert parley.stop() == 0
        assert carrier.registrations[-1][2] == 0, "unregistered on the way out"
    finally:
        carrier.close()


def test_a_wrong_trunk_password_is_not_tried_for_ever(new_server):
    carrier = Carrier("127.0.0.15", "parley-test", "right")
    try:
        new_server(
            trunks=[
                {
                    "name": "registered",
                    "host": f"127.0.0.15:{carrier.port}",
                    "auth": {"username": "parley-test", "password": "wrong"},
                    "register": True,
                }
            ]
        )
        time.sleep(4)
        assert 1 <= carrier.refused <= 6, f"{carrier.refused} attempts in 4 s"
        assert not carrier.registered.is_set()
    finally:
        carrier.close()


def test_a_trunk_over_tcp(new_server, browsers):
    """The INVITE comes over TCP, so does the call's whole signalling."""
    listener = socket.create_server(("127.0.0.16", 0))
    port = listener.getsockname()[1]
    parley = new_server(
        users=("1001",),
        trunks=[{"name": "tcp", "host": f"127.0.0.16:{port}", "transport": "tcp"}],
        routes=[{"match": r"^9(\d+)$", "to": "trunk:tcp", "number": "$1"}],
    )
    alice, voice = Agent(browsers, parley, "1001", ALICE), Party("127.0.0.16", CARRIER)
    try:
        alice.call("915558001", until=None)
        listener.settimeout(5)
        connection, _ = listener.accept()
        trunk = Endpoint.over(connection, "127.0.0.16", port)
        dialog = Dialog(trunk, trunk.request("INVITE"))
        assert "/TCP" in dialog.invite.get("via")
        dialog.accept(sdp("127.0.0.16", voice.port))
        voice.start(dialog.media.address, dialog.media.port)
        alice.wait_call("active")
        hears(alice.listen(2).last(1), CARRIER, ALICE)
        alice.hang_up()
        dialog.wait_bye()
        trunk.close()
    finally:
        alice.close()
        voice.close()
        listener.close()


def test_the_level_is_kept_within_a_decibel(server, known, call_out):
    """Opus to G.711 and back: what enters at -15 dBFS leaves at -15 dBFS."""
    alice, dialog, voice = call_out("9215556010")
    expected = audio.level(audio.tone(ALICE, 8000, 1))
    assert abs(voice.listen(2).last(1).tone(ALICE) - expected) < 1.5
    assert abs(alice.listen(2).last(1).tone(CARRIER) - expected) < 1.5
    dialog.bye()


def test_ten_seconds_of_the_agents_tone_have_no_click(server, known, call_out):
    """Phase by phase: what Opus, the jitter buffer and G.711 make of it is one unbroken sine."""
    _, dialog, voice = call_out("9215556013")
    heard = voice.listen(10)
    assert heard.seconds > 9.5 and heard.is_tone(ALICE)
    assert len(heard.jumps(ALICE)) <= 1, heard.jumps(ALICE)
    dialog.bye()


def test_the_transmitted_packets_keep_their_20_milliseconds(server, known, call_out):
    _, dialog, voice = call_out("9215556011")
    first = len(voice.packets)
    voice.listen(4)
    times = [packet.at for packet in voice.packets[first:]]
    assert 190 <= len(times) <= 210, len(times)
    gaps = sorted(b - a for a, b in zip(times, times[1:]))
    assert gaps[len(gaps) // 2] < 0.03 and gaps[int(len(gaps) * 0.95)] < 0.06, gaps[-5:]
    dialog.bye()


def test_every_repeated_200_is_acknowledged_again(server, known, agent, trunk, party):
    """RFC 3261 §13.2.2.4: the ACK may have been lost."""
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215556012", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    first = dialog.accept(sdp(RAW, voice.port))
    trunk.seen.clear()
    trunk.send_raw(trunk.answers[(dialog.invite.branch, "INVITE")], dialog.invite.source)
    again = trunk.request("ACK", call_id=dialog.call_id)
    assert again.get("cseq") == first.get("cseq")
    dialog.bye()


def test_a_lost_ack_makes_the_200_come_again(server, known, trunk, party):
    voice, dialog = party(CARRIER), Dialog(trunk)
    dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port), final=False)
    first = trunk.response(dialog.sent)
    second = trunk.response(dialog.sent, 3)
    assert first.status == second.status == 200 and first.body == second.body
    dialog.remote = second.get("to")
    dialog._target(second)
    dialog.acknowledge()
    trunk.nothing(lambda message: message.is_response and message.status == 200, 5)
    assert dialog.bye().status == 200
