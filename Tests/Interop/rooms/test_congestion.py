"""Subscribers behind a narrow link: what they still get. Figures of many links: Benchmarks/congestion.py."""

import os

import pytest

from support.congestion import Bench, Phase, Scenario

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun for namespaces"
    ),
    pytest.mark.timeout(180),
]


def test_a_link_that_narrows_keeps_whole_sound_and_a_short_queue(tmp_path):
    outcome = Bench(tmp_path).run(Scenario("narrowing", [Phase(15, 3000), Phase(15, 400), Phase(20, 3000)]))
    wide, narrow, again = 0, 1, 2
    assert outcome.mean("video", wide, 5) > 300_000, outcome.seconds
    # The queue that the old rate filled is gone soon and does not come back.
    calm = outcome.calms(narrow, 0.3)
    assert calm is not None and calm < 8, outcome.seconds
    # The link's own drops at the step aside, sound is whole.
    settled = outcome.of(narrow, 5)
    lost, packets = (sum(getattr(one, name) for one in settled) for name in ("audio_lost", "audio_packets"))
    assert packets > 400 and lost <= packets * 0.02, settled
    assert outcome.mean("video", again, 8) > outcome.mean("video", narrow, 8), outcome.seconds


def test_several_behind_one_link_share_it(tmp_path):
    share = Bench(tmp_path).share(1500, viewers=3, settle=15, seconds=15)
    assert len(share.video) == 3 and min(share.video) > 40, share
    assert max(share.video) < 4 * min(share.video), share
    assert share.audio_lost <= 2 and share.queue < 100, share


def test_a_tcp_flow_beside_it_takes_pictures_but_no_sound(tmp_path):
    share = Bench(tmp_path).share(1500, flow=True, settle=15, seconds=15)
    assert share.audio_lost <= 2, share
    # The flow fills its queue, whatever we do; what we send does not stop it.
    assert 300 < share.flow < 1500, share


def test_a_receiver_that_knows_remb_alone_is_not_overrun(tmp_path):
    share = Bench(tmp_path).share(800, remb=True, settle=15, seconds=15)
    assert 20 < share.video[0] < 800, share
    assert share.audio_lost <= 2 and share.queue < 100, share
