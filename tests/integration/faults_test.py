# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Processes are killed; jobs go on, and a resumed run is bit for bit the uninterrupted one.

Each run of these tests draws the places of its kills from a list. WATTLE_SEED repeats a draw (the seed is printed);
WATTLE_FAULT_PLACES=all tries every place.
"""

import hashlib
import os
import random
import re
import signal
import subprocess
import time
import unittest

from fleet import BIN, receipt_of
from scene import FINETUNE, Scene

SEED = int(os.environ.get("WATTLE_SEED") or random.SystemRandom().randrange(1, 1_000_000))
ALL_PLACES = os.environ.get("WATTLE_FAULT_PLACES") == "all"
STEPS_BETWEEN_CHECKPOINTS = FINETUNE["checkpoint_every_steps"]
# Places inside the runner at which it ends itself (see base/crash_point.h): SITE:OPERATION:N[:after].
CHECKPOINT_PLACES = [f"{site}:{operation}:{n}{after}" for site, operation, n in (
    ("weights", "write", 1), ("weights", "write", 4), ("weights", "sync", 2), ("weights", "rename", 1), ("optimizer", "write", 2),
    ("optimizer", "write", 5), ("optimizer", "sync", 1), ("optimizer", "rename", 2),
    ("directory", "rename", 1), ("directory", "rename", 2), ("directory", "sync_directory", 2)) for after in ("", ":after")]
FRAME_PLACES = [f"frame:step:{n}:after" for n in (1, 2, 5, 7, 10)]
# Places inside the agent (see base/crash_point.h).
AGENT_PLACES = ["accept", "progress:2", "progress:7", "checkpoint:2", "finish", "reported", "spool:write:2", "spool:fsync:2",
                "spool:acknowledge", "state:write:4", "state:sync:5", "state:rename:6"]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def step_to_resume_at(place):
    """The step of the last whole checkpoint when the runner ends at this place; None where the place does not tell its checkpoint
    (a file is written in several pieces; frames come from held-out evaluation too)."""
    site, operation, count, *after = place.split(":")
    count = int(count)
    if site == "frame":
        return None
    if site == "directory" and operation == "rename":
        return STEPS_BETWEEN_CHECKPOINTS * (count if after else count - 1)
    if operation in ("sync", "rename"):
        return STEPS_BETWEEN_CHECKPOINTS * (count - 1)
    return None


class Faults(Scene):
    reference = None

    def run_once(self, runner_crash=None, agent_crash=None, with_agent=False):
        """One fine-tune on a plain worker with one thread; returns its job, state digests and losses. with_agent: the place is in
        the runner, and the agent is killed there too."""
        marker = self.fleet.directory / "crashed"
        env = {"WATTLE_CRASH_AT": runner_crash, "WATTLE_CRASH_MARKER": str(marker)} if runner_crash else {}
        env = {"WATTLE_CRASH_AT": agent_crash} if agent_crash else env
        if with_agent:
            env["WATTLE_CRASH_PARENT"] = "yes"
        self.start()
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file())
        self.plain_worker("one", env=env)  # After the submission: a place may lie before the worker's first hello.
        if agent_crash or with_agent:
            worker = self.fleet.workers["one"]
            worker.wait(120)
            self.assertEqual(worker.popen.returncode, -signal.SIGKILL, worker.log()[-400:])
            self.plain_worker("one")
        job = self.assert_succeeded(self.fleet.until_done(job_id, 240))
        if runner_crash:
            self.assertTrue(marker.exists(), f"{runner_crash} was never reached")
        return job, self.final_state(job)

    def final_state(self, job):
        """SHA-256 of weights and optimizer state after the last step, and the loss of every step."""
        checkpoints = sorted(self.fleet.directory.glob("*/**/optimizer.safetensors"), key=lambda path: path.stat().st_mtime)
        self.assertTrue(checkpoints, "the last checkpoint stays on the device")
        last = checkpoints[-1].parent
        target = self.fleet.directory / "output"
        self.fleet.wattle("model", "pull", f"job:{job['job_id']}/output", target)
        return {"weights": digest(target / "model.safetensors"), "checkpoint": digest(last / "model.safetensors"),
                "optimizer": digest(last / "optimizer.safetensors"), "losses": (target / "losses.jsonl").read_text()}

    def uninterrupted(self):
        if Faults.reference is None:
            scene = Faults("uninterrupted")
            scene.setUp()
            try:
                Faults.reference = scene.run_once()[1]
            finally:
                scene.fleet.stop()
        return Faults.reference

    def check_resumed(self, places, how_many, agent=False, with_agent=False):
        chosen = places if ALL_PLACES else random.Random(SEED).sample(places, how_many)
        expected = self.uninterrupted()
        for place in chosen:
            with self.subTest(place=place, seed=SEED):
                print(f"seed {SEED}: crash at {place}")
                try:
                    job, state = self.run_once(**{"agent_crash" if agent else "runner_crash": place}, with_agent=with_agent)
                finally:  # The next place begins with a fleet of its own, whatever came of this one.
                    self.fleet.stop()
                    self.setUp()
                self.assertEqual(state, expected, f"WATTLE_SEED={SEED}, {place}")
                self.assertEqual(len(job["attempts"]), 1, "the attempt keeps its token")
                self.check_step_resumed_at(place, receipt_of(job), agent)

    def check_step_resumed_at(self, place, receipt, agent):
        """A run that began anew ends with the same bits; only the step tells that the checkpoint was used."""
        resumed = int(receipt.get("resumed_from_step", 0))
        if agent:
            # The runner may be ahead of what the agent has taken in when both end: a lower bound.
            at_least = 2 * STEPS_BETWEEN_CHECKPOINTS if place == "checkpoint:2" else 0
            self.assertGreaterEqual(resumed, at_least, f"WATTLE_SEED={SEED}, {place}")
            return
        expected = step_to_resume_at(place)
        if expected is None:
            self.assertEqual(resumed % STEPS_BETWEEN_CHECKPOINTS, 0, f"WATTLE_SEED={SEED}, {place}")
        else:
            self.assertEqual(resumed, expected, f"WATTLE_SEED={SEED}, {place}")

    def test_runner_killed_in_a_checkpoint_resumes_bit_for_bit(self):
        self.check_resumed(CHECKPOINT_PLACES, 5)

    def test_worker_killed_in_a_checkpoint_resumes_bit_for_bit(self):
        self.check_resumed(CHECKPOINT_PLACES, 2, with_agent=True)

    def test_runner_killed_after_a_progress_frame_resumes_bit_for_bit(self):
        self.check_resumed(FRAME_PLACES, 2)

    def test_agent_killed_at_a_protocol_event_resumes_bit_for_bit(self):
        self.check_resumed(AGENT_PLACES, 3, agent=True)

    def owner(self, *arguments):
        """What the person at the board types."""
        return subprocess.run([BIN / "wattle-worker", *arguments, "--state-dir", self.fleet.directory / "one"], capture_output=True, text=True,
                              timeout=60, check=True).stdout

    def test_an_owners_hold_outlives_a_kill_and_the_run_goes_on_bit_for_bit(self):
        expected = self.uninterrupted()
        self.start()
        self.plain_worker("one", env=self.held_at("directory:rename:1:after"))
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file())
        held = self.until_held()
        self.assertIn("held by its owner until", self.owner("hold", "--for", "1h"))
        self.let_go(held)
        # Only then has the worker taken in the checkpoint.
        self.fleet.until("the attempt to be paused", lambda: self.fleet.job(job_id)["attempts"][0]["state"] == "ATTEMPT_STATE_PAUSED")
        self.assertEqual(self.runner_pids(), [])
        self.fleet.workers["one"].kill()
        self.plain_worker("one")
        self.fleet.until("the fleet to know of the hold",
                         lambda: self.fleet.devices()["one"].get("heartbeat", {}).get("owner_hold_seconds", 0) > 3000)
        self.assertIn("held by its owner until", self.fleet.run_wattle("devices").stdout)
        self.assertEqual(self.runner_pids(), [])
        self.assertNotIn("held", self.owner("release"))
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        self.assertEqual(self.final_state(job), expected)
        self.assertEqual(len(job["attempts"]), 1)
        self.assertGreaterEqual(int(receipt_of(job)["resumed_from_step"]), STEPS_BETWEEN_CHECKPOINTS, "the work before the hold counts")

    def test_coordinator_killed_in_training_loses_nothing(self):
        self.start()
        self.plain_worker("one", env=self.held_at("frame:step:5:after"))
        self.fleet.until_connected("one")
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file())
        waiting = self.fleet.submit(self.finetune_file("second", steps=2))
        held = self.until_held()
        runners = self.runner_pids()
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.fleet.until_connected("one")
        self.assertEqual(self.runner_pids(), runners, "the running attempt goes on")
        self.let_go(held)
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        self.assertEqual(len(job["attempts"]), 1)
        self.assertEqual(receipt_of(job)["restarts"], 0)
        self.assert_succeeded(self.fleet.until_done(waiting))

    def test_a_job_that_waits_begins_and_ends_while_the_coordinator_is_away(self):
        self.start()
        self.plain_worker("one", env=self.held_at("frame:step:5:after"))
        self.fleet.until_connected("one")
        self.push_demo()
        jobs = [self.fleet.submit(self.finetune_file()), self.fleet.submit(self.finetune_file("second", steps=4))]
        held = self.until_held()

        def waits():
            return "accepted, waits on one behind j1.1; its inputs are there" in self.fleet.job(jobs[1]).get("reason", "")
        self.fleet.until("the second job to wait on the board", waits)
        one = self.fleet.workers["one"]
        self.assertEqual(self.fleet.devices()["one"]["queued_attempt_ids"], ["j2.1"])
        self.assertRegex(self.fleet.run_wattle("devices").stdout, r"j1 \+1")
        self.fleet.coordinator.kill()
        self.let_go(held)

        def both_ended():
            return re.search(r'^wattle_worker_attempts_total\{[^}]*state="finished"[^}]*\} 2$', self.fleet.fetch(one.metrics, "/metrics"), re.MULTILINE)
        self.fleet.until("both jobs to end alone", both_ended, 120)
        one.kill()  # What waits outlives the process.
        self.fleet.start_coordinator()
        self.plain_worker("one")
        for job_id in jobs:
            job = self.assert_succeeded(self.fleet.until_done(job_id))
            self.assertEqual(len(job["attempts"]), 1)
            self.assertEqual(receipt_of(job)["restarts"], 0)
            self.assertTrue(receipt_of(job)["output_artifact_id"])

    def test_coordinator_killed_again_and_again_runs_each_job_once(self):
        self.start("one")
        self.push_demo()
        jobs = [self.fleet.submit(self.finetune_file(f"job-{n}", steps=3)) for n in range(3)]
        generator = random.Random(SEED)
        for _ in range(5):
            # A place between two looks at the fleet, wherever the jobs are by then.
            for _ in range(generator.randint(1, 12)):
                self.fleet.api("jobs")
            self.fleet.coordinator.kill()
            self.fleet.start_coordinator()
        for job_id in jobs:
            job = self.assert_succeeded(self.fleet.until_done(job_id))
            finished = [a for a in job["attempts"] if a["state"] == "ATTEMPT_STATE_FINISHED"]
            self.assertEqual(len(finished), 1, f"seed {SEED}: one commit")

    def test_runner_killed_from_outside_is_started_again(self):
        place = "weights:sync:2"
        self.start()
        self.plain_worker("one", env=self.held_at(place))
        self.fleet.until_connected("one")
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file())
        os.kill(self.until_held(), signal.SIGKILL)
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        self.assertEqual(receipt_of(job)["restarts"], 1)
        self.assertEqual(int(receipt_of(job)["resumed_from_step"]), step_to_resume_at(place), "it went on from its checkpoint")
        self.assertEqual(len(job["attempts"]), 1)

    def check_hang(self, place, job_file, **job):
        """The runner hangs at a place and the coordinator goes away; the agent finds the hang without it, kills the runner and starts another.
        Returns the job's end."""
        self.start()
        self.plain_worker("one", env=self.held_at(place), extra=["--runner-silence-seconds=10"])
        self.fleet.until_connected("one")
        self.push_demo()
        job_id = self.fleet.submit(job_file(**job))
        hung = [self.until_held()]
        self.fleet.coordinator.kill()
        self.fleet.until("another runner in the place of the one that hangs", lambda: self.runner_pids() not in ([], hung), 120)
        self.fleet.start_coordinator()
        job = self.assert_succeeded(self.fleet.until_done(job_id, 240))
        self.assertEqual(len(job["attempts"]), 1, "the attempt keeps its token")
        self.assertEqual(receipt_of(job)["runner_crashes"], 1)
        self.assertIn("said nothing for", self.fleet.workers["one"].log())
        return job

    def test_a_runner_that_hangs_while_it_loads_is_found(self):
        self.check_hang("frame:phase", self.finetune_file, steps=2)

    def test_a_runner_that_hangs_in_training_goes_on_from_its_checkpoint_bit_for_bit(self):
        expected = self.uninterrupted()
        place = "weights:sync:2"
        job = self.check_hang(place, self.finetune_file)
        self.assertEqual(int(receipt_of(job)["resumed_from_step"]), step_to_resume_at(place))
        self.assertEqual(self.final_state(job), expected)

    def test_a_runner_that_hangs_in_an_evaluation_is_found(self):
        self.check_hang("frame:step:2:after", self.job_file, name="evaluate",
                        evaluate={"model": "base", "data": "train", "batch_size": 1, "sequence_length": 128})

    def test_a_cached_file_that_the_card_changed_is_fetched_again(self):
        self.start("one")
        self.push_demo()

        def train(name):
            job = self.assert_succeeded(self.fleet.until_done(self.fleet.submit(self.finetune_file(name, steps=2))))
            self.fleet.wattle("model", "pull", f"job:{job['job_id']}/output", self.fleet.directory / name)
            return digest(self.fleet.directory / name / "model.safetensors")

        before = train("before")
        cached, = (path for path in (self.fleet.directory / "one/cache/files").glob("*/model.safetensors"))
        whole = digest(cached)
        cached.chmod(0o644)
        with open(cached, "r+b") as file:
            file.seek(cached.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 0x40]))
        self.assertNotEqual(digest(cached), whole)
        self.assertEqual(train("after"), before)
        self.assertEqual(digest(cached), whole)

    def test_work_that_was_done_in_an_outage_longer_than_the_lease_is_taken(self):
        """The coordinator stands still (SIGSTOP) while a device ends its run; another device is back first, with room."""
        lease_seconds = 25
        self.start()
        self.plain_worker("one", env=self.held_at("frame:step:5:after"))
        self.fleet.until_connected("one")
        self.push_demo()
        job_id = self.fleet.submit(self.job_file(lease_seconds=lease_seconds, finetune=FINETUNE))
        held = self.until_held()
        self.plain_worker("two")
        self.fleet.until_connected("two")
        one = self.fleet.workers["one"]
        stopped = time.monotonic()
        self.fleet.coordinator.signal(signal.SIGSTOP)
        self.let_go(held)
        self.fleet.until("the run to end", lambda: not self.runner_pids(), 120)

        def alone():
            return re.search(r"^wattle_worker_connected\{[^}]*\} 0$", self.fleet.fetch(one.metrics, "/metrics"), re.MULTILINE)
        self.fleet.until("the worker to find the link dead, and the lease to pass", lambda: alone() and time.monotonic() - stopped > lease_seconds, 240)
        one.signal(signal.SIGSTOP)
        self.fleet.coordinator.signal(signal.SIGCONT)
        other_id = self.fleet.submit(self.finetune_file(steps=5000))
        self.fleet.until_state(other_id, "JOB_STATE_ACTIVE")  # On the other device, which therefore had room, and has none from now on.
        one.signal(signal.SIGCONT)
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        self.assertEqual(job["attempts"][0]["state"], "ATTEMPT_STATE_FINISHED", job["attempts"])
        self.assertEqual(job["attempts"][0]["receipt"]["restarts"], 0)

    def test_a_device_that_is_gone_for_good_is_removed_once_its_lease_is_over(self):
        self.start("one")
        self.push_demo()
        job_id = self.fleet.submit(self.job_file(lease_seconds=5, finetune={**FINETUNE, "steps": 5000}))
        self.fleet.until_step(job_id, 2)
        self.fleet.workers["one"].kill()

        def removed():
            done = self.fleet.run_wattle("device", "rm", "one")
            self.assertRegex(done.stdout + done.stderr, r"(?i)removed|is connected|holds attempt j1\.1; cancel its job, or wait until nothing was heard")
            return done.returncode == 0
        self.fleet.until("the device to be removed", removed, 60)
        job = self.fleet.until_state(job_id, "JOB_STATE_QUEUED")
        self.assertEqual(job["attempts"][0]["reason"], "lease of 5.0 s ended, nothing was heard of one, which was removed")
        self.assertNotIn("one", self.fleet.devices())

    def test_runner_dies_with_its_agent(self):
        self.start("one")
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file(steps=200))
        self.fleet.until_step(job_id, 2)
        pid = self.runner_pids()[0]
        self.fleet.workers["one"].kill()
        self.fleet.until("the runner to die with its agent", lambda: not os.path.exists(f"/proc/{pid}"), 20)


if __name__ == "__main__":
    unittest.main()
