# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Programs of two releases beside one another, while a job runs: each of the two releases before (deploy/releases.txt) and this build. Of
the slow lanes: `./dev release-fixture VERSION` builds a release."""

import re
import unittest

from board import PATIENCE_SECONDS, Board, earlier_releases, version_of
from fleet import BIN
from scene import FINETUNE, Scene

STEPS = 60
AT_WORK = FINETUNE["checkpoint_every_steps"] + 1  # a checkpoint is there


class Skew(Scene):
    def each_release(self):
        """(version, programs) of the releases before, each with a fleet of its own."""
        releases = earlier_releases()
        if not releases:
            self.skipTest("no earlier release is built; ./dev release-fixture VERSION builds one of deploy/releases.txt")
        for number, (version, programs) in enumerate(releases):
            if number:
                self.fleet.stop()
                self.setUp()
            print(f"beside {version}", flush=True)
            yield version, programs

    def submit(self, name="skew", steps=STEPS):
        return self.fleet.submit(self.finetune_file(name, steps=steps))

    def worker(self, programs):
        worker = self.fleet.start_worker("one", extra=["--threads=1"], programs=programs)
        self.fleet.until_connected("one")
        return worker

    def assert_ended_once(self, job_id, went_on=False):
        job = self.assert_succeeded(self.fleet.until_done(job_id, PATIENCE_SECONDS))
        self.assertEqual(len(job["attempts"]), 1)
        self.assertEqual(len(self.fleet.until("the event of the end", lambda: self.terminal_events(job_id))), 1)
        receipt = job["attempts"][0]["receipt"]
        if went_on:
            self.assertGreaterEqual(int(receipt["resumed_from_step"]), FINETUNE["checkpoint_every_steps"])
        return receipt

    def test_slow_the_coordinator_is_updated_while_an_older_worker_is_at_work(self):
        for version, programs in self.each_release():
            self.fleet.start_coordinator(programs=programs)
            self.push_demo()
            self.worker(programs)
            job_id = self.submit()
            self.fleet.until_step(job_id, AT_WORK)
            self.fleet.coordinator.kill()
            self.fleet.start_coordinator()
            self.fleet.until_connected("one")
            self.assertEqual(self.fleet.devices()["one"]["info"]["worker_version"], version)
            self.assertEqual(int(self.assert_ended_once(job_id).get("restarts", 0)), 0, "the run went on beside the update")
            self.assert_ended_once(self.submit("after", steps=2))

    def test_slow_a_newer_worker_serves_an_older_coordinator(self):
        for _, programs in self.each_release():
            self.fleet.start_coordinator(programs=programs)
            self.push_demo()
            self.worker(programs)
            job_id = self.submit()
            self.fleet.until_step(job_id, AT_WORK)
            self.fleet.workers["one"].kill()
            self.worker(BIN)
            self.assertEqual(self.fleet.devices()["one"]["info"]["worker_version"], version_of(BIN))
            self.assert_ended_once(job_id, went_on=True)

    def keeps_what_it_has(self, before, after):
        """A worker of one release follows that of another on the same state: its identity, checkpoints, cache and spool are used."""
        self.fleet.start_coordinator()
        self.push_demo()
        device_id = self.worker(before).device_id
        job_id = self.submit("checkpoint")
        self.fleet.until_step(job_id, AT_WORK)
        self.fleet.workers["one"].kill()
        self.assertEqual(self.worker(after).device_id, device_id)
        self.assert_ended_once(job_id, went_on=True)
        self.assertEqual(int(self.assert_ended_once(self.submit("cache", steps=2))["fetched_bytes"]), 0)
        self.fleet.workers["one"].kill()
        one = self.worker(before)
        job_id = self.submit("spool")
        self.fleet.until_step(job_id)
        self.fleet.coordinator.kill()

        def ended():
            return re.search(r'^wattle_worker_attempts_total\{[^}]*state="finished"[^}]*\} 3$', self.fleet.fetch(one.metrics, "/metrics"), re.MULTILINE)
        self.fleet.until("the third job to end alone", ended, PATIENCE_SECONDS)
        one.kill()
        self.fleet.start_coordinator()
        self.worker(after)
        self.assertEqual(int(self.assert_ended_once(job_id).get("restarts", 0)), 0, "the report of the other release's spool")

    def test_slow_a_worker_downgraded_by_one_keeps_what_it_has(self):
        for _, programs in self.each_release():
            self.keeps_what_it_has(BIN, programs)

    def test_slow_an_updated_worker_keeps_what_it_has(self):
        for _, programs in self.each_release():
            self.keeps_what_it_has(programs, BIN)

    def test_slow_a_board_at_work_is_upgraded_and_downgraded(self):
        for version, programs in self.each_release():
            self.start()
            self.push_demo()
            board = Board(self.fleet, installed=programs)
            board.start()
            self.addCleanup(board.close)
            own = version_of(BIN)
            board.push(own)
            board.push(version, programs)
            for target, flags in ((own, []), (version, ["--allow-downgrade"])):
                job_id = self.submit(target)
                self.fleet.until_step(job_id, AT_WORK)
                self.fleet.wattle("upgrade", "start", "--to", target, *flags)
                board.until_running(target)
                self.assert_ended_once(job_id, went_on=True)


if __name__ == "__main__":
    unittest.main()
