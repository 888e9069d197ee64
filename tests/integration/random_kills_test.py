# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Coordinator, agents and runners are killed at random while jobs of several kinds run. The workers' links are slow, lose segments and are cut
meanwhile, and the disk of one worker is sick now and then.

Each job ends once, with the bits of an undisturbed run, and no ledger is below its receipts. WATTLE_SEED repeats a draw
(the seed is printed); WATTLE_KILL_SECONDS makes the time of the kills longer, and WATTLE_KILL_ONLY names the kinds of programs that are killed. WATTLE_CHAOS_JSON
names a file for the figures of `./dev chaos`.
"""

import collections
import json
import os
import pathlib
import random
import signal
import time
import unittest

from fleet import BIN, TERMINAL_STATES
from link_proxy import LinkProxy
from scene import FINETUNE, Scene, process_status, tells_the_end

SEED = int(os.environ.get("WATTLE_SEED") or random.SystemRandom().randrange(1, 1_000_000))
KILL_SECONDS = float(os.environ.get("WATTLE_KILL_SECONDS") or 60)
MEAN_SECONDS_BETWEEN_KILLS = 0.6
AWAY_SECONDS_MAX = 1.5
LOOK_SECONDS = 1.0  # Between two looks at the queue.
EVENTS_SECONDS = 15.0  # Between two looks at the latest events, of which many a minute happen.
OPEN_JOBS = 6  # More are submitted while fewer than these are open.
MEAN_SECONDS_BETWEEN_LINKS = 4.0  # Another link changes.
LINKS = ({}, {"round_trip_seconds": 0.3}, {"round_trip_seconds": 0.1, "lost_ratio": 0.01}, {"bytes_per_second": 100_000}, {"down": True})
MEAN_SECONDS_BETWEEN_SICKNESSES = 12.0
SICK_SECONDS_MAX = 6.0
SICKNESSES = ("erofs", "eio", "full")
# The time that a receipt may lose by one kill: a worker saves its ledger, then the attempt's record, at least every 50 s on a healthy disk.
LOST_SECONDS_MAX = 50 + SICK_SECONDS_MAX
WORKERS = ("one", "two", "three")
SICK = "three"  # A job that its disk failed goes to the others.
VICTIMS = os.environ.get("WATTLE_KILL_ONLY", "coordinator worker runner").split()
KINDS = [kind for kind in ("coordinator", *2 * ("worker",), *2 * ("runner",)) if kind in VICTIMS]  # Each drawn alike where one may be hit.
HITS_MAX = 2  # For one worker and its runners, until their work gets on: three restarts without a newer checkpoint end an attempt.
STOPS_SECONDS_MAX = 15  # A program that was asked to end.
LONG = {**FINETUNE, "steps": 24, "checkpoint_every_steps": 2}
JOBS = {
    "finetune": {"finetune": LONG},
    "adapters": {"finetune": {**LONG, "lora": {"rank": 4}, "seed": 12}},
    "quantize": {"quantize": {"model": "base"}},
    "generate": {"generate": {"model": "base", "prompts": ["The mast is", "Battery"], "max_new_tokens": 100}},
    "evaluate": {"evaluate": {"model": "base", "data": "train", "batch_size": 1, "sequence_length": 128}},
}


class RandomKills(Scene):
    def setUp(self):
        super().setUp()
        self.generator = random.Random(SEED)
        self.sessions = set()  # Process ids of all workers that were ever started.
        self.kinds = {}  # Job id → kind.
        self.seen_events = {}  # By their number in the journal.
        self.open_jobs = set()  # Ids; those that ended since the last look may be among them.
        self.kills = collections.Counter()
        self.faults = collections.Counter()
        self.kills_of = collections.Counter()  # By the worker's name.
        self.hits = collections.Counter()  # By the worker's name, since its work got on.
        self.reached = {}  # Name of a worker → the work and checkpoints that it has.
        self.must_resume = False  # A run with checkpoints was hit.
        self.away = {}  # Name of a killed process → when it is started again.
        self.links = {}  # Name of a worker → its link.
        self.next_link = self.next_sickness = 0.0
        self.heals = None  # When the sick disk is healthy again.
        print(f"seed {SEED}")

    def submit(self, kind):
        job_id = self.fleet.submit(self.job_file(kind, **JOBS[kind]))
        self.kinds[job_id] = kind
        self.open_jobs.add(job_id)
        return job_id

    def undisturbed(self):
        """The output of each kind of job when nothing is killed."""
        jobs = {kind: self.submit(kind) for kind in JOBS}
        return {kind: self.result(self.assert_succeeded(self.fleet.until_done(job_id))) for kind, job_id in jobs.items()}

    def result(self, job):
        finished = [attempt for attempt in job["attempts"] if attempt["state"] == "ATTEMPT_STATE_FINISHED"]
        # An output is known by the digest of its files; seconds and joules are in none of them.
        metrics = {entry["name"]: entry["value"] for entry in finished[0]["receipt"]["metrics"]}
        return job["output_artifact_id"], {name: value for name, value in metrics.items() if "per_second" not in name}

    def worker_of(self, runner_pid):
        """The name of the worker whose runner this is."""
        _, _, parent, _ = process_status(runner_pid) or ("", "", 0, 0)
        return next((name for name, worker in self.fleet.workers.items() if worker.pid == parent), None)

    def is_spared(self, name):
        """Whether the worker and its runner were hit so often that work which gets no further would fail."""
        attempts = self.fleet.directory / name / "attempts"
        reached = {*attempts.glob("*/work"), *attempts.glob("*/work/checkpoint-*")}
        if reached - self.reached.get(name, set()):  # What is new: a checkpoint that was removed is no progress.
            self.hits[name] = 0
        self.reached[name] = reached
        return self.hits[name] >= HITS_MAX

    def in_training(self, victim):
        """Whether the victim, a runner's process id or a worker, is on a training that has saved a checkpoint."""
        if "coordinator" in self.away:
            return False
        name = self.worker_of(victim) if isinstance(victim, int) else victim.name
        progress = self.fleet.devices().get(name, {}).get("heartbeat", {}).get("progress", [])
        return any(entry.get("phase") == "train" and int(entry.get("step", 0)) > LONG["checkpoint_every_steps"] for entry in progress)

    def kill_one(self):
        """Kills one process, of a kind that is drawn from those that run."""
        may_be_hit = {name: worker for name, worker in self.fleet.workers.items() if not self.is_spared(name)}
        victims = {"coordinator": [("coordinator", self.fleet.coordinator)], "worker": list(may_be_hit.items())}
        victims = {kind: [(name, process) for name, process in some if process.running() and name not in self.away] for kind, some in victims.items()}
        victims["runner"] = [("runner", pid) for pid in self.runner_pids() if self.worker_of(pid) in may_be_hit]
        kinds = [kind for kind in KINDS if victims[kind]]
        if not kinds:
            return
        name, victim = self.generator.choice(victims[self.generator.choice(kinds)])
        worker = self.worker_of(victim) if name == "runner" else name
        self.must_resume = self.must_resume or (name != "coordinator" and self.in_training(victim))
        if name == "runner":
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:  # The process ended by itself since it was listed.
                return
        else:
            if self.generator.random() < 0.2:  # A few are asked to end, as by a reboot.
                victim.signal(signal.SIGTERM)
                self.kills["ended in order"] += 1
            else:
                victim.kill()
            self.away[name] = time.monotonic() + self.generator.uniform(0, AWAY_SECONDS_MAX)
        self.hits[worker] += 1
        self.kills_of[name] += 1
        self.kills["worker" if name in WORKERS else name] += 1

    def plain_worker(self, name, env=None, extra=()):
        self.links[name] = LinkProxy(self.fleet.grpc, seed=SEED)
        layer = {"LD_PRELOAD": str(BIN / "libwattle_failing_files.so"), "WATTLE_FAILING_DIRECTORY": f"{self.fleet.directory / name}/",
                 "WATTLE_FAILING_KIND": str(self.sickness_file())} if name == SICK else {}
        worker = self.fleet.start_worker(name, extra=["--threads=1", *extra], env={**(env or {}), **layer}, coordinator=self.links[name].address)
        self.sessions.add(worker.pid)
        return worker

    def sickness_file(self):
        return self.fleet.directory / "sickness"

    def change_links_and_disks(self, now):
        if now >= self.next_link:
            self.next_link = now + self.generator.expovariate(1 / MEAN_SECONDS_BETWEEN_LINKS)
            self.change_link(self.links[self.generator.choice(WORKERS)], self.generator.choice(LINKS))
        if self.heals is not None and now >= self.heals:
            self.sickness_file().unlink()
            self.heals = None
        elif self.heals is None and now >= self.next_sickness:
            self.next_sickness = now + self.generator.expovariate(1 / MEAN_SECONDS_BETWEEN_SICKNESSES)
            self.heals = now + self.generator.uniform(0, SICK_SECONDS_MAX)
            self.sickness_file().write_text(self.generator.choice(SICKNESSES))
            self.faults["sick_disks"] += 1

    def change_link(self, link, settings):
        for name, value in {"round_trip_seconds": 0.0, "lost_ratio": 0.0, "bytes_per_second": None, "down": False, **settings}.items():
            setattr(link, name, value)
        if link.down:
            link.cut()
            self.faults["cut_links"] += 1

    def restore_links_and_disks(self):
        for link in self.links.values():
            self.change_link(link, {})
        self.sickness_file().unlink(missing_ok=True)

    def start_again(self, name):
        """Nothing waits for it: it may be killed before it is ready."""
        if name == "coordinator":
            self.fleet.start_coordinator()
        else:
            worker = self.fleet.workers[name]
            worker.begin()
            self.sessions.add(worker.pid)

    def orphans(self):
        """Runners of workers that are gone: a worker leads a session, and its runners stay in that session."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            name, state, parent, session = process_status(pid) or ("", "", 0, 0)
            if name == "wattle-runner" and state != "Z" and session in self.sessions and parent not in self.sessions:
                found.append(pid)
        return found

    def start_those_due(self, now):
        for name, worker in self.fleet.workers.items():
            if not worker.running() and name not in self.away:  # Like systemd: a child of a killed worker may still hold its folder's lock.
                self.away[name] = now
        for name, due in list(self.away.items()):
            process = self.fleet.coordinator if name == "coordinator" else self.fleet.workers[name]
            if now > due + STOPS_SECONDS_MAX:
                process.kill()
            if now < due or process.running():
                continue
            self.start_again(name)
            del self.away[name]

    def top_up(self):
        if "coordinator" in self.away:
            return
        self.open_jobs = {job_id for job_id in self.open_jobs if self.fleet.job(job_id)["state"] not in TERMINAL_STATES}
        for _ in range(OPEN_JOBS - len(self.open_jobs)):
            self.submit(self.generator.choice([*JOBS, "finetune", "adapters"]))  # Long runs are hit more often.

    def see_events(self):
        if "coordinator" not in self.away:
            self.seen_events.update({int(event["sequence"]): event for event in self.events() if "sequence" in event})

    def write_figures(self, jobs):
        path = os.environ.get("WATTLE_CHAOS_JSON")
        if not path:
            return
        finished = [sum(attempt["state"] == "ATTEMPT_STATE_FINISHED" for attempt in job["attempts"]) for job in jobs]
        values = {f"chaos.kills.{name.replace(' ', '_')}": count for name, count in sorted(self.kills.items())}
        values.update({f"chaos.{name}": count for name, count in sorted(self.faults.items())})
        values["chaos.jobs"] = len(jobs)
        values["chaos.jobs_lost"] = sum(job["state"] != "JOB_STATE_SUCCEEDED" for job in jobs)
        values["chaos.double_commits"] = sum(count > 1 for count in finished)
        figures = [{"key": key, "value": value, "unit": "", "peer": f"seed {SEED}, {KILL_SECONDS:g} s"} for key, value in values.items()]
        pathlib.Path(path).write_text(json.dumps(figures, indent=1) + "\n")
        print("\n".join(f"{key}: {value}" for key, value in values.items()))

    def name_of(self, device_id):
        return next(name for name, worker in self.fleet.workers.items() if worker.device_id == device_id)

    def check_ledgers(self, jobs):
        """What a device spent in attempts is what the receipts of its attempts say. A kill between the save of the ledger and that of the attempt's record takes joules only from the receipt."""
        receipts, watts = collections.defaultdict(float), collections.defaultdict(float)
        for job in jobs:
            for attempt in job["attempts"]:
                device, total = attempt["device_id"], attempt.get("receipt", {}).get("total", {})
                receipts[device] += total.get("gross_energy_joules", 0)
                watts[device] = max(watts[device], total.get("peak_power_watts", 0))
        told = {}
        for line in self.fleet.get("/metrics").splitlines():
            if line.startswith("wattle_coordinator_ledger_energy_joules_total") and 'use="attempt"' in line:
                told[line.split('device_id="')[1].split('"')[0]] = float(line.split()[-1])
        print("ledgers:", {device: (round(told[device], 1), round(joules, 1)) for device, joules in receipts.items()})
        for device, joules in receipts.items():
            self.assertGreaterEqual(told[device], joules * (1 - 1e-6), f"seed {SEED}: the ledger is below its receipts")
            lost = self.kills_of[self.name_of(device)] * LOST_SECONDS_MAX * watts[device]
            self.assertLessEqual(told[device], joules * (1 + 1e-6) + lost, f"seed {SEED}: joules of an attempt that no receipt tells")

    def test_slow_random_kills_lose_nothing_and_commit_nothing_twice(self):
        self.start(*WORKERS)
        self.push_demo()
        expected = self.undisturbed()
        end = time.monotonic() + KILL_SECONDS
        next_look = next_events = 0
        while time.monotonic() < end:
            if time.monotonic() >= next_look:
                self.top_up()
                next_look = time.monotonic() + LOOK_SECONDS
            if time.monotonic() >= next_events:
                self.see_events()
                next_events = time.monotonic() + EVENTS_SECONDS
            next_kill = time.monotonic() + self.generator.expovariate(1 / MEAN_SECONDS_BETWEEN_KILLS)
            while (now := time.monotonic()) < next_kill:
                self.start_those_due(now)
                self.change_links_and_disks(now)
                time.sleep(0.02)
            self.kill_one()
        self.restore_links_and_disks()
        while self.away:
            self.start_those_due(time.monotonic())
            time.sleep(0.02)
        self.fleet.until_connected(*WORKERS)

        jobs = [self.fleet.until_done(job_id, 600) for job_id in self.kinds]
        resumed = [int(attempt.get("receipt", {}).get("resumed_from_step", 0)) for job in jobs for attempt in job["attempts"]]
        print(f"seed {SEED}: {dict(self.kills)}, {dict(self.faults)}, {len(jobs)} jobs, {len(resumed)} attempts, {sum(step > 0 for step in resumed)} resumed"
              f"{' (some must)' if self.must_resume else ''}")
        self.write_figures(jobs)
        self.see_events()
        for job in jobs:
            with self.subTest(job=job["job_id"], seed=SEED):
                self.assert_succeeded(job)
                tokens = [int(attempt["fencing_token"]) for attempt in job["attempts"]]
                finished = [attempt for attempt in job["attempts"] if attempt["state"] == "ATTEMPT_STATE_FINISHED"]
                self.assertEqual(len(finished), 1, "one commit")
                self.assertEqual(sorted(set(tokens)), tokens, "each attempt has a token of its own, higher than the one before")
                self.assertEqual(sum(tells_the_end(event, job["job_id"]) for event in self.seen_events.values()), 1, "one end")
                self.assertEqual(self.result(job), expected[self.kinds[job["job_id"]]], "the bits of an undisturbed run")
        self.assertTrue(any(resumed) or not self.must_resume, f"seed {SEED}: no attempt went on from a checkpoint")
        self.fleet.until("the fleet to be idle", lambda: not self.runner_pids())
        self.check_ledgers(jobs)
        self.assertEqual(self.orphans(), [], "a runner outlived its worker")


if __name__ == "__main__":
    unittest.main()
