# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""An upgrade from the command to the report: coordinator, launcher, worker and runner are real. The next version is these very programs
with another version in their text."""

import os
import shutil
import signal
import subprocess
import unittest

from fleet import BIN
from scene import Scene

PATIENCE_SECONDS = 240
# Long enough to be at work when the worker changes under it.
STEPS = 60


class FleetUpgrades(Scene):
    def setUp(self):
        super().setUp()
        self.start()
        self.push_demo()
        told = subprocess.run([BIN / "wattle-worker", "--version"], capture_output=True, text=True, check=True).stdout
        self.version = told.split()[1]
        self.next = self.version[:-1] + str((int(self.version[-1]) + 1) % 10)
        self.board()

    def board(self):
        """What the service manager does on a board: the launcher again and again."""
        self.fleet.enroll("board")
        command = [BIN / "wattle-launch", "--state-dir", self.fleet.directory / "board", "--releases", self.fleet.directory / "releases",
                   "--coordinator", self.fleet.grpc, "--name", "board", "--threads=1", "--metrics", "none"]
        (self.fleet.directory / "releases").mkdir()
        log = open(self.fleet.directory / "board.log", "ab")
        self.addCleanup(log.close)
        manager = subprocess.Popen(["/bin/sh", "-c", 'while true; do "$@"; sleep 0.2; done', "manager", *command], stdout=log, stderr=log,
                                   start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

        def end():
            os.killpg(manager.pid, signal.SIGKILL)
            manager.wait()
        self.addCleanup(end)
        self.fleet.until_connected("board")

    def release(self, runner=None):
        folder = self.fleet.directory / f"wattle-{self.next}"
        (folder / "bin").mkdir(parents=True)
        for program in ("wattle-worker", "wattle-runner"):
            code = (BIN / program).read_bytes()
            path = folder / "bin" / program
            path.write_bytes(code.replace(self.version.encode(), self.next.encode()))
            path.chmod(0o755)
        if runner:
            shutil.copy(runner, folder / "bin/wattle-runner")
        self.fleet.wattle("release", "push", folder, "--version", self.next)

    def running(self):
        return self.fleet.devices()["board"]["info"]["worker_version"]

    def until_upgrade(self, *states):
        def reached():
            upgrade = self.fleet.wattle("upgrade", "status")
            return upgrade if upgrade["state"] in states else None
        return self.fleet.until(f"the upgrade to be {states}", reached, PATIENCE_SECONDS, 0.5)

    def test_a_board_at_work_changes_its_release_and_its_job_ends_once(self):
        self.assertEqual(self.running(), self.version)
        self.release()
        job = self.fleet.submit(self.finetune_file(steps=STEPS))
        self.fleet.until_step(job)
        self.fleet.wattle("upgrade", "start", "--to", self.next)
        upgrade = self.until_upgrade("UPGRADE_STATE_FINISHED", "UPGRADE_STATE_PAUSED")
        self.assertEqual(upgrade["state"], "UPGRADE_STATE_FINISHED", upgrade)
        self.assertEqual(upgrade["devices"][0]["state"], "DEVICE_UPGRADE_STATE_ACTIVE")
        self.fleet.until("the board to tell its version", lambda: self.running() == self.next, PATIENCE_SECONDS)
        done = self.assert_succeeded(self.fleet.until_done(job, PATIENCE_SECONDS))
        self.assertEqual(len(done["attempts"]), 1, "the attempt went on under the new release")
        self.assertEqual(os.readlink(self.fleet.directory / "releases/current"), self.next)

    def test_a_release_that_fails_its_test_is_left_and_the_upgrade_stops(self):
        self.release(runner="/bin/false")
        self.fleet.wattle("upgrade", "start", "--to", self.next)
        upgrade = self.until_upgrade("UPGRADE_STATE_FINISHED", "UPGRADE_STATE_PAUSED")
        self.assertEqual(upgrade["state"], "UPGRADE_STATE_PAUSED", upgrade)
        self.assertEqual(upgrade["devices"][0]["state"], "DEVICE_UPGRADE_STATE_ROLLED_BACK")
        self.assertIn("self-test", upgrade["devices"][0]["reason"])
        self.assertEqual(self.running(), self.version)
        job = self.fleet.submit(self.finetune_file(name="after", steps=2))
        self.assert_succeeded(self.fleet.until_done(job, PATIENCE_SECONDS))


if __name__ == "__main__":
    unittest.main()
