#!/usr/bin/env python3
"""Compares the descriptors of the .proto files here with those of the package livekit-protocol (pip).

    pip install livekit-protocol && signaling/livekit/check-numbers.py

Every message (but those of token.proto, which travel as JSON alone), field (name, number, type, cardinality, oneof, JSON name) and enum value here must be there.
"""

import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, duration_pb2, timestamp_pb2
from livekit.protocol import agent_dispatch, egress, models, room, rtc, sip, webhook

def flatten(files):
    messages, enums = {}, {}

    def enum(prefix, e):
        enums[prefix + e.name] = {v.name: v.number for v in e.value}

    def message(prefix, m):
        name = prefix + m.name
        oneofs = [o.name for o in m.oneof_decl]
        messages[name] = {
            f.name: (
                f.number,
                f.type,
                f.label,
                f.type_name,
                f.json_name,
                oneofs[f.oneof_index] if f.HasField("oneof_index") else None,
            )
            for f in m.field
        }
        for inner in m.nested_type:
            message(name + ".", inner)
        for inner in m.enum_type:
            enum(name + ".", inner)

    for file in files:
        for m in file.message_type:
            message("", m)
        for e in file.enum_type:
            enum("", e)
    return messages, enums


def ours():
    here = pathlib.Path(__file__).parent
    known = descriptor_pb2.FileDescriptorSet()
    for module in (duration_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(known.file.add())
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as google:
        pathlib.Path(google.name).write_bytes(known.SerializeToString())
        files = sorted(str(p) for p in here.glob("*.proto") if p.name != "token.proto")
        subprocess.run(
            [
                "protoc",
                f"--descriptor_set_out={out.name}",
                f"--descriptor_set_in={google.name}",
                "-I",
                str(here),
                *files,
            ],
            check=True,
        )
        return flatten(descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes()).file)


def theirs():
    files = []
    for module in (agent_dispatch, egress, models, rtc, room, sip, webhook):
        for name in dir(module):
            descriptor = getattr(getattr(module, name), "DESCRIPTOR", None)
            if descriptor is not None and hasattr(descriptor, "file"):
                proto = descriptor_pb2.FileDescriptorProto()
                descriptor.file.CopyToProto(proto)
                if proto.name not in {f.name for f in files}:
                    files.append(proto)
    return flatten(files)


def main():
    (our_messages, our_enums), (their_messages, their_enums) = ours(), theirs()
    wrong, checked = [], 0
    for name, fields in our_messages.items():
        for field, value in fields.items():
            checked += 1
            there = their_messages.get(name, {}).get(field)
            # The package's descriptors carry no JSON names unless they were asked for.
            if there and not there[4]:
                there = there[:4] + (value[4],) + there[5:]
            if there != value:
                wrong.append(f"{name}.{field}: {value} here, {there} there")
    for name, values in our_enums.items():
        for value, number in values.items():
            checked += 1
            if their_enums.get(name, {}).get(value) != number:
                wrong.append(f"{name}.{value}: {number} here, {their_enums.get(name, {}).get(value)} there")
    print(f"{checked} fields and enum values compared, {len(wrong)} differ")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
