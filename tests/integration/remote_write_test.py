# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A device that Prometheus cannot reach: its samples come through the coordinator, also those of a time without a link."""

import json
import time
import unittest
import urllib.parse

from prometheus_scene import PrometheusScene, free_address, shipped

INTERVAL_SECONDS = 0.5
POWER = 'wattle_device_power_watts{device="mast"}'


class RemoteWrite(PrometheusScene):
    def start_all(self):
        self.prometheus = free_address()
        self.flags = ["--remote-write", f"http://{self.prometheus}/api/v1/write"]
        self.fleet.start_coordinator(extra=self.flags)
        self.receiver = self.start_receiver()
        self.fleet.start_worker("mast", emulate="jetson-orin-nano", metrics="pushed",
                                extra=["--time-scale=1", f"--metrics-interval-seconds={INTERVAL_SECONDS}"])
        self.fleet.until_connected("mast")

    def start_receiver(self):
        return self.start_server("prometheus", self.prometheus, shipped("prometheus.yml", *self.pace()), "--web.enable-remote-write-receiver")

    def newest(self):
        result = self.query(f"timestamp({POWER})")
        return float(result[0]["value"][1]) if result else 0

    def pass_seconds(self, seconds):
        end = time.monotonic() + seconds
        self.fleet.until(f"{seconds} s to pass", lambda: time.monotonic() >= end)

    def test_an_outage_leaves_no_hole_and_no_double(self):
        self.start_all()
        start = self.fleet.until("first samples", self.newest)
        # The link is away, then Prometheus, then both come back.
        self.fleet.coordinator.stop()
        self.pass_seconds(8)
        self.fleet.start_coordinator(extra=self.flags)
        self.fleet.until_connected("mast")
        self.receiver.stop()
        self.pass_seconds(6)
        end = time.time()
        self.start_receiver()
        self.fleet.until("Prometheus to catch up", lambda: self.newest() > end + 2, 90)

        result = self.get_json("/api/v1/query?" + urllib.parse.urlencode({
            "query": f"{POWER}[{int(end + 4 - start)}s]", "time": end + 2}))["data"]["result"]
        self.assertEqual(len(result), 1, "one device, one series")
        times = [float(at) for at, _ in result[0]["values"]]
        self.assertEqual(times, sorted(set(times)), "a sample comes twice")
        gaps = [after - before for before, after in zip(times, times[1:])]
        self.assertGreater(min(gaps), INTERVAL_SECONDS / 4, "a double: a sample under a second time")
        self.assertLess(max(gaps), 3 * INTERVAL_SECONDS, "a hole")  # Allows for a busy machine.
        self.assertGreater(len(times), 0.9 * (end + 2 - start) / INTERVAL_SECONDS - 2)
        self.assertEqual(result[0]["metric"]["job"], "wattle-worker")
        self.check_one_path()

    def check_one_path(self):
        self.assertEqual(json.loads(self.fleet.get("/sd")), [], "nobody can reach the device")
        page = self.fleet.get("/metrics")
        self.assertNotIn("wattle_device_power_watts", page)
        self.assertIn("wattle_device_last_seen_timestamp_seconds", page)
        doubles = self.query('count by (__name__, device_id, source, use, sensor, channel, state, direction) ({__name__=~"wattle_(device|worker|sensor).*"}) > 1')
        self.assertEqual(doubles, [], "a series of a device comes twice")
        # What the workers' page would show is there under the same names.
        for name in ("wattle_device_info", "wattle_device_energy_joules_total", "wattle_worker_connected", "wattle_sensor_up"):
            self.assertEqual(len(self.query(f'{name}{{device="mast"}}')), 1, name)
        self.until_true("wattle_coordinator_remote_write_samples_total > 0")
        self.assertEqual(self.query("sum(wattle_coordinator_remote_write_refused_samples_total) > 0"), [])


if __name__ == "__main__":
    unittest.main()
