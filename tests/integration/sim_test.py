# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""wattle sim --from-fleet: the fleet of a real coordinator, with what its boards have measured, in virtual time."""

import json

from scene import FINETUNE, Scene

WORK = """name: what-if
duration: 6h
rates: {seconds_spread: 0.1}
jobs:
  - {name: tune, every: 1h, job: {finetune: {model: base, data: train, steps: 400, batch_size: 4, gradient_accumulation_steps: 2, sequence_length: 96}}}
policy: [ours, fastest]
seeds: 2
"""
POLICY = """name: masts
selector: [site=mast]
reserve_state_of_charge_ratio: 0.35
"""


class SimFromFleet(Scene):
    def sim(self, *arguments):
        done = self.fleet.run_wattle("sim", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_a_fleet_is_simulated_as_its_coordinator_tells_it(self):
        self.start("host")
        self.fleet.start_worker("nano", emulate="jetson-orin-nano",
                                extra=["--time-scale=1", "--battery-wh=60", "--state-of-charge=0.8", "--label=site=mast"])
        self.fleet.until_connected("nano")
        self.push_demo()
        policy = self.fleet.directory / "policy.yaml"
        policy.write_text(POLICY)
        self.fleet.wattle("policy", "apply", policy)
        measured = self.job_file("measured", required_labels=["device=host"], finetune={**FINETUNE, "heldout_data": ""})
        self.assert_succeeded(self.fleet.until_done(self.fleet.submit(measured)))
        work, whole = self.fleet.directory / "work.yaml", self.fleet.directory / "fleet.yaml"
        work.write_text(WORK)

        told = self.sim(work, "--from-fleet", "--write", whole)
        self.assertTrue(told.stdout.startswith("what-if: 2 boards, 6 h 00 min, seeds 1 to 2"), told.stdout)
        self.assertIn("assumed, because the coordinator does not tell: links without cuts; no panel (panel_watts 0) on nano", told.stderr)
        self.assertEqual(told.stderr.count("\n"), 1)
        written = whole.read_text()
        for expected in ("name: nano, class: jetson-orin-nano, boards: [nano]", "pack_wh: 60", "reserve_state_of_charge_ratio: 0.35",
                         "name: host, class: generic-",
                         "\nprofiles:\n  - {device_class: generic-", "\n  train: {examples: "):
            self.assertIn(expected, written)

        # The written file is the same scenario, without the coordinator.
        self.fleet.coordinator.kill()
        self.assertEqual(self.sim(whole).stdout, told.stdout)
        document = json.loads(self.sim(whole, "-o", "json").stdout)
        self.assertEqual({group["group"]: group.get("reserve_ratio") for group in document["truth_of_first_seed"]}, {"host": None, "nano": 0.35})
        self.assertGreater(document["policies"][0]["jobs_done"]["median"], 0)
        self.assertEqual(self.fleet.run_wattle("sim", work, "--from-fleet").returncode, 4)
