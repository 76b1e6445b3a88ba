"""Recordings of calls: who is in which channel, pauses, keys, crashes, full disks, and what REST makes of them."""

import hashlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from conftest import BARESIP, eventually
from support.audio import ALICE, CARRIER, level, strongest, tone_level
from support.baresip import NUMBER
from support.server import KEY
from support.webhooks import Webhooks

RATE = 16000


@pytest.fixture
def recorded(new_server, baresip, tmp_path):
    """Makes servers whose calls over 91… are recorded; 94… leads to the same phone without."""

    def make(**sections):
        return new_server(
            users=("1001", "1002"),
            trunks=[{"name": "carrier", "host": f"{BARESIP}:{baresip.port}", "codecs": ["PCMU", "PCMA"]}],
            routes=[
                {"match": r"^91(\d+)$", "to": "trunk:carrier", "number": NUMBER, "record": True},
                {"match": r"^94(\d+)$", "to": "trunk:carrier", "number": NUMBER},
            ],
            **{"recordings": {"min-free": 0}, **sections},
        )

    return make


def rest(server, path, method="GET", body=None, user=None, headers=()):
    """(status, headers, bytes)."""
    request = urllib.request.Request(server.http + path, method=method, data=json.dumps(body).encode() if body else None)
    if user:
        import base64

        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:pw-{user}".encode()).decode())
    else:
        request.add_header("Authorization", f"Bearer {KEY}")
    for name, value in headers:
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def recordings(server, query=""):
    status, _, text = rest(server, "/v1/recordings" + query)
    assert status == 200, text
    return json.loads(text)["recordings"]


def saved(server, count=1, timeout=20):
    return eventually(
        lambda: (lambda found: found if len(found) >= count else None)(recordings(server, "?state=saved")),
        timeout, f"{count} saved: {recordings(server)}",
    )


def channels(data, tmp_path, suffix="ogg"):
    """Left and right at 16 kHz, by ffmpeg."""
    path = tmp_path / f"recording.{suffix}"
    path.write_bytes(data)
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ar", str(RATE), "-"], capture_output=True, check=True
    ).stdout
    import array

    samples = array.array("h")
    samples.frombytes(raw[: len(raw) // 4 * 4])
    return list(samples[0::2]), list(samples[1::2])


def part(samples, start, end):
    return samples[int(start * RATE) : int(end * RATE)]


def sounds(samples, tone):
    """Whether a stretch is that tone."""
    return abs(strongest(samples, RATE)[0] - tone) < 15 and level(samples) > -35


def media(server, recording, user=None, query=""):
    base = "/v1/me" if user else "/v1"
    status, headers, data = rest(server, f"{base}/recordings/{recording['id']}/media{query}", user=user)
    assert status == 200, (status, data[:300])
    return headers, data


def action(server, call, what, expect=200):
    status, _, text = rest(server, f"/v1/calls/{call}/recording", "POST", {"action": what})
    assert status == expect, (status, text)
    return json.loads(text)


def live(server):
    return eventually(lambda: [call for call in server.calls() if not call.get("ended_at")], what="a running call")[0]["id"]


def test_agent_left_and_carrier_right(recorded, agent, tmp_path):
    hooks = Webhooks()
    server = recorded(**hooks.sections)
    alice = agent("1001", ALICE, server)
    alice.call("9115551234")
    call = live(server)
    alice.page.wait_for_timeout(4000)
    status, _, text = rest(server, f"/v1/calls/{call}/recording")
    assert json.loads(text)["state"] == "recording"
    assert rest(server, f"/v1/me/calls/{call}/recording", user="1001")[0] == 200
    assert rest(server, f"/v1/me/calls/{call}/recording", user="1002")[0] == 404
    alice.hang_up()
    (recording,) = saved(server)
    assert recording["call"] == call and recording["kind"] == "call"
    file = recording["files"][0]
    headers, data = media(server, recording)
    assert headers["Content-Type"] == "audio/ogg" and len(data) == file["bytes"]
    assert hashlib.sha256(data).hexdigest() == file["sha256"]
    left, right = channels(data, tmp_path)
    assert 3.5 < len(left) / RATE < 7, len(left) / RATE
    assert sounds(part(left, 1.5, 3), ALICE) and sounds(part(right, 1.5, 3), CARRIER)
    # Nobody's voice is in the other's channel.
    assert tone_level(part(left, 1.5, 3), RATE, CARRIER) < level(part(left, 1.5, 3)) - 25
    assert tone_level(part(right, 1.5, 3), RATE, ALICE) < level(part(right, 1.5, 3)) - 25
    (event,) = eventually(
        lambda: [json.loads(text) for _, text in hooks.requests if '"recording.saved"' in text], 10, "recording.saved")
    assert event["recording"]["id"] == recording["id"] and event["recording"]["files"][0]["sha256"] == file["sha256"]
    # Ranges, HEAD, entity tag, a user's own view, the waveform.
    path = f"/v1/recordings/{recording['id']}/media"
    status, headers, some = rest(server, path, headers=[("Range", "bytes=100-299")])
    assert (status, some) == (206, data[100:300]) and headers["Content-Range"] == f"bytes 100-299/{len(data)}"
    assert rest(server, path, headers=[("Range", f"bytes={len(data)}-")])[0] == 416
    status, headers, none = rest(server, path, "HEAD")
    assert (status, headers["Content-Length"], none) == (200, str(len(data)), b"")
    assert rest(server, path, headers=[("If-None-Match", headers["ETag"])])[0] == 304
    assert media(server, recording, user="1001")[1] == data
    assert rest(server, f"/v1/me/recordings/{recording['id']}/media", user="1002")[0] == 404
    waveform = json.loads(rest(server, f"/v1/recordings/{recording['id']}/waveform")[2])
    assert [len(channel) for channel in waveform["channels"]] == pytest.approx([file["duration"] * 10] * 2, abs=2)
    assert max(waveform["channels"][0]) > 20 and max(waveform["channels"][1]) > 20
    # WAV on request.
    headers, wave = media(server, recording, query="?format=wav")
    assert headers["Content-Type"] == "audio/wav" and wave[:4] == b"RIFF"
    left, right = channels(wave, tmp_path, "wav")
    assert sounds(part(left, 1.5, 3), ALICE) and sounds(part(right, 1.5, 3), CARRIER)
    assert rest(server, f"/v1/recordings/{recording['id']}", "DELETE")[0] == 204
    assert rest(server, path)[0] == 404
    assert not [name for _, _, names in os.walk(server.directory / "data" / "recordings") for name in names]


def test_a_pause_is_silent_and_marked(recorded, agent, tmp_path):
    server = recorded()
    alice = agent("1001", ALICE, server)
    alice.call("9415551234")
    call = live(server)
    alice.page.wait_for_timeout(800)
    assert not recordings(server)
    started = time.monotonic()
    assert action(server, call, "start")["state"] == "recording"
    alice.page.wait_for_timeout(2500)
    assert action(server, call, "pause")["state"] == "paused"
    paused = time.monotonic() - started
    alice.page.wait_for_timeout(2500)
    assert action(server, call, "resume")["state"] == "recording"
    resumed = time.monotonic() - started
    alice.page.wait_for_timeout(2500)
    assert action(server, call, "stop")["state"] == "off"
    action(server, call, "pause", 409)
    (recording,) = saved(server)
    left, right = channels(media(server, recording)[1], tmp_path)
    for samples, tone in ((left, ALICE), (right, CARRIER)):
        assert sounds(part(samples, 0.5, paused - 0.3), tone)
        assert level(part(samples, paused + 0.3, resumed - 0.3)) < -70
        assert sounds(part(samples, resumed + 0.4, resumed + 2), tone)
    alice.hang_up()


def test_keys_of_the_agent_record(recorded, agent):
    server = recorded()
    alice = agent("1001", ALICE, server)
    alice.call("9415551234")
    call = live(server)
    alice.page.wait_for_timeout(500)

    def state():
        return json.loads(rest(server, f"/v1/calls/{call}/recording")[2])["state"]

    for keys, expected in (("*1", "recording"), ("*2", "paused"), ("*2", "recording"), ("*1", "off")):
        alice.send_digits(keys)
        eventually(lambda: state() == expected, 6, f"{expected} after {keys}")
    alice.hang_up()
    saved(server)


def test_killed_in_the_middle_it_is_readable_to_the_last_second(recorded, agent, tmp_path):
    server = recorded()
    alice = agent("1001", ALICE, server)
    alice.call("9115551234")
    live(server)
    eventually(lambda: recordings(server, "?state=recording"), what="recording")
    began = time.monotonic()
    alice.page.wait_for_timeout(5000)
    server.kill()
    length = time.monotonic() - began
    server.start()
    (recording,) = saved(server)
    assert "stopped while" in recording["reason"], recording
    left, right = channels(media(server, recording)[1], tmp_path)
    assert len(left) / RATE > length - 1, (len(left) / RATE, length)
    end = len(left) / RATE
    assert sounds(part(left, end - 1.5, end - 0.3), ALICE) and sounds(part(right, end - 1.5, end - 0.3), CARRIER)
    assert not list((server.directory / "data" / "recordings").glob("*.spool"))


def test_a_full_disk_ends_the_recording_and_not_the_call(recorded, agent, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        server = recorded(recordings={"min-free": 0, "directory": str(small)})
        alice = agent("1001", ALICE, server)
        alice.call("9115551234")
        call = live(server)

        def status():
            return json.loads(rest(server, f"/v1/calls/{call}/recording")[2])

        eventually(lambda: status()["state"] == "recording", what="recording")
        failed = eventually(lambda: (lambda now: now if now["state"] == "failed" else None)(status()), 20, "failed")
        assert "No space left" in failed["reason"], failed
        # The call goes on.
        heard = alice.listen(2.0).last(1.0)
        assert heard.is_tone(CARRIER), f"{heard}"
        assert "cannot be written" in server.log()
        # What was written becomes a file as soon as there is room.
        subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
        (recording,) = saved(server, timeout=90)
        assert "No space left" in recording["reason"], recording
        left, right = channels(media(server, recording)[1], tmp_path)
        assert len(left) > 0.9 * RATE
        assert sounds(part(left, 0.4, 0.9), ALICE) and sounds(part(right, 0.4, 0.9), CARRIER)
        alice.hang_up()
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)])


def test_a_browser_plays_the_recording(recorded, agent, browsers):
    """Two Opus streams side by side in one Ogg stream: Chromium must take them for left and right."""
    server = recorded()
    alice = agent("1001", ALICE, server)
    alice.call("9115551234")
    live(server)
    alice.page.wait_for_timeout(3000)
    alice.hang_up()
    (recording,) = saved(server)
    decoded = alice.page.evaluate(
        """async ([path, key]) => {
          const answer = await fetch(path, { headers: { Authorization: `Bearer ${key}` } });
          const context = new OfflineAudioContext(2, 48000, 48000);
          const audio = await context.decodeAudioData(await answer.arrayBuffer());
          const from = Math.floor(1.2 * audio.sampleRate);
          return [0, 1].map((channel) => [...audio.getChannelData(channel).slice(from, from + 48000)]);
        }""",
        [f"/v1/recordings/{recording['id']}/media", KEY],
    )
    for samples, tone in zip(decoded, (ALICE, CARRIER)):
        assert abs(strongest([int(value * 32767) for value in samples], 48000)[0] - tone) < 15


def test_the_desk_records_and_the_page_plays(recorded, browsers):
    server = recorded()
    page, context = browsers.page(ALICE)
    page.goto(f"{server.http}/desk/")
    page.get_by_label("User name").fill("1001")
    page.get_by_label("Password", exact=True).fill("pw-1001")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=history]")
    page.wait_for_timeout(500)
    page.keyboard.type("9415551234")
    page.keyboard.press("Enter")
    state = page.get_by_test_id("recording-state")
    page.get_by_test_id("record").click(timeout=15000)
    state.get_by_text("This call is being recorded").wait_for(timeout=8000)
    page.wait_for_timeout(2000)
    page.get_by_test_id("record-pause").click()
    state.get_by_text("The recording is paused").wait_for(timeout=8000)
    page.get_by_test_id("record").click()
    state.wait_for(state="hidden", timeout=8000)
    page.get_by_test_id("hangup").click()
    (recording,) = saved(server)
    page.goto(f"{server.http}/recordings/")
    if page.locator("#login").is_visible():
        page.fill("#user", "1001")
        page.fill("#password", "pw-1001")
        page.click("#login button")
    shown = page.locator(f"[data-id='{recording['id']}'][data-state=saved]")
    shown.wait_for(timeout=10000)
    shown.get_by_test_id("play").click()
    eventually(lambda: page.evaluate("document.querySelector('[data-testid=time]').textContent") >= "0:01", 6, "playing")
    with page.expect_download() as download:
        shown.get_by_test_id("download").click()
    data = open(download.value.path(), "rb").read()
    assert hashlib.sha256(data).hexdigest() == recording["files"][0]["sha256"]
    context.close()
