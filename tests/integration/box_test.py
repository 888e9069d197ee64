# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The box of the runners on the real programs: a job's result does not depend on it, and jobs can ask for a level."""

import hashlib
import unittest

from scene import FINETUNE, Scene

LEVELS = ("none", "seccomp", "full")


class Box(Scene):
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


if __name__ == "__main__":
    unittest.main()
