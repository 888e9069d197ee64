# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A coordinator goes on from a backup, or from nothing, beside workers that know more than it does."""

import shutil
import subprocess

from fleet import BIN, Process
from scene import Scene

# Much shorter than the checkpoint period needs to be: the tests are about who ends which job.
SHORT = {"steps": 3, "limit_examples": 16, "heldout_data": ""}


class Restore(Scene):
    def command(self, *arguments):
        done = subprocess.run([str(BIN / "wattle-coordinator"), *[str(a) for a in arguments]], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def backup(self):
        target = self.fleet.directory / "backup"
        self.command("backup", "--data-dir", self.fleet.directory / "coordinator", "--to", target)
        return target

    def lose_the_disk(self):
        """The data directory is gone; the copy of the fleet's keys was kept apart."""
        shutil.copytree(self.fleet.directory / "coordinator/authority", self.fleet.directory / "kept-apart")
        shutil.rmtree(self.fleet.directory / "coordinator")

    def bring_the_authority_back(self):
        shutil.copytree(self.fleet.directory / "kept-apart", self.fleet.directory / "coordinator/authority")

    def finish(self, name, **settings):
        return self.assert_succeeded(self.fleet.until_done(self.fleet.submit(self.finetune_file(name, **{**SHORT, **settings})), 240))

    def end_a_job_after_a_backup(self):
        """A backup of a fleet with one waiting job, which then ends. Returns the backup, the job's id and the ended job."""
        self.start()
        self.push_demo()
        waiting = self.fleet.submit(self.finetune_file("waiting", **SHORT))
        backup = self.backup()
        self.plain_worker("one")
        return backup, waiting, self.assert_succeeded(self.fleet.until_done(waiting, 240))

    def token_of(self, job):
        return int(job["attempts"][-1]["fencing_token"])

    def test_a_backup_goes_on_where_the_workers_are(self):
        self.start("one")
        self.push_demo()
        first = self.finish("first", seed=1)
        backup = self.backup()
        second = self.finish("second", seed=2)
        third = self.finish("third", seed=3)
        self.fleet.coordinator.kill()
        told = self.command("restore", "--from", backup, "--data-dir", self.fleet.directory / "coordinator", "--replace")
        self.assertIn("epoch 1", told)
        self.assertIn(f"{second['job_id']} (second) was submitted after the backup", told)
        self.fleet.start_coordinator()
        self.fleet.until_connected("one")
        known = {job["job_id"] for job in self.fleet.api("jobs")["jobs"]}
        self.assertEqual(known, {first["job_id"]})
        fourth = self.finish("fourth", seed=4)
        self.assertNotIn(fourth["job_id"], {job["job_id"] for job in (first, second, third)})
        self.assertGreater(self.token_of(fourth), self.token_of(third))
        outputs = {job["output_artifact_id"] for job in (first, second, third, fourth)}
        self.assertEqual(len(outputs), 4, "no job has another job's result")
        # The worker reports the second job once its result had its turn at the link, which may be after the fourth job.
        self.fleet.until("the report to tell of the second job", lambda: f"job {second['job_id']} was submitted after the backup" in
                         self.command("restore", "--report", "--data-dir", self.fleet.directory / "coordinator"))

    def test_what_ended_after_the_backup_is_taken_in_again(self):
        backup, waiting, ended = self.end_a_job_after_a_backup()
        self.fleet.coordinator.kill()
        self.command("restore", "--from", backup, "--data-dir", self.fleet.directory / "coordinator", "--replace")
        self.fleet.start_coordinator()
        again = self.assert_succeeded(self.fleet.until_done(waiting, 60))
        self.assertEqual(again["output_artifact_id"], ended["output_artifact_id"])
        self.assertEqual(len(again["attempts"]), 1, "nothing was trained twice")
        report = self.command("restore", "--report", "--data-dir", self.fleet.directory / "coordinator")
        self.assertIn(f"{waiting} had finished on one; its result was taken in again", report)

    def test_a_result_that_went_with_the_coordinators_disk_comes_back(self):
        backup, waiting, ended = self.end_a_job_after_a_backup()
        self.fleet.coordinator.kill()
        self.lose_the_disk()
        self.command("restore", "--from", backup, "--data-dir", self.fleet.directory / "coordinator")
        self.bring_the_authority_back()
        self.fleet.start_coordinator()
        again = self.assert_succeeded(self.fleet.until_done(waiting, 60))
        self.assertEqual(again["output_artifact_id"], ended["output_artifact_id"])
        attempt = self.attempt_of(again, ended["attempts"][-1]["attempt_id"])
        self.assertEqual(attempt["state"], "ATTEMPT_STATE_FINISHED", "nothing was trained twice")
        output = self.fleet.directory / "output"
        self.fleet.wattle("model", "pull", f"job:{waiting}/output", output)
        self.assertTrue((output / "model.safetensors").is_file(), "the store has the bytes again")

    def test_who_was_shut_out_after_the_backup_stays_out(self):
        fleet = self.fleet
        self.start()
        spent, revoked, waits = (fleet.wattle("device", "token", "--ttl", "1h", *flags)["tokens"][0] for flags in ((), (), ("--approve",)))
        backup = self.backup()
        fleet.output("wattle-worker", "enroll", spent["token"], "--state-dir", fleet.directory / "mast")
        fleet.output("wattle-worker", "enroll", waits["token"], "--state-dir", fleet.directory / "new")
        fleet.wattle("device", "token", "--revoke", revoked["token_id"])
        fleet.coordinator.kill()
        self.command("restore", "--from", backup, "--data-dir", fleet.directory / "coordinator", "--replace")
        fleet.start_coordinator()
        for token in (spent, revoked):
            refused = subprocess.run([BIN / "wattle-worker", "enroll", token["token"], "--state-dir", fleet.directory / "thief"], capture_output=True,
                                     text=True, check=False, timeout=60)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("was revoked", refused.stderr)
        waiting = [one for one in fleet.wattle("access", "ls")["identities"] if one.get("waits_for_approval")]
        self.assertEqual(len(waiting), 1, "the board of --approve waits again")

    def attempt_of(self, job, attempt_id):
        return next(attempt for attempt in job["attempts"] if attempt["attempt_id"] == attempt_id)

    def test_workers_follow_a_coordinator_that_moves_and_never_a_stranger(self):
        self.start("one")
        self.push_demo()
        job = self.fleet.submit(self.finetune_file("long", steps=20000, checkpoint_every_steps=5, limit_examples=80))
        self.fleet.until_step(job)
        runners = self.runner_pids()
        old = self.fleet.grpc
        backup = self.backup()
        self.fleet.coordinator.kill()
        new_directory = self.fleet.directory / "new"
        self.command("restore", "--from", backup, "--data-dir", new_directory)
        shutil.copytree(self.fleet.directory / "coordinator/authority", new_directory / "authority")
        # A stranger to whom the old one sends the workers: of this fleet's keys, but of another journal.
        stranger_directory = self.fleet.directory / "stranger"
        shutil.copytree(self.fleet.directory / "coordinator/authority", stranger_directory / "authority")
        stranger, started = self.another_coordinator("stranger", stranger_directory)
        strangers_address = started.group(1)
        self.refuse_to_move(strangers_address, "the coordinator there writes another journal (lineage ")
        stranger.stop()
        # Nobody answers there yet: the old one sends its workers, and then the stranger comes.
        self.start_moved(strangers_address)
        self.assertIn(f"--moved-to {strangers_address}: nobody there told which journal it writes", self.fleet.coordinator.log())
        stranger, _ = self.another_coordinator("stranger", stranger_directory, strangers_address)
        worker_log = self.fleet.directory / "one.log"
        self.fleet.until("the worker to refuse the stranger", lambda: "writes another journal than this worker's" in worker_log.read_text())
        self.fleet.coordinator.stop()
        stranger.stop()
        new, started = self.another_coordinator("new", new_directory)
        new_address = started.group(1)
        said = len(self.fleet.coordinator.log())
        self.start_moved(new_address)
        self.assertNotIn("--moved-to", self.fleet.coordinator.log()[said:])
        refused = self.fleet.run_wattle("jobs")
        self.assertIn(f"this coordinator has moved to {new_address}; ask there: --coordinator {new_address}", refused.stderr)
        self.fleet.until("the worker to be sent on", lambda: f"has moved to {new_address}" in worker_log.read_text())
        self.fleet.coordinator.stop()
        self.fleet.grpc, self.fleet.http = started.groups()
        self.fleet.until_connected("one")
        self.assertEqual(self.runner_pids(), runners, "the run went on")
        # A restart finds the new address by itself: the old one is all that its flags know.
        self.fleet.workers["one"].stop()
        self.fleet.start_worker("one", extra=["--threads=1"], coordinator=old)
        self.fleet.until_connected("one")
        self.fleet.wattle("job", "cancel", job)
        new.stop()

    def refuse_to_move(self, address, says):
        """The fleet's coordinator does not send its workers to this address."""
        done = subprocess.run([BIN / "wattle-coordinator", "--data-dir", self.fleet.directory / "coordinator", "--listen", self.fleet.grpc, "--http",
                               "127.0.0.1:0", "--moved-to", address], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("wattle-coordinator: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(f"--moved-to {address}: {says}", lines[0])

    def start_moved(self, address):
        """The fleet's coordinator again, which now sends everybody to this address. Nobody can log in to it."""
        self.fleet.coordinator, _ = self.another_coordinator("coordinator", self.fleet.directory / "coordinator", self.fleet.grpc,
                                                             "--moved-to", address)

    def another_coordinator(self, name, directory, listen="127.0.0.1:0", *flags):
        """A coordinator beside the fleet's, and the match of its gRPC and HTTP addresses."""
        process = Process(name, [BIN / "wattle-coordinator", "--data-dir", directory, "--listen", listen, "--http", "127.0.0.1:0", *flags],
                          self.fleet.directory / f"{name}.log", r"listening grpc=(\S+) http=(\S+)")
        self.addCleanup(process.stop)
        return process, process.start()

    def test_an_empty_directory_beside_living_workers(self):
        self.start("one")
        self.push_demo()
        old = self.finish("old", seed=1)
        self.fleet.coordinator.kill()
        self.lose_the_disk()
        self.bring_the_authority_back()
        self.fleet.start_coordinator()
        self.fleet.until_connected("one")
        self.push_demo()
        new = self.finish("new", seed=9)
        self.assertEqual(new["job_id"], old["job_id"], "the new journal knows nothing of the old one")
        self.assertNotEqual(new["output_artifact_id"], old["output_artifact_id"])
        self.assertEqual(len(new["attempts"]), 1)
