"""Who gets in: health, validation, tokens and every way in which they can be wrong."""

import asyncio
import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt as pyjwt
import pytest
from livekit import rtc
from livekit.protocol import rtc as proto

from support.rooms import API_KEY, KEY


# What a client of /rtc/v1 says of itself.
JOIN_REQUEST = base64.urlsafe_b64encode(
    proto.WrappedJoinRequest(
        join_request=proto.JoinRequest(connection_settings=proto.ConnectionSettings(auto_subscribe=True)).SerializeToString()
    ).SerializeToString()
).decode()


def fetch(server, path, header=None, **query):
    """(status, headers, text)."""
    if "/v1" in path:
        query.setdefault("join_request", JOIN_REQUEST)
    url = f"{server.http}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    request = urllib.request.Request(url)
    if header is not None:
        request.add_header("Authorization", header)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode(errors="replace")


def forged(secret=KEY, algorithm="HS256", **claims):
    """A token with exactly these claims over usual ones; None takes a claim away."""
    now = int(time.time())
    payload = {
        "iss": API_KEY, "sub": "ann", "nbf": now - 5, "exp": now + 600, "video": {"roomJoin": True, "room": "access"}
    } | claims
    payload = {name: value for name, value in payload.items() if value is not None}
    return pyjwt.encode(payload, secret, algorithm=algorithm)


def unsigned():
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    claims = {"iss": API_KEY, "sub": "ann", "exp": now + 600, "video": {"roomJoin": True, "room": "access"}}
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


BAD = {
    "another secret": (lambda: forged(secret="wrong-secret-wrong-secret-wrong-secret"), 401),
    "an unknown key": (lambda: forged(iss="nobody"), 401),
    "no key": (lambda: forged(iss=None), 401),
    "expired": (lambda: forged(exp=int(time.time()) - 120, nbf=int(time.time()) - 600), 401),
    "not yet valid": (lambda: forged(nbf=int(time.time()) + 600), 401),
    "no signature": (unsigned, 401),
    "another algorithm": (lambda: forged(algorithm="HS512", secret=KEY), 401),
    "no grant": (lambda: forged(video=None), 401),
    "no roomJoin": (lambda: forged(video={"room": "access"}), 401),
    "roomJoin false": (lambda: forged(video={"roomJoin": False, "room": "access"}), 401),
    "no room": (lambda: forged(video={"roomJoin": True}), 400),
    "no identity": (lambda: forged(sub=None), 400),
    "an empty identity": (lambda: forged(sub=""), 400),
    "a room name too long": (lambda: forged(video={"roomJoin": True, "room": "r" * 257}), 400),
    "an identity too long": (lambda: forged(sub="i" * 257), 400),
    "not a token": (lambda: "abc", 401),
    "empty": (lambda: "", 401),
}


def test_health(rooms):
    status, _, _ = fetch(rooms, "/")
    assert status == 200


@pytest.mark.parametrize("path", ["/rtc/validate", "/rtc/v1/validate", "//rtc/validate"])
def test_a_good_token_is_valid(rooms, path):
    good = forged()
    status, headers, text = fetch(rooms, path, f"Bearer {good}")
    assert (status, text.strip()) == (200, "success")
    assert headers["Access-Control-Allow-Origin"] == "*"
    status, headers, text = fetch(rooms, path, access_token=good)
    assert (status, text.strip()) == (200, "success")


def test_clocks_may_differ_by_a_minute(rooms):
    now = int(time.time())
    assert fetch(rooms, "/rtc/validate", f"Bearer {forged(exp=now - 30)}")[0] == 200
    assert fetch(rooms, "/rtc/validate", f"Bearer {forged(nbf=now + 30)}")[0] == 200


@pytest.mark.parametrize("path", ["/rtc/validate", "/rtc/v1/validate"])
@pytest.mark.parametrize("why", BAD)
def test_a_bad_token_is_refused_with_words(rooms, path, why):
    make, expected = BAD[why]
    status, headers, text = fetch(rooms, path, f"Bearer {make()}")
    assert status == expected, text
    assert text.strip()
    # Without it a browser's SDK says «server unreachable» instead.
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_no_token_at_all(rooms):
    status, headers, text = fetch(rooms, "/rtc/validate")
    assert status == 401 and text.strip()
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_another_scheme_is_refused(rooms):
    assert fetch(rooms, "/rtc/validate", f"Basic {forged()}")[0] == 401


def test_a_plain_request_to_the_websocket(rooms):
    status, headers, _ = fetch(rooms, "/rtc", f"Bearer {forged()}")
    assert status in (200, 400, 404, 426)
    assert rooms.alive


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("why", ["another secret", "expired", "no roomJoin"])
async def test_the_sdk_is_refused_at_once(house, single, why):
    start = time.monotonic()
    with pytest.raises(rtc.ConnectError) as refusal:
        await house.join("ann", jwt=BAD[why][0](), single=single)
    # A 401 ends the SDK's attempts; with any other answer it would go on for 20 s.
    assert time.monotonic() - start < 5
    assert "401" in str(refusal.value) or "nauthorized" in str(refusal.value) or str(refusal.value)


@pytest.mark.parametrize("single", [False, True])
async def test_a_token_opens_its_own_room_only(house, single):
    ann = await house.join("ann", single=single)
    other = await house.join("bob", room=f"{house.room}-other", single=single)
    await asyncio.sleep(0.5)
    assert not ann.room.remote_participants
    assert not other.room.remote_participants
    assert ann.room.name == house.room


