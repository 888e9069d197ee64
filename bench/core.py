#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench core: latency of a submit, journal and heartbeat rates, the agent's footprint, errors of the second prediction.

Prints a table and writes build/bench/core.json: a list of {"key", "value", "unit", "peer", "goal"}. The agent is watched for ten
minutes.  --quick watches it for one minute and predicts with one seed.  --seed N: the first of the five seeds that draw the jobs of the
prediction errors; each seed has a fleet of its own that has run one attempt.
"""

import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy/demo"))

import texts  # noqa: E402
from figures import write_figures  # noqa: E402
from fleet import BIN, Fleet, FleetError, leave_no_fleet_behind, receipt_of  # noqa: E402

DEMO = ROOT / "deploy/demo"
SEEDS = 5
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def write_job(fleet, name, **fields):
    path = fleet.directory / f"{name}.yaml"
    path.write_text(json.dumps({"name": name, **fields}))
    return path


class Bench:
    def __init__(self, options):
        self.options = options
        self.figures = []

    def add(self, key, value, unit, goal, peer=None):
        self.figures.append({"key": key, "value": round(value, 3), "unit": unit, "peer": peer, "goal": goal})
        print(f"  {key}: {value:.2f} {unit}" + (f"   goal {goal}" if goal else "") + (f"   {peer}" if peer else ""), flush=True)

    def submit_latency(self):
        with Fleet() as fleet:
            fleet.start_coordinator()
            fleet.start_worker("one", extra=["--threads=1"])
            fleet.until_connected("one")
            fleet.wattle("model", "push", "base", DEMO / "model")
            fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")
            path = write_job(fleet, "one-step", finetune={"model": "base", "data": "train", "steps": 1, "batch_size": 1,
                                                          "limit_examples": 8, "sequence_length": 96})
            fleet.until_done(fleet.submit(path))  # Fills the worker's cache first.
            accepted, first_step = [], []
            for _ in range(20):
                job = fleet.until_done(fleet.submit(path))
                attempt = job["attempts"][0]
                accepted.append(1000 * (attempt["accepted_unix_seconds"] - job["submitted_unix_seconds"]))
                first_step.append(1000 * (attempt["started_unix_seconds"] - job["submitted_unix_seconds"]))
        self.add("submit_to_accepted_ms_p50", statistics.median(accepted), "ms", "< 50")
        self.add("submit_to_first_step_ms_p50", statistics.median(first_step), "ms", "< 1500")

    def journal(self):
        directory = ROOT / "build/bench/journal"
        subprocess.run(["rm", "-rf", directory], check=True)
        directory.mkdir(parents=True)
        output = subprocess.run([BIN / "wattle-journal-load", directory, "5"], capture_output=True, text=True, check=True).stdout
        commits, seconds = (float(found) for found in re.findall(r"=([0-9.]+)", output))
        self.add("journal_commits_per_s", commits / seconds, "1/s", None, self.plain_sqlite(directory))

    def plain_sqlite(self, directory):
        """The peer: only SQLite, one row per transaction, same settings, same disk, same minute."""
        import sqlite3
        with sqlite3.connect(directory / "peer.db", isolation_level=None) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE event (sequence INTEGER PRIMARY KEY, bytes BLOB)")
            start, commits = time.monotonic(), 0
            while time.monotonic() - start < 3:
                database.execute("INSERT INTO event VALUES (?, ?)", (commits, bytes(40)))
                commits += 1
            return f"sqlite alone: {commits / (time.monotonic() - start):.0f} 1/s"

    def heartbeats(self):
        with Fleet(plaintext=True) as fleet:
            fleet.start_coordinator()
            subprocess.run(["taskset", "-acp", "0", str(fleet.coordinator.pid)], check=True, capture_output=True)
            count = r"^wattle_coordinator_heartbeats_total ([0-9.e+]+)"
            rates = []
            for _ in range(3):
                before = float(re.search(count, fleet.get("/metrics"), re.M).group(1))
                output = subprocess.run(["taskset", "-c", "1", BIN / "wattle-heartbeat-load", fleet.grpc, "16", "5"], capture_output=True,
                                        text=True, check=True).stdout
                seconds = float(re.search(r"seconds=([0-9.]+)", output).group(1))
                rates.append((float(re.search(count, fleet.get("/metrics"), re.M).group(1)) - before) / seconds)
            self.add("heartbeats_per_s_one_core", statistics.median(rates), "1/s", ">= 20000")

    def watch_agent(self):
        """Starts an idle plain worker; returns a function that reads its footprint at the end."""
        fleet = Fleet()
        fleet.start_coordinator()
        agent = fleet.start_worker("idle", extra=["--threads=1"])
        fleet.until_connected("idle")
        started, cpu = time.monotonic(), cpu_seconds(agent.pid)

        def finish():
            remaining = (60 if self.options.quick else 600) - (time.monotonic() - started)
            if remaining > 0:
                print(f"  watching the idle agent for another {remaining:.0f} s", flush=True)
                time.sleep(remaining)
            elapsed = time.monotonic() - started
            self.add("agent_rss_mib", rss_mib(agent.pid), "MiB", "< 30")
            self.add("agent_cpu_percent_1hz", 100 * (cpu_seconds(agent.pid) - cpu) / elapsed, "%", "< 1")
            fleet.stop()

        return finish

    @property
    def seeds(self):
        return range(self.options.seed, self.options.seed + (1 if self.options.quick else SEEDS))

    def drawn_jobs(self, base, count, seed):
        generator = random.Random(seed)

        def scaled(value):
            return max(1, round(value * 2 ** generator.uniform(-1, 1)))

        return [{**base, "limit_examples": scaled(base["limit_examples"]), "batch_size": scaled(base["batch_size"]),
                 "sequence_length": scaled(base["sequence_length"])} for _ in range(count)]

    def second_predictions(self, fleet, base, count, seed, of_prediction, of_receipt):
        """After one attempt on this fleet: predicts jobs of other sizes, all of them before the first of them runs, then runs them.
        Returns the errors in percent, and how many measurements lie inside their predicted interval."""
        fleet.until_done(fleet.submit(write_job(fleet, "first", finetune=base)), 600)
        specs = self.drawn_jobs(base, count, seed)
        paths = [write_job(fleet, f"drawn-{number}", finetune=spec) for number, spec in enumerate(specs)]
        intervals = [of_prediction(fleet.wattle("plan", path)["candidates"][0]["prediction"]) for path in paths]
        errors, inside = [], 0
        for spec, path, interval in zip(specs, paths, intervals):
            job = fleet.until_done(fleet.submit(path), 600)
            if job["state"] != "JOB_STATE_SUCCEEDED":
                raise FleetError(f"{job['job_id']}: {job['reason']}")
            receipt = receipt_of(job)
            measured = of_receipt(receipt)
            errors.append(100 * abs(interval["mean"] / measured - 1))
            inside += interval["low"] <= measured <= interval["high"]
            sizes = {key: spec[key] for key in ("limit_examples", "batch_size", "sequence_length")}
            print(f"    seed {seed} {sizes}: predicted {interval['mean']:.2f} ({interval['low']:.2f} to {interval['high']:.2f}), "
                  f"measured {measured:.2f}", flush=True)
        return errors, inside

    def add_errors(self, key, runs):
        errors = [error for run_errors, _ in runs for error in run_errors]
        inside = sum(run_inside for _, run_inside in runs)
        self.add(key, statistics.median(errors), "%", "<= 15", f"worst of {len(errors)} over {len(runs)} seeds: {max(errors):.1f} %; "
                 f"{inside} of {len(errors)} inside their 9-in-10 interval")

    def predict_time(self):
        model, data = texts.FOLDER / "models/gpt2-30m", texts.FOLDER / "data/squad/squad-v1.1-dev-other-13-articles.json"
        if not model.exists():
            print(f"  predict_time_error_percent: skipped, {model} is not here (bench/data/README.md)")
            return
        runs = []
        for seed in self.seeds:
            with Fleet() as fleet:
                fleet.start_coordinator()
                fleet.start_worker("one", extra=["--threads=1"])
                fleet.until_connected("one")
                fleet.wattle("model", "push", "base", model)
                fleet.wattle("data", "push", "train", data)
                base = {"model": "base", "data": "train", "limit_examples": 32, "batch_size": 4, "sequence_length": 128}
                runs.append(self.second_predictions(fleet, base, 4, seed, lambda p: p["run_seconds"], lambda r: r["run"]["seconds"]))
        self.add_errors("predict_time_error_percent", runs)

    def predict_energy(self):
        runs = []
        for seed in self.seeds:
            with Fleet() as fleet:
                fleet.start_coordinator()
                fleet.start_worker("nano", emulate="jetson-orin-nano", extra=[
                    "--time-scale=0", f"--emulation-seed={seed}", "--hidden-offset-percent=20"])
                fleet.until_connected("nano")
                fleet.wattle("model", "push", "base", DEMO / "model")
                fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")
                base = {"model": "base", "data": "train", "limit_examples": 160, "batch_size": 8, "sequence_length": 96}
                runs.append(self.second_predictions(fleet, base, 4, seed, lambda p: p["run_energy_joules"],
                                                    lambda r: r["run"]["gross_energy_joules"]))
        self.add_errors("predict_energy_error_percent", runs)

    def run(self):
        finish_agent = self.watch_agent()
        self.submit_latency()
        self.journal()
        self.heartbeats()
        self.predict_energy()
        self.predict_time()
        finish_agent()
        print(f"\n{'key':34} {'value':>12} {'unit':6} {'goal':10} peer")
        for figure in self.figures:
            print(f"{figure['key']:34} {figure['value']:12.2f} {figure['unit']:6} {figure['goal'] or '-':10} {figure['peer'] or '-'}")
        write_figures("core", self.figures)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench core")
    parser.add_argument("--quick", action="store_true", help="watch the agent for one minute instead of ten, predict with one seed")
    parser.add_argument("--seed", type=int, default=1, help="the first of five: of the drawn jobs and of the hidden offset")
    options = parser.parse_args()
    leave_no_fleet_behind()
    Bench(options).run()


if __name__ == "__main__":
    main()
