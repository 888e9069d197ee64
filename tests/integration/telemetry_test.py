# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Telemetry by a real Prometheus: it discovers the workers by /sd, scrapes them and the coordinator, and answers PromQL."""

import json
import os
import shutil
import socket
import subprocess
import unittest
import urllib.parse
import urllib.request

from fleet import ROOT, Process, receipt_of
from scene import Scene

TOOLS = ROOT / "build/tools/prometheus/usr/bin"
CONFIGURATION = """
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
  - job_name: wattle-coordinator
    static_configs: [{{targets: ['{http}']}}]
  - job_name: wattle-worker
    http_sd_configs: [{{url: 'http://{http}/sd', refresh_interval: 1s}}]
"""


def program(name):
    found = TOOLS / name if (TOOLS / name).exists() else shutil.which(name)
    if not found and os.environ.get("CI"):
        raise AssertionError(f"{name} must be there in CI: ./dev deps fetches Debian's prometheus")
    return found


class Telemetry(Scene):
    def start_prometheus(self):
        if not program("prometheus"):
            self.skipTest("Debian's prometheus is not here; ./dev deps fetches it")
        configuration = self.fleet.directory / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(http=self.fleet.http))
        with socket.socket() as probe:  # A port that was free a moment ago.
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [program("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={self.fleet.directory}/tsdb",
                   f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", "--log.format=json"]
        process = Process("prometheus", command, self.fleet.directory / "prometheus.log", r"")
        process.start()
        self.addCleanup(process.stop)
        self.prometheus = f"127.0.0.1:{port}"
        self.assertEqual(self.fleet.until("prometheus", lambda: self.prometheus_state(process)), "ready", process.log())

    def prometheus_state(self, process):
        if not process.running():
            return "ended"
        try:
            with urllib.request.urlopen(f"http://{self.prometheus}/-/ready", timeout=2) as answer:
                return "ready" if answer.status == 200 else None
        except OSError:
            return None

    def query(self, expression):
        url = f"http://{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]["result"]

    def value(self, expression, timeout_seconds=30):
        result = self.fleet.until(f"prometheus to answer {expression}", lambda: self.query(expression), timeout_seconds)
        self.assertEqual(len(result), 1, result)
        return float(result[0]["value"][1])

    def until_true(self, comparison, timeout_seconds=30):
        self.fleet.until(f"prometheus to say {comparison}", lambda: self.query(comparison), timeout_seconds)

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

    def test_receipt_energy_is_mean_power_times_device_time(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=6"])
        self.fleet.until_connected("nano")
        self.push_demo()
        job = self.assert_succeeded(self.fleet.until_done(self.fleet.submit(self.finetune_file(steps=12))))
        run = receipt_of(job)["run"]
        self.assertAlmostEqual(run["gross_energy_joules"] / (run["mean_power_watts"] * run["seconds"]), 1, delta=0.01)
        self.assertEqual(run["source"], "ENERGY_SOURCE_EMULATED")
        self.assertAlmostEqual(receipt_of(job)["wall_seconds"] / run["seconds"], 6, delta=0.3)

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
