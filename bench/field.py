#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench field: what a worker without its coordinator keeps of its work, what it sends and writes, and how soon its faults are known.

`--only GROUP` measures one group of keys. build/bench/field.json has the latest figure of each key with the tree that it is of, and those of
`./dev soak` and `./dev chaos` beside them.

Sixty simulated days of one fine-tune, with cuts of the power drawn at random; the seeds are printed. The worker's own code chooses when a
checkpoint is written, and nothing tells it how often cuts come. Beside it stand the best of all fixed intervals, chosen afterwards on
the same cuts, and one of fifty steps.

  checkpoint.progress_of_optimum.FORM.M   work kept, by that of the best fixed interval, where cuts come every M on average [goal: 0.8]
  flash.checkpoint_gb_per_day.FORM.M      what the worker's checkpoints write, as the mean of the worst month [goal: 20 with the bound]

  link.idle_bytes_per_day                 of an idle board with a policy's `link.bytes_per_day`, both directions [goal: 2e6]
  link.idle_bytes_per_day.unmetered       the same without the policy

A real worker reaches a real coordinator over TLS through a proxy that counts the bytes of both directions for two minutes, after the
connection has come to rest. Each segment counts 104 bytes more: the headers of TCP and IP of it and of its acknowledgement. The day is
these two minutes 720 times, and the reports of its 96 quarters of an hour.

  link.rtt_max_s                          the longest of 5, 3, 1 and 0.2 s over which a worker connects, fetches 4.4 MB, generates and is
                                          done in one attempt; a hundredth of the segments is lost [goal: 5]
  link.bytes_per_job_ratio                from submit to end of a fine-tune, the bytes handed to TCP by those of its artifacts [goal: 1.05]
  flash.record_mb_per_day                 /proc/PID/io of a real worker for five minutes of a job without checkpoints, times 288 [goal: 100]
  health.detect_s.KIND                    from the moment at which a real worker's writes fail until `wattle devices` names it [goal: 90]
  alone.idle_while_work_held_percent      of AloneBoardTest, 30 days without a coordinator, with 3 jobs and 200 reboots: minutes idle, by minutes of work [goal: 1]
  disk.growth_mb_per_month.worker         of the same board's files, from its first day to its 30th [goal: 1]
  disk.growth_mb_per_month.coordinator    of the journal of 40 boards that report and run a job a day (growth_test.cc), from its first day to its tenth [goal: 100]
  sensor.stuck_detect_s                   a frozen gauge of 60 Wh at 12 W, by the worst of three ways to find it (stuck_test.cc) [goal: 300]
  sensor.false_stuck_per_device_month     of the drawn device months of stuck_test.cc [goal: 0.1]
  sim.device_years_per_minute             slow worlds (three weeks of a field) with all faults, for a minute on all cores
  sim.violations                          of an invariant, in those worlds, in dense ones for a minute, and in a sparse one (a month of 2,000
                                          boards) on each core [goal: 0]
  clock.window_breaches                   of these, those of a window or a day's budget; boards lose their time in them [goal: 0]
  sim.planted_bugs_found                  of the mutants of wattle-simulate, each within 1,000 dense worlds [goal: all]
  soak.hours_simulated, alone.device_days_simulated   of the boards of slow and sparse worlds [goals: 10,000 and 30,000]
  storm.workers                           clients of wattle-load, without TLS, that come back at once to a coordinator that knows them [goal: 10,000]
  storm.welcome_p99_s                     from a client's start to its welcome; the clients share the machine [goal: 30]
  storm.submit_p99_ms                     of jobs that one caller submits meanwhile [goal: 100]
  storm.lost                              of their streams, until two minutes after
  storm.rss_peak_growth_mib               of the coordinator, from when all are connected the first time until they are the second time
  storm.rss_growth_mib                    the same until two minutes later; jobs wait still, and each plan for them takes its memory again
  storm.rss_left_mib                      the same until two minutes after the jobs were cancelled, with all workers still connected
  upgrade.pairs_run, upgrade.pairs_failed from each of the two releases before to this build and back, by `wattle upgrade` while a job runs;
                                          failed: the job did not end once [goal: 0]
  upgrade.rollback_s.KIND                 from the switch to a bad release until the old one is linked again; `hang` takes ten minutes [goal: 600]

The writes that /proc/PID/io counts are those of pages: the file system's journal and the card's own amplification come on top.

FORM: `full`, GPT-2 Small with AdamW in FP32 (1.49 GB, 37 s at 40 MB/s, steps of 4.7 s), without a bound of the card's writes; `bounded`, the same with 20 GB a day; `adapters` (30 MB, 0.75 s), with that bound too.
"""

import argparse
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import time

from figures import ROOT, add, kept_figures, merge_figures, rss_kib
from sim import mutants_found, simulate

sys.path[:0] = [str(ROOT / "deploy/demo"), str(ROOT / "tests/integration")]
from board import PATIENCE_SECONDS, Board, earlier_releases, version_after, version_of  # noqa: E402
from fleet import BIN, Fleet, FleetError, leave_no_fleet_behind  # noqa: E402
from link_proxy import LinkProxy  # noqa: E402

DEMO = ROOT / "deploy/demo"
SICKNESSES = ("erofs", "eio", "full", "slow")
NAMED_SECONDS_MAX = 600
WORLD_SECONDS = 60
RETURNS_SECONDS = 130  # coordinator/runtime/runtime.cc returns freed memory each minute, and plans hold theirs for a while
STORM_JOBS = 200
FLASH_SECONDS = 300  # six saves of a run and five checks of the disk
ROLL_BACKS = ("runner", "worker", "hang")  # a runner that fails its self-test, a worker that ends, a worker that hangs

BETWEEN_CUTS = {"1h": 3600, "1d": 86_400, "7d": 7 * 86_400}
SETTLES_SECONDS = 90  # the probes of HTTP/2 come less often by then
COUNTED_SECONDS = 120
REPORT_BYTES = 1_500  # bytes of a ledger with its acknowledgement and all headers, every 15 minutes
FORMS = {"full": (37.0, 1_490_000_000, 4.7, 1e15), "bounded": (37.0, 1_490_000_000, 4.7, 20e9), "adapters": (0.75, 30_000_000, 4.7, 20e9)}


def outcome(form, between_cuts, seed):
    write, size, step, flash = FORMS[form]
    done = subprocess.run([BIN / "wattle-checkpoint-cuts", *map(str, (write, size, step, between_cuts, flash, seed))],
                          capture_output=True, text=True, check=True)
    return {name: float(number) for name, number in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}


def idle_bytes_per_day(metered):
    with Fleet() as fleet:
        fleet.start_coordinator()
        proxy = LinkProxy(fleet.grpc)
        fleet.start_worker("idle", coordinator=proxy.address, extra=["--threads=1"])
        fleet.until_connected("idle")
        if metered:
            policy = fleet.directory / "link.yaml"
            policy.write_text(json.dumps({"name": "lte", "link": {"bytes_per_day": 20_000_000}}))
            fleet.wattle("policy", "apply", policy)
        time.sleep(SETTLES_SECONDS)
        before = proxy.bytes_with_headers
        time.sleep(COUNTED_SECONDS)
        return (proxy.bytes_with_headers - before) * 86_400 / COUNTED_SECONDS + REPORT_BYTES * 96


def push_demo(fleet):
    fleet.wattle("model", "push", "base", DEMO / "model")
    fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")


def finetune(fleet, **settings):
    path = fleet.directory / "finetune.yaml"
    path.write_text(json.dumps({"name": "finetune", "finetune": {"model": "base", "data": "train", "batch_size": 4, "sequence_length": 96,
                                                                 "seed": 1, **settings}}))
    return fleet.submit(path)


def bytes_per_job_ratio():
    with Fleet() as fleet:
        fleet.start_coordinator()
        proxy = LinkProxy(fleet.grpc)
        push_demo(fleet)
        fleet.start_worker("one", coordinator=proxy.address, extra=["--threads=1"])
        fleet.until_connected("one")
        before = proxy.bytes
        job = fleet.until_done(finetune(fleet, steps=8), 300)
        passed = proxy.bytes - before
        receipt = job["attempts"][-1]["receipt"]
        payload = int(receipt["fetched_bytes"]) + int(receipt["uploaded_bytes"])
        print(f"a job of {payload} bytes of artifacts: {passed} bytes")
        return passed / payload


def works_over(round_trip_seconds):
    with Fleet() as fleet:
        fleet.start_coordinator()
        push_demo(fleet)
        proxy = LinkProxy(fleet.grpc)
        proxy.round_trip_seconds, proxy.lost_ratio = round_trip_seconds, 0.01
        fleet.start_worker("far", coordinator=proxy.address, extra=["--threads=1"])
        path = fleet.directory / "generate.yaml"
        path.write_text(json.dumps({"name": "generate", "generate": {"model": "base", "prompts": ["The mast is"], "max_new_tokens": 8}}))
        try:
            job = fleet.until_done(fleet.submit(path), 600)
        except FleetError:
            return False
        return job["state"] == "JOB_STATE_SUCCEEDED" and len(job["attempts"]) == 1


def rtt_max_s():
    return next((seconds for seconds in (5.0, 3.0, 1.0, 0.2) if works_over(seconds)), 0.0)


def record_mb_per_day():
    with Fleet() as fleet:
        fleet.start_coordinator()
        push_demo(fleet)
        worker = fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=1"])
        fleet.until_connected("nano")
        job = finetune(fleet, steps=100_000, checkpoint_every_steps=100_000)
        fleet.until_step(job, 2)

        def written():
            text = pathlib.Path(f"/proc/{worker.pid}/io").read_text()
            return int(re.search(r"^write_bytes: (\d+)", text, re.M)[1])
        before = written()
        time.sleep(FLASH_SECONDS)
        return (written() - before) * 86_400 / FLASH_SECONDS / 1e6


def seconds_until_named():
    """By sickness of a disk, all at once on four idle workers."""
    with Fleet() as fleet:
        fleet.start_coordinator()
        for kind in SICKNESSES:
            fleet.start_worker(kind, extra=["--threads=1"], env={
                "LD_PRELOAD": str(BIN / "libwattle_failing_files.so"), "WATTLE_FAILING_DIRECTORY": f"{fleet.directory / kind}/",
                "WATTLE_FAILING_KIND": str(fleet.directory / f"{kind}.kind")})
        fleet.until_connected(*SICKNESSES)
        time.sleep(secrets.randbelow(60))  # anywhere between two tries
        begin = time.monotonic()
        for kind in SICKNESSES:
            (fleet.directory / f"{kind}.kind").write_text(kind)
        named = {}

        def all_named():
            for name, device in fleet.devices().items():
                if device.get("heartbeat", {}).get("storage_problem"):
                    named.setdefault(name, time.monotonic() - begin)
            return len(named) == len(SICKNESSES)
        fleet.until("all disks to be named", all_named, NAMED_SECONDS_MAX, 0.2)
        return named


def storm(count):
    """The clients of wattle-load register, leave, and come back at once while jobs are submitted. Returns the figures of both."""
    def clients(fleet):
        return subprocess.Popen([BIN / "wattle-load", "devices", fleet.grpc, str(count), "10"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def figures_of(line):
        return {name: float(number) for name, number in re.findall(r"(\w+)=([0-9.]+)", line)}

    def until_connected(crowd):
        if crowd.stdout.readline().strip() != "connected":
            raise FleetError(f"not all of {count} clients were welcomed")
    with Fleet(plaintext=True) as fleet:
        fleet.start_coordinator()
        fleet.wattle("model", "push", "base", DEMO / "model")
        with clients(fleet) as first:
            until_connected(first)
            before = rss_kib(fleet.coordinator.pid)
            first.communicate()
        with clients(fleet) as crowd:
            jobs = subprocess.run([BIN / "wattle-load", "submit", fleet.grpc, "base", str(STORM_JOBS), "1"], capture_output=True, text=True, check=True).stdout
            until_connected(crowd)
            peak = rss_kib(fleet.coordinator.pid)
            time.sleep(RETURNS_SECONDS)
            grown = rss_kib(fleet.coordinator.pid)
            for job in fleet.api(f"jobs?limit={STORM_JOBS}")["jobs"]:
                fleet.wattle("job", "cancel", job["job_id"])
            time.sleep(RETURNS_SECONDS)
            left = rss_kib(fleet.coordinator.pid)
            devices = figures_of(crowd.communicate()[0])
    return devices, figures_of(jobs), [(kib - before) / 1024 for kib in (peak, grown, left)]


def add_storm(figures, count):
    devices, jobs, (peak, grown, left) = storm(count)
    add(figures, "storm.workers", [devices["count"]], "", "", 0)
    add(figures, "storm.welcome_p99_s", [devices["p99_ms"] / 1e3], "s", "", 1)
    add(figures, "storm.submit_p99_ms", [jobs["p99_ms"]], "ms", f"{jobs['count']:g} jobs in {jobs['seconds']:g} s", 1)
    add(figures, "storm.lost", [devices["lost"]], "", "", 0)
    add(figures, "storm.rss_peak_growth_mib", [peak], "MiB", "", 1)
    add(figures, "storm.rss_growth_mib", [grown], "MiB", "", 1)
    add(figures, "storm.rss_left_mib", [left], "MiB", "", 1)


def board_of(fleet, installed=BIN, **env):
    fleet.start_coordinator()
    push_demo(fleet)
    board = Board(fleet, installed)
    board.start(**env)
    return board


def changes_release(before, target, programs):
    """Whether a board that runs the programs `before` is upgraded to the target during a job, and the job ends once."""
    with Fleet() as fleet:
        board = board_of(fleet, before)
        try:
            board.push(target, programs)
            job_id = finetune(fleet, steps=60, checkpoint_every_steps=3)
            fleet.until_step(job_id, 4)
            fleet.wattle("upgrade", "start", "--to", target, "--allow-downgrade")
            board.until_running(target)
            job = fleet.until_done(job_id, PATIENCE_SECONDS)
            return job["state"] == "JOB_STATE_SUCCEEDED" and len(job["attempts"]) == 1
        except FleetError as error:
            print(f"{version_of(before)} to {target}: {error}")
            return False
        finally:
            board.close()


def rollback_seconds(kind):
    """Seconds from the link to a bad release until the old one is linked again."""
    env = {"WATTLE_CRASH_SIGNAL": "STOP"} if kind == "hang" else {}
    with Fleet() as fleet:
        board = board_of(fleet, **env)
        try:
            if kind == "hang":
                board.place.write_text("upgrade:test")
            target = version_after(version_of(BIN), 1)
            board.push(target, **({} if kind == "hang" else {kind: "/bin/false"}))
            fleet.wattle("upgrade", "start", "--to", target)
            link = board.releases / "current"
            fleet.until("the switch", link.is_symlink, PATIENCE_SECONDS, 0.02)
            begin = time.monotonic()
            fleet.until("the way back", lambda: not link.is_symlink(), 2 * 600, 0.02)
            return time.monotonic() - begin
        finally:
            board.close()


def add_upgrades(figures):
    own = version_of(BIN)
    pairs = [pair for version, programs in earlier_releases() for pair in ((programs, own, BIN), (BIN, version, programs))]
    if not pairs:
        print("upgrade.pairs_run: no earlier release is built; ./dev release-fixture VERSION builds one of deploy/releases.txt")
    add(figures, "upgrade.pairs_run", [len(pairs)], "", "", 0)
    add(figures, "upgrade.pairs_failed", [sum(not changes_release(*pair) for pair in pairs)], "", "", 0)
    for kind in ROLL_BACKS:
        add(figures, f"upgrade.rollback_s.{kind}", [rollback_seconds(kind)], "s", "", 1)


def said_by(program, tests):
    return subprocess.run([BIN / program, f"--gtest_filter={tests}"], capture_output=True, text=True, check=True).stdout


def add_tests(figures):
    alone = re.search(r"works at (\d+) looks, idles over work at (\d+); its files have (\d+) bytes after a day and (\d+) after 30",
                      said_by("wattle_long_simulation_test", "AloneBoardTest.ThirtyDays*"))
    works, idles, first, last = map(int, alone.groups())
    add(figures, "alone.idle_while_work_held_percent", [100 * idles / works], "%", f"{works} minutes of work, one seed (7)")
    add(figures, "disk.growth_mb_per_month.worker", [(last - first) / 1e6 * 30 / 29], "MB", f"{first} bytes after a day")
    fleet = re.search(r"(\d+) bytes after a day and (\d+) after (\d+)", said_by("wattle_long_simulation_test", "GrowthTest.*"))
    first, last, days = map(int, fleet.groups())
    add(figures, "disk.growth_mb_per_month.coordinator", [(last - first) / 1e6 * 30 / (days - 1)], "MB", f"{first} bytes after a day")
    stuck = said_by("wattle_sensors_test", "StuckChargeTest.AFrozenGauge*:Stuck*NoAlarm*")
    add(figures, "sensor.stuck_detect_s", [max(map(float, re.findall(r"(\d+) s by ", stuck)))], "s", "")
    months = [tuple(map(int, row)) for row in re.findall(r"(\d+) device months: (\d+) alarms", stuck)]
    add(figures, "sensor.false_stuck_per_device_month", [sum(alarms for _, alarms in months) / sum(months_ for months_, _ in months)], "",
        f"{sum(months_ for months_, _ in months)} device months")


def add_worlds(figures, first):
    cores = os.cpu_count() or 1
    worlds = {}
    breaches = []
    for pace, seeds in (("slow", 1_000_000), ("dense", 1_000_000), ("sparse", 1)):
        jobs = [["--pace", pace, "--first", first + core, "--stride", cores, "--seeds", seeds, "--seconds", WORLD_SECONDS, "--go-on"]
                for core in range(cores)]
        worlds[pace], said = simulate(jobs, keep_text=True)
        breaches += [line for line in said.splitlines() if line.startswith("seed ")]
    print("\n".join(breaches))
    years = sum(part["device_years"] for pace in ("slow", "sparse") for part in worlds[pace])
    count = {pace: sum(part["worlds"] for part in parts) for pace, parts in worlds.items()}
    drawn = f"{count['slow']} slow, {count['dense']} dense and {count['sparse']} sparse worlds from seed {first}"
    add(figures, "sim.device_years_per_minute", [sum(60 * part["device_years"] / part["seconds"] for part in worlds["slow"])], "years",
        f"{cores} cores")
    add(figures, "sim.violations", [sum(part["violations"] for parts in worlds.values() for part in parts)], "", drawn)
    add(figures, "clock.window_breaches", [sum("window" in line or "budget" in line for line in breaches)], "", drawn)
    found = mutants_found(cores)
    add(figures, "sim.planted_bugs_found", [sum(seeds > 0 for seeds in found.values())], "", f"of {len(found)}", 0)
    add(figures, "soak.hours_simulated", [years * 365.25 * 24], "h", drawn, 0)
    add(figures, "alone.device_days_simulated", [years * 365.25], "days", drawn, 0)


def add_cuts(figures, options):
    for form in FORMS:
        for name, between_cuts in BETWEEN_CUTS.items():
            draws = [outcome(form, between_cuts, options.seed + draw) for draw in range(options.draws)]
            fifty = sorted(draw["fifty"] / draw["best"] for draw in draws)[len(draws) // 2]
            add(figures, f"checkpoint.progress_of_optimum.{form}.{name}", [draw["ours"] / draw["best"] for draw in draws], "",
                f"every fifty steps: {fifty:.3f}")
            add(figures, f"flash.checkpoint_gb_per_day.{form}.{name}", [draw["bytes_per_day"] / 1e9 for draw in draws], "GB", "")


def add_links(figures):
    add(figures, "link.idle_bytes_per_day", [idle_bytes_per_day(metered=True)], "B", "", 0)
    add(figures, "link.idle_bytes_per_day.unmetered", [idle_bytes_per_day(metered=False)], "B", "", 0)
    add(figures, "link.bytes_per_job_ratio", [bytes_per_job_ratio()], "", "")
    add(figures, "link.rtt_max_s", [rtt_max_s()], "s", "a hundredth of the segments is lost", 1)


def add_health(figures):
    for kind, seconds in sorted(seconds_until_named().items()):
        add(figures, f"health.detect_s.{kind}", [seconds], "s", "", 1)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the first draw [drawn]")
    parser.add_argument("--draws", type=int, default=9, help="of cuts, for each figure [9]")
    parser.add_argument("--only", default="", help="one group: checkpoint., link., flash.record, health., alone., storm., upgrade. or sim.")
    parser.add_argument("--workers", type=int, default=10_000, help="of storm. [10000]")
    options = parser.parse_args()
    print(f"seeds {options.seed} to {options.seed + options.draws - 1}")
    figures = []
    parts = {"checkpoint.": lambda: add_cuts(figures, options),
             "link.": lambda: add_links(figures),
             "flash.record": lambda: add(figures, "flash.record_mb_per_day", [record_mb_per_day()], "MB", "", 1),
             "health.": lambda: add_health(figures),
             "alone.": lambda: add_tests(figures),
             "storm.": lambda: add_storm(figures, options.workers),
             "upgrade.": lambda: add_upgrades(figures),
             "sim.": lambda: add_worlds(figures, options.seed)}
    if options.only not in ("", *parts):
        parser.error(f"--only: no group {options.only}; there are: {' '.join(parts)}")
    for group, measure in parts.items():
        if options.only in ("", group):
            measure()
            merge_figures("field", figures + kept_figures("soak") + kept_figures("chaos"))


if __name__ == "__main__":
    leave_no_fleet_behind()
    main()
