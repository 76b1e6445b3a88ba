"""Writes the vectors beside it with the Python packages of LiveKit, so that their numbers meet ours.

    pip install livekit-api && python Tests/Vectors/livekit/make.py

A line of messages.tsv is a message: its name, binary in base64, protobuf JSON.
"""

import base64
import datetime
import gzip
import pathlib

from google.protobuf import json_format
from livekit import api
from livekit.protocol import models, rtc, webhook

here = pathlib.Path(__file__).parent
lines = []


def fill(message, depth=0, seen=()):
    """Gives every field a value that differs from its default; of a oneof the last one stays."""
    for number, field in enumerate(message.DESCRIPTOR.fields):
        many = getattr(field, "is_repeated", None)
        if many is None:
            many = field.label == field.LABEL_REPEATED
        if field.type == field.TYPE_MESSAGE:
            entry = field.message_type
            if entry.GetOptions().map_entry:
                value = entry.fields_by_name["value"]
                if value.type == value.TYPE_STRING:
                    getattr(message, field.name)["k" if entry.fields_by_name["key"].type == 9 else 7] = "v"
                continue
            if entry.name in seen or entry.file.package != "livekit":
                continue
            target = getattr(message, field.name).add() if many else getattr(message, field.name)
            fill(target, depth + 1, (*seen, entry.name))
            if not many:
                target.SetInParent()
            continue
        if field.type == field.TYPE_STRING:
            value = f"{field.name} ☕"
        elif field.type == field.TYPE_BYTES:
            value = bytes([0, 255, number])
        elif field.type == field.TYPE_BOOL:
            value = True
        elif field.type == field.TYPE_ENUM:
            value = field.enum_type.values[-1].number
        elif field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
            value = 0.5 + number
        elif field.type in (field.TYPE_INT64, field.TYPE_UINT64):
            value = 2**40 + number
        else:
            value = 1000 + number
        if many:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)


def write(name, message):
    binary = base64.b64encode(message.SerializeToString(deterministic=True)).decode()
    lines.append(f"{name}\t{binary}\t{json_format.MessageToJson(message, indent=None, ensure_ascii=False)}\n")


def each_of_oneof(name, kind, oneof):
    for field in kind.DESCRIPTOR.oneofs_by_name[oneof].fields:
        message = kind()
        if field.type == field.TYPE_MESSAGE:
            fill(getattr(message, field.name))
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, "text" if field.type == field.TYPE_STRING else 2**41)
        write(f"{name}-{field.name}", message)


def token():
    grants = api.VideoGrants(
        room_join=True,
        room="lobby",
        can_publish_data=False,
        can_publish_sources=["microphone", "screen_share_audio"],
        can_update_own_metadata=True,
        hidden=True,
    )
    made = (
        api.AccessToken("devkey", "devsecret")
        .with_identity("ada")
        .with_name("Ada Lovelace")
        .with_kind("agent")
        .with_metadata('{"x":1}')
        .with_attributes({"role": "host"})
        .with_ttl(datetime.timedelta(days=36500))
        .with_grants(grants)
        .with_sip_grants(api.SIPGrants(admin=True))
        .with_room_config(api.RoomConfiguration(name="x", empty_timeout=5))
    )
    (here / "token-python.txt").write_text(made.to_jwt() + "\n")


def compressed():
    noise = bytes((i * i * 7919 + i // 3) % 251 for i in range(2000))
    texts = {
        "nothing": b"",
        "one": b"x",
        "fixed": b"abcabcabcabd",
        "run": b"a" * 5000,
        "text": ("v=0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 %d typ host\r\n" * 200 % tuple(range(200))).encode(),
        "stored": noise,
        "mixed": noise + b"z" * 34_000 + noise,
    }
    rows = []
    for name, text in texts.items():
        level = 0 if name == "stored" else 9
        data = gzip.compress(text, compresslevel=level, mtime=0)
        rows.append("\t".join([name, base64.b64encode(data).decode(), base64.b64encode(text).decode()]) + "\n")
    (here / "gzip.tsv").write_text("".join(rows))


def main():
    compressed()
    each_of_oneof("request", rtc.SignalRequest, "message")
    each_of_oneof("response", rtc.SignalResponse, "message")
    each_of_oneof("packet", models.DataPacket, "value")
    event = webhook.WebhookEvent()
    for part in (event.room, event.participant, event.track):
        fill(part)
    event.event, event.id, event.created_at = "track_published", "EV_x", 2**33
    write("webhook", event)
    join = rtc.JoinRequest()
    fill(join)
    inner = join.SerializeToString(deterministic=True)
    for name, compression, data in [("plain", 0, inner), ("gzip", 1, gzip.compress(inner, mtime=0))]:
        write(f"join-{name}", rtc.WrappedJoinRequest(compression=compression, join_request=data))
    (here / "messages.tsv").write_text("".join(lines))
    if not (here / "token-python.txt").exists():
        token()


if __name__ == "__main__":
    main()
