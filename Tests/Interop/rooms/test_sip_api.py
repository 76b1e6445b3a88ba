"""Telephony of rooms over LiveKit's SIP service (livekit-api) and over our REST: trunks, dispatch rules, phones."""

import asyncio
import contextlib
import datetime
import json
import random
import urllib.error
import urllib.request

import pytest
from google.protobuf.duration_pb2 import Duration
from livekit import api, rtc
from livekit.protocol import models as models_proto
from livekit.protocol import sip

from rooms.test_room_service import refused, twirp
from support.baresip import NUMBER, Baresip
from support.rooms import API_KEY, KEY
from support.rtp import Party
from support.server import snake
from support.sip import Dialog, Endpoint, sdp

PHONE, CALLEE, RAW, PBX = "127.0.0.41", "127.0.0.42", "127.0.0.43", "127.0.0.44"
KIND_SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def did():
    """A number that no other test uses."""
    return f"+1555{random.randrange(10**7):07}"


@pytest.fixture
def desk():
    """Removes what a test made."""
    made = Desk()
    yield made


class Desk:
    def __init__(self):
        self.trunks, self.rules = [], []

    async def inbound(self, house, **fields):
        request = sip.CreateSIPInboundTrunkRequest(trunk=sip.SIPInboundTrunkInfo(**fields))
        trunk = await house.api.sip.create_inbound_trunk(request)
        self.trunks.append(trunk.sip_trunk_id)
        return trunk

    async def outbound(self, house, **fields):
        request = sip.CreateSIPOutboundTrunkRequest(trunk=sip.SIPOutboundTrunkInfo(**fields))
        trunk = await house.api.sip.create_outbound_trunk(request)
        self.trunks.append(trunk.sip_trunk_id)
        return trunk

    async def rule(self, house, rule, **fields):
        info = sip.SIPDispatchRuleInfo(rule=rule, **fields)
        made = await house.api.sip.create_dispatch_rule(sip.CreateSIPDispatchRuleRequest(dispatch_rule=info))
        self.rules.append(made.sip_dispatch_rule_id)
        return made

    async def clear(self, house):
        for trunk in self.trunks:
            with contextlib.suppress(api.TwirpError):
                await house.api.sip.delete_trunk(sip.DeleteSIPTrunkRequest(sip_trunk_id=trunk))
        for rule in self.rules:
            with contextlib.suppress(api.TwirpError):
                await house.api.sip.delete_dispatch_rule(sip.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule))


def direct(room, pin=""):
    return sip.SIPDispatchRule(dispatch_rule_direct=sip.SIPDispatchRuleDirect(room_name=room, pin=pin))


def individual(prefix, pin=""):
    return sip.SIPDispatchRule(dispatch_rule_individual=sip.SIPDispatchRuleIndividual(room_prefix=prefix, pin=pin))


async def aside(work, *arguments):
    """What blocks, beside the guests."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


def rest(server, method, path, body=None, key=KEY):
    """(status, decoded JSON or nil)."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.http + path, data=data, method=method)
    request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None


async def get(house, kind, identifier):
    """GetSIPInboundTrunk and GetSIPOutboundTrunk, for which livekit-api has no function."""
    request = getattr(sip, f"GetSIP{kind}TrunkRequest")(sip_trunk_id=identifier)
    answer = getattr(sip, f"GetSIP{kind}TrunkResponse")
    service = house.api.sip
    found = await service._client.request("SIP", f"GetSIP{kind}Trunk", request, service._admin_headers(), answer)
    return found.trunk


# Trunks and rules.


async def test_inbound_trunks_are_made_read_changed_listed_and_removed(house, desk):
    number = did()
    made = await desk.inbound(
        house, name="carrier", metadata='{"a":1}', numbers=[number], allowed_addresses=["192.0.2.0/24"],
        allowed_numbers=["+4930"], auth_username="u", auth_password="p", krisp_enabled=True,
        headers={"X-Ours": "1"}, headers_to_attributes={"X-Account": "account"},
        include_headers=sip.SIPHeaderOptions.SIP_X_HEADERS, max_call_duration=Duration(seconds=600),
        ringing_timeout=Duration(seconds=20),
    )
    identifier = made.sip_trunk_id
    assert identifier.startswith("ST_") and len(identifier) == 15
    found = await get(house, "Inbound", identifier)
    assert found == made
    assert (made.name, made.metadata, list(made.numbers), made.krisp_enabled) == ("carrier", '{"a":1}', [number], True)
    assert (made.auth_username, made.auth_password, dict(made.headers)) == ("u", "p", {"X-Ours": "1"})
    assert made.max_call_duration.seconds == 600 and made.ringing_timeout.seconds == 20
    assert made.include_headers == sip.SIPHeaderOptions.SIP_X_HEADERS
    assert dict(made.headers_to_attributes) == {"X-Account": "account"}
    assert abs(made.created_at.ToDatetime() - datetime.datetime.utcnow()) < datetime.timedelta(seconds=20)

    changed = await house.api.sip.update_inbound_trunk_fields(
        identifier, name="other", allowed_numbers=models_proto.ListUpdate(add=["+4940"], remove=["+4930"])
    )
    assert (changed.name, list(changed.allowed_numbers), list(changed.numbers)) == ("other", ["+4940"], [number])
    assert changed.metadata == '{"a":1}' and changed.krisp_enabled and changed.created_at == made.created_at
    replaced = await house.api.sip.update_inbound_trunk(identifier, sip.SIPInboundTrunkInfo(name="new", numbers=[number]))
    assert (replaced.name, replaced.metadata, replaced.sip_trunk_id) == ("new", "", identifier)
    assert not replaced.allowed_addresses and not replaced.auth_username

    listed = await house.api.sip.list_inbound_trunk(sip.ListSIPInboundTrunkRequest(numbers=[number]))
    assert [trunk.sip_trunk_id for trunk in listed.items] == [identifier]
    listed = await house.api.sip.list_inbound_trunk(sip.ListSIPInboundTrunkRequest(trunk_ids=["ST_none", identifier]))
    assert [trunk.sip_trunk_id for trunk in listed.items] == ["", identifier]
    gone = await house.api.sip.delete_trunk(sip.DeleteSIPTrunkRequest(sip_trunk_id=identifier))
    assert gone.sip_trunk_id == identifier and gone.kind == sip.SIPTrunkInfo.TrunkKind.TRUNK_INBOUND
    await refused(get(house, "Inbound", identifier), "not_found")
    await refused(house.api.sip.delete_trunk(sip.DeleteSIPTrunkRequest(sip_trunk_id=identifier)), "not_found")


async def test_outbound_trunks_are_made_read_changed_listed_and_removed(house, desk):
    number = did()
    made = await desk.outbound(
        house, name="out", address="sip.example.com:5070", transport=sip.SIPTransport.SIP_TRANSPORT_TCP,
        numbers=[number], auth_username="u", auth_password="p", headers={"X-Ours": "1"}, destination_country="de",
    )
    identifier = made.sip_trunk_id
    found = await get(house, "Outbound", identifier)
    assert found == made and made.destination_country == "de"
    assert (made.address, made.transport) == ("sip.example.com:5070", sip.SIPTransport.SIP_TRANSPORT_TCP)
    changed = await house.api.sip.update_outbound_trunk_fields(identifier, address="192.0.2.9", auth_password="q")
    assert (changed.address, changed.auth_username, changed.auth_password) == ("192.0.2.9", "u", "q")
    replaced = await house.api.sip.update_outbound_trunk(
        identifier, sip.SIPOutboundTrunkInfo(name="new", address="192.0.2.10", numbers=[number])
    )
    assert (replaced.name, replaced.auth_username, replaced.address) == ("new", "", "192.0.2.10")
    listed = await house.api.sip.list_outbound_trunk(sip.ListSIPOutboundTrunkRequest(trunk_ids=[identifier]))
    assert list(listed.items) == [replaced]
    await refused(get(house, "Inbound", identifier), "not_found")
    gone = await house.api.sip.delete_trunk(sip.DeleteSIPTrunkRequest(sip_trunk_id=identifier))
    assert gone.kind == sip.SIPTrunkInfo.TrunkKind.TRUNK_OUTBOUND and gone.outbound_address == "192.0.2.10"


async def test_dispatch_rules_are_made_changed_listed_and_removed(house, desk):
    trunk = await desk.inbound(house, numbers=[did()])
    identifier = trunk.sip_trunk_id
    config = api.RoomConfiguration(metadata="made by a call", max_participants=5)
    made = await desk.rule(
        house, individual("call", "1234"), trunk_ids=[identifier], name="rule", metadata="m", attributes={"a": "1"},
        hide_phone_number=True, inbound_numbers=["+49301"], room_preset="preset", room_config=config,
    )
    rule = made.sip_dispatch_rule_id
    assert rule.startswith("SDR_")
    assert made.rule.dispatch_rule_individual.room_prefix == "call" and made.rule.dispatch_rule_individual.pin == "1234"
    assert (made.name, made.metadata, dict(made.attributes), made.hide_phone_number) == ("rule", "m", {"a": "1"}, True)
    assert list(made.inbound_numbers) == ["+49301"] and made.room_config == config and made.room_preset == "preset"
    changed = await house.api.sip.update_dispatch_rule_fields(
        rule, rule=direct("sales"), name="two", attributes={"a": "", "b": "2"}
    )
    assert changed.rule == direct("sales") and changed.name == "two" and list(changed.trunk_ids) == [identifier]
    assert dict(changed.attributes) == {"b": "2"} and changed.room_config == config
    replaced = await house.api.sip.update_dispatch_rule(
        rule, sip.SIPDispatchRuleInfo(rule=direct("board", "77"), trunk_ids=[identifier])
    )
    assert replaced.rule == direct("board", "77") and not replaced.attributes and not replaced.HasField("room_config")
    listed = await house.api.sip.list_dispatch_rule(sip.ListSIPDispatchRuleRequest(trunk_ids=[identifier]))
    assert rule in [one.sip_dispatch_rule_id for one in listed.items]
    listed = await house.api.sip.list_dispatch_rule(sip.ListSIPDispatchRuleRequest(dispatch_rule_ids=[rule]))
    assert list(listed.items) == [replaced]
    # The older spelling of the request.
    older = await house.api.sip.create_dispatch_rule(
        sip.CreateSIPDispatchRuleRequest(rule=direct("old", "88"), trunk_ids=[identifier], name="older")
    )
    desk.rules.append(older.sip_dispatch_rule_id)
    assert (older.name, older.rule, list(older.trunk_ids)) == ("older", direct("old", "88"), [identifier])
    gone = await house.api.sip.delete_dispatch_rule(sip.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule))
    assert gone == replaced
    await refused(
        house.api.sip.delete_dispatch_rule(sip.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule)), "not_found"
    )
    await desk.clear(house)


async def test_what_is_wrong_or_in_conflict_is_refused(house, desk):
    number = did()
    first = await desk.inbound(house, numbers=[number])
    wrong = [
        desk.inbound(house, name="takes all"),
        desk.inbound(house, numbers=[number]),
        desk.inbound(house, numbers=[did()], auth_username="half"),
        desk.inbound(house, allowed_addresses=["300.1.2.3/99"]),
        desk.inbound(house, sip_trunk_id="ST_mine", numbers=[did()]),
        desk.inbound(house, numbers=[did()], name="line\r\nbreak"),
        desk.outbound(house, address="a b", numbers=[number]),
        desk.outbound(house, address="192.0.2.1"),
        desk.outbound(house, address="192.0.2.1", numbers=[number], headers={"Via": "evil"}),
        desk.outbound(house, address="192.0.2.1", numbers=[number], headers={"X-A": "b\r\nc"}),
        desk.rule(house, direct("", "1")),
        desk.rule(house, direct("a", "letters"), trunk_ids=[first.sip_trunk_id]),
        desk.rule(house, sip.SIPDispatchRule(), trunk_ids=[first.sip_trunk_id]),
    ]
    for work in wrong:
        await refused(work, "invalid_argument")
    await desk.rule(house, direct("one", "1111"), trunk_ids=[first.sip_trunk_id])
    await refused(desk.rule(house, direct("two", "1111"), trunk_ids=[first.sip_trunk_id]), "invalid_argument")
    await desk.rule(house, direct("two", "2222"), trunk_ids=[first.sip_trunk_id])
    await refused(house.api.sip.update_inbound_trunk_fields("ST_none", name="x"), "not_found")
    await desk.clear(house)


def test_grants_are_needed(rooms):
    def token(admin=False, call=False, **video):
        made = api.AccessToken(API_KEY, KEY).with_grants(api.VideoGrants(**video))
        return made.with_sip_grants(api.SIPGrants(admin=admin, call=call)).to_jwt()

    trunk = {"trunk": {"numbers": ["+1"]}}
    for jwt in (None, token(), token(call=True), token(room_create=True, room_admin=True, room="a")):
        status, answer = twirp(rooms, "CreateSIPInboundTrunk", trunk, jwt, service="SIP")
        assert (status, answer["code"]) == (401, "unauthenticated")
    call = {"sip_trunk_id": "ST_none", "sip_call_to": "1", "room_name": "a"}
    for jwt in (None, token(), token(admin=True)):
        assert twirp(rooms, "CreateSIPParticipant", call, jwt, service="SIP")[0] == 401
    status, answer = twirp(rooms, "CreateSIPParticipant", call, token(call=True), service="SIP")
    assert (status, answer["code"]) == (404, "not_found")
    move = {"participant_identity": "a", "room_name": "a", "transfer_to": "tel:+1"}
    for jwt in (token(call=True), token(room_admin=True, room="a"), token(call=True, room_admin=True, room="b")):
        assert twirp(rooms, "TransferSIPParticipant", move, jwt, service="SIP")[0] == 401
    status, answer = twirp(rooms, "TransferSIPParticipant", move, token(call=True, room_admin=True, room="a"), service="SIP")
    assert (status, answer["code"]) == (404, "not_found")
    assert answer["meta"]["sip_transfer_id"]
    assert twirp(rooms, "ListSIPInboundTrunk", {"trunk_ids": ["ST_none"]}, token(admin=True), service="SIP") == (200, {"items": [{}]})


# Calls in.


def baresip(address=PHONE, tone=650, **more):
    return Baresip(address, tone, name=f"phone-{random.randrange(10**6)}", **more)


async def call(house, phone, number):
    await aside(phone.dial, house.server.uri(number))
    await aside(phone.wait, "CALL_ESTABLISHED")


def dial_in(server, address, number, caller, extra=(), credentials=None):
    """One call by hand: the final status, and what ends it."""
    party, endpoint = Party(address, 850), Endpoint(address, 0, server.sip)
    dialog = Dialog(endpoint)
    answer = dialog.dial(f"sip:{number}@localhost", sdp(address, party.port), user=caller, extra=extra, credentials=credentials)

    def hang_up():
        status = dialog.bye().status if answer.status == 200 else 0
        party.close()
        endpoint.close()
        return status

    if answer.status != 200:
        hang_up()
    return answer.status, hang_up


async def hears(phone, tone, timeout=20):
    """Waits until the phone hears that tone for a second: words may come before it."""
    deadline, heard = asyncio.get_running_loop().time() + timeout, None
    while asyncio.get_running_loop().time() < deadline:
        heard = (await aside(phone.listen, 1.5)).last(1)
        if heard.is_tone(tone):
            return
    raise AssertionError(f"{tone} Hz not heard: {heard}")


async def settled():
    """Until the gateway has what was just saved."""
    await asyncio.sleep(0.3)


async def test_a_direct_rule_brings_a_caller_into_its_room(house, desk):
    number = did()
    trunk = await desk.inbound(house, numbers=[number], allowed_addresses=[f"{PHONE}/32"])
    rule = await desk.rule(
        house, direct(house.room), trunk_ids=[trunk.sip_trunk_id], attributes={"team": "red"}, metadata="of the rule"
    )
    ann = await house.join("ann")
    await ann.speak(440)
    await settled()
    with await aside(baresip) as phone:
        await call(house, phone, number)
        identity = f"sip_{NUMBER}"
        seen = await ann.sees(identity)
        assert seen.kind == KIND_SIP and seen.name == f"Phone {NUMBER}" and seen.metadata == "of the rule"
        await ann.until(lambda: seen.attributes.get("sip.callStatus") == "active", what="active")
        told = {key: seen.attributes.get(key) for key in ("team", "sip.trunkID", "sip.ruleID", "sip.phoneNumber", "sip.trunkPhoneNumber")}
        assert told == {
            "team": "red", "sip.trunkID": trunk.sip_trunk_id, "sip.ruleID": rule.sip_dispatch_rule_id,
            "sip.phoneNumber": NUMBER, "sip.trunkPhoneNumber": number,
        }
        await ann.hears(identity, 650, timeout=15)
        await hears(phone, 440)
        await house.api.room.remove_participant(api.RoomParticipantIdentity(room=house.room, identity=identity))
        await aside(phone.wait, "CALL_CLOSED")
    await ann.misses(identity)
    await desk.clear(house)


async def test_an_individual_rule_makes_a_room_for_each_caller_and_hides_the_number(house, desk):
    number = did()
    trunk = await desk.inbound(house, numbers=[number])
    prefix = house.room
    await desk.rule(house, individual(prefix), trunk_ids=[trunk.sip_trunk_id], hide_phone_number=True)
    await settled()
    with await aside(baresip) as phone:
        await call(house, phone, number)
        found = []
        for _ in range(50):
            listed = await house.api.room.list_rooms(api.ListRoomsRequest())
            found = [room.name for room in listed.rooms if room.name.startswith(prefix + "_")]
            if found:
                break
            await asyncio.sleep(0.1)
        assert len(found) == 1, found
        people = await house.api.room.list_participants(api.ListParticipantsRequest(room=found[0]))
        person = people.participants[0]
        assert person.kind == models_proto.ParticipantInfo.Kind.SIP and person.name == f"Phone {NUMBER[-4:]}"
        assert NUMBER not in f"{found[0]} {person.identity} {dict(person.attributes)}"
    await desk.clear(house)


async def test_a_rule_with_a_pin_lets_in_who_knows_it(house, desk):
    number = did()
    trunk = await desk.inbound(house, numbers=[number])
    await desk.rule(house, direct(house.room, "4711"), trunk_ids=[trunk.sip_trunk_id])
    ann = await house.join("ann")
    await settled()
    with await aside(baresip) as phone:
        await call(house, phone, number)
        await asyncio.sleep(1)
        await aside(phone.send_digits, "9999#")
        await asyncio.sleep(2)
        assert not ann.room.remote_participants, "a wrong PIN let the caller in"
        await aside(phone.send_digits, "4711#")
        await ann.sees(f"sip_{NUMBER}", timeout=20)
        await ann.hears(f"sip_{NUMBER}", 650, timeout=15)
    await desk.clear(house)


async def test_a_trunk_with_a_password_asks_for_it(house, desk):
    number = did()
    trunk = await desk.inbound(house, numbers=[number], auth_username="carrier", auth_password="of the trunk")
    await desk.rule(house, direct(house.room), trunk_ids=[trunk.sip_trunk_id])
    ann = await house.join("ann")
    await settled()

    for credentials, expected in ((None, 407), (("carrier", "guess"), 403), (("nobody", "of the trunk"), 403)):
        status, _ = await aside(dial_in, house.server, RAW, number, "+4930555", (), credentials)
        assert status == expected
    assert not ann.room.remote_participants
    status, hang_up = await aside(dial_in, house.server, RAW, number, "+4930555", (), ("carrier", "of the trunk"))
    assert status == 200
    await ann.sees("sip_+4930555", timeout=20)
    assert (await aside(hang_up)) == 200
    await ann.misses("sip_+4930555")
    await desk.clear(house)


async def test_a_number_without_a_rule_and_a_caller_who_is_not_allowed_get_no_room(house, desk):
    number = did()
    trunk = await desk.inbound(house, numbers=[number], allowed_numbers=["+4930"])
    await settled()

    async def status(caller):
        return (await aside(dial_in, house.server, RAW, number, caller))[0]

    assert await status("+4930") == 404
    assert await status("+4931") == 407
    rule = await desk.rule(house, direct(house.room), trunk_ids=[trunk.sip_trunk_id])
    await house.api.sip.delete_dispatch_rule(
        sip.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule.sip_dispatch_rule_id)
    )
    await settled()
    assert await status("+4930") == 404
    await desk.clear(house)


async def test_a_rule_takes_calls_of_the_exchanges_trunks_too(house, desk):
    name, number = f"pbx-{random.randrange(10**6)}", did()
    trunk = {"name": name, "host": PBX}
    assert (await aside(rest, house.server, "POST", "/v1/trunks", trunk))[0] == 201
    rule = {"kind": "direct", "room": house.room, "trunks": [name], "numbers": [number]}
    status, made = await aside(rest, house.server, "POST", "/v1/sip/dispatch-rules", rule)
    assert status == 201, made
    desk.rules.append(made["id"])
    ann = await house.join("ann")
    await settled()

    for called, expected in ((did(), 404), (number, 200)):
        status, hang_up = await aside(dial_in, house.server, PBX, called, "+4930777")
        assert status == expected
    seen = await ann.sees("sip_+4930777", timeout=20)
    assert seen.attributes["sip.trunkID"] == name
    await aside(hang_up)
    assert (await aside(rest, house.server, "DELETE", f"/v1/trunks/{name}"))[0] == 204
    await desk.clear(house)


async def test_header_fields_become_attributes_and_an_open_trunk_does_not_speak_for_users(house, desk):
    number, user = did(), f"u{random.randrange(10**6)}"
    trunk = await desk.inbound(
        house, numbers=[number], headers_to_attributes={"X-Account": "account", "Subject": "topic"},
        include_headers=sip.SIPHeaderOptions.SIP_X_HEADERS,
    )
    await desk.rule(house, direct(house.room), trunk_ids=[trunk.sip_trunk_id])
    status, _ = await aside(rest, house.server, "POST", "/v1/users", {"name": user, "password": "long enough"})
    assert status == 201
    ann = await house.join("ann")
    await settled()
    extra = [("X-Account", "42"), ("X-Other", "yes"), ("Subject", "help"), ("Organization", "none")]

    assert (await aside(dial_in, house.server, RAW, number, user, extra))[0] == 407
    status, hang_up = await aside(dial_in, house.server, RAW, number, "+4930888", extra)
    assert status == 200
    seen = await ann.sees("sip_+4930888", timeout=20)
    told = {key: value for key, value in seen.attributes.items() if not key.startswith("sip.") or key.startswith("sip.h.")}
    assert told == {"account": "42", "topic": "help", "sip.h.x-account": "42", "sip.h.x-other": "yes"}
    await aside(hang_up)
    await desk.clear(house)


# Calls out.


async def test_a_phone_is_rung_into_a_room(house, desk):
    with await aside(lambda: baresip(CALLEE, 750, answer="manual")) as phone:
        trunk = await desk.outbound(house, address=f"{CALLEE}:{phone.port}", numbers=["+15550001"])
        ann = await house.join("ann")
        await ann.speak(440)
        info = await house.api.sip.create_sip_participant(
            sip.CreateSIPParticipantRequest(
                sip_trunk_id=trunk.sip_trunk_id, sip_call_to=NUMBER, room_name=house.room, participant_identity="bob",
                participant_name="Bob", participant_metadata="m", participant_attributes={"a": "1"}, dtmf="w12#",
            )
        )
        assert (info.participant_identity, info.room_name) == ("bob", house.room) and info.participant_id.startswith("PA_")
        seen = await ann.sees("bob")
        assert info.sip_call_id and info.sip_call_id == seen.attributes["sip.callID"]
        assert seen.kind == KIND_SIP and (seen.name, seen.metadata) == ("Bob", "m") and seen.attributes["a"] == "1"
        ringing = await aside(phone.wait, "CALL_INCOMING")
        assert "+15550001" in ringing["peeruri"], ringing
        await ann.until(lambda: seen.attributes.get("sip.callStatus") == "ringing", what="ringing")
        assert seen.attributes["sip.trunkID"] == trunk.sip_trunk_id
        assert (seen.attributes["sip.phoneNumber"], seen.attributes["sip.trunkPhoneNumber"]) == (NUMBER, "+15550001")
        await aside(phone.accept)
        await ann.until(lambda: seen.attributes.get("sip.callStatus") == "active", what="active")
        await ann.hears("bob", 750, timeout=15)
        assert (await aside(phone.digits_heard, 2.0)) == "12#"
        await hears(phone, 440)
        # The house's API may remove it.
        await house.api.room.remove_participant(api.RoomParticipantIdentity(room=house.room, identity="bob"))
        await aside(phone.wait, "CALL_CLOSED")
        await ann.misses("bob")
    await desk.clear(house)


async def test_the_far_ends_refusal_is_told(house, desk):
    endpoint = Endpoint(RAW, 0, house.server.sip)
    trunk = await desk.outbound(
        house, address=f"{RAW}:{endpoint.port}", numbers=["+15550002"], headers={"X-Trunk": "yes"}
    )

    def answer(status, reason):
        invite = endpoint.request("INVITE")
        Dialog(endpoint, invite).reject(status, reason)
        return invite

    for status, reason, code in ((486, "Busy Here", "resource_exhausted"), (603, "Decline", "permission_denied"), (404, "Not Found", "not_found")):
        ringing = asyncio.ensure_future(aside(answer, status, reason))
        with pytest.raises(api.SipCallError) as error:
            await house.api.sip.create_sip_participant(
                sip.CreateSIPParticipantRequest(
                    sip_trunk_id=trunk.sip_trunk_id, sip_call_to="+15559999", room_name=house.room,
                    wait_until_answered=True, headers={"X-Call": "1"},
                )
            )
        assert (error.value.code, error.value.sip_status_code) == (code, status), str(error.value)
        invite = await ringing
        assert invite.uri.startswith("sip:+15559999@") and "+15550002" in invite.get("from")
        assert (invite.get("x-trunk"), invite.get("x-call")) == ("yes", "1")
    endpoint.close()
    await desk.clear(house)


async def test_a_trunk_made_for_one_call_proves_itself_by_its_password(house):
    endpoint = Endpoint(RAW, 0, house.server.sip)

    def answer():
        invite = endpoint.request("INVITE")
        challenge = [("WWW-Authenticate", 'Digest realm="carrier", nonce="abc", algorithm=MD5')]
        Dialog(endpoint, invite).reject(401, "Unauthorized", challenge)
        again = endpoint.request("INVITE")
        Dialog(endpoint, again).reject(486, "Busy Here")
        return again

    ringing = asyncio.ensure_future(aside(answer))
    with pytest.raises(api.SipCallError):
        await house.api.sip.create_sip_participant(
            sip.CreateSIPParticipantRequest(
                trunk=sip.SIPOutboundConfig(hostname=f"{RAW}:{endpoint.port}", auth_username="me", auth_password="pw"),
                sip_number="+15550003", sip_call_to="1234", room_name=house.room, wait_until_answered=True,
            )
        )
    again = await ringing
    assert 'username="me"' in again.get("authorization")
    endpoint.close()


async def test_senseless_calls_are_refused(house, desk):
    trunk = await desk.outbound(house, address="127.0.0.99:5060", numbers=["+15550004"])
    good = {"sip_trunk_id": trunk.sip_trunk_id, "sip_call_to": "1", "room_name": house.room}
    for wrong in ({"sip_call_to": ""}, {"room_name": ""}, {"sip_call_to": "a b"}, {"dtmf": "x"}, {"sip_trunk_id": ""}, {"headers": {"To": "x"}}):
        await refused(
            house.api.sip.create_sip_participant(sip.CreateSIPParticipantRequest(**(good | wrong))), "invalid_argument"
        )
    await refused(
        house.api.sip.create_sip_participant(sip.CreateSIPParticipantRequest(**(good | {"sip_trunk_id": "ST_none"}))),
        "not_found",
    )
    await desk.clear(house)


# The same by REST.


async def test_rest_keeps_trunks_and_rules(house, desk):
    server, number = house.server, did()
    status, made = await aside(
        rest, server, "POST", "/v1/sip/trunks",
        {"direction": "inbound", "name": "carrier", "numbers": [number], "username": "u", "password": "secret"},
    )
    assert status == 201 and made["hasPassword"] and "secret" not in json.dumps(made)
    trunk = made["id"]
    desk.trunks.append(trunk)
    # LiveKit's service shows the same one.
    found = await get(house, "Inbound", trunk)
    assert (found.name, list(found.numbers), found.auth_password) == ("carrier", [number], "secret")
    status, changed = await aside(rest, server, "PATCH", f"/v1/sip/trunks/{trunk}", {"name": "b", "username": None, "password": None})
    assert status == 200 and changed["name"] == "b" and not changed["hasPassword"] and changed["numbers"] == [number]
    assert (await aside(rest, server, "PATCH", f"/v1/sip/trunks/{trunk}", {"nmae": "b"}))[0] == 400
    assert (await aside(rest, server, "POST", "/v1/sip/trunks", {"direction": "inbound", "numbers": [number]}))[0] == 400
    assert trunk in [one["id"] for one in (await aside(rest, server, "GET", "/v1/sip/trunks"))[1]["trunks"]]

    rule = {"kind": "direct", "room": house.room, "pin": "11", "hostPIN": "22", "waitsForHost": True, "trunks": [trunk]}
    status, made = await aside(rest, server, "POST", "/v1/sip/dispatch-rules", rule)
    assert status == 201 and rule.items() <= made.items(), made
    identifier = made["id"]
    desk.rules.append(identifier)
    # What LiveKit's service knows nothing of survives its changes.
    await house.api.sip.update_dispatch_rule_fields(identifier, name="named")
    status, found = await aside(rest, server, "GET", f"/v1/sip/dispatch-rules/{identifier}")
    assert (found["name"], found["hostPIN"], found["waitsForHost"]) == ("named", "22", True)
    status, found = await aside(
        rest, server, "PATCH", f"/v1/sip/dispatch-rules/{identifier}", {"kind": "individual", "prefix": "p", "random": False, "pin": None, "hostPIN": None, "waitsForHost": False}
    )
    assert status == 200 and (found["kind"], found["prefix"], found["random"]) == ("individual", "p", False)
    assert "pin" not in found and "room" not in found
    for wrong in ({"kind": "direct"}, {"kind": "other"}, {"kind": "direct", "room": "a", "pin": "x"}, {"kind": "direct", "room": "a", "waitsForHost": True}, {}):
        assert (await aside(rest, server, "POST", "/v1/sip/dispatch-rules", wrong))[0] == 400, wrong
    for path in (f"/v1/sip/dispatch-rules/{identifier}", f"/v1/sip/trunks/{trunk}"):
        assert (await aside(rest, server, "GET", path, None, "wrong"))[0] == 401
        assert (await aside(rest, server, "DELETE", path))[0] == 204
        assert (await aside(rest, server, "DELETE", path))[0] == 404
        assert (await aside(rest, server, "GET", path))[0] == 404


async def test_rest_rings_a_phone_into_a_room_and_ends_its_call(house, desk):
    server = house.server
    with await aside(lambda: baresip(CALLEE, 950)) as phone:
        trunk = await desk.outbound(house, address=f"{CALLEE}:{phone.port}", numbers=["+15550005"])
        ann = await house.join("ann")
        phones = f"/v1/rooms/{house.room}/phones"
        status, made = await aside(
            rest, server, "POST", phones, {"to": NUMBER, "trunk": trunk.sip_trunk_id, "identity": "carl", "wait": True}
        )
        assert status == 201, made
        assert (made["identity"], made["room"]) == ("carl", house.room) and made["participant"].startswith("PA_")
        await ann.hears("carl", 950, timeout=15)
        assert snake(server.call(made["call"]))["to"] == NUMBER
        assert (await aside(rest, server, "POST", phones + "/carl/digits", {"digits": "5"}))[0] == 204
        assert (await aside(phone.digits_heard, 2.0)) == "5"
        assert (await aside(rest, server, "POST", phones + "/carl/digits", {"digits": "x"}))[0] == 400
        assert (await aside(rest, server, "DELETE", phones + "/carl"))[0] == 204
        await aside(phone.wait, "CALL_CLOSED")
        await ann.misses("carl")
        assert (await aside(rest, server, "DELETE", phones + "/carl"))[0] == 404
        assert (await aside(rest, server, "POST", phones, {"to": NUMBER, "trunk": "ST_none"}))[0] == 404
        assert (await aside(rest, server, "POST", phones, {"to": "4711"}))[0] == 404
    await desk.clear(house)


async def test_a_phone_is_transferred_into_another_room(house, desk):
    other = house.room + "-two"
    with await aside(lambda: baresip(CALLEE, 1050)) as phone:
        trunk = await desk.outbound(house, address=f"{CALLEE}:{phone.port}", numbers=["+15550006"])
        await house.api.sip.create_sip_participant(
            sip.CreateSIPParticipantRequest(
                sip_trunk_id=trunk.sip_trunk_id, sip_call_to=NUMBER, room_name=house.room, participant_identity="dora",
                wait_until_answered=True,
            )
        )
        ann, bea = await house.join("ann"), await house.join("bea", room=other)
        await ann.sees("dora")
        moved = await house.api.sip.transfer_sip_participant(
            sip.TransferSIPParticipantRequest(participant_identity="dora", room_name=house.room, transfer_to=f"room:{other}")
        )
        await ann.misses("dora")
        people = await house.api.room.list_participants(api.ListParticipantsRequest(room=other))
        phones = [p.identity for p in people.participants if p.kind == models_proto.ParticipantInfo.Kind.SIP]
        assert phones == ["dora"], people
        await bea.hears("dora", 1050, timeout=15)
        assert (moved.status, moved.sip_status.code) == (sip.SIPTransferStatus.STS_TRANSFER_SUCCESSFUL, 200)
    await desk.clear(house)


async def test_a_phone_is_transferred_to_a_number_over_a_room_trunk(house, desk):
    number = did()
    with await aside(lambda: baresip(CALLEE, 1150)) as other, await aside(baresip) as phone:
        trunk = await desk.inbound(house, numbers=[number])
        await desk.rule(house, direct(house.room), trunk_ids=[trunk.sip_trunk_id])
        # The one that has the number that was called.
        await desk.outbound(house, address="127.0.0.99", numbers=["+15550007"])
        await desk.outbound(house, address=f"{CALLEE}:{other.port}", numbers=["+15550008", number])
        ann = await house.join("ann")
        await settled()
        await call(house, phone, number)
        identity = f"sip_{NUMBER}"
        await ann.sees(identity, timeout=20)
        await ann.hears(identity, 650, timeout=15)
        await house.api.sip.transfer_sip_participant(
            sip.TransferSIPParticipantRequest(
                participant_identity=identity, room_name=house.room, transfer_to=f"tel:{NUMBER}"
            )
        )
        await ann.misses(identity)
        incoming = await aside(other.wait, "CALL_ESTABLISHED")
        assert "+15550008" in incoming["peeruri"], incoming
        await hears(phone, 1150)
        await hears(other, 650)
        await aside(phone.hang_up)
        await aside(other.wait, "CALL_CLOSED")
    await desk.clear(house)
