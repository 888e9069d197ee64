# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Sensors behind a network, by the real servers: Network UPS Tools' upsd with its dummy driver, seen by `wattle-worker probe`."""

import getpass
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest

from fleet import Process

# Debian's /usr/sbin/upsd refuses to run until nut.conf enables it; the program itself is here.
UPSD = pathlib.Path("/lib/nut/upsd")
DRIVER = pathlib.Path("/lib/nut/dummy-ups")
WORKER = pathlib.Path(os.environ["WATTLE_BIN"]) / "wattle-worker"


class NetworkUps(unittest.TestCase):
    def setUp(self):
        if not (UPSD.exists() and DRIVER.exists()):
            if os.environ.get("CI"):
                raise AssertionError("upsd must be there in CI: ./dev deps installs Debian's nut-server")
            self.skipTest("Debian's nut-server is not here; ./dev deps installs it")
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)
        with socket.socket() as probe:  # A port that was free a moment ago.
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {"NUT_CONFPATH": temporary.name, "NUT_STATEPATH": temporary.name, "NUT_ALTPIDPATH": temporary.name}
        self.write("ups.conf", f"[mast]\ndriver = dummy-ups\nport = {temporary.name}/mast.dev\nmode = dummy-loop\n")
        self.write("upsd.conf", f"LISTEN 127.0.0.1 {self.port}\n")
        self.write("upsd.users", "")
        self.write("mast.dev", "battery.charge: 62\nbattery.runtime: 1860\nups.status: OB DISCHRG\nups.realpower: 37.5\nups.load: 12\n")

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o640)
        return path

    def start(self, program, *arguments):
        process = Process(program.name, [str(program), *arguments, "-u", getpass.getuser(), "-F"], self.directory / f"{program.name}.log",
                          r"", env=self.environment)
        process.start()
        self.addCleanup(process.stop)
        return process

    def probe(self, **settings):
        """What the probe says of the UPS: the source's object, with channels by metric."""
        lines = "".join(f"    {name}: {value}\n" for name, value in {"ups": "mast", "address": f"127.0.0.1:{self.port}", **settings}.items())
        sensors = self.write("sensors.yaml", "sensors:\n  - kind: nut\n" + lines)
        answer = subprocess.run([WORKER, "probe", "--json", "--sensor-root", self.directory, "--sensors", sensors], capture_output=True,
                                text=True, timeout=60, check=True)
        (source,) = json.loads(answer.stdout)
        return source, {channel["metric"]: channel["value"] for channel in source["channels"]}

    def until_probe(self, wanted, **settings):
        """Servers connect in their own time: asked again until it is as wanted."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            source, values = self.probe(**settings)
            if wanted(source, values):
                return source, values
            time.sleep(0.05)
        self.fail(f"the probe still says {source}")

    def test_a_real_upsd_tells_charge_power_and_its_own_troubles(self):
        source, _ = self.probe()
        self.assertIn("Connection refused", source["problem"])
        driver = self.start(DRIVER, "-a", "mast")
        upsd = self.start(UPSD)
        source, values = self.until_probe(lambda source, _: source["problem"] is None, power="measured")
        self.assertEqual(values, {"wattle_battery_charge_ratio": 0.62, "wattle_ups_low_battery": 0, "wattle_ups_runtime_seconds": 1860,
                                  "wattle_ups_output_watts": 37.5})
        self.assertTrue(source["measures_device"])
        self.assertEqual(source["scope"], "ups_output")
        # The same UPS, several devices on it: its power is nobody's.
        source, values = self.probe()
        self.assertFalse(source["measures_device"])
        self.assertEqual(values["wattle_ups_output_watts"], 37.5)
        source, _ = self.probe(ups="other")
        self.assertIn("knows no UPS of this name", source["problem"])
        driver.kill()
        source, _ = self.until_probe(lambda source, _: source["problem"] is not None)
        self.assertRegex(source["problem"], "driver")
        upsd.kill()
        source, _ = self.until_probe(lambda source, _: "driver" not in source["problem"])
        self.assertIn("Connection refused", source["problem"])


if __name__ == "__main__":
    unittest.main()
