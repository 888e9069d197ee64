# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""An upgrade from the command to the report: coordinator, launcher, worker and runner are real. The next versions are these very programs
with another version in their text. A kill at any step leaves the old release or the new one, and the job ends once. WATTLE_SEED repeats
the places of a draw (the seed is printed); WATTLE_FAULT_PLACES=all tries every place."""

import os
import random
import unittest

from board import PATIENCE_SECONDS, PROGRAMS, Board, version_after, version_of
from fleet import BIN
from scene import FINETUNE, Scene

SEED = int(os.environ.get("WATTLE_SEED") or random.SystemRandom().randrange(1, 1_000_000))
ALL_PLACES = os.environ.get("WATTLE_FAULT_PLACES") == "all"
# Long enough to be at work when the worker changes under it.
STEPS = 60
# Each step of an upgrade on a board (base/crash_point.h): fetch, verify and install, switch, trial.
PLACES = ("upgrade:fetch", "release:copy", "release:rename", "upgrade:installed", "upgrade:stop", "upgrade:recorded", "release:switch",
          "release:linked", "release:switch:1:after", "launch:recorded", "upgrade:test", "upgrade:tested", "upgrade:passed")


class FleetUpgrades(Scene):
    def setUp(self):
        super().setUp()
        self.start()
        self.push_demo()
        self.version = version_of(BIN)
        self.next = version_after(self.version, 1)
        self.board = Board(self.fleet)
        self.board.start()
        self.addCleanup(self.board.close)

    def test_a_board_at_work_changes_its_release_and_its_job_ends_once(self):
        self.assertEqual(self.board.running(), self.version)
        self.board.push(self.next)
        job = self.fleet.submit(self.finetune_file(steps=STEPS))
        self.fleet.until_step(job)
        self.fleet.wattle("upgrade", "start", "--to", self.next)
        self.board.until_running(self.next)
        done = self.assert_succeeded(self.fleet.until_done(job, PATIENCE_SECONDS))
        self.assertEqual(len(done["attempts"]), 1, "the attempt went on under the new release")
        self.assertEqual(os.readlink(self.board.releases / "current"), self.next)

    def test_a_release_that_fails_its_test_is_left_and_the_upgrade_stops(self):
        self.board.push(self.next, runner="/bin/false")
        self.fleet.wattle("upgrade", "start", "--to", self.next)
        upgrade = self.board.until_upgrade_ended()
        self.assertEqual(upgrade["state"], "UPGRADE_STATE_PAUSED", upgrade)
        self.assertEqual(upgrade["devices"][0]["state"], "DEVICE_UPGRADE_STATE_ROLLED_BACK")
        self.assertIn("self-test", upgrade["devices"][0]["reason"])
        self.assertEqual(self.board.running(), self.version)
        job = self.fleet.submit(self.finetune_file(name="after", steps=2))
        self.assert_succeeded(self.fleet.until_done(job, PATIENCE_SECONDS))

    def kill_in_an_upgrade(self, place, version):
        """A job is at work, and its board is killed once at the place of an upgrade. Returns the job's end."""
        before = self.board.running()
        self.board.place.write_text(place)
        self.board.killed.unlink(missing_ok=True)
        self.board.restart()
        self.board.push(version)
        job = self.fleet.submit(self.finetune_file(name=version, steps=STEPS))
        self.fleet.until_step(job, FINETUNE["checkpoint_every_steps"] + 1)
        self.fleet.wattle("upgrade", "start", "--to", version)

        def killed():
            self.assert_one_is_linked(before, version)
            return self.board.killed.exists()
        self.fleet.until(f"the kill at {place}", killed, PATIENCE_SECONDS, 0.01)
        self.board.place.write_text("")
        self.board.until_running(version)
        return self.assert_succeeded(self.fleet.until_done(job, PATIENCE_SECONDS))

    def assert_one_is_linked(self, before, version):
        """The link points to the old release or to the new one, and that is whole."""
        link = self.board.releases / "current"
        if before == self.version and not link.is_symlink():
            return  # the installed worker
        current = os.readlink(link)
        self.assertIn(current, (before, version))
        for program in PROGRAMS:
            wanted = (self.fleet.directory / f"wattle-{current}/bin" / program).stat().st_size
            self.assertEqual((self.board.releases / current / "bin" / program).stat().st_size, wanted)

    def test_an_upgrade_killed_at_a_step_resumes_bit_for_bit(self):
        places = PLACES if ALL_PLACES else random.Random(SEED).sample(PLACES, 2)
        device_id = self.board.told()["info"]["device_id"]
        undisturbed = self.fleet.until_done(self.fleet.submit(self.finetune_file(steps=STEPS)), PATIENCE_SECONDS)
        expected = self.assert_succeeded(undisturbed)["output_artifact_id"]
        for number, place in enumerate(places, 1):
            with self.subTest(place=place, seed=SEED):
                print(f"seed {SEED}: kill at {place}", flush=True)
                job = self.kill_in_an_upgrade(place, version_after(self.version, number))
                self.assertEqual(job["output_artifact_id"], expected, "the bits of an undisturbed run")
                self.assertEqual(len(job["attempts"]), 1, "the attempt went on")
                self.assertGreater(int(job["attempts"][0]["receipt"]["resumed_from_step"]), 0)
                events = self.fleet.until("the event of the end", lambda: self.terminal_events(job["job_id"]))
                self.assertEqual(len(events), 1, "one end")
                self.assertEqual(self.board.told()["info"]["device_id"], device_id)


if __name__ == "__main__":
    unittest.main()
