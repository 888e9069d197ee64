#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench soak [--hours H]: whether real programs grow while they work. Also `./dev soak`. Writes build/bench/soak.json.

A coordinator and two workers run one short job after the other. Memory and open files are read twice a minute. The first third of the
time warms up; growth is the last third against the one before, by medians of memory and by the most files.

  soak.hours_real                         [goal: 1]
  soak.jobs                               that ended; another end than success stops the soak with an error
  soak.rss_growth_kib_per_month.PROGRAM   the growth times the length of a month: under an hour its noise is larger than the goal [goal: 256]
  soak.descriptors_growth.PROGRAM         [goal: 0]
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import statistics
import sys
import time

from figures import ROOT, add, write_figures

sys.path.insert(0, str(ROOT / "deploy/demo"))
from fleet import TERMINAL_STATES, Fleet, FleetError, leave_no_fleet_behind  # noqa: E402

DEMO = ROOT / "deploy/demo"
SAMPLE_SECONDS = 30
OPEN_JOBS = 3
MONTH_SECONDS = 30 * 86_400
JOBS = ({"finetune": {"model": "base", "data": "train", "steps": 20, "batch_size": 4, "sequence_length": 96, "checkpoint_every_steps": 5}},
        {"generate": {"model": "base", "prompts": ["The mast is"], "max_new_tokens": 64}})


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Jobs:
    """Some are open at any time."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.kinds = itertools.cycle(JOBS)
        self.open = set()
        self.ended = 0

    def top_up(self):
        for job_id in list(self.open):
            job = self.fleet.job(job_id)
            if job["state"] not in TERMINAL_STATES:
                continue
            if job["state"] != "JOB_STATE_SUCCEEDED":
                raise FleetError(f"{job_id}: {job['state']}: {job.get('reason')}")
            self.open.remove(job_id)
            self.ended += 1
        while len(self.open) < OPEN_JOBS:
            path = self.fleet.directory / "job.yaml"
            path.write_text(json.dumps({"name": "soak", **next(self.kinds)}))
            self.open.add(self.fleet.submit(path))


def soak(fleet, seconds):
    """The samples of each program, as (memory in KiB, open files), and the number of jobs."""
    jobs = Jobs(fleet)
    pids = {"coordinator": fleet.coordinator.pid, **{name: worker.pid for name, worker in fleet.workers.items()}}
    samples = {name: [] for name in pids}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs.top_up()
        for name, pid in pids.items():
            samples[name].append((rss_kib(pid), descriptors(pid)))
        time.sleep(min(SAMPLE_SECONDS, max(0.0, end - time.monotonic())))
    return samples, jobs.ended


def main():
    parser = argparse.ArgumentParser(prog="./dev bench soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1, help="[1]")
    options = parser.parse_args()
    seconds = options.hours * 3600
    if seconds < 12 * SAMPLE_SECONDS:
        parser.error(f"--hours {options.hours:g}: at least {12 * SAMPLE_SECONDS / 3600:g}, for four samples in each third")
    with Fleet() as fleet:
        fleet.start_coordinator()
        fleet.wattle("model", "push", "base", DEMO / "model")
        fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")
        for name in ("one", "two"):
            fleet.start_worker(name, extra=["--threads=1"])
        fleet.until_connected("one", "two")
        samples, ended = soak(fleet, seconds)
    figures = []
    add(figures, "soak.hours_real", [options.hours], "h", "")
    add(figures, "soak.jobs", [ended], "", "")
    for name, taken in samples.items():
        third = len(taken) // 3
        before, last = taken[third:2 * third], taken[-third:]
        grown = statistics.median(rss for rss, _ in last) - statistics.median(rss for rss, _ in before)
        add(figures, f"soak.rss_growth_kib_per_month.{name}", [grown * MONTH_SECONDS / (seconds / 3)], "KiB", f"{grown:g} KiB seen", 0)
        files = max(count for _, count in last) - max(count for _, count in before)
        add(figures, f"soak.descriptors_growth.{name}", [files], "", "")
    write_figures("soak", figures)


if __name__ == "__main__":
    leave_no_fleet_behind()
    main()
