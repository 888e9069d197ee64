# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Boards that offer their cores beside their GPU: the plan's two ways with joules, runs on each, one at a time."""

import json
import unittest

from fleet import CommandError
from scene import FINETUNE, ROOT, Scene

CLASS = "jetson-orin-nano"
# The cores have less than half of the GPU's speed, and take more joules. Steps are long beside a sample of the board's sensor.
SLOW_STEPS = (("step_overhead_seconds: 0.02\n", "step_overhead_seconds: 0.2\n"),
              ("evaluate: {throughput_flops: 330.0e9, step_overhead_seconds: 0.01,", "evaluate: {throughput_flops: 330.0e9, step_overhead_seconds: 0.05,"))
ON_CPU = """
work_on_cpu:
  finetune: {throughput_flops: 48.0e9, step_overhead_seconds: 0.4, power_watts: 9.5}
  evaluate: {throughput_flops: 66.0e9, step_overhead_seconds: 0.08, power_watts: 9.5}
  generate: {throughput_flops: 12.0e9, step_overhead_seconds: 0.003, power_watts: 7.5}
  generate_int8: {throughput_flops: 30.0e9, step_overhead_seconds: 0.003, power_watts: 7.5}
  quantize: {throughput_flops: 6.0e9, step_overhead_seconds: 0.015, power_watts: 6.0}
"""


class Processors(Scene):
    def start_board(self, offers_cpu=True):
        self.start()
        boards = self.fleet.directory / "boards"
        boards.mkdir()
        text = (ROOT / f"deploy/emulated/{CLASS}.yaml").read_text()
        for shipped, slow in SLOW_STEPS:
            self.assertIn(shipped, text)
            text = text.replace(shipped, slow)
        (boards / f"{CLASS}.yaml").write_text(text + (ON_CPU if offers_cpu else ""))
        self.fleet.start_worker("nano", emulate=CLASS, extra=["--time-scale=0", "--hidden-offset-percent=0", f"--emulated-dir={boards}"])
        self.fleet.until_connected("nano")
        self.push_demo()

    def tune_file(self, name, **fields):
        return self.job_file(name, finetune={**FINETUNE, "steps": 6}, **fields)

    def test_the_plan_shows_both_ways_and_each_run_teaches_its_own(self):
        self.start_board()
        file = self.tune_file("tune")
        shown = self.fleet.run_wattle("plan", file).stdout
        self.assertRegex(shown, r"\n\*  nano +15W, GPU +.* J ")
        self.assertRegex(shown, r"\n-  - +15W, CPU +.* J ")

        jobs = [self.fleet.submit(self.tune_file(f"on-{way}", accelerator=way)) for way in ("cuda", "cpu")]
        receipts = []
        for job in jobs:
            ended = self.assert_succeeded(self.fleet.until_done(job))
            attempts = ended["attempts"]
            self.assertEqual(len(attempts), 1)
            receipts.append((attempts[0]["started_unix_seconds"], attempts[0]["finished_unix_seconds"], attempts[0]["receipt"]))
        self.assertEqual([receipt["on_cpu"] for _, _, receipt in receipts], [False, True])
        (first_start, first_end, _), (second_start, second_end, _) = receipts
        self.assertTrue(first_end <= second_start or second_end <= first_start, "two runs at once on one board")
        gpu, cpu = (receipt["run"]["seconds"] for _, _, receipt in receipts)
        self.assertGreater(cpu, gpu)

        classes = {row["device_class"] for row in self.fleet.api("profiles")["rows"] if row["source"] == "PROFILE_SOURCE_MEASURED"}
        self.assertEqual(classes, {CLASS, f"{CLASS}/cpu"})
        candidate, = self.fleet.wattle("plan", file)["candidates"]
        self.assertEqual(candidate["prediction"]["provenance"], "PROVENANCE_MEASURED_DEVICE")
        self.assertFalse(candidate["on_cpu"])
        other, = candidate["other_power_modes"]
        self.assertTrue(other["on_cpu"])
        self.assertEqual(other["provenance"], "PROVENANCE_MEASURED_DEVICE")
        self.assertGreater(other["run_seconds"], candidate["prediction"]["run_seconds"]["mean"])
        self.assertGreater(other["run_energy_joules"], 0)

    def test_a_job_that_is_pinned_to_a_processor_nobody_has_is_told_so(self):
        self.start()
        self.fleet.start_worker("pi", emulate="raspberry-pi-5", extra=["--time-scale=0"])
        self.fleet.until_connected("pi")
        self.push_demo()
        file = self.tune_file("pinned", accelerator="cuda")
        printed = self.fleet.run_wattle("plan", file, "-o", "json")
        self.assertEqual(printed.returncode, 5, "no device takes the job")
        plan = json.loads(printed.stdout)
        self.assertEqual(plan["chosen_device_id"], "")
        candidate, = plan["candidates"]
        self.assertEqual((candidate["refused_by"], candidate["permanent"]), ("processor", True))
        self.assertEqual(len(plan["reason"].splitlines()), 1)
        self.assertIn("accelerator: cuda; feasible with accelerator: any", plan["reason"] + candidate["reason"])
        with self.assertRaisesRegex(CommandError, "accelerator"):
            self.fleet.wattle("plan", self.tune_file("odd", accelerator="tpu"))
        self.assertEqual(self.fleet.wattle("plan", self.tune_file("cores", accelerator="cpu"))["candidates"][0]["feasible"], True)

    def test_bf16_is_for_boards_that_have_it(self):
        self.start()
        for name, board in (("xavier", "jetson-xavier-nx"), ("orin", CLASS)):
            self.fleet.start_worker(name, emulate=board, extra=["--time-scale=0"])
            self.fleet.until_connected(name)
        self.push_demo()
        plan = self.fleet.wattle("plan", self.job_file("bf16", finetune={**FINETUNE, "steps": 6, "precision": "bf16"}))
        candidates = {candidate["device_name"]: candidate for candidate in plan["candidates"]}
        self.assertTrue(candidates["orin"]["feasible"])
        self.assertEqual((candidates["xavier"]["refused_by"], candidates["xavier"]["permanent"]), ("bf16", True))
        self.assertIn("feasible with precision: fp16", candidates["xavier"]["reason"])
        self.assertEqual(plan["chosen_device_id"], candidates["orin"]["device_id"])
        trained = self.job_file("trained", finetune={**FINETUNE, "steps": 6, "weights_precision": "bf16"}, accelerator="cuda")
        plan = self.fleet.wattle("plan", trained)
        self.assertEqual(sorted(candidate["device_name"] for candidate in plan["candidates"] if candidate["feasible"]), ["orin", "xavier"])


if __name__ == "__main__":
    unittest.main()
