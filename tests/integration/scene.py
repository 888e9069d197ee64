# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: a fleet in a temporary directory, the demo's model and data pushed, small job files."""

import json
import os
import pathlib
import signal
import unittest

from fleet import ROOT, Fleet

DEMO = ROOT / "deploy/demo"
# A run that takes a few seconds on one core: dropout and accumulation on, several checkpoints.
FINETUNE = {"model": "base", "data": "train", "heldout_data": "heldout", "steps": 12, "batch_size": 4, "gradient_accumulation_steps": 2,
            "sequence_length": 96, "learning_rate": 5e-4, "warmup_steps": 2, "checkpoint_every_steps": 3, "limit_examples": 80, "seed": 11}


def process_status(pid):
    """(name, state, parent's process id, session) of a process of this machine, or None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, fields = file.read().split("(", 1)[1].rsplit(")", 1)
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, _, session = fields.split()[:4]
    return name, state, int(parent), int(session)


def command_of(pid):
    """The words of its command line; none where it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def tells_the_end(event, job_id):
    return event["text"].startswith(tuple(f"{job_id} {end}" for end in ("succeeded", "failed", "cancelled")))


class Scene(unittest.TestCase):
    """setUp leaves an empty fleet in self.fleet; each test starts what it needs."""

    maxDiff = None

    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.close)

    def close(self):
        failed = any(error for _, error in getattr(self._outcome, "errors", []) or []) or bool(
            getattr(getattr(self._outcome, "result", None), "failures", []) or getattr(getattr(self._outcome, "result", None), "errors", []))
        if failed:
            for log in sorted(self.fleet.directory.glob("*.log")):
                print(f"--- {log.name} (last lines)\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]))
        self.fleet.stop()

    def start(self, *workers, **coordinator):
        """A coordinator and plain workers of these names (this machine as it is, one thread)."""
        self.fleet.start_coordinator(**coordinator)
        for name in workers:
            self.plain_worker(name)
        if workers:
            self.fleet.until_connected(*workers)

    def plain_worker(self, name, env=None, extra=()):
        return self.fleet.start_worker(name, extra=["--threads=1", *extra], env=env)

    def push_demo(self):
        self.fleet.wattle("model", "push", "base", DEMO / "model")
        self.fleet.wattle("data", "push", "train", DEMO / "fleet-qa-train.json")
        self.fleet.wattle("data", "push", "heldout", DEMO / "fleet-qa-heldout.json")

    def job_file(self, name="job", **fields):
        """Writes a job file (JSON is YAML) and returns its path."""
        path = self.fleet.directory / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, **fields}, indent=1))
        return path

    def finetune_file(self, name="finetune", objective="energy", **settings):
        return self.job_file(name, objective=objective, finetune={**FINETUNE, **settings})

    def runner_pids(self):
        """The process ids of the runners of this fleet's workers, without those that only say their version."""
        workers = {worker.pid for worker in self.fleet.workers.values() if worker.running()}
        pids = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            name, _, parent, _ = process_status(pid) or ("", "", 0, 0)
            if name == "wattle-runner" and parent in workers and "--version" not in command_of(pid):
                pids.append(pid)
        return sorted(pids)

    def held_at(self, place):
        """Environment of a worker whose first runner hangs (SIGSTOP) at this place; see base/crash_point.h. A run of a few steps is
        faster than any wait for its progress on a fast machine; a held one is where the test wants it."""
        return {"WATTLE_CRASH_AT": place, "WATTLE_CRASH_SIGNAL": "STOP", "WATTLE_CRASH_MARKER": str(self.fleet.directory / "held")}

    def until_held(self):
        """The process id of the runner that hangs."""
        def stopped():
            return [pid for pid in self.runner_pids() if (process_status(pid) or ("", ""))[1] == "T"]
        return self.fleet.until("the runner to hang where it was told to", stopped, 120)[0]

    def let_go(self, pid):
        os.kill(pid, signal.SIGCONT)

    def assert_succeeded(self, job):
        self.assertEqual(job["state"], "JOB_STATE_SUCCEEDED", job.get("reason"))
        return job

    def events(self):
        """The latest thousand."""
        return [json.loads(line) for line in self.fleet.run_wattle("-o", "json", "events", "--limit", "1000").stdout.splitlines()]

    def terminal_events(self, job_id):
        """The events that tell the job's end: more than one is a fault."""
        return [event for event in self.events() if tells_the_end(event, job_id)]
