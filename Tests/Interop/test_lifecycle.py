"""The process itself: what survives kill -9, what SIGTERM does, what HTTP tells and to whom."""

import json
import os
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from conftest import RAW, eventually
from support.audio import CARRIER
from support.ports import free_port
from support.rtp import Party
from support.server import KEY, binary
from support.sip import Dialog, Endpoint, Media, sdp


@pytest.fixture
def trunk_server(new_server):
    """A server of the test's own with one raw trunk: (server, trunk endpoint)."""
    port, made = free_port(RAW), []

    def make(**options):
        parley = new_server(
            trunks=[{"name": "raw", "host": f"{RAW}:{port}"}],
            numbers=[{"number": "+15550600", "to": "echo:"}, {"number": "+15550601", "to": "milliwatt:"}],
            **options,
        )
        made.append(Endpoint(RAW, port, parley.sip))
        return parley, made[-1]

    yield make
    for endpoint in made:
        endpoint.close()


def answered(parley, trunk, voice, number="+15550600"):
    dialog = Dialog(trunk)
    answer = dialog.dial(parley.uri(number), sdp(RAW, voice.port))
    assert answer.status == 200
    media = Media(answer.body)
    voice.start(media.address, media.port)
    return dialog


@pytest.mark.parametrize("attempt", range(3))
def test_a_call_record_survives_kill_9_right_after_the_bye(trunk_server, attempt):
    parley, trunk = trunk_server()
    with Party(RAW, CARRIER) as voice:
        dialog = answered(parley, trunk, voice)
        time.sleep(0.5)
        assert dialog.bye().status == 200
        parley.kill()
    parley.start()
    record = parley.record(to="+15550600")
    assert (record["outcome"], record["ended_by"], record["status"]) == ("answered", "caller", 200)
    assert record["answered_at"] and record["ended_at"] and len(record["legs"]) == 2
    assert parley.stop() == 0


def test_a_call_cut_by_kill_9_is_known_as_interrupted(trunk_server):
    parley, trunk = trunk_server()
    with Party(RAW, CARRIER) as voice:
        answered(parley, trunk, voice)
        time.sleep(0.5)
        parley.kill()
    parley.start()
    record = parley.record(to="+15550600")
    assert record["outcome"] == "interrupted" and record["answered_at"]
    assert parley.stop() == 0


def test_sigterm_lets_a_call_finish_and_takes_no_new_one(trunk_server):
    parley, trunk = trunk_server(drain={"timeout": "20s"})
    with Party(RAW, CARRIER) as voice:
        dialog = answered(parley, trunk, voice)
        parley.terminate()
        eventually(lambda: parley.get("/readyz", quiet=True)[0] == 503, 5, "readyz 503")
        assert parley.get("/healthz")[0] == 200
        refused = Dialog(trunk).dial(parley.uri("+15550601"), sdp(RAW, voice.port))
        assert refused.status == 503
        assert voice.listen(1.5).last(1).is_tone(CARRIER), "the running call is unharmed"
        assert parley.alive
        assert dialog.bye().status == 200
        assert parley.process.wait(10) == 0


def test_sigterm_ends_what_does_not_finish_and_writes_it_down(trunk_server):
    parley, trunk = trunk_server(drain={"timeout": "2s"})
    with Party(RAW, CARRIER) as voice:
        dialog = answered(parley, trunk, voice)
        parley.terminate()
        dialog.wait_bye(10)
        assert parley.process.wait(10) == 0
    parley.start()
    record = parley.record(to="+15550600")
    assert (record["outcome"], record["ended_by"]) == ("answered", "system")
    assert parley.stop() == 0


def test_an_idle_server_goes_at_once(new_server):
    parley = new_server()
    started = time.monotonic()
    assert parley.stop() == 0
    assert time.monotonic() - started < 5


def test_a_silent_call_is_ended_by_the_media_timeout(trunk_server):
    parley, trunk = trunk_server(media={"timeout": "5s"})
    with Party(RAW, CARRIER) as voice:
        dialog = answered(parley, trunk, voice, "+15550601")
        time.sleep(1)
        voice.pause()
        dialog.wait_bye(15)
    record = parley.record(to="+15550601")
    assert record["ended_by"] == "system"
    assert parley.stop() == 0


def test_hold_is_no_silence_to_the_media_timeout(trunk_server):
    parley, trunk = trunk_server(media={"timeout": "5s"})
    with Party(RAW, CARRIER) as voice:
        dialog = answered(parley, trunk, voice, "+15550601")
        assert dialog.request("INVITE", sdp(RAW, voice.port, direction="inactive", version=2)).status == 200
        voice.pause()
        trunk.nothing(lambda message: message.method == "BYE", 9)
        assert dialog.bye().status == 200
    assert parley.stop() == 0


def test_the_call_records_need_the_key(server, known):
    assert server.get("/v1/calls")[0] == 401
    assert server.get("/v1/calls", "wrong")[0] == 401
    assert server.get("/v1/calls", KEY)[0] == 200
    assert server.get("/v1/calls/nothing-of-that-name", KEY)[0] == 404
    for path in ("/healthz", "/readyz", "/metrics"):
        assert server.get(path)[0] == 200, path


def test_the_metrics_are_prometheus_text(server, known):
    metrics = server.metrics()
    assert len(metrics) > 10 and all(name.startswith(("parley_", "process_", "swift_")) for name in metrics), list(metrics)
    kinds = [line for line in server.get("/metrics")[1].splitlines() if line.startswith("# TYPE")]
    assert kinds and len(kinds) == len(set(kinds))


def test_the_metrics_measure_calls_and_their_legs(server, known, trunk, party):
    names = ("parley_call_answer_seconds_count", "parley_call_ring_seconds_count") + tuple(
        f'parley_leg_{what}_count{{party="trunk"}}' for what in ("loss_ratio", "jitter_seconds")
    )
    before = server.metrics()
    voice, dialog = party(CARRIER), Dialog(trunk)
    answer = dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port))
    media = Media(answer.body)
    voice.start(media.address, media.port)
    voice.listen(1)
    dialog.bye()
    server.record(known, to="+15550600")
    after = server.metrics()
    for name in names:
        assert after[name] == before.get(name, 0) + 1, name
    assert 'parley_media_failures_total{plane="call",reason="ice"}' in after


def test_a_record_has_what_a_bill_needs(server, known, trunk, party):
    voice, dialog = party(CARRIER), Dialog(trunk)
    answer = dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port), user="+4930123456")
    media = Media(answer.body)
    voice.start(media.address, media.port)
    voice.listen(2)
    dialog.bye()
    record = server.record(known, to="+15550600")
    assert record["from"] == "+4930123456"
    assert record["started_at"] <= record["answered_at"] <= record["ended_at"]
    trunk_leg = record["legs"][0]
    assert trunk_leg["sip_call_id"] == dialog.call_id and RAW in trunk_leg["remote_address"]
    assert trunk_leg["codec"] == "PCMU" and trunk_leg["media"]["packets_received"] >= 90


def test_a_port_that_is_taken_is_said_plainly(server, known, tmp_path):
    configuration = tmp_path / "taken.yaml"
    sections = server.configuration | {"data": {"directory": str(tmp_path / "data")}}
    configuration.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in sections.items()))
    ended = subprocess.run(
        [binary(), "serve", "--config", str(configuration)], capture_output=True, text=True, timeout=30, cwd=tmp_path
    )
    assert ended.returncode not in (0, -6, -11)
    said = ended.stdout + ended.stderr
    taken = (server.http_port, server.https_port, server.sip_port, server.sips_port, server.configuration["media"]["port"])
    assert "in use" in said and any(str(port) in said for port in taken), said


@pytest.mark.parametrize(
    ("text", "named"),
    [("http: { lissten: 1 }", "lissten"), ("sip: [", "yaml"), ("media: { ports: 5-1 }", "ports"), ("\x00\x01", "yaml")],
)
def test_a_wrong_configuration_is_told_with_its_place(tmp_path, text, named):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    ended = subprocess.run([binary(), "serve", "--config", str(path)], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    said = (ended.stdout + ended.stderr).lower()
    assert ended.returncode not in (0, -4, -6, -11) and ("wrong.yaml" in said) and named in said, said


def test_the_embedded_defaults_run_and_name_the_logins(tmp_path):
    """`make run`'s way: no file; only the ports are moved, by the environment. 600 answers the demo user."""
    http, https, sip, tls = (free_port() for _ in range(4))
    environment = dict(
        {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
        PARLEY_HTTP_LISTEN=f"127.0.0.1:{http}",
        PARLEY_HTTP_TLS_LISTEN=f"127.0.0.1:{https}",
        PARLEY_SIP_UDP=f"127.0.0.1:{sip}",
        PARLEY_SIP_TCP=f"127.0.0.1:{sip}",
        PARLEY_SIP_TLS=f"127.0.0.1:{tls}",
    )
    log = open(tmp_path / "log", "w+b")
    process = subprocess.Popen([binary(), "serve"], cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:

        def said():
            return (tmp_path / "log").read_text(errors="replace")

        eventually(lambda: f"{http}" in said() and "1001" in said() and "1002" in said(), 20, "greeting")
        assert (tmp_path / "data").is_dir()
        passwords = json.loads((tmp_path / "data" / "demo-users.json").read_text())
        assert passwords["users"][0]["password"] in said()
    finally:
        process.terminate()
        status = process.wait(20)
        log.close()
    assert status == 0


def test_a_renewed_certificate_is_served_without_a_restart(new_server, tmp_path):
    def make(name):
        files = [str(tmp_path / f"{name}.{kind}") for kind in ("pem", "key")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"]
            + ["-subj", f"/CN={name}", "-out", files[0], "-keyout", files[1]],
            check=True, capture_output=True,
        )  # fmt: skip
        return files

    def subject():
        pem = ssl.get_server_certificate(("127.0.0.1", parley.https_port))
        return subprocess.run(
            ["openssl", "x509", "-noout", "-subject"], input=pem, text=True, capture_output=True, check=True
        ).stdout

    used, renewed = make("first"), make("second")
    parley = new_server(certificate=used)
    assert "first" in subject()
    for old, new in zip(used, renewed):
        os.replace(new, old)
    parley.process.send_signal(signal.SIGHUP)
    eventually(lambda: "second" in subject(), what="the renewed certificate")
    # One that cannot be used leaves the other in force.
    Path(used[0]).write_text("no certificate")
    parley.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the changed certificate cannot be used" in parley.log(), what="a word in the log")
    assert "second" in subject()
    assert parley.stop() == 0
