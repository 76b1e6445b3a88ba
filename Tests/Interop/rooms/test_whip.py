"""Encoders by WHIP, players by WHEP, in the same rooms as everybody else."""

import asyncio
import re

from livekit import api, rtc

from support.audio import ALICE, BOB
from support.rooms import token
from support.whip import FRAGMENT, SDP, Encoder, Player, request

PICTURE = 149


def operator(**grants):
    """A token without identity or room, as a server's."""
    return api.AccessToken("devkey", "devsecret").with_grants(api.VideoGrants(ingress_admin=True, **grants)).to_jwt()




def encoder(house, identity="encoder", jwt=None, **media):
    made = Encoder(f"{house.server.http}/whip/{house.room}", jwt or token(identity, house.room), **media)
    house.guests.append(Leaving(made))
    return made


def player(house, path="", jwt=None, **tracks):
    made = Player(f"{house.server.http}/whep/{house.room}{path}", jwt or token("player", house.room), **tracks)
    house.guests.append(Leaving(made))
    return made


class Leaving:
    def __init__(self, session):
        self.session = session

    async def leave(self):
        await self.session.close()


async def test_a_guest_hears_and_sees_an_encoder(house):
    ann = await house.join("ann")
    camera = encoder(house, tone=ALICE, number=PICTURE)
    reply = await camera.start()
    assert re.fullmatch(r'"[0-9a-f]+"', reply.headers["ETag"])
    assert reply.headers["Accept-Patch"] == FRAGMENT
    seen = await ann.sees("encoder")
    assert seen.kind == rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS
    await ann.hears("encoder", ALICE)
    await ann.watches("encoder", PICTURE)
    publication = await ann.publication("encoder", source=rtc.TrackSource.SOURCE_CAMERA)
    assert publication.mime_type.lower() == "video/vp8"
    assert (await camera.delete()).status == 200
    await ann.misses("encoder")


async def test_a_player_hears_and_sees_a_guest(house):
    ann = await house.join("ann")
    await ann.speak(ALICE)
    show = await ann.show()
    await asyncio.sleep(1)
    screen = player(house)
    reply = await screen.start()
    for media in re.split(r"(?=m=)", reply.body)[1:]:
        assert re.search(r"^a=ssrc:\d+ cname:", media, re.M) and re.search(r"^a=msid:\S+ \S+\r$", media, re.M), media
    assert "a=candidate:" in reply.body and "a=end-of-candidates" in reply.body
    await screen.hears(ALICE)
    await screen.sees(show.number)
    assert (await screen.delete()).status == 200


async def test_a_player_gets_what_comes_later(house):
    screen = player(house)
    await screen.start()
    camera = encoder(house, tone=BOB, number=PICTURE)
    await camera.start()
    await screen.hears(BOB)
    await screen.sees(PICTURE)


async def test_a_player_chooses_whom_it_gets(house):
    jwt = operator()
    for identity, tone in (("left", ALICE), ("right", BOB)):
        made = Encoder(f"{house.server.http}/whip/{house.room}/{identity}", jwt, tone=tone)
        house.guests.append(Leaving(made))
        await made.start()
    await asyncio.sleep(0.5)
    one = player(house, "/right", jwt=jwt, videos=0)
    both = player(house, jwt=jwt, audios=2, videos=0)
    other = player(house, "?self=right", jwt=jwt, audios=2, videos=0)
    await asyncio.gather(one.start(), both.start(), other.start())
    await one.hears(BOB)
    await both.hears(ALICE)
    await both.hears(BOB)
    await other.hears(ALICE)
    await asyncio.sleep(0.5)
    assert sorted(bool(samples) for samples in other.samples.values()) == [False, True]


async def test_an_encoder_that_comes_back_takes_its_place(house):
    ann = await house.join("ann")
    first = encoder(house, tone=ALICE)
    await first.start()
    await ann.hears("encoder", ALICE)
    before = ann.mark
    second = encoder(house, tone=BOB)
    await second.start()
    await ann.event("track_subscribed", since=before)
    await ann.hears("encoder", BOB)
    assert (await first.delete()).status == 404
    assert len([p for p in ann.room.remote_participants if p == "encoder"]) == 1


async def test_trickle_and_restart_want_the_right_entity_tag(house):
    camera = encoder(house, tone=ALICE)
    await camera.start()
    credentials = re.search(r"a=ice-ufrag:\S+", camera.pc.localDescription.sdp).group(0)
    candidate = f"{credentials}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:9 1 udp 1 127.0.0.1 9 typ host\r\n"
    assert (await camera.patch(candidate)).problem == "precondition-required"
    assert (await camera.patch(candidate, '"no"')).problem == "precondition-failed"
    assert (await camera.patch("nonsense", camera.tag)).problem == "malformed-fragment"
    assert (await camera.patch(candidate, camera.tag)).status == 204
    restart = "a=ice-ufrag:freshfrag\r\na=ice-pwd:0123456789012345678901234\r\n"
    reply = await camera.patch(restart, "*")
    assert reply.status == 200 and reply.headers["Content-Type"] == FRAGMENT, reply
    assert reply.headers["ETag"] not in (None, camera.tag)
    for line in (r"a=ice-ufrag:\S+", r"a=ice-pwd:\S+", r"a=candidate:"):
        assert re.search(line, reply.body), reply.body
    assert (await camera.patch(candidate, camera.tag)).status == 412


async def test_refusals_are_problems(house):
    base = f"{house.server.http}/whip/{house.room}"
    jwt = token("encoder", house.room)
    camera = Encoder(base, jwt, tone=ALICE)
    await camera.pc.setLocalDescription(await camera.pc.createOffer())
    offer = camera.pc.localDescription.sdp

    def post(url=base, jwt=jwt, body=offer, content_type=SDP):
        return request("POST", url, jwt, body, content_type)

    reply = post(jwt=None)
    assert reply.status == 401 and reply.headers["WWW-Authenticate"] == "Bearer" and reply.problem == "unauthorized"
    assert post(jwt="x.y.z").status == 401
    assert post(jwt=token("encoder", house.room, ttl=-120)).status == 401
    assert post(jwt=token("encoder", "elsewhere")).status == 403
    assert post(jwt=token("encoder", house.room, room_join=False)).status == 403
    assert post(jwt=token("encoder", house.room, can_publish=False)).problem == "forbidden"
    assert post(base + "/somebody-else").status == 403
    assert post(base.replace("whip", "whep"), jwt=token("x", house.room, can_subscribe=False)).status == 403
    reply = post(content_type="text/plain")
    assert reply.status == 415 and reply.headers["Accept-Post"] == SDP
    assert post(body="nonsense").problem == "malformed-offer"
    assert post(body=offer.replace("a=ice-pwd", "a=x")).status == 400
    assert post(body=offer.replace("a=sendonly", "a=inactive")).problem == "unacceptable-offer"
    assert post(body=offer + "a=x:" + "y" * 600_000).status == 413
    assert post(base.replace("whip", "whep")).problem == "unacceptable-offer"
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        reply = request(method, base, jwt)
        assert reply.status == 405 and "POST" in reply.headers["Allow"], method
    assert request("DELETE", f"{house.server.http}/whip/sessions/none", jwt).problem == "session-not-found"
    assert request("DELETE", f"{house.server.http}/whip/sessions/none").status == 401
    assert request("GET", f"{house.server.http}/whip/sessions/none", jwt).status == 405
    await camera.pc.close()


async def test_sessions_belong_to_their_token(house):
    camera = encoder(house, tone=ALICE)
    await camera.start()
    thief = token("thief", house.room)
    assert request("DELETE", camera.resource, thief).status == 404
    reply = request("PATCH", camera.resource, thief, "a=ice-ufrag:x\r\n", FRAGMENT, If_Match="*")
    assert reply.status == 404
    assert (await camera.delete()).status == 200
    assert (await camera.delete()).status == 404


async def test_pages_of_other_origins_may_ask(house):
    for path, methods, accept in (
        (f"/whip/{house.room}", "OPTIONS, POST", ("Accept-Post", SDP)),
        (f"/whep/{house.room}/somebody", "OPTIONS, POST", ("Accept-Post", SDP)),
        ("/whip/sessions/x", "OPTIONS, PATCH, DELETE", ("Accept-Patch", FRAGMENT)),
    ):
        reply = request("OPTIONS", house.server.http + path, Origin="https://page.example")
        assert reply.status == 204 and reply.headers[accept[0]] == accept[1]
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert reply.headers["Access-Control-Allow-Methods"] == methods
        assert "If-Match" in reply.headers["Access-Control-Allow-Headers"]
    reply = request("POST", f"{house.server.http}/whip/{house.room}", body="", content_type=SDP)
    assert reply.status == 401 and reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in reply.headers["Access-Control-Expose-Headers"]


async def test_the_back_end_can_remove_an_encoder(house):
    camera = encoder(house, tone=ALICE)
    await camera.start()
    await asyncio.sleep(0.5)
    found = await house.api.room.list_participants(api.ListParticipantsRequest(room=house.room))
    assert [(one.identity, one.kind) for one in found.participants] == [("encoder", api.ParticipantInfo.Kind.INGRESS)]
    assert found.participants[0].tracks
    await house.api.room.remove_participant(api.RoomParticipantIdentity(room=house.room, identity="encoder"))
    assert (await camera.delete()).status == 404
