# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""What floods of HTTP/2 frames do to the coordinator and to others, for bench/security.py. Clients and coordinator share the machine."""

import re
import socket
import ssl
import struct
import threading
import time

from figures import add
from fleet import Fleet
from security_links import rss_kib

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEARTBEATS = r"^wattle_coordinator_heartbeats_total ([0-9.e+]+)"
CALL_EACH_SECONDS = 0.05
BOARDS = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    return bytes([len(value)]) + value


START = b"\x83\x87\x04" + text(b"/wattle.v1.AccessService/WhoAmI") + b"\x01" + text(b"localhost")
CALL = b"\x00" + text(b"te") + text(b"trailers") + b"\x00" + text(b"content-type") + text(b"application/grpc")
HEADER = b"\x00" + text(b"abcde") + text(b"x" * 100)
BEGIN = frame(1, 0, 1, START)
# What is sent once, and then again and again.
FLOODS = {
    "headers": (BEGIN, frame(9, 0, 1, HEADER * 150) * 4),
    "varint": (BEGIN + frame(9, 0, 1, b"\x00\x7f"), frame(9, 0, 1, b"\x80" * 16384)),
    "string": (BEGIN + frame(9, 0, 1, b"\x00\x7f\x81\xff\xff\xff\x03"), frame(9, 0, 1, b"x" * 16384)),
    "empty": (BEGIN, frame(9, 0, 1) * 1000),
    "reset": (b"", b"".join(frame(1, 5, 2 * i + 1, START) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(500))),
    "ping": (b"", frame(6, 0, 0, b"12345678") * 1000),
    "settings": (b"", frame(4, 0, 0) * 1000),
    "data": (b"", frame(0, 0, 1) * 1000),
}


def tls_of(certificate):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    return context


def connect(address, context):
    host, port = address.rsplit(":", 1)
    connection = context.wrap_socket(socket.create_connection((host, int(port)), timeout=20))
    connection.sendall(PREFACE + frame(4, 0, 0))
    return connection


class Caller:
    """Somebody else, who calls WhoAmI on an open connection."""

    def __init__(self, fleet):
        self.connection = connect(fleet.grpc, tls_of(fleet.identity))
        self.stream = -1
        self.seconds()

    def seconds(self):
        self.stream += 2
        began, said = time.monotonic(), b""
        self.connection.sendall(frame(1, 4, self.stream, START + CALL) + frame(0, 1, self.stream, bytes(5)) + frame(8, 0, 0, b"\0\0\x10\0"))
        while b"spiffe" not in said:
            part = self.connection.recv(65536)
            if not part:
                raise SystemExit("the connection of somebody who floods nothing has ended")
            said += part
        return time.monotonic() - began


def flood(address, flood_of, certificate, end):
    """Connects again and again, and sends as much as is taken."""
    context = tls_of(certificate)
    begin, again = FLOODS[flood_of]
    while time.monotonic() < end:
        try:
            with connect(address, context) as connection:
                connection.sendall(begin)
                while time.monotonic() < end:
                    connection.sendall(again)
        except OSError:
            pass  # The coordinator has ended the connection.


def heartbeats(fleet):
    return float(re.search(HEARTBEATS, fleet.get("/metrics", timeout_seconds=60), re.M)[1])


def percentile_99(values):
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


def measure_flood(fleet, certificate, connections, seconds):
    """Growth of the coordinator's memory in MiB, seconds of others' calls, heartbeats that did not come; all kinds share the time."""
    before, beats, began = rss_kib(fleet.coordinator.pid), heartbeats(fleet), time.monotonic()
    most, calls, caller = before, [], Caller(fleet)
    end = began + seconds
    kinds = list(FLOODS)
    threads = [threading.Thread(target=flood, args=(fleet.grpc, kinds[i % len(kinds)], certificate, end)) for i in range(connections)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        calls.append(caller.seconds())
        most = max(most, rss_kib(fleet.coordinator.pid))
        time.sleep(max(0.0, CALL_EACH_SECONDS - calls[-1]))
    for thread in threads:
        thread.join()
    came = heartbeats(fleet) - beats
    lost = max(0, int((time.monotonic() - began) * BOARDS) - BOARDS - int(came))  # One of each board may be under way.
    return (most - before) / 1024, calls, lost


def measure_floods(figures, options):
    with Fleet() as fleet:
        fleet.start_coordinator()
        for number in range(BOARDS):
            fleet.start_worker(f"board-{number}", emulate="raspberry-pi-5")
        fleet.until_connected(*(f"board-{number}" for number in range(BOARDS)))
        fleet.enroll("flooder")
        time.sleep(5)
        caller = Caller(fleet)
        quiet = [caller.seconds() for _ in range(100)]
        for who, certificate in (("stranger", None), ("enrolled", fleet.directory / "flooder/credentials")):
            growth, calls, lost = measure_flood(fleet, certificate, options.flood_connections, options.flood_seconds)
            note = f"{options.flood_connections} connections, {options.flood_seconds} s, {len(FLOODS)} kinds"
            add(figures, f"flood_{who}_memory_mib", [growth], "MiB", note)
            add(figures, f"flood_{who}_calls_p99_ms", [1000 * percentile_99(calls)], "ms",
                f"of {len(calls)} calls of somebody else on an open connection; quiet {1000 * percentile_99(quiet):.0f} ms")
            add(figures, f"flood_{who}_heartbeats_lost", [lost], "", f"of {BOARDS} boards")
