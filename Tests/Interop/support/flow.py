"""A TCP flow that takes what the link gives, for tests in network namespaces: bytes a second as lines of JSON.

    python -m support.flow send ADDRESS PORT       serves one connection after the other
    python -m support.flow receive ADDRESS PORT
"""

import json
import socket
import sys
import time


def send(address, port):
    listener = socket.create_server((address, port))
    print(json.dumps({"ready": time.monotonic()}), flush=True)
    while True:
        connection, _ = listener.accept()
        try:
            while True:
                connection.sendall(bytes(16384))
        except OSError:
            connection.close()


def receive(address, port):
    connection = socket.create_connection((address, port), timeout=10)
    count, due = 0, time.monotonic() + 1
    while data := connection.recv(65536):
        count += len(data)
        if time.monotonic() >= due:
            print(json.dumps({"at": time.monotonic(), "flow": count}), flush=True)
            due += 1


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
