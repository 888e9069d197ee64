#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench soak [--hours H]: whether real programs grow while they work. Also `./dev soak`. Writes build/bench/soak.json.

A coordinator and two workers run one short job after the other. A third worker has samples that nobody takes, and a policy changes again
and again. Memory, open files and disk are read every ten seconds. The first third of the time warms up; growth is the last third against the
one before. An exit status of 1 says that a figure with a bound is above it.

  soak.hours_real                         of this run [goal: 1]
  soak.hours_real.all_runs                of all runs, which are lines of build/bench/soak_runs.jsonl with the tree that they ran [goal: 72]
  soak.jobs                               that ended; another end than success stops the soak with an error
  soak.rss_growth_kib_per_month.PROGRAM   by medians, times the length of a month: in hours its noise is larger than the goal [goal: 256]
  soak.descriptors_growth.PROGRAM         by the fewest that were open, at rest: files, pipes and the runner's box come and go [bound: 0]
  soak.disk_growth_kib.WORKER             of its folder without cache, results and checkpoints, which have bounds of their own [bound: 1024]
  soak.series_growth.PROGRAM              of its page of metrics, by the fewest that it had [bound: 0]
  soak.journal_growth_kib                 of the coordinator's journal, which keeps its history for an eighth of the run, by its largest sizes [bound: 1024]
  soak.jobs_beyond_history                that the coordinator still lists at the end of the run, although their end is that and three looks away. An ended
                                          job stays for ten minutes whatever the history, so runs below eleven minutes do not have the figure [bound: 0]
  soak.spool_kib.silent                   the most that the samples took of the third worker, which has --metrics-spool-bytes 65536 [bound: 64]
  soak.log_lines_of_a_cause.PROGRAM       the most that one cause wrote within a minute, whenever that begins [bound: 41, two times 20 and a count]
"""

import argparse
import collections
import contextlib
import datetime
import itertools
import json
import os
import statistics
import sys
import time

from figures import ROOT, add, keep_run, rss_kib, write_figures

sys.path.insert(0, str(ROOT / "deploy/demo"))
from fleet import TERMINAL_STATES, Fleet, FleetError, leave_no_fleet_behind  # noqa: E402

DEMO = ROOT / "deploy/demo"
SAMPLE_SECONDS = 10
SPOOL_KIB = 64
BOUNDS = {"soak.descriptors_growth": 0, "soak.series_growth": 0, "soak.disk_growth_kib": 1024, "soak.journal_growth_kib": 1024, "soak.jobs_beyond_history": 0,
          "soak.spool_kib": SPOOL_KIB, "soak.log_lines_of_a_cause": 41}
HISTORY_SHARE = 1 / 8  # A share of the length of the run.
LOOKS = 8  # At a history's age, in its length (coordinator/runtime/history_age.h).
ENDED_STAYS_SECONDS = 600  # An ended job stays in memory for at least this time (coordinator/core/archive.cc); jobs in memory are listed.
EVENTS_OF_A_SNAPSHOT = 200  # Only data that a snapshot contains may be removed.
SILENT = "silent"
CHATTER = 8  # Changes of a policy every SAMPLE_SECONDS.
OPEN_JOBS = 3
MONTH_SECONDS = 30 * 86_400
JOBS = ({"finetune": {"model": "base", "data": "train", "steps": 20, "batch_size": 4, "sequence_length": 96, "checkpoint_every_steps": 5}},
        {"generate": {"model": "base", "prompts": ["The mast is"], "max_new_tokens": 64}})


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def folder_kib(folder, without=()):
    """The sizes of its files, some of which appear or disappear during the walk."""
    total = 0
    for path in folder.rglob("*"):
        if not any(part in without for part in path.relative_to(folder).parts):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size if path.is_file() else 0
    return total / 1024


def series(fleet, name):
    """The number of series on its page of metrics."""
    address = fleet.http if name == "coordinator" else fleet.workers[name].metrics
    return sum(not line.startswith("#") for line in fleet.fetch(address, "/metrics").splitlines())


def on_disk_kib(fleet, name):
    if name == "coordinator":
        return sum(path.stat().st_size for path in (fleet.directory / name).glob("*.db*")) / 1024
    return folder_kib(fleet.directory / name, without=("cache", "results", "work"))


def lines_of_a_cause(log):
    """The most lines of one cause within a minute. A cause is what base/line_limit.h says: the text before the first ": ", without words
    that have a digit.
    """
    times = collections.defaultdict(list)
    for line in log.splitlines():
        at, _, rest = line.partition(" ")
        text = rest.partition(" ")[2]  # Behind the level, or the program's name.
        with contextlib.suppress(ValueError):  # A library's line does not begin with a time.
            seconds = datetime.datetime.fromisoformat(at).timestamp()
            cause = " ".join(word for word in text.split(": ")[0].split() if not any(char.isdigit() for char in word))
            if cause != "audit":  # The audit is never shortened.
                times[cause].append(seconds)
    most = 0
    for of_cause in times.values():
        begin = 0
        for i, seconds in enumerate(of_cause):
            while seconds - of_cause[begin] >= 60:
                begin += 1
            most = max(most, i - begin + 1)
    return most


class Jobs:
    """The jobs of the run; some are open at any time."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.kinds = itertools.cycle(JOBS)
        self.open = set()
        self.ended_at = []

    def top_up(self):
        for job_id in list(self.open):
            job = self.fleet.job(job_id)
            if job["state"] not in TERMINAL_STATES:
                continue
            if job["state"] != "JOB_STATE_SUCCEEDED":
                raise FleetError(f"{job_id}: {job['state']}: {job.get('reason')}")
            self.open.remove(job_id)
            self.ended_at.append(job["finished_unix_seconds"])
        while len(self.open) < OPEN_JOBS:
            path = self.fleet.directory / "job.yaml"
            path.write_text(json.dumps({"name": "soak", **next(self.kinds)}))
            self.open.add(self.fleet.submit(path))


def chatter(fleet, numbers):
    """Makes one cause, the audit, exceed its lines per minute. The policy selects no device, and differs from the previous one."""
    path = fleet.directory / "chatter.yaml"
    for _ in range(CHATTER):
        path.write_text(json.dumps({"name": "chatter", "selector": ["soak=nobody"], "daily_energy_budget_wh": 1 + next(numbers)}))
        fleet.wattle("policy", "apply", path)


def soak(fleet, seconds):
    """The samples of each program, as (memory in KiB, open files, disk in KiB, jobs that had ended, series), when the jobs ended, and the most KiB
    of the silent worker's spool.
    """
    jobs = Jobs(fleet)
    pids = {"coordinator": fleet.coordinator.pid, **{name: worker.pid for name, worker in fleet.workers.items() if name != SILENT}}
    spool_kib = 0
    numbers = itertools.count()
    samples = {name: [] for name in pids}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs.top_up()
        chatter(fleet, numbers)
        for name, pid in pids.items():
            samples[name].append((rss_kib(pid), descriptors(pid), on_disk_kib(fleet, name), len(jobs.ended_at), series(fleet, name)))
        spool_kib = max(spool_kib, folder_kib(fleet.directory / SILENT / "metrics"))
        time.sleep(min(SAMPLE_SECONDS, max(0.0, end - time.monotonic())))
    if spool_kib < SPOOL_KIB / 2:
        raise FleetError(f"the spool of the silent worker came to {spool_kib:.0f} KiB, so its bound was not tried")
    return samples, jobs.ended_at, spool_kib


def leaves_after_seconds(history_seconds):
    """How long after its end a job may still be listed: it moves from memory to the history, and is removed there at one of the next checks."""
    return max(history_seconds, ENDED_STAYS_SECONDS) + history_seconds * 3 / LOOKS


def add_beyond_history(figures, listed, ended_at, history_seconds):
    """How many jobs are listed that should have been removed. Without any such job, nothing was tested."""
    oldest = time.time() - leaves_after_seconds(history_seconds)
    gone = sum(at < oldest for at in ended_at)
    if gone == 0:
        print(f"soak.jobs_beyond_history: not tried, for no job ended {leaves_after_seconds(history_seconds):.0f} s before the end of the run")
        return
    beyond = sum(job["state"] in TERMINAL_STATES and job["finished_unix_seconds"] < oldest for job in listed)
    add(figures, "soak.jobs_beyond_history", [beyond], "", f"{gone} of {len(ended_at)} ended jobs should have gone")


def broken_bounds(figures):
    """The figures that are above their bound, one line each."""
    return [f"{figure['key']}: {figure['value']:g} {figure['unit']}, at most {bound:g} wanted" for figure in figures
            for prefix, bound in BOUNDS.items() if figure["key"].startswith(prefix) and figure["value"] > bound]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1, help="[1]")
    options = parser.parse_args()
    seconds = options.hours * 3600
    if seconds < 12 * SAMPLE_SECONDS:
        parser.error(f"--hours {options.hours:g}: at least {12 * SAMPLE_SECONDS / 3600:.2g}, for four samples in each third")
    with Fleet() as fleet:
        history_days = seconds * HISTORY_SHARE / 86_400
        fleet.start_coordinator(extra=[f"--history-days={history_days}", f"--keep-ended-days={history_days / 2}",
                                       f"--snapshot-every-events={EVENTS_OF_A_SNAPSHOT}"])
        fleet.wattle("model", "push", "base", DEMO / "model")
        fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")
        for name in ("one", "two"):
            fleet.start_worker(name, extra=["--threads=1"])
        # Without --remote-write the coordinator does not accept its samples.
        fleet.start_worker(SILENT, metrics="pushed", extra=["--threads=1", "--metrics-interval-seconds=0.5", f"--metrics-spool-bytes={SPOOL_KIB * 1024}"])
        fleet.until_connected("one", "two", SILENT)
        fleet.wattle("device", "drain", SILENT)
        samples, ended_at, spool_kib = soak(fleet, seconds)
        listed = fleet.wattle("jobs", "--limit", "10000")["jobs"]
        lines = {name: lines_of_a_cause(program.log()) for name, program in {"coordinator": fleet.coordinator, **fleet.workers}.items()}
    figures = []
    add(figures, "soak.hours_real", [options.hours], "h", "")
    add(figures, "soak.jobs", [len(ended_at)], "", "")
    runs = keep_run("soak", {"hours": options.hours, "jobs": len(ended_at)})
    add(figures, "soak.hours_real.all_runs", [sum(run["hours"] for run in runs)], "h", f"{len(runs)} runs")
    for name, taken in samples.items():
        third = len(taken) // 3
        before, last = taken[third:2 * third], taken[-third:]
        grown = statistics.median(sample[0] for sample in last) - statistics.median(sample[0] for sample in before)
        add(figures, f"soak.rss_growth_kib_per_month.{name}", [grown * MONTH_SECONDS / (seconds / 3)], "KiB", f"{grown:g} KiB seen", 0)
        files = min(sample[1] for sample in last) - min(sample[1] for sample in before)
        add(figures, f"soak.descriptors_growth.{name}", [files], "", f"{min(sample[1] for sample in last)} open at rest")
        pages = min(sample[4] for sample in last) - min(sample[4] for sample in before)
        add(figures, f"soak.series_growth.{name}", [pages], "", f"of {min(sample[4] for sample in last)}", 0)
        if name == "coordinator":
            largest = max(sample[2] for sample in last)
            add(figures, "soak.journal_growth_kib", [largest - max(sample[2] for sample in before)], "KiB", f"of {largest:.0f} KiB", 1)
        else:
            at_rest = min(sample[2] for sample in last)
            add(figures, f"soak.disk_growth_kib.{name}", [at_rest - min(sample[2] for sample in before)], "KiB", f"of {at_rest:.0f} KiB", 1)
    add_beyond_history(figures, listed, ended_at, seconds * HISTORY_SHARE)
    add(figures, f"soak.spool_kib.{SILENT}", [spool_kib], "KiB", f"of {SPOOL_KIB} KiB", 1)
    for name, most in lines.items():
        add(figures, f"soak.log_lines_of_a_cause.{name}", [most], "lines", "")
    write_figures("soak", figures)
    broken = broken_bounds(figures)
    print("\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    leave_no_fleet_behind()
    sys.exit(main())
