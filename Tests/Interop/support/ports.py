"""Free ports, and addresses of 127.0.0.0/8 that make peers of one machine differ."""

import itertools
import os
import random
import socket

# Blocks of media ports under the kernel's ephemeral range (32768), a different start for each run of the suite.
_blocks = itertools.count(os.getpid() % 20)


def free_port(address="127.0.0.1"):
    """A port that nobody has on UDP or TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind((address, 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind((address, port))
                    return port
                except OSError:
                    continue


def even_port(address="127.0.0.1"):
    """An even UDP port whose successor is free too (RFC 3550 §11). The kernel, asked for any, gives odd ones first."""
    while True:
        port = random.randrange(33000, 60000, 2)
        try:
            for number in (port, port + 1):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                    udp.bind((address, number))
            return port
        except OSError:
            continue


def media_ports(count=400):
    """First and last of a block of UDP ports."""
    first = 12000 + (next(_blocks) * count) % 20000
    return first, first + count - 1
