# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A new root for a fleet at work, its end, a lost authority, and signed models, with real processes."""

import re
import shutil
import subprocess
import unittest

from fleet import BIN
from scene import FINETUNE, Scene


class Rotation(Scene):
    def roots(self):
        return self.fleet.wattle("access", "status")["roots"]

    def until_moved(self):
        """Each call of `wattle` moves the person who calls; boards move when they connect anew."""
        self.fleet.until("everybody to be under the new root", lambda: self.roots()[1]["identities"] == 0, 60)

    def submit(self, name, **settings):
        return self.fleet.wattle("submit", self.finetune_file(name, **settings))["job"]["job_id"]

    def runs(self, job):
        return any(attempt["state"] == "ATTEMPT_STATE_RUNNING" for attempt in self.fleet.job(job)["attempts"])

    def test_a_fleet_at_work_gets_a_new_root(self):
        boards = ("one", "two", "three")
        self.start(*boards)
        self.push_demo()
        # Each on its own board: a slow machine else lets the third job wait for a board whose first steps told that it is cheaper.
        jobs = [self.fleet.submit(self.job_file(f"before-{board}", required_labels=[f"device={board}"], finetune={**FINETUNE, "steps": 60}))
                for board in boards]
        self.fleet.until("a job to run", lambda: any(self.runs(job) for job in jobs), 120)
        self.fleet.wattle("access", "rotate-ca")
        old = self.roots()[1]
        self.assertEqual([root["signs"] for root in self.roots()], [True, False])
        # The person who asked has perhaps moved since; the boards are named.
        self.assertTrue(all(name.startswith(("device/", "person/")) for name in old["identity_names"]))
        self.until_moved()
        for board in boards:
            worker = self.fleet.workers[board]
            self.fleet.until(f"{board} to say that it renewed", lambda: "certificate: renewed until" in worker.log(), 60)
            self.assertIn("the fleet has a new root", worker.log())
            self.assertNotIn("not of this fleet", worker.log())
            self.assertNotIn("coordinator: refused", worker.log())
        retired = self.fleet.run_wattle("access", "retire-ca")
        self.assertEqual(retired.returncode, 0, retired.stderr)
        self.assertEqual(len(self.roots()), 1)
        for job in jobs:
            done = self.assert_succeeded(self.fleet.until_done(job))
            self.assertEqual(len(done["attempts"]), 1, "no run was lost")
        self.assert_succeeded(self.fleet.until_done(self.submit("after")))
        events = self.fleet.run_wattle("events").stdout
        for text in ("made a new root", "renewed its certificate", "retired the root"):
            self.assertIn(text, events)
        self.assertRegex(self.fleet.run_wattle("access", "ls").stdout, r"certificate until 20\d\d-")

    def test_retire_refuses_while_somebody_is_left(self):
        self.start("home", "away")
        away = self.fleet.workers["away"]
        away.stop()
        self.fleet.wattle("access", "rotate-ca")
        self.fleet.until("the others to move", lambda: self.roots()[1]["identities"] == 1, 60)
        refused = self.fleet.run_wattle("access", "retire-ca")
        self.assertEqual((refused.returncode, len(refused.stderr.strip().splitlines())), (5, 1), refused.stderr)
        self.assertIn(f"1 certificate is under this root: device/{away.device_id}", refused.stderr)
        # The board comes back, and renews.
        away.start()
        self.until_moved()
        self.assertEqual(self.fleet.run_wattle("access", "retire-ca").returncode, 0)

    def test_force_locks_out_and_a_new_token_lets_in_again(self):
        self.start("home", "away")
        away = self.fleet.workers["away"]
        away.stop()
        self.fleet.wattle("access", "rotate-ca")
        self.fleet.until("the others to move", lambda: self.roots()[1]["identities"] == 1, 60)
        forced = self.fleet.run_wattle("access", "retire-ca", "--force")
        self.assertEqual(forced.returncode, 0, forced.stderr)
        self.assertIn(f"device/{away.device_id}", forced.stdout)
        away.start()
        self.fleet.until("the board to say what is wrong", lambda: "enrol or log in again by a new token" in away.log(), 60)
        away.stop()
        token = self.fleet.output("wattle", "device", "token").strip()
        self.fleet.output("wattle-worker", "enroll", token, "--state-dir", self.fleet.directory / "away")
        away.start()
        self.fleet.until_connected("away")

    def test_kill_9_at_any_step_goes_on(self):
        fleet = self.fleet
        fleet.start_coordinator()
        self.plain_worker("board")
        for place, verb in (("rotate:prepared", "rotate-ca"), ("rotate:noted", "rotate-ca"), ("rotate:renamed", "rotate-ca"),
                            ("retire:noted", "retire-ca"), ("retire:removed", "retire-ca"), ("retire:removed:2", "retire-ca")):
            with self.subTest(place=place):
                if len(self.roots()) == 1 and verb == "retire-ca":
                    fleet.wattle("access", "rotate-ca")
                if len(self.roots()) == 2:
                    self.until_moved()
                if len(self.roots()) == 2 and verb == "rotate-ca":
                    fleet.wattle("access", "retire-ca")
                fleet.coordinator.stop()
                fleet.start_coordinator(env={"WATTLE_CRASH_AT": place})
                self.assertNotEqual(fleet.run_wattle("access", verb).returncode, 0)
                fleet.coordinator.wait(20)
                self.assertEqual(fleet.coordinator.popen.returncode, -9)
                fleet.start_coordinator()
                fleet.until_connected("board")
                done = place in ("rotate:renamed", "retire:removed", "retire:removed:2")
                self.assertEqual(len(self.roots()), 2 if (verb == "rotate-ca") == done else 1)
                if not done:  # The command works the second time.
                    self.assertEqual(fleet.run_wattle("access", verb).returncode, 0)
        fleet.until_connected("board")

    def test_a_lost_authority(self):
        fleet = self.fleet
        self.start("board")
        self.push_demo()
        data = fleet.directory / "coordinator"
        with self.assertRaisesRegex(Exception, "another|holds|running"):
            fleet.output("wattle-coordinator", "access", "new-ca", "--data-dir", data)
        fleet.coordinator.stop()
        shutil.rmtree(data / "authority")
        told = fleet.output("wattle-coordinator", "access", "new-ca", "--data-dir", data)
        self.assertIn("wattle-coordinator access admin-token", told)
        fleet.start_coordinator()  # The fleet's user logs in again, by a token of the machine.
        board = fleet.workers["board"]
        board.stop()
        token = fleet.output("wattle", "device", "token").strip()
        fleet.output("wattle-worker", "enroll", token, "--state-dir", fleet.directory / "board")
        device = board.device_id
        board.start()
        fleet.until_connected("board")
        self.assertEqual([one["info"]["device_id"] for one in fleet.wattle("devices")["devices"]], [device])
        self.assert_succeeded(fleet.until_done(self.submit("after")))
        # A second one sets the first aside.
        fleet.coordinator.stop()
        self.assertIn("the old authority is in", fleet.output("wattle-coordinator", "access", "new-ca", "--data-dir", data))

    def test_a_certificate_error_ends_no_attempt_and_deletes_nothing(self):
        fleet = self.fleet
        fleet.start_coordinator()
        board = self.plain_worker("board", extra=[f"--runner={BIN / 'wattle_fake_runner'}", "--isolation=none"])
        fleet.until_connected("board")
        self.push_demo()
        job = fleet.submit(self.job_file("sleep-ms:500", finetune={"model": "base", "data": "train", "steps": 40}))
        fleet.until("the attempt to run", lambda: self.runs(job))

        def step():
            files = list((fleet.directory / "board").rglob("work/step"))
            return int(files[0].read_text() or 0) if files else 0
        authority, aside = fleet.directory / "coordinator/authority", fleet.directory / "aside"
        fleet.coordinator.stop()
        authority.rename(aside)
        fleet.start_coordinator()  # By another authority, as after a disk that was lost.
        fleet.until("the board to refuse it", lambda: "its certificate is not of this fleet" in board.log())
        before = step()
        fleet.until("two checkpoints more", lambda: step() >= before + 4)
        fleet.coordinator.stop()
        shutil.rmtree(authority)
        aside.rename(authority)
        fleet.start_coordinator()
        done = fleet.until_done(job)
        self.assert_succeeded(done)
        self.assertEqual(len(done["attempts"]), 1)

    def test_the_break_glass_is_heard(self):
        fleet = self.fleet
        fleet.start_coordinator()
        page = str(fleet.get("/metrics"))
        before = int(re.search(r"wattle_coordinator_local_admin_tokens_total (\d+)", page).group(1))
        fleet.output("wattle-coordinator", "access", "admin-token", "--data-dir", fleet.directory / "coordinator")
        self.assertIn(f"wattle_coordinator_local_admin_tokens_total {before + 1}", str(fleet.get("/metrics")))
        self.assertRegex(fleet.run_wattle("events").stdout, r"local made the token \w+ for \w+, admin")


class SignedModels(Scene):
    def key(self, name):
        private, signers = self.fleet.directory / f"{name}.pem", self.fleet.directory / "signers"
        signers.mkdir(exist_ok=True)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", private], check=True)
        private.chmod(0o600)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", signers / name], check=True)
        return private

    def test_signed_models_alone_are_run_and_what_they_become_is_signed(self):
        fleet = self.fleet
        key = self.key("ann")
        signers = fleet.directory / "signers"
        fleet.start_coordinator(extra=["--signers", signers])
        # docs/operate/isolation.md says to do this: the coordinator's own key among those of the board.
        shutil.copytree(signers, fleet.directory / "board-signers")
        shutil.copy(fleet.directory / "coordinator/authority/signer.pem", fleet.directory / "board-signers/coordinator")
        self.plain_worker("board", extra=["--signers", str(fleet.directory / "board-signers")])
        fleet.until_connected("board")
        self.push_demo()
        refused = fleet.run_wattle("submit", self.finetune_file())
        self.assertEqual((refused.returncode, len(refused.stderr.strip().splitlines())), (5, 1), refused.stderr)
        self.assertIn("signed by nobody", refused.stderr)
        self.assertIn("wattle model sign NAME --key FILE", refused.stderr)
        unknown = fleet.run_wattle("model", "sign", "base", "--key", key, "--signer", "bob")
        self.assertEqual((unknown.returncode, len(unknown.stderr.strip().splitlines())), (5, 1), unknown.stderr)
        fleet.wattle("model", "sign", "base", "--key", key)
        job = fleet.wattle("submit", self.finetune_file())["job"]["job_id"]
        self.assert_succeeded(fleet.until_done(job))
        models = {one["artifact_id"]: one for one in fleet.wattle("model", "ls")["artifacts"]}
        made = next(one for one in models.values() if one["job_id"] == job)
        self.assertEqual([one["signer"] for one in made["signatures"]], ["coordinator"])
        self.assertEqual(made["pushed_by"], fleet.wattle("whoami")["id"])
        # What was made is a model to go on from.
        question = self.job_file("question", generate={"model": f"job:{job}/output", "prompts": ["Who?"], "max_new_tokens": 4})
        self.assert_succeeded(fleet.until_done(fleet.wattle("submit", question)["job"]["job_id"]))

    def test_a_board_checks_for_itself(self):
        fleet = self.fleet
        key = self.key("ann")
        fleet.start_coordinator()  # Without --signers.
        self.plain_worker("board", extra=["--signers", str(fleet.directory / "signers")])
        fleet.until_connected("board")
        self.push_demo()
        job = fleet.wattle("submit", self.finetune_file())["job"]["job_id"]
        refused = fleet.until("the board to refuse", lambda: [
            attempt for attempt in fleet.job(job)["attempts"] if attempt["state"] == "ATTEMPT_STATE_FAILED"])[0]
        self.assertIn("--signers of this board", refused["reason"])
        self.assertIn("wattle model sign NAME --key FILE", refused["reason"])
        # The job waits for another board; once its model is signed, this one will do.
        fleet.wattle("model", "sign", "base", "--key", key)
        self.assert_succeeded(fleet.until_done(job))


if __name__ == "__main__":
    unittest.main()
