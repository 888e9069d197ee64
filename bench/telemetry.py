#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench telemetry: what measuring costs, and how right it is. Prints a table and writes build/bench/telemetry.json: a list of
{"key", "value", "unit", "goal"}.

cpu_percent_10hz_20rails     processor time of the whole worker, of one core, while it samples a board of 20 rails ten times a second (a file
                             tree as an INA3221's driver makes it, seven chips) for an attempt and talks to a coordinator. The runner, a
                             process of its own, is halted meanwhile. The kernel's count of reads must show the ten samples a second.
integral_error_percent_max   the meter's tests integrate ten minutes of square waves with jittered sampling; the worst error of all waves.
decode_slowdown_percent      GPT-2's shape in int8, one thread, 64 steps; with that worker beside it against without, in turns. The median of the
                             rounds' ratios, with the spread of the rounds: on a busy machine the spread is the larger figure.
worker_metrics_scrape_ms_p99 of 500 requests of that worker's /metrics, each on a connection of its own, with the handshake of HTTPS.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy/demo"))
from figures import write_figures  # noqa: E402
from fleet import BIN, Fleet, leave_no_fleet_behind  # noqa: E402
from infer import Side  # noqa: E402

DEMO = ROOT / "deploy/demo"
RAILS = 20
HERTZ = 10
SCRAPES = 500
GOALS = {"cpu_percent_10hz_20rails": "< 1", "integral_error_percent_max": "≤ 1", "decode_slowdown_percent": "< 1"}


def write(path, **files):
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(f"{text}\n")


def board(root):
    """hwmon of seven INA3221 chips with 20 rails between them, a new value each 100 ms; the first rail is the module's input."""
    for rail in range(RAILS):
        chip, channel = root / f"sys/class/hwmon/hwmon{rail // 3}", rail % 3 + 1
        if channel == 1:
            write(chip, name="ina3221", update_interval=100, samples=16)
        for name, text in {f"in{channel}_label": "VDD_IN" if rail == 0 else f"VDD_RAIL_{rail}", f"in{channel}_input": 5000 + rail,
                           f"curr{channel}_input": 900 + 10 * rail}.items():
            (chip / name).write_text(f"{text}\n")
    return root


def cpu_seconds(pid):
    return time.clock_gettime((~pid << 3) | 2)  # The processor clock of another process, as clock_getcpuclockid(3) makes it.


def reads(pid):
    return int(re.search(r"syscr: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text()).group(1))


def begin_attempt(fleet, worker):
    """An attempt that holds the device, so that the worker samples at full rate. Its runner is halted: it takes no processor time."""
    fleet.wattle("model", "push", "base", DEMO / "model")
    fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")
    job = fleet.directory / "job.json"
    job.write_text(json.dumps({"name": "bench", "finetune": {"model": "base", "data": "train", "steps": 100000, "batch_size": 1, "sequence_length": 64}}))
    fleet.until_step(fleet.submit(job), 1)
    for child in pathlib.Path(f"/proc/{worker.pid}/task").glob("*/children"):
        for pid in child.read_text().split():
            os.kill(int(pid), signal.SIGSTOP)


def rails_shown(fleet, worker):
    """The rails on the worker's page, to check that the worker measures all of them."""
    return sum(line.startswith("wattle_rail_power_watts{") for line in fleet.fetch(worker.metrics, "/metrics").splitlines())


def sampling_cpu_percent(worker, seconds):
    begin, used, read = time.monotonic(), cpu_seconds(worker.pid), reads(worker.pid)
    time.sleep(seconds)
    elapsed = time.monotonic() - begin
    hertz = (reads(worker.pid) - read) / elapsed / (2 * RAILS)  # Volts and amperes of each rail.
    if hertz < 0.9 * HERTZ:
        sys.exit(f"bench: the worker sampled at {hertz:.1f} Hz, not at {HERTZ}: the figure would say nothing")
    return 100 * (cpu_seconds(worker.pid) - used) / elapsed


def scrape_ms_p99(fleet, worker):
    times, context = [], fleet.tls_to(worker.metrics)
    for _ in range(SCRAPES):
        begin = time.perf_counter()
        urllib.request.urlopen(f"https://{worker.metrics}/metrics", timeout=10, context=context).read()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.quantiles(times, n=100)[98]


def integral_error_percent_max():
    with tempfile.TemporaryDirectory() as directory:
        result = pathlib.Path(directory, "result.json")
        subprocess.run([str(BIN / "wattle_meter_test"), "--gtest_filter=*IsWithinOnePercent*", f"--gtest_output=json:{result}"],
                       check=True, stdout=subprocess.DEVNULL)
        tests = [test for suite in json.loads(result.read_text())["testsuites"] for test in suite["testsuite"]]
    return max(float(test["integral_error_percent"]) for test in tests)


class Decoder:
    def __init__(self):
        self.side = Side([str(BIN / "wattle-infer-load"), "gpt2"])
        self.side.ask("load int8")
        self.seconds()  # Warm-up.

    def seconds(self):
        return self.side.ask("decode int8 1")


def decode_slowdown_percent(worker, rounds):
    """(median of the rounds, spread from the lower to the upper quartile). The worker is stopped by SIGSTOP for the other half of a round."""
    decoder, ratios = Decoder(), []
    for number in range(rounds):
        seconds = {}
        for beside in ((True, False) if number % 2 else (False, True)):
            os.kill(worker.pid, signal.SIGCONT if beside else signal.SIGSTOP)
            seconds[beside] = min(decoder.seconds() for _ in range(2))
        ratios.append(100 * (seconds[True] / seconds[False] - 1))
    os.kill(worker.pid, signal.SIGCONT)
    decoder.side.close()
    quartiles = statistics.quantiles(ratios, n=4)
    return statistics.median(ratios), quartiles[2] - quartiles[0]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench telemetry", description="What measuring costs, and how right it is.")
    parser.add_argument("--seconds", type=int, default=60, help="of sampling")
    parser.add_argument("--rounds", type=int, default=20, help="of decoding with and without")
    options = parser.parse_args()
    leave_no_fleet_behind()
    figures = []

    def add(key, value, unit, note=""):
        figures.append({"key": key, "value": round(value, 3), "unit": unit, "goal": GOALS.get(key)})
        print(f"{key:32} {value:9.3f} {unit:8} goal {GOALS.get(key) or '-':6} {note}", flush=True)

    with tempfile.TemporaryDirectory() as directory, Fleet() as fleet:
        fleet.start_coordinator()
        worker = fleet.start_worker("rails", extra=[
            f"--sensor-root={board(pathlib.Path(directory))}", "--runner-silence-seconds=86400", "--threads=1"])
        fleet.until_connected("rails")
        fleet.until("all rails on the page", lambda: rails_shown(fleet, worker) == RAILS)
        begin_attempt(fleet, worker)
        add("cpu_percent_10hz_20rails", sampling_cpu_percent(worker, options.seconds), "%", f"over {options.seconds} s")
        add("worker_metrics_scrape_ms_p99", scrape_ms_p99(fleet, worker), "ms", f"of {SCRAPES}")
        add("integral_error_percent_max", integral_error_percent_max(), "%")
        slowdown, spread = decode_slowdown_percent(worker, options.rounds)
        add("decode_slowdown_percent", slowdown, "%", f"quartiles of {options.rounds} rounds {spread:.2f} % apart")
    write_figures("telemetry", figures)


if __name__ == "__main__":
    main()
