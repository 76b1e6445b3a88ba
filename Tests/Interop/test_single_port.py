"""All browsers on one port: over UDP, over TCP where UDP is taken away, and the full agent beside it."""

import pytest
from support.audio import ALICE
from support.server import ParleyServer

# The page is told of no UDP candidate, as behind a firewall that drops UDP; and keeps its connections for `paths`.
WITHOUT_UDP = """
(() => {
  window.connections = []
  const { setRemoteDescription } = RTCPeerConnection.prototype
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    window.connections.push(this)
    return setRemoteDescription.call(this, { type, sdp: sdp.replace(/a=candidate:\\S+ 1 udp [^\\r\\n]*\\r\\n/gi, "") })
  }
})()
"""

PATHS = """
async () => {
  const found = []
  for (const connection of new Set(window.connections)) {
    const stats = [...(await connection.getStats()).values()]
    const transport = stats.find((one) => one.type === "transport")
    const pair = stats.find((one) => one.id === transport?.selectedCandidatePairId)
    const local = stats.find((one) => one.id === pair?.localCandidateId)
    const remote = stats.find((one) => one.id === pair?.remoteCandidateId)
    found.push({ protocol: local?.protocol, port: remote?.port })
  }
  return found
}
"""


def test_a_browser_without_udp_comes_over_tcp(server, known, agent):
    alice = agent("1001", ALICE)
    alice.page.evaluate(WITHOUT_UDP)
    alice.call("600")
    assert alice.listen(3).last(1).is_tone(ALICE)
    assert alice.page.evaluate(PATHS) == [{"protocol": "tcp", "port": server.configuration["media"]["port"]}]
    alice.hang_up()
    alice.wait_call("ended")


def test_two_browsers_share_the_port(server, known, agent):
    port = server.configuration["media"]["port"]
    agents = [agent("1001", ALICE), agent("1002", ALICE)]
    for one in agents:
        one.page.evaluate(WITHOUT_UDP.replace("1 udp", "1 none"))
        one.call("600")
    for one in agents:
        assert one.listen(3).last(1).is_tone(ALICE)
        assert one.page.evaluate(PATHS) == [{"protocol": "udp", "port": port}]
        one.hang_up()
        one.wait_call("ended")


def test_the_full_agent_carries_calls_too(directory, agent):
    server = ParleyServer(directory / "full", media={"ice": "full"})
    server.start()
    try:
        alice = agent("1001", ALICE, parley=server)
        alice.page.evaluate(WITHOUT_UDP.replace("1 udp", "1 none"))
        alice.call("600")
        assert alice.listen(3).last(1).is_tone(ALICE)
        (path,) = alice.page.evaluate(PATHS)
        assert path["protocol"] == "udp" and server.first_media <= path["port"] <= server.last_media
        alice.hang_up()
        alice.wait_call("ended")
    finally:
        server.stop()


def test_a_second_server_does_not_share_the_port_unnoticed(directory, server):
    other = ParleyServer(directory / "second", media={"port": server.configuration["media"]["port"]})
    with pytest.raises(Exception, match="Address already in use"):
        other.start()
    other.stop()
