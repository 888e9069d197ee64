#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench load: a coordinator with years of history, a long queue, a thousand devices and a thousand watchers.

Prints a table and writes build/bench/load.json: a list of {"key", "value", "unit", "peer", "goal"}. Clients and coordinator share
the machine.  --quick takes a fiftieth of the sizes: for trying the bench, its figures say nothing.

  start_with_1m_ended_jobs_s          from the start of the process until it answers /readyz, a million ended jobs in its journal
  rss_1m_ended_jobs_mib               its memory (VmRSS) then, after a page of the oldest jobs was listed
  submits_per_s                       eight callers at once, an empty fleet, every answer durable
  submit_p99_ms_10k_queued            one caller, 10,000 jobs queued, 1,000 devices connected and busy, each with a heartbeat a second
  commit_p99_ms_during_snapshot       a policy applied and answered durably, again and again, while snapshots of a state of 10,000
                                      queued jobs and 1,000 devices are written one after the other
  watchers_1000_commit_p99_ms         the same while 1,000 streams watch a job
  plan_p99_ms_1k_devices_1k_queued    one plan of 1,000 queued jobs over 1,000 busy devices, 100 plans
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy/demo"))

from fleet import BIN, Fleet, FleetError, leave_no_fleet_behind  # noqa: E402

DEMO = ROOT / "deploy/demo"


def rss_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def values_of(line):
    return {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.]+)", line)}


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise FleetError(f"{' '.join(str(part) for part in command)}: {done.stderr.strip()}")
    values = values_of(done.stdout)
    if values.get("failed", 0) > 0:
        raise FleetError(f"{' '.join(str(part) for part in command)}: {values['failed']:.0f} failed: {done.stderr.strip()}")
    return values


class Beside:
    """A client that runs until the end of the block."""

    def __init__(self, ready, *command):
        self.popen = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        if self.popen.stdout.readline().strip() != ready:
            raise FleetError(f"{' '.join(str(part) for part in command)}: {self.popen.communicate()[1].strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.last = values_of(self.popen.communicate()[0])


class Bench:
    def __init__(self, scale):
        self.scale = scale
        self.figures = []

    def sized(self, count):
        return max(10, int(count * self.scale))

    def add(self, key, value, unit, goal):
        self.figures.append({"key": key, "value": round(value, 3), "unit": unit, "peer": None, "goal": goal})
        print(f"  {key}: {value:.2f} {unit}   goal {goal}", flush=True)

    def plan(self):
        plan = run(BIN / "wattle-load-state", "plan", self.sized(1000), self.sized(1000), self.sized(100))
        if plan["busy"] < self.sized(1000):
            raise FleetError(f"only {plan['busy']:.0f} devices took a job")
        self.add("plan_p99_ms_1k_devices_1k_queued", plan["p99_ms"], "ms", "< 1000")

    def history(self):
        count = self.sized(1_000_000)
        with tempfile.TemporaryDirectory(dir=ROOT / "build/bench") as directory:
            data = pathlib.Path(directory) / "coordinator"
            data.mkdir()
            made = run(BIN / "wattle-load-state", "history", data / "journal.db", count)
            if made["live"] > 10_500:
                raise FleetError(f"{made['live']:.0f} ended jobs were never archived")
            with Fleet(directory=directory, keep=True, plaintext=True) as fleet:
                started = time.monotonic()
                fleet.start_coordinator()
                with urllib.request.urlopen(f"http://{fleet.http}/readyz", timeout=30) as ready:
                    ready.read()
                seconds = time.monotonic() - started
                oldest = self.get(fleet, f"jobs?limit=100&page_token=101")
                if [job["job_id"] for job in oldest["jobs"]][-1] != "j1":
                    raise FleetError("the oldest job is not in the history")
                self.add("start_with_1m_ended_jobs_s", seconds, "s", "< 5")
                self.add("rss_1m_ended_jobs_mib", rss_mib(fleet.coordinator.pid), "MiB", "< 400")

    @staticmethod
    def get(fleet, path):
        with urllib.request.urlopen(f"http://{fleet.http}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)

    @staticmethod
    def metric(fleet, name):
        with urllib.request.urlopen(f"http://{fleet.http}/metrics", timeout=30) as answer:
            return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M).group(1))

    def queued(self, fleet):
        return self.metric(fleet, 'wattle_coordinator_jobs{state="queued"}'.replace("{", r"\{").replace("}", r"\}"))

    def submits(self):
        with Fleet(plaintext=True) as fleet:
            fleet.start_coordinator()
            fleet.wattle("model", "push", "base", DEMO / "model")
            run(BIN / "wattle-load", "submit", fleet.grpc, "base", 500, 8)  # Warm-up.
            done = run(BIN / "wattle-load", "submit", fleet.grpc, "base", self.sized(10_000), 8)
            self.add("submits_per_s", done["count"] / done["seconds"], "1/s", ">= 2000")

    def busy_fleet(self):
        devices, queue = self.sized(1000), self.sized(10_000)
        with Fleet(plaintext=True) as fleet:
            fleet.start_coordinator(extra=["--snapshot-every-events", "500"])
            fleet.wattle("model", "push", "base", DEMO / "model")
            with Beside("connected", BIN / "wattle-load", "devices", fleet.grpc, devices) as beats:
                run(BIN / "wattle-load", "submit", fleet.grpc, "base", devices + queue, 8)
                deadline = time.monotonic() + 120
                while self.queued(fleet) > queue and time.monotonic() < deadline:
                    time.sleep(0.5)  # Until every device has its job.
                if self.queued(fleet) > queue:
                    raise FleetError(f"{self.queued(fleet):.0f} jobs are still queued, {queue} were to be")
                one = run(BIN / "wattle-load", "submit", fleet.grpc, "base", self.sized(1000), 1)
                self.add("submit_p99_ms_10k_queued", one["p99_ms"], "ms", "< 20")
                before = self.metric(fleet, "wattle_coordinator_snapshots_total")
                during = run(BIN / "wattle-load", "commit", fleet.grpc, 20)
                if self.metric(fleet, "wattle_coordinator_snapshots_total") - before < 2:
                    raise FleetError("fewer than two snapshots were written meanwhile")
                self.add("commit_p99_ms_during_snapshot", during["p99_ms"], "ms", "< 20")
                job = self.get(fleet, "jobs?limit=1&state=JOB_STATE_ACTIVE")["jobs"][0]["job_id"]
                with Beside("watching", BIN / "wattle-load", "watch", fleet.grpc, job, self.sized(1000)):
                    watched = run(BIN / "wattle-load", "commit", fleet.grpc, 10)
                self.add("watchers_1000_commit_p99_ms", watched["p99_ms"], "ms", "< 20")
            if beats.last.get("lost", 0) > 0:
                raise FleetError(f"{beats.last['lost']:.0f} devices lost their stream meanwhile")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the sizes; for trying the bench")
    parser.add_argument("--only", choices=["plan", "history", "submits", "busy"], help="one part")
    options = parser.parse_args()
    leave_no_fleet_behind()
    output = ROOT / "build/bench"
    output.mkdir(parents=True, exist_ok=True)
    bench = Bench(0.02 if options.quick else 1)
    parts = {"plan": bench.plan, "history": bench.history, "submits": bench.submits, "busy": bench.busy_fleet}
    try:
        for name, part in parts.items():
            if options.only in (None, name):
                part()
    except FleetError as error:
        print(f"bench load: {error}", file=sys.stderr)
        return 1
    (output / "load.json").write_text(json.dumps(bench.figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
