# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A link between two programs of this machine: it counts what passes, and can be slow, late and lossy as a radio's."""

import collections
import random
import socket
import threading
import time

HEADERS = 2 * 52  # TCP's and IP's, for a segment and its acknowledgement.
SEGMENT_BYTES = 1460
WAITING_SEGMENTS = 16  # In one direction. The sender's own buffers wait behind them, as behind a modem's.


class LinkProxy:
    """Passes each connection on to `target`. round_trip_seconds, bytes_per_second (None: no bound; of each direction, for all connections
    together) and lost_ratio may change at any time. A lost segment comes a round trip and 200 ms late, and what follows waits for it.
    `cut` ends all connections; while `down`, new ones end at once.
    """

    def __init__(self, target, seed=1):
        self.target = target
        self.round_trip_seconds = 0.0
        self.bytes_per_second = None
        self.lost_ratio = 0.0
        self.down = False
        self.open = set()  # Sockets.
        self.bytes = 0  # Handed to TCP, of both directions.
        self.segments = 0
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.line_free_at = {"up": 0.0, "down": 0.0}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            # The handshake of TCP itself takes a round trip.
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near):
        time.sleep(self.round_trip_seconds)
        host, port = self.target.rsplit(":", 1)
        try:
            if self.down:
                raise ConnectionRefusedError
            far = socket.create_connection((host, int(port)))
        except OSError:
            near.close()
            return
        with self.lock:
            self.open |= {near, far}
        for source, sink, direction in ((near, far, "up"), (far, near, "down")):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            on_the_way = collections.deque()
            changed = threading.Condition()
            threading.Thread(target=self.take, args=(source, direction, on_the_way, changed), daemon=True).start()
            threading.Thread(target=self.bring, args=(sink, on_the_way, changed), daemon=True).start()

    def cut(self):
        with self.lock:
            for one in self.open:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # Its other end is gone.
            self.open.clear()

    @property
    def bytes_with_headers(self):
        return self.bytes + self.segments * HEADERS

    def arrival(self, size, direction):
        """When a segment that is sent now is there."""
        with self.lock:
            self.bytes += size
            self.segments += 1
            now = time.monotonic()
            free = max(now, self.line_free_at[direction])
            if self.bytes_per_second:
                free += size / self.bytes_per_second
            self.line_free_at[direction] = free
            late = self.round_trip_seconds + 0.2 if self.random.random() < self.lost_ratio else 0.0
            return free + self.round_trip_seconds / 2 + late

    def take(self, source, direction, on_the_way, changed):
        try:
            while piece := source.recv(SEGMENT_BYTES):
                with changed:
                    # Without a bound a segment waits only for its arrival.
                    changed.wait_for(lambda: len(on_the_way) < WAITING_SEGMENTS or not self.bytes_per_second)
                    on_the_way.append((self.arrival(len(piece), direction), piece))
                    changed.notify()
        except OSError:
            pass  # The other end is gone.
        with changed:
            on_the_way.append((time.monotonic() + self.round_trip_seconds / 2, b""))
            changed.notify()

    @staticmethod
    def bring(sink, on_the_way, changed):
        piece = b"."
        try:
            while piece:
                with changed:
                    changed.wait_for(lambda: on_the_way)
                    arrives, piece = on_the_way.popleft()
                    changed.notify()
                time.sleep(max(0.0, arrives - time.monotonic()))
                sink.sendall(piece)
        except OSError:
            pass
        sink.close()
