"""What stands between browser and server: a relay, another network, IPv6."""

import json

from support.audio import ALICE, MILLIWATT
from support.browser import Agent
from support.turn import Coturn

RELAY_ONLY = """() => {
  const Plain = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(options) { super({ ...options, iceTransportPolicy: 'relay' }); }
  };
}"""

SELECTED = """async () => {
  const report = [...(await ear.connections.at(-1).getStats()).values()];
  const transport = report.find((entry) => entry.type === 'transport');
  const pair = report.find((entry) => entry.id === transport.selectedCandidatePairId);
  const ends = [pair.localCandidateId, pair.remoteCandidateId].map((id) => report.find((entry) => entry.id === id));
  return { local: ends[0].candidateType, remote: ends[1].candidateType, address: ends[1].address };
}"""

ANSWERED = "() => ear.connections.at(-1).remoteDescription.sdp"


def test_a_browser_that_only_a_relay_lets_through_calls(new_server, browsers, tmp_path):
    with Coturn(tmp_path) as coturn:
        parley = new_server(media={"ice": "full", "turn": [coturn.setting]})
        # What the desk would be told (GET /desk/config.json).
        status, told = parley.get("/desk/config.json")
        assert status == 200
        servers = json.loads(told)["iceServers"]
        assert servers[0]["username"] and coturn.server in str(servers[0]["urls"])
        alice = Agent(browsers, parley, "1001", ALICE, iceServers=servers)
        try:
            alice.page.evaluate(RELAY_ONLY)
            alice.call("601")
            assert alice.listen(2.5).last(1.5).is_tone(MILLIWATT)
            assert alice.page.evaluate(SELECTED)["local"] == "relay"
            # The server took a relay of its own besides, and offers it.
            assert " typ relay " in alice.page.evaluate(ANSWERED)
            assert coturn.allocations >= 2, coturn.log()
            alice.hang_up()
        finally:
            alice.close()


def test_a_turn_server_that_is_away_delays_but_does_not_prevent_calls(new_server, browsers, tmp_path):
    gone = {"server": "127.0.0.32:9", "transport": "udp", "username": "nobody", "password": "nothing"}
    parley = new_server(media={"turn": [gone]})
    alice = Agent(browsers, parley, "1001", ALICE)
    try:
        alice.call("601")
        assert alice.listen(2.5).last(1.5).is_tone(MILLIWATT)
        assert " typ relay " not in alice.page.evaluate(ANSWERED)
        alice.hang_up()
    finally:
        alice.close()


def test_media_over_ipv6(new_server, browsers):
    parley = new_server(media={"address": "::1", "listen": ["::1"]})
    alice = Agent(browsers, parley, "1001", ALICE)
    try:
        alice.call("601")
        assert alice.listen(2.5).last(1.5).is_tone(MILLIWATT)
        assert alice.page.evaluate(SELECTED)["address"] in ("::1", "[::1]")
        alice.hang_up()
    finally:
        alice.close()
