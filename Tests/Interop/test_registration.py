"""Users register: over both WebSockets from a real browser, over UDP and TCP as a desk phone does."""

import base64
import os
import socket

import pytest
from conftest import PHONE
from support.audio import ALICE, BOB
from support.baresip import Baresip
from support.proxy import Proxy
from support.sip import Dialog, Endpoint, authorization, parameters, sdp, token


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_browser_registers_and_is_called(server, known, agent, secure):
    alice = agent("1001", ALICE, secure=secure)
    bob = agent("1002", BOB)
    bob.call("1001", until="ringing")
    alice.wait_ringing()
    alice.answer()
    assert alice.stats()["state"] in ("connecting", "connected")
    bob.hang_up()
    alice.wait_call("ended")


def test_a_wrong_password_is_refused(server, known, agent):
    mallory = agent("1001", ALICE, password="guess", register=False)
    mallory.wait_phone("rejected")


def test_an_unknown_user_is_refused_like_a_wrong_password(server, known, agent):
    nobody = agent("4711", ALICE, password="guess", register=False)
    nobody.wait_phone("rejected")


def test_the_page_comes_back_after_its_websocket_dropped_and_keeps_its_call(server, known, agent):
    proxy = Proxy(("127.0.0.1", server.http_port))
    try:
        alice = agent("1001", ALICE, origin=f"http://127.0.0.1:{proxy.port}")
        alice.call("600")
        assert alice.listen(2).last(1).is_tone(ALICE)
        proxy.cut()
        alice.wait_phone("reconnecting")
        assert alice.listen(1).is_tone(ALICE), "media runs on while the signalling is away"
        proxy.mend()
        alice.wait_phone("registered", 30)
        assert alice.listen(1).is_tone(ALICE)
        alice.hang_up()
        record = server.record(known, to="600")
        assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
        assert proxy.pairs, "the page came back through the proxy"
        bob = agent("1002", BOB)
        bob.call("1001", until="ringing")
        alice.wait_ringing()
        bob.hang_up()
    finally:
        proxy.close()


def websocket(server, protocol, timeout=5):
    """The response head of an upgrade request, and the socket."""
    connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=timeout)
    key = base64.b64encode(os.urandom(16)).decode()
    fields = ["GET /sip HTTP/1.1", f"Host: 127.0.0.1:{server.http_port}", "Upgrade: websocket", "Connection: Upgrade"]
    fields += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    if protocol:
        fields.append(f"Sec-WebSocket-Protocol: {protocol}")
    connection.sendall(("\r\n".join(fields) + "\r\n\r\n").encode())
    return connection.recv(4096).decode(errors="replace"), connection


def test_a_websocket_needs_the_sip_subprotocol(server, known):
    head, connection = websocket(server, "sip")
    assert head.startswith("HTTP/1.1 101") and "sec-websocket-protocol: sip" in head.lower()
    connection.close()
    for protocol in (None, "mqtt"):
        head, connection = websocket(server, protocol)
        assert head[9] == "4", head
        connection.close()


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_a_desk_phone_registers_with_digest(server, known, transport):
    remote = ("127.0.0.1", server.sips_port) if transport == "TLS" else server.sip
    phone = Endpoint(PHONE, 0, remote, transport)
    try:
        answer = phone.register("1003", "pw-1003", server.domain)
        assert answer.status == 200
        contacts = ",".join(answer.all("contact"))
        assert f"{PHONE}:{phone.port}" in contacts and "expires=" in contacts
        assert "rport=" in answer.get("via") or transport != "UDP"
        gone = phone.register("1003", "pw-1003", server.domain, expires=0)
        assert gone.status == 200 and f"{PHONE}:{phone.port}" not in ",".join(gone.all("contact"))
        assert phone.register("1003", "wrong", server.domain).status in (401, 403)
    finally:
        phone.close()


def test_too_short_an_expiry_is_423_with_the_minimum(server, known):
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        answer = phone.register("1003", "pw-1003", server.domain, expires=5)
        assert answer.status == 423 and int(answer.get("min-expires")) > 5
    finally:
        phone.close()


def test_credentials_are_not_taken_twice(server, known):
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        uri, call_id, tag = f"sip:{server.domain}", token(16), token(8)

        def attempt(sequence, extra):
            message = phone.make("REGISTER", uri, "1003", f"<sip:1003@{server.domain}>", call_id, sequence, tag, extra)
            phone.send(message)
            return phone.response(message)

        challenge = attempt(1, [])
        assert challenge.status == 401
        credentials = authorization(challenge, "REGISTER", uri, "1003", "pw-1003")
        assert attempt(2, [credentials]).status == 200
        assert attempt(3, [credentials]).status == 401, "the same nc again is a replay (RFC 7616 §3.4)"
        assert attempt(4, [authorization(challenge, "REGISTER", uri, "1003", "pw-1003", 2)]).status == 200
        phone.register("1003", "pw-1003", server.domain, expires=0)
    finally:
        phone.close()


def test_the_first_challenge_is_md5_as_jssip_needs(server, known):
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        message = phone.make("REGISTER", f"sip:{server.domain}", "1003", f"<sip:1003@{server.domain}>")
        phone.send(message)
        offered = [parameters(text) for text in phone.response(message).all("www-authenticate")]
        assert offered[0].get("algorithm", "MD5") == "MD5" and "auth" in offered[0]["qop"]
    finally:
        phone.close()


def test_a_digest_covers_the_body_where_the_server_offers_it(new_server):
    server = new_server(sip={"qop": ["auth-int", "auth"]})
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        assert phone.register("1003", "pw-1003", server.domain).status == 200, "auth is enough where both are offered"
        uri, call_id, tag, body = server.uri("600"), token(16), token(8), sdp(PHONE, 30000)

        def invite(sequence, body, extra=()):
            message = phone.make("INVITE", uri, "1003", None, call_id, sequence, tag, extra, body)
            phone.send(message)
            dialog = Dialog(phone)
            dialog.sent, dialog.local, dialog.call_id, dialog.sequence = message, message.get("from"), call_id, sequence
            return dialog, dialog.finish()

        _, challenge = invite(1, body)
        name = "www-authenticate" if challenge.status == 401 else "proxy-authenticate"
        assert parameters(challenge.all(name)[0])["qop"] == "auth-int,auth"

        def credentials(count):
            return authorization(challenge, "INVITE", uri, "1003", "pw-1003", count, "auth-int", body)

        _, changed = invite(2, body.replace("30000", "30002"), [credentials(1)])
        assert changed.status in (401, 403, 407), "somebody on the way has changed the SDP"
        dialog, answer = invite(3, body, [credentials(2)])
        assert answer.status == 200
        assert dialog.bye().status == 200
    finally:
        phone.close()


def test_a_server_of_auth_int_alone_takes_nothing_less(new_server):
    server = new_server(sip={"qop": ["auth-int"]})
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        uri, call_id, tag = f"sip:{server.domain}", token(16), token(8)

        def attempt(sequence, extra):
            message = phone.make("REGISTER", uri, "1003", f"<sip:1003@{server.domain}>", call_id, sequence, tag, extra)
            phone.send(message)
            return phone.response(message)

        def credentials(qop, count):
            return authorization(challenge, "REGISTER", uri, "1003", "pw-1003", count, qop)

        challenge = attempt(1, [])
        assert attempt(2, [credentials(None, 1)]).status in (401, 403), "no qop at all (RFC 2069)"
        assert attempt(3, [credentials("auth-int", 1)]).status == 200
    finally:
        phone.close()


def test_a_desk_phone_on_udp_talks_to_a_browser(server, known, agent, party):
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        assert phone.register("1003", "pw-1003", server.domain).status == 200
        alice, voice = agent("1001", ALICE), party(BOB, PHONE)
        alice.call("1003", until=None)
        dialog = Dialog(phone, phone.request("INVITE"))
        dialog.accept(sdp(PHONE, voice.port))
        voice.start(dialog.media.address, dialog.media.port)
        alice.wait_call("active")
        assert alice.listen(2).last(1).is_tone(BOB)
        assert voice.listen(1.5).last(1).is_tone(ALICE)
        assert dialog.bye().status == 200
        alice.wait_call("ended")
        phone.register("1003", "pw-1003", server.domain, expires=0)
    finally:
        phone.close()


def test_options_is_answered(server, known):
    phone = Endpoint(PHONE, 0, server.sip)
    try:
        message = phone.make("OPTIONS", f"sip:{server.domain}")
        phone.send(message)
        answer = phone.response(message)
        assert answer.status == 200 and "INVITE" in answer.get("allow")
    finally:
        phone.close()


def test_a_keep_alive_on_tcp_is_answered_with_one_crlf(server, known):
    with socket.create_connection(server.sip, timeout=5) as connection:
        connection.sendall(b"\r\n\r\n")
        assert connection.recv(16) == b"\r\n"


def test_baresip_registers_and_hears_itself_in_the_echo(server, known):
    register = ("127.0.0.1", server.sip_port, "1003", "pw-1003", server.domain)
    with Baresip(PHONE, BOB, register=register, name="phone") as phone:
        phone.wait_registered()
        phone.dial(server.uri("600"))
        phone.wait("CALL_ESTABLISHED")
        assert phone.listen(2.5).last(1).is_tone(BOB)
        phone.hang_up()
    record = server.record(known, to="600")
    assert (record["from"], record["outcome"]) == ("1003", "answered")
