"""Calls survive what browsers and networks do: a page loaded anew, a WebSocket cut, an ICE restart, nobody coming back."""

import time
import uuid

from conftest import eventually
from support.audio import ALICE, BOB, CARRIER
from support.browser import Agent
from support.desk import Desk
from support.proxy import Proxy
from support.udp import UDPLink
from test_calls import hears
from test_hold import is_music

UFRAGS = """() => ['localDescription', 'remoteDescription'].map(
    (side) => /a=ice-ufrag:(\\S+)/.exec(ear.connections.at(-1)[side].sdp)[1])"""


# What the server names as its address is reached through a forwarder instead.
THROUGH_LINK = """(port) => {
  const plain = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = (sdp ?? '').split('\\r\\n').filter((line) => !/^a=candidate:.* tcp /i.test(line));
    const moved = lines.map((line) => line.replace(/^(a=candidate:\\S+ \\d+ udp \\d+) \\S+ \\d+ /i, `$1 127.0.0.1 ${port} `));
    return plain.call(this, sdp ? { type, sdp: moved.join('\\r\\n') } : { type });
  };
}"""


def until_tone(ears, tone, limit):
    """Seconds until that tone is heard; quarter of a second at a time."""
    started = time.monotonic()
    while not (heard := ears.listen(0.25)).is_tone(tone):
        assert time.monotonic() - started < limit, f"no {tone} Hz within {limit} s, {heard}"
    return time.monotonic() - started


def one_record(server, known, **fields):
    record = server.record(known, **fields)
    new = [call for call in server.calls() if call["id"] not in known]
    assert len(new) == 1, f"one call, one record: {new}"
    return record


def test_a_page_loaded_anew_gets_its_call_back(server, known, agent, baresip, turns=3):
    """Three times in one call; audio both ways within 3 s, in the middle of the three."""
    alice = agent("1001", ALICE, instanceId=str(uuid.uuid4()))
    alice.call("9115554001")
    baresip.wait("CALL_ESTABLISHED")
    hears(alice.listen(2).last(1), CARRIER)
    hears(baresip.listen(1.5).last(1), ALICE)
    times = []
    for turn in range(turns):
        started = time.monotonic()
        alice.reload()
        alice.wait_call("active")
        back = time.monotonic() - started
        until_tone(alice, CARRIER, 5)
        took = time.monotonic() - started
        hears(baresip.listen(1.5).last(1), ALICE, CARRIER, BOB)
        hears(alice.listen(1).last(1), CARRIER, ALICE)
        print(f"reload {turn}: active after {back:.2f} s, heard after {took:.2f} s")
        times.append(took)
    assert sorted(times)[turns // 2] < 3.0, f"audio after {times} s"
    state = alice.state
    assert state["direction"] == "outgoing" and state["from"] == "9115554001", "the page knows whom it talks to"
    alice.hang_up()
    baresip.wait("CALL_CLOSED")
    record = one_record(server, known, to="9115554001")
    assert record["ended_by"] == "caller" and record["outcome"] == "answered"
    assert [leg["party"] for leg in record["legs"]] == ["1001", "carrier"] + ["1001"] * turns


def test_the_other_side_hears_music_while_the_page_is_away(server, known, agent, baresip):
    alice = agent("1001", ALICE, instanceId=str(uuid.uuid4()))
    alice.call("9115554002")
    baresip.wait("CALL_ESTABLISHED")
    hears(baresip.listen(2).last(1), ALICE)
    alice.page.goto("about:blank")
    time.sleep(1.5)
    away = baresip.listen(1.5).last(1)
    assert is_music(away) and not away.is_tone(ALICE), f"music while nobody is there, {away}"
    alice.page.go_back(wait_until="commit")
    alice._start()
    alice.wait_call("active")
    hears(baresip.listen(2).last(1), ALICE, CARRIER)
    until_tone(alice, CARRIER, 5)
    alice.hang_up()
    one_record(server, known, to="9115554002")


def test_a_called_page_that_is_loaded_anew_keeps_hold_and_number(server, known, agent):
    alice, bob = agent("1001", ALICE), agent("1002", BOB, instanceId=str(uuid.uuid4()))
    alice.call("1002", until=None)
    bob.wait_ringing()
    bob.answer()
    alice.wait_call("active")
    hears(alice.listen(2).last(1), BOB)
    bob.hold()
    bob.wait("agent.current.onHold", what="held")
    assert is_music(alice.listen(2).last(1))
    bob.reload()
    bob.wait_call("active")
    assert bob.state["onHold"] and bob.state["from"] == "1001" and bob.state["direction"] == "incoming"
    assert is_music(alice.listen(2).last(1)), "still held"
    bob.resume()
    hears(alice.listen(2.5).last(1), BOB, ALICE)
    until_tone(bob, ALICE, 5)
    alice.hang_up()
    bob.wait_call("ended")
    one_record(server, known, to="1002")


def test_a_page_that_never_comes_back_ends_the_call(new_server, browsers):
    parley = new_server(calls={"survival": "4s"})
    alice, bob = Agent(browsers, parley, "1001", ALICE), Agent(browsers, parley, "1002", BOB)
    try:
        alice.call("1002", until=None)
        bob.wait_ringing()
        bob.answer()
        alice.wait_call("active")
        bob.page.goto("about:blank")
        time.sleep(2)
        assert alice.state["state"] == "active", "held"
        assert alice.wait_call("ended")["cause"] == "hung-up-remote"
    finally:
        alice.close()
        bob.context.close()
    record = parley.record(to="1002")
    assert (record["ended_by"], record["reason"]) == ("system", "1002 did not come back")
    assert parley.stop() == 0


def test_a_cut_websocket_costs_no_sound_and_the_call_can_be_used_after(server, known, agent, baresip):
    proxy = Proxy(("127.0.0.1", server.http_port))
    try:
        alice = agent("1001", ALICE, url=f"ws://127.0.0.1:{proxy.port}/sip")
        alice.call("9115554003")
        baresip.wait("CALL_ESTABLISHED")
        hears(baresip.listen(2).last(1), ALICE)
        proxy.cut()
        alice.wait_phone("reconnecting")
        hears(baresip.listen(3).last(2.5), ALICE, CARRIER)
        hears(alice.listen(1.5).last(1), CARRIER, ALICE)
        proxy.mend()
        alice.page.evaluate("agent.phone.retryNow()")
        alice.wait_phone("registered")
        alice.hold()
        alice.wait("agent.current.onHold", what="held over the new connection")
        assert is_music(baresip.listen(2).last(1))
        alice.resume()
        hears(baresip.listen(2).last(1), ALICE)
        # The server's own requests find the way too.
        baresip.hang_up()
        alice.wait_call("ended")
    finally:
        proxy.close()
    assert one_record(server, known, to="9115554003")["ended_by"] == "callee"


def test_an_ice_restart_of_the_browser(server, known, agent, baresip):
    alice = agent("1001", ALICE)
    alice.call("9115554004")
    baresip.wait("CALL_ESTABLISHED")
    hears(alice.listen(2).last(1), CARRIER)
    for _ in range(3):
        before = alice.page.evaluate(UFRAGS)
        alice.page.evaluate("agent.current.dialog.renegotiate({ iceRestart: true })")
        after = eventually(
            lambda before=before: all(a != b for a, b in zip(alice.page.evaluate(UFRAGS), before)), 5, "new ICE credentials"
        )
        assert after
        hears(alice.listen(2).last(1), CARRIER, ALICE)
        hears(baresip.listen(1.5).last(1), ALICE, CARRIER)
    assert alice.stats()["state"] == "connected"
    alice.hang_up()
    one_record(server, known, to="9115554004")


def test_an_ice_restart_of_the_server_after_a_change_of_network(server, known, agent, baresip):
    """Signalling and media break; the page comes back and does nothing by itself, as other telephones do."""
    proxy = Proxy(("127.0.0.1", server.http_port))
    link = UDPLink(("127.0.0.1", server.configuration["media"]["port"]))
    try:
        alice = agent("1001", ALICE, url=f"ws://127.0.0.1:{proxy.port}/sip")
        alice.page.evaluate(THROUGH_LINK, link.port)
        alice.call("9115554005")
        baresip.wait("CALL_ESTABLISHED")
        hears(baresip.listen(2).last(1), ALICE)
        alice.page.evaluate("agent.current.recover = () => {}")
        before = alice.page.evaluate(UFRAGS)
        link.cut()
        proxy.cut()
        time.sleep(1.5)
        away = baresip.listen(1.5).last(1)
        assert is_music(away) and not away.is_tone(ALICE), f"music while nobody can be heard, {away}"
        proxy.mend()
        alice.page.evaluate("agent.phone.retryNow()")
        alice.wait_phone("registered")
        eventually(lambda: all(a != b for a, b in zip(alice.page.evaluate(UFRAGS), before)), 8, "new ICE credentials")
        link.mend()
        until_tone(alice, CARRIER, 8)
        hears(alice.listen(1.5).last(1), CARRIER, ALICE)
        hears(baresip.listen(1.5).last(1), ALICE, CARRIER)
        alice.hang_up()
    finally:
        link.close()
        proxy.close()
    one_record(server, known, to="9115554005")


def test_the_desk_goes_on_after_a_reload(server, known, browsers, baresip):
    desk = Desk(browsers, server, "1003", ALICE, log_in=False)
    try:
        desk.page.on("dialog", lambda dialog: dialog.accept())
        desk.at("login-remember").check()
        desk.log_in("pw-1003")
        desk.see("registration", state="registered")
        desk.dial("9115554006")
        desk.wait_call("active")
        hears(desk.listen(2).last(1), CARRIER)
        desk.page.reload(wait_until="commit")
        desk.see("call-card", state="active")
        assert desk.at("call-party").inner_text().replace(" ", "") == "9115554006"
        hears(desk.listen(2.5).last(1), CARRIER, ALICE)
        hears(baresip.listen(1.5).last(1), ALICE)
        desk.press("hangup")
        baresip.wait("CALL_CLOSED")
    finally:
        desk.close()
    one_record(server, known, to="9115554006")
