"""SIPp as the peer: the scenarios of signaling/sip/scenarios, each once, over UDP and TCP."""

import pytest
from conftest import RAW, STRANGER
from support.audio import ALICE
from support.sipp import Sipp


@pytest.mark.parametrize("transport", ["u1", "t1"], ids=["UDP", "TCP"])
@pytest.mark.parametrize(
    "scenario", ["inbound-echo.xml", "inbound-hold.xml", "inbound-delayed-offer.xml", "inbound-session-timer.xml"]
)
def test_a_scenario_of_a_carrier_that_calls(server, known, tmp_path, scenario, transport):
    Sipp(scenario, RAW, server.sip, tmp_path, "+15550600", transport=transport).finish()
    record = server.record(known, to="+15550600")
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")


def test_a_carrier_that_wants_to_be_refreshed(server, known, tmp_path):
    """Both at once, as each takes half of the shortest session that there may be (RFC 4028 §4: 90 s)."""
    running = []
    for scenario in ("inbound-refreshed-by-update.xml", "inbound-refreshed-by-reinvite.xml"):
        directory = tmp_path / scenario
        directory.mkdir()
        running.append(Sipp(scenario, RAW, server.sip, directory, "+15550600", timeout=70))
    for one in running:
        one.finish(80)
    for call_id in server.known() - known:
        assert server.call(call_id)["ended_by"] == "caller"


def test_a_carrier_that_gives_up(server, known, agent, tmp_path):
    alice = agent("1001", ALICE)
    caller = Sipp("inbound-cancel.xml", RAW, server.sip, tmp_path, "+15550100")
    alice.wait_ringing()
    caller.finish()
    alice.wait_call("ended")
    assert server.record(known, to="+15550100")["outcome"] == "cancelled"


def test_a_carrier_that_is_busy(server, known, agent, tmp_path, raw_port):
    alice = agent("1001", ALICE)
    callee = Sipp("outbound-busy.xml", RAW, server.sip, tmp_path, port=raw_port)
    try:
        alice.page.wait_for_timeout(500)
        alice.call("9215559001", until=None)
        alice.wait_call("ended")
        callee.finish()
        assert alice.state["cause"] == "busy"
    finally:
        callee.close()


def test_a_stranger(server, known, tmp_path):
    Sipp("stranger.xml", STRANGER, server.sip, tmp_path, "+15550600").finish()
