# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Wrong input on the real programs: one clear line that says what to do, a status that scripts can use, nothing half-written."""

import os
import shutil
import sqlite3
import subprocess
import unittest

from fleet import BIN, FleetError
from scene import DEMO, Scene


class BadInput(Scene):
    def refused(self, *arguments, status, says):
        done = self.fleet.run_wattle(*arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for text in says:
            self.assertIn(text, done.stderr)

    def test_job_files(self):
        self.start("one")
        self.push_demo()
        cases = [
            ({"finetune": {"model": "base", "data": "train", "precison": 1}}, 2, ["precison", "unknown field"]),
            ({"finetune": {"model": "base", "data": "train", "batch_sise": 1}}, 2, ["batch_sise", 'did you mean "batch_size"']),
            ({"deadline_minutes": 5, "finetune": {"model": "base", "data": "train"}}, 2, ["deadline_seconds"]),
            ({"finetune": {"model": "nothing", "data": "train"}}, 3, ["nothing", "model push"]),
            ({"quality_floor": "3 %", "finetune": {"model": "base", "data": "train"}}, 2, ["not supported in this version"]),
            ({"finetune": {"model_shape": {"architecture": "gpt2", "layers": 2, "width": 64, "heads": 2, "vocabulary_size": 100,
                                           "context_length": 64}, "data": "train"}}, 2, ["wattle plan"]),
        ]
        for number, (fields, status, says) in enumerate(cases):
            with self.subTest(fields=fields):
                self.refused("submit", self.job_file(f"bad-{number}", **fields), status=status, says=says)
        self.assertEqual(self.fleet.api("jobs").get("jobs", []), [])

    def test_files_that_are_not_what_they_should_be(self):
        self.start()
        text = self.fleet.directory / "notes.json"
        text.write_text('{"data": 3}')
        self.refused("data", "push", "notes", text, status=2, says=["notes.json", "data: wants a list"])
        broken = self.fleet.directory / "broken"
        shutil.copytree(DEMO / "model", broken)
        weights = broken / "model.safetensors"
        os.truncate(weights, weights.stat().st_size - 1000)
        self.refused("model", "push", "broken", broken, status=2, says=["model.safetensors", "truncated"])
        self.assertEqual(self.fleet.api("artifacts").get("artifacts", []), [])

    def test_a_model_too_large_for_every_device(self):
        self.start("one")
        path = self.job_file("large", finetune={"model_shape": {"architecture": "gpt2", "layers": 96, "width": 12288, "heads": 96,
                                                                "vocabulary_size": 50257, "context_length": 2048},
                                                "data_shape": {"examples": 10}})
        done = self.fleet.run_wattle("plan", path)
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
        self.assertIn("memory", done.stdout + done.stderr)

    def test_no_coordinator(self):
        done = subprocess.run([str(BIN / "wattle"), "--coordinator", "127.0.0.1:1", "devices"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn("127.0.0.1:1", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def coordinator(self, *arguments, **options):
        return subprocess.run([str(BIN / "wattle-coordinator"), *[str(a) for a in arguments]], capture_output=True, text=True, timeout=60,
                              check=False, **options)

    def test_port_in_use(self):
        self.start()
        for flag, address in (("--listen", self.fleet.grpc), ("--http", self.fleet.http)):
            other = {"--listen": "127.0.0.1:0", "--http": "127.0.0.1:0", flag: address}
            done = self.coordinator("--data-dir", self.fleet.directory / f"other{flag}", *[part for pair in other.items() for part in pair])
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(address, done.stderr)
            self.assertIn("in use", done.stderr)

    def test_second_coordinator_on_the_same_directory(self):
        self.start()
        done = self.coordinator("--data-dir", self.fleet.directory / "coordinator", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("another", done.stderr)

    def test_journal_of_a_newer_version(self):
        self.start()
        self.fleet.coordinator.stop()
        journals = list((self.fleet.directory / "coordinator").glob("*.db"))
        self.assertEqual(len(journals), 1, journals)
        with sqlite3.connect(journals[0]) as database:
            database.execute("PRAGMA user_version = 999")
        done = self.coordinator("--data-dir", self.fleet.directory / "coordinator", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("newer", done.stderr)
        with sqlite3.connect(journals[0]) as database:
            self.assertEqual(database.execute("PRAGMA user_version").fetchone()[0], 999, "it was left as it was")

    def test_full_disk_refuses_the_upload_and_keeps_what_is_there(self):
        if os.geteuid() != 0:
            self.skipTest("a small file system wants root")
        small = self.fleet.directory / "coordinator"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(small)], capture_output=True, check=False).returncode != 0:
            self.skipTest("mounting a small file system is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(small)], check=False)
        self.start("one")
        self.push_demo()
        (small / "ballast").write_bytes(bytes(30 << 20))
        other = self.fleet.directory / "other.json"
        # White space whose 1 MiB chunks all differ: equal ones would be sent once.
        padding = "".join(" " * (n % 1000) + "\n" for n in range(42_000))
        other.write_text((DEMO / "fleet-qa-train.json").read_text().replace("SQuAD", "Squad") + padding)
        done = self.fleet.run_wattle("data", "push", "other", other)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("space", done.stderr)
        names = {artifact["name"] for artifact in self.fleet.api("artifacts")["artifacts"]}
        self.assertEqual(names, {"base", "train", "heldout"})
        self.assert_succeeded(self.fleet.until_done(self.fleet.submit(self.finetune_file(steps=2))))

    def test_a_worker_of_an_unknown_board(self):
        with self.assertRaises(FleetError) as caught:
            self.fleet.start_worker("x", emulate="jetson-nonsense", coordinator="127.0.0.1:1")
        self.assertIn("jetson-orin-nano", str(caught.exception), "it lists what there is")


if __name__ == "__main__":
    unittest.main()
