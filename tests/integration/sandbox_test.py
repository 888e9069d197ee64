# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The sandbox of the runners on the real programs: a job's result does not depend on it, and jobs can ask for a level."""

import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from fleet import BIN
from scene import DEMO, FINETUNE, Scene

LEVELS = ("none", "seccomp", "full")
TASK = """attempt_id: "j1.1" model_directory: "{demo}/model" data_file: "{demo}/fleet-qa-train.json"
work_directory: "{work}/work" output_directory: "{work}/output" threads: 1
spec {{ finetune {{ steps: 2 batch_size: 2 sequence_length: 64 learning_rate: 0.001 seed: 7 }} }}
"""


def weights_after_a_run(level):
    """What a runner that is started in its sandbox, or without one, makes of the demo's model. A run that hangs ends the test."""
    with tempfile.TemporaryDirectory(prefix="wattle-box-") as work:
        for name in ("work", "output"):
            (pathlib.Path(work) / name).mkdir()
        task = pathlib.Path(work) / "task"
        task.write_text(TASK.format(demo=DEMO, work=work), encoding="utf-8")
        subprocess.run([BIN / "wattle-box-load", "steps", BIN / "wattle-runner", task, level], check=True, capture_output=True, timeout=300)
        return hashlib.sha256((pathlib.Path(work) / "output/model.safetensors").read_bytes()).hexdigest()


class Sandbox(Scene):
    def test_jobs_ask_for_a_level_and_results_are_the_same_at_each(self):
        self.start()
        self.push_demo()
        weights = {}
        for level in LEVELS:
            self.plain_worker(level, extra=[f"--isolation={level}"])
            self.fleet.until_connected(level)
        devices = {name: device["info"]["isolation"] for name, device in self.fleet.devices().items()}
        if devices["full"] != "full":
            self.skipTest(f"this kernel gives isolation {devices['full']} where full was asked for")
        self.assertEqual(devices, {level: level for level in LEVELS})
        for level in LEVELS:
            path = self.job_file(f"on-{level}", required_labels=[f"isolation={level}"], finetune={**FINETUNE, "steps": 4})
            job = self.assert_succeeded(self.fleet.until_done(self.fleet.submit(path), 240))
            self.assertEqual(job["attempts"][-1]["device_id"], self.fleet.workers[level].device_id)
            target = self.fleet.directory / f"output-{level}"
            self.fleet.wattle("model", "pull", f"job:{job['job_id']}/output", target)
            weights[level] = hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest()
        self.assertEqual(len(set(weights.values())), 1, weights)
        self.assertRegex(self.fleet.run_wattle("device", "show", "full").stdout, r"(?m)^\s*isolation +full$")

    def chain(self, level):
        """A job of each kind on the worker of this level; the hashes of what they make."""
        labels = [f"isolation={level}"]
        jobs = {"finetune": self.fleet.submit(self.job_file(f"tune-{level}", required_labels=labels, finetune={**FINETUNE, "steps": 4}))}
        jobs["quantize"] = self.fleet.submit(self.job_file(f"quantize-{level}", required_labels=labels, quantize={"model": f"job:{jobs['finetune']}/output"}))
        jobs["generate"] = self.fleet.submit(self.job_file(f"generate-{level}", required_labels=labels, generate={
            "model": f"job:{jobs['quantize']}/output", "prompts": ["The mast is"], "max_new_tokens": 8}))
        jobs["evaluate"] = self.fleet.submit(self.job_file(f"evaluate-{level}", required_labels=labels, evaluate={
            "model": f"job:{jobs['quantize']}/output", "data": "heldout", "limit_examples": 4, "score_answers": True, "max_answer_tokens": 4}))
        made = {}
        for kind, job in jobs.items():
            self.assert_succeeded(self.fleet.until_done(job, 300))
            target = self.fleet.directory / f"{kind}-{level}"
            self.fleet.wattle("model", "pull", f"job:{job}/output", target)
            for path in sorted(target.rglob("*")):
                if path.is_file():
                    made[f"{kind}/{path.relative_to(target)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        return made

    def test_a_job_of_each_kind_makes_the_same_bytes_in_its_sandbox(self):
        self.start()
        self.push_demo()
        for level in ("none", "full"):
            self.plain_worker(level, extra=[f"--isolation={level}"])
        self.fleet.until_connected("none", "full")
        if self.fleet.devices()["full"]["info"]["isolation"] != "full":
            self.skipTest("this kernel has no isolation full")
        self.assertEqual(self.chain("none"), self.chain("full"))
        profile = self.job_file("profile", required_labels=["device=full"], profile={"finetune": {**FINETUNE, "steps": 2}})
        self.assert_succeeded(self.fleet.until_done(self.fleet.submit(profile), 300))

    def test_a_worker_that_is_killed_while_it_tries_the_box_starts_again(self):
        self.start()
        self.fleet.enroll("cut")
        command = [BIN / "wattle-worker", "--coordinator", self.fleet.grpc, "--state-dir", self.fleet.directory / "cut", "--name", "cut",
                   "--metrics", "127.0.0.1:0", *self.fleet.plaintext]
        cut = subprocess.run(command, env=os.environ | {"WATTLE_CRASH_AT": "isolation"}, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(cut.returncode, -signal.SIGKILL, cut.stderr)
        self.plain_worker("cut")
        self.fleet.until_connected("cut")

    def run_boxed(self, times):
        free = weights_after_a_run("none")
        for number in range(times):
            self.assertEqual(weights_after_a_run("full"), free, f"run {number}")

    def test_three_boxed_runs_end_and_agree(self):
        self.run_boxed(3)

    def test_slow_two_hundred_boxed_runs_end_and_agree(self):
        self.run_boxed(200)


if __name__ == "__main__":
    unittest.main()
