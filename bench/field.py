#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench field: what a worker alone keeps of its work, and what an idle one sends.

Sixty simulated days of one fine-tune, with cuts of the power drawn at random; the seeds are printed. The worker's own code chooses when a
checkpoint is written, and nothing tells it how often cuts come. Beside it stand the best of all fixed intervals, chosen afterwards on
the same cuts, and one of fifty steps. Writes build/bench/field.json.

  checkpoint.progress_of_optimum.FORM.M   work kept, by that of the best fixed interval, where cuts come every M on average [goal: 0.8]
  flash.checkpoint_gb_per_day.FORM.M      what the worker's checkpoints write, as the mean of the worst month [goal: 20 with the bound]

  link.idle_bytes_per_day                 of an idle board with a policy's `link.bytes_per_day`, both directions [goal: 2e6]
  link.idle_bytes_per_day.unmetered       the same without the policy

A real worker reaches a real coordinator over TLS through a proxy that counts the bytes of both directions for two minutes, after the
connection has come to rest. Each piece that the proxy reads counts 104 bytes more: the headers of TCP and IP of its segment and of the
acknowledgement. The day is these two minutes 720 times, and the reports of its 96 quarters of an hour.

FORM: `full`, GPT-2 Small with AdamW in FP32 (1.49 GB, 37 s at 40 MB/s, steps of 4.7 s), without a bound of the card's writes; `bounded`, the same with 20 GB a day; `adapters` (30 MB, 0.75 s), with that bound too.
"""

import argparse
import json
import re
import secrets
import socket
import subprocess
import sys
import threading
import time

from figures import ROOT, add, write_figures

sys.path.insert(0, str(ROOT / "deploy/demo"))
from fleet import Fleet, leave_no_fleet_behind  # noqa: E402

BETWEEN_CUTS = {"1h": 3600, "1d": 86_400, "7d": 7 * 86_400}
HEADERS = 2 * 52
SETTLES_SECONDS = 90  # the probes of HTTP/2 come less often by then
COUNTED_SECONDS = 120
REPORT_BYTES = 1_500  # of a ledger with its acknowledgement and all headers, each quarter of an hour
FORMS = {"full": (37.0, 1_490_000_000, 4.7, 1e15), "bounded": (37.0, 1_490_000_000, 4.7, 20e9), "adapters": (0.75, 30_000_000, 4.7, 20e9)}


def outcome(form, between_cuts, seed):
    write, size, step, flash = FORMS[form]
    done = subprocess.run([ROOT / "build/release/bin/wattle-checkpoint-cuts", *map(str, (write, size, step, between_cuts, flash, seed))],
                          capture_output=True, text=True, check=True)
    return {name: float(number) for name, number in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}


class CountingProxy:
    """Passes one connection after the other on, and counts what goes through."""

    def __init__(self, target):
        self.target = target
        self.bytes = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            host, port = self.target.rsplit(":", 1)
            far = socket.create_connection((host, int(port)))
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while piece := source.recv(65536):
                self.bytes += len(piece) + HEADERS
                sink.sendall(piece)
        except OSError:
            pass  # the other end is gone
        sink.close()


def idle_bytes_per_day(metered):
    with Fleet() as fleet:
        fleet.start_coordinator()
        proxy = CountingProxy(fleet.grpc)
        fleet.start_worker("idle", coordinator=proxy.address, extra=["--threads=1"])
        fleet.until_connected("idle")
        if metered:
            policy = fleet.directory / "link.yaml"
            policy.write_text(json.dumps({"name": "lte", "link": {"bytes_per_day": 20_000_000}}))
            fleet.wattle("policy", "apply", policy)
        time.sleep(SETTLES_SECONDS)
        before = proxy.bytes
        time.sleep(COUNTED_SECONDS)
        return (proxy.bytes - before) * 86_400 / COUNTED_SECONDS + REPORT_BYTES * 96


def main():
    parser = argparse.ArgumentParser(prog="./dev bench field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the first draw [drawn]")
    parser.add_argument("--draws", type=int, default=9, help="of cuts, for each figure [9]")
    options = parser.parse_args()
    print(f"seeds {options.seed} to {options.seed + options.draws - 1}")
    figures = []
    for form in FORMS:
        for name, between_cuts in BETWEEN_CUTS.items():
            draws = [outcome(form, between_cuts, options.seed + draw) for draw in range(options.draws)]
            fifty = sorted(draw["fifty"] / draw["best"] for draw in draws)[len(draws) // 2]
            add(figures, f"checkpoint.progress_of_optimum.{form}.{name}", [draw["ours"] / draw["best"] for draw in draws], "",
                f"every fifty steps: {fifty:.3f}")
            add(figures, f"flash.checkpoint_gb_per_day.{form}.{name}", [draw["bytes_per_day"] / 1e9 for draw in draws], "GB", "")
    add(figures, "link.idle_bytes_per_day", [idle_bytes_per_day(metered=True)], "B", "", 0)
    add(figures, "link.idle_bytes_per_day.unmetered", [idle_bytes_per_day(metered=False)], "B", "", 0)
    write_figures("field", figures)


if __name__ == "__main__":
    leave_no_fleet_behind()
    main()
