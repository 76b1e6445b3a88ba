"""Speech: espeak-ng in the server, a service before it, what happens when the service fails, and recorded prompts."""

import array
import contextlib
import io
import json
import subprocess
import time
import urllib.error
import urllib.request
import wave

import pytest

from support import audio
from support.baresip import Baresip
from support.ports import free_port
from support.server import KEY, ParleyServer, binary, yaml
from support.speech import TONE, SpeechService, wav_bytes


def say(server, text, timeout=20, **more):
    """Status, and samples or the error's code."""
    request = urllib.request.Request(
        f"{server.http}/v1/speech",
        json.dumps({"text": text} | more).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            body = answer.read()
            assert answer.headers["Content-Type"] == "audio/wav"
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]["code"]
    with wave.open(io.BytesIO(body)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return 200, array.array("h", file.readframes(file.getnframes())).tolist()


def is_speech(samples):
    """Not the service's tone, not silence."""
    heard = audio.Heard(samples, 16_000)
    return heard.level > -40 and not heard.is_tone(TONE)


@contextlib.contextmanager
def running(directory, name, **speech):
    server = ParleyServer(directory / name, users=(), speech=speech)
    server.start()
    try:
        yield server
    finally:
        assert server.stop() == 0


@pytest.fixture(scope="module")
def plain(directory):
    with running(directory, "speech-plain") as server:
        yield server


@pytest.fixture
def service():
    one = SpeechService()
    yield one
    one.close()


def test_the_server_speaks_english_and_german_by_itself(plain):
    status, english = say(plain, "Please enter your PIN.")
    assert status == 200 and 1 < len(english) / 16_000 < 5 and is_speech(english)
    status, german = say(plain, "Bitte geben Sie Ihre Geheimzahl ein.", language="de")
    assert status == 200 and 1 < len(german) / 16_000 < 5 and is_speech(german)
    # The same words in another language are said differently; faster is shorter; another voice is another.
    _, mixed = say(plain, "Please enter your PIN.", language="de")
    _, fast = say(plain, "Please enter your PIN.", speed=180)
    assert len(mixed) != len(english) and len(fast) < 0.8 * len(english)
    assert say(plain, "Please enter your PIN.", voice="en-gb+f2")[0] == 200


def test_what_was_said_is_kept_on_the_disk(plain):
    say(plain, "A sentence that nobody has said before.")
    files = [file.name for file in (plain.directory / "data" / "speech").iterdir()]
    assert files and all(len(name) == 68 and name.endswith(".wav") for name in files)
    before = plain.metric('parley_speech_total{from="synthesis"}')
    say(plain, "A sentence that nobody has said before.")
    assert plain.metric('parley_speech_total{from="synthesis"}') == before


@pytest.mark.parametrize(
    "text, more, code",
    [
        ("", {}, "invalid"),
        (" .!? ", {}, "invalid"),
        ("x" * 1001, {}, "invalid"),
        ("Hello", {"voice": "../../../etc/passwd"}, "invalid"),
        ("Hello", {"speed": 9}, "invalid"),
        ("Hello", {"loud": True}, "invalid"),
    ],
)
def test_what_cannot_be_said_is_refused(plain, text, more, code):
    assert say(plain, text, **more) == (400, code)


def test_strangers_are_not_spoken_to(plain):
    request = urllib.request.Request(f"{plain.http}/v1/speech", b'{"text":"x"}', {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 401


def test_voices_are_listed(plain):
    status, body = plain.get("/v1/speech/voices", key=KEY)
    voices = json.loads(body)
    assert status == 200 and "de" in voices["builtIn"]
    assert [one["language"] for one in voices["languages"]] == ["de", "en"]


def test_a_service_speaks_once_for_each_text(directory, service):
    with running(directory, "speech-service", service={"url": service.url, "voices": {"en": "alba"}}) as server:
        service.become("ok")
        status, samples = say(server, "Good morning, Ada.", speed=150)
        assert status == 200 and audio.Heard(samples, 16_000).is_tone(TONE)
        mine = [order for order in service.orders if order["text"] == "Good morning, Ada."]
        assert mine == [{"text": "Good morning, Ada.", "voice": "alba", "speed": 1.5, "cache": True}]
        assert audio.Heard(say(server, "Good morning, Ada.", speed=150)[1], 16_000).is_tone(TONE)
        assert len([order for order in service.orders if order["text"] == "Good morning, Ada."]) == 1
        # German has no voice there.
        assert is_speech(say(server, "Guten Morgen.", language="de")[1])


@pytest.mark.parametrize("mode", ["hang", "slow", "error", "refuse", "page", "cut", "lie", "cut-off"])
def test_where_the_service_fails_espeak_speaks(directory, service, mode):
    service.become(mode)
    settings = {"url": service.url, "voices": {"en": "alba"}, "timeout": "500 ms"}
    with running(directory, f"speech-{mode}", service=settings) as server:
        began = time.monotonic()
        status, samples = say(server, "This has to be said all the same.")
        took = time.monotonic() - began
        assert status == 200
        if mode == "lie":
            # Only the length of a chunk was wrong: the sound is there or espeak's is.
            assert audio.Heard(samples, 16_000).level > -40
        else:
            assert is_speech(samples)
        assert took < 6, f"{mode} held the caller up for {took:.1f} s"


def test_a_service_that_fails_is_left_alone_and_taken_back(directory, service):
    service.become("error")
    settings = {"url": service.url, "voices": {"en": "alba"}, "timeout": "500 ms"}
    with running(directory, "speech-breaker", service=settings) as server:
        for number in range(8):
            assert is_speech(say(server, f"Attempt number {number}.")[1])
        assert len([order for order in service.orders if "Attempt" in order["text"]]) <= 3
        service.become("ok")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            samples = say(server, f"Is it back at {time.monotonic():.0f}?")[1]
            if audio.Heard(samples, 16_000).is_tone(TONE):
                break
            time.sleep(0.5)
        else:
            pytest.fail("the service was not asked again")


def check(directory, **speech):
    """What parley check says about speech."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "check.yaml"
    file.write_text(yaml({"data": {"directory": str(directory / "data")}, "speech": speech}))
    result = subprocess.run([binary(), "check", "--config", str(file)], capture_output=True, text=True, timeout=60)
    return [line for line in result.stdout.splitlines() if line.split(None, 1)[1].startswith("speech")]


def test_check_names_what_is_missing(directory, service):
    place = directory / "speech-check"
    assert check(place) == ["OK   speech: there is a voice for de, en."]
    wrong = check(place, voices={"en": "en-us", "tlh": "klingon"})
    assert len(wrong) == 1 and wrong[0].startswith("FAIL") and "klingon" in wrong[0]
    unreachable = check(place, service={"url": f"http://127.0.0.1:{free_port()}", "voices": {"en": "alba"}})
    assert len(unreachable) == 1 and unreachable[0].startswith("WARN") and "cannot be reached" in unreachable[0]
    voices = check(place, service={"url": service.url, "voices": {"en": "alba", "de": "nobody"}})
    assert len(voices) == 1 and "nobody" in voices[0] and "thorsten" in voices[0]
    prompts = place / "prompts"
    (prompts / "de").mkdir(parents=True)
    (prompts / "de" / "enter-pin.wav").write_bytes(b"RIFF....WAVE")
    (prompts / "de" / "enterpin.wav").write_bytes(wav_bytes(audio.tone(800, 22_050, 0.5)))
    found = check(place, prompts=str(prompts))
    assert len(found) == 2 and "de/enter-pin.wav" in found[0] and "replaces no phrase" in found[1]


def test_a_caller_chooses_a_language_and_hears_its_recordings(directory):
    prompts = directory / "prompts"
    sounds = {"en/language-choice-1": 615, "de/language-choice-2": 1055, "de/enter-pin": 1555, "de/wrong-pin": 2055}
    for name, frequency in sounds.items():
        file = prompts / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(wav_bytes(audio.tone(frequency, 22_050, 2)))
    server = ParleyServer(
        directory / "speech-menu",
        users=(),
        trunks=[{"name": "carrier", "host": "127.0.0.41:5999", "allow": ["127.0.0.41/32"]}],
        speech={"languages": ["en", "de"], "prompts": str(prompts)},
        rooms={"dial-in": {"numbers": [{"number": "+15550990", "room": "menu", "pin": "2468"}]}},
    )
    server.start()
    try:
        with Baresip("127.0.0.41", 0, name="caller") as phone:
            phone.dial(server.uri("+15550990"))
            phone.wait("CALL_ESTABLISHED")
            assert phone.listen(1.5).last(1).is_tone(615)
            assert phone.listen(2).last(1).is_tone(1055)
            phone.send_digits("2")
            assert phone.listen(1.5).last(1).is_tone(1555)
            # Keys silence the prompt at once.
            phone.send_digits("1111#")
            assert phone.listen(2).last(1).is_tone(2055)
            assert phone.listen(2).last(1).is_tone(1555)
            phone.send_digits("2468#")
            spoken = phone.listen(3).last(2)
            assert not spoken.is_silent and not spoken.is_tone(1555)
    finally:
        assert server.stop() == 0
