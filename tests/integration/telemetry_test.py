# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Telemetry by a real Prometheus: it discovers the workers by /sd, scrapes them and the coordinator, and answers PromQL."""

import json
import math
import os
import random
import re
import subprocess
import unittest
import urllib.request

from fleet import ROOT, receipt_of
from prometheus_scene import PrometheusScene, program

SEED = int(os.environ.get("WATTLE_SEED") or random.SystemRandom().randrange(1, 1_000_000))


class Telemetry(PrometheusScene):
    def test_prometheus_sees_the_fleet(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=1", "--battery-wh=50", "--state-of-charge=0.7"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        self.push_demo()
        # Idle first, then at work, at time scale 1: the host cannot keep that pace, which is not this test's matter.
        idle = self.value('wattle_device_power_watts{device="nano"}')
        self.assertGreater(idle, 1.0)
        self.assertAlmostEqual(self.value('wattle_device_battery_charge_ratio{device="nano"}'), 0.7, delta=0.02)
        self.assertGreater(self.value('wattle_device_temperature_celsius{device="nano"}'), 10)
        job_id = self.fleet.submit(self.finetune_file(steps=12))
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        work = receipt_of(job)["work"]
        self.until_true(f'sum(wattle_worker_tokens_total{{device="nano"}}) >= {work["tokens"]}')
        self.assertGreater(self.value('max_over_time(wattle_device_power_watts{device="nano"}[2m])'), idle + 2)
        # Worker and coordinator are scraped each in its own time.
        self.until_true('wattle_worker_attempts_total{device="nano",state="finished"} == 1')
        self.until_true('wattle_coordinator_jobs{state="succeeded"} == 1')
        self.until_true('sum(wattle_coordinator_attempts_total{state="finished"}) == 1')
        self.until_true('count(up{job="wattle-worker"} == 1) == 1')

    def test_two_devices_of_one_name_are_told_apart(self):
        self.start()
        for directory in ("twin-a", "twin-b"):
            self.fleet.start_worker(directory, emulate="raspberry-pi-5", extra=["--time-scale=1"], called="twin")
        self.fleet.until("both workers", lambda: sum(device["connected"] for device in self.fleet.api("devices")["devices"]) == 2)
        page = [line.rsplit(" ", 1)[0] for line in self.fleet.get("/metrics").splitlines() if not line.startswith("#")]
        self.assertEqual(len(page), len(set(page)), "a series stands twice on the coordinator's page")
        self.start_prometheus()
        self.until_true("count(wattle_device_power_watts) == 2")
        self.until_true("count(wattle_device_connected) == 2")
        for series in self.query('{__name__=~"wattle_.*|up"}'):
            labels = series["metric"]
            renamed = [label for label in labels if label.startswith("exported_")]
            self.assertEqual(renamed, [], f"{labels['__name__']}: a label of /sd hides the worker's own")
            if labels["__name__"].startswith("wattle_device_"):
                self.assertIn("device_id", labels, labels["__name__"])

    def test_rate_of_joules_is_mean_watts_at_time_scale_one(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=1"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        power, energy = 'wattle_device_power_watts{device="nano"}', 'wattle_device_energy_joules_total{device="nano"}'
        # Samples from before the window on: else rate() extrapolates to its edges.
        self.fleet.until("30 s of samples", lambda: self.query(f"count_over_time({power}[30s]) >= 55"), 60)
        rate, mean = self.value(f"rate({energy}[20s])"), self.value(f"avg_over_time({power}[20s])")
        self.assertAlmostEqual(rate / mean, 1, delta=0.05, msg=(rate, mean))

    def truth(self, name, board):
        """Watts and heat of this very board: its file, times the hidden offset that the emulator drew and the scheduler never saw."""
        text = (ROOT / f"deploy/emulated/{board}.yaml").read_text()

        def number(pattern):
            return float(re.search(pattern, text, re.M | re.S).group(1))
        offsets = json.loads((self.fleet.directory / name / "hidden_offsets.json").read_text())
        factor = offsets["power_factor"]
        return {"factor": factor, "idle": factor * number(r"^idle_power_watts:\s*([0-9.]+)"),
                "start": factor * number(r"^start_power_watts:\s*([0-9.]+)"),
                "finetune": factor * number(r"^  finetune:.*?power_watts:\s*([0-9.]+)"),
                "ambient": number(r"ambient_celsius:\s*([0-9.]+)"), "kelvin_per_watt": number(r"kelvin_per_watt:\s*([0-9.]+)"),
                "time_constant": number(r"time_constant_seconds:\s*([0-9.]+)")}

    def assert_within(self, measured, truth, share, what):
        self.assertAlmostEqual(measured / truth, 1, delta=share, msg=f"{what}: {measured} against {truth}, WATTLE_SEED={SEED}")

    def test_energy_watts_and_heat_are_the_boards_truth(self):
        """Receipt and PromQL against the board's file: nothing that Wattle measured stands on the other side of a comparison."""
        print(f"seed {SEED}: hidden offset of the board")
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=[
            "--time-scale=6", "--hidden-offset-percent=20", f"--emulation-seed={SEED}"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        self.push_demo()
        truth = self.truth("nano", "jetson-orin-nano")
        self.assertGreater(abs(truth["factor"] - 1), 0.001, "an offset was drawn")
        device, loaded = '{device="nano"}', f'wattle_device_power_watts{{device="nano"}} > {1.6 * truth["idle"]}'
        spent = f'sum(wattle_device_energy_use_joules_total{{device="nano",use!~"idle|overhead"}})'
        # Idle: 20 samples of 1 % noise.
        self.fleet.until("idle samples", lambda: self.query(f'count_over_time(wattle_device_power_watts{device}[60s]) >= 20'), 60)
        self.assert_within(self.value(f"avg_over_time(wattle_device_power_watts{device}[10s])"), truth["idle"], 0.02, "idle watts")
        idle_celsius = truth["ambient"] + truth["kelvin_per_watt"] * truth["idle"]
        self.assert_within(self.value(f"wattle_device_temperature_celsius{device}"), idle_celsius, 0.02, "idle temperature")

        job_id = self.fleet.submit(self.finetune_file(steps=160, heldout_data="", checkpoint_every_steps=1000))
        self.fleet.until_step(job_id, 5)
        job = self.assert_succeeded(self.fleet.until_done(job_id, 400))
        run, total = receipt_of(job)["run"], receipt_of(job)["total"]
        self.assertEqual(run["source"], "ENERGY_SOURCE_EMULATED")
        covered = run["seconds"] * run["coverage_ratio"]
        self.assertGreater(covered, 8, "device seconds: noise of 1 % a sample stays below 1 % of the mean")
        self.assert_within(run["gross_energy_joules"], truth["finetune"] * covered, 0.02, "joules of the run")
        self.assertAlmostEqual(receipt_of(job)["wall_seconds"] / run["seconds"], 6, delta=0.3)
        self.until_true(f"{spent} >= {0.98 * total['gross_energy_joules']}")
        self.assert_within(self.value(spent), total["gross_energy_joules"], 0.02, "joules under load by PromQL")
        self.assert_within(self.value(f'avg_over_time(({loaded})[5m:500ms])'), truth["finetune"], 0.02, "watts under load")

        # Heat follows the load with the board's time constant: from idle, through the start, through the run.
        celsius = idle_celsius
        for watts, seconds in ((truth["start"], receipt_of(job)["start_seconds"]), (truth["finetune"], run["seconds"])):
            steady = truth["ambient"] + truth["kelvin_per_watt"] * watts
            celsius = steady + (celsius - steady) * math.exp(-seconds / truth["time_constant"])
        self.assert_within(run["temperature_celsius_max"], celsius, 0.02, "hottest of the run")
        self.assert_within(self.value(f"max_over_time(wattle_device_temperature_celsius{device}[5m])"), celsius, 0.02, "hottest by PromQL")

    def test_metrics_are_clean_for_promtool(self):
        if not program("promtool"):
            self.skipTest("promtool is not here; ./dev deps fetches it")
        self.start()
        worker = self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=4"])
        self.fleet.until_connected("nano")
        for address in (self.fleet.http, worker.metrics):
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
                page = answer.read()
            done = subprocess.run([str(program("promtool")), "check", "metrics"], input=page, capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""), page.decode())


if __name__ == "__main__":
    unittest.main()
