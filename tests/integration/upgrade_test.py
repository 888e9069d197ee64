# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The trial of a release by the real launcher, worker and runner, on a board that has no coordinator at all."""

import os
import shutil
import signal
import subprocess
import unittest

from fleet import BIN, ROOT
from scene import Scene

PATIENCE_SECONDS = 120
UPGRADE = "u7"


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def field(number, value):
    """One field of a protobuf message: a number or bytes, below 128 bytes."""
    return bytes([number << 3, value]) if isinstance(value, int) else bytes([number << 3 | 2, len(value)]) + value


class Upgrades(Scene):
    def setUp(self):
        super().setUp()
        self.state = self.fleet.directory / "state"
        self.releases = self.fleet.directory / "releases"
        told = subprocess.run([BIN / "wattle-worker", "--version"], capture_output=True, text=True, check=True).stdout
        self.version = told.split()[1]
        self.release = self.releases / self.version
        (self.release / "bin").mkdir(parents=True)
        self.state.mkdir()
        for program in ("wattle-worker", "wattle-runner"):
            shutil.copy(BIN / program, self.release / "bin" / program)
        # What was installed before: it says so, and ends.
        self.installed = self.fleet.directory / "installed"
        self.installed.mkdir()
        shutil.copy(BIN / "wattle-launch", self.installed)
        worker = self.installed / "wattle-worker"
        worker.write_text("#!/bin/sh\necho the installed worker\n")
        worker.chmod(0o755)

    def switch(self):
        """As the worker before did, of another boot: the record and the link (worker_state.proto, UpgradeRecord)."""
        order = field(1, UPGRADE.encode()) + field(2, self.version.encode())
        record = field(1, order) + field(2, b"0.0.1") + field(4, 1) + field(7, b"another boot")
        (self.state / "upgrade.pb").write_bytes(b"wattle-record-1\n" + crc32c(record).to_bytes(4, "little") + record)
        os.symlink(self.version, self.releases / "current")

    def start(self):  # pylint: disable=arguments-differ
        """Starts the board in the service manager's way. The port of the coordinator is one on which nobody listens."""
        log = open(self.fleet.directory / "launch.log", "ab")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [self.installed / "wattle-launch", "--state-dir", self.state, "--releases", self.releases, "--plaintext-loopback", "--coordinator",
             "127.0.0.1:1", "--emulate", "raspberry-pi-5", "--emulated-dir", ROOT / "deploy/emulated", "--metrics", "none"],
            stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def log(self):
        return (self.fleet.directory / "launch.log").read_text()

    def until_said(self, process, text, times=1):
        def said():
            self.assertIsNone(process.poll(), self.log())
            return self.log().count(text) >= times
        self.fleet.until(f"the worker to say {text!r}", said, PATIENCE_SECONDS)

    def test_a_good_release_passes_without_any_link_and_stays(self):
        self.switch()
        process = self.start()
        self.until_said(process, "passed its test")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE_SECONDS), 0)
        again = self.start()
        self.until_said(again, "found: ", times=2)  # The old release runs.
        self.assertNotIn("the installed worker", self.log())
        self.assertEqual(os.readlink(self.releases / "current"), self.version)

    def test_a_release_whose_runner_is_bad_is_left(self):
        runner = self.release / "bin/wattle-runner"
        runner.write_text("#!/bin/sh\nexit 1\n")
        self.switch()
        self.assertEqual(self.start().wait(PATIENCE_SECONDS), 0, self.log())
        self.assertIn("its self-test failed", self.log())
        self.assertFalse((self.releases / "current").is_symlink())
        self.assertEqual(self.start().wait(PATIENCE_SECONDS), 0)
        self.assertIn("the installed worker", self.log())

    def test_a_worker_refuses_state_of_a_later_format_and_writes_nothing(self):
        (self.state / "format").write_text("2\n")
        os.symlink(self.version, self.releases / "current")
        self.assertEqual(self.start().wait(PATIENCE_SECONDS), 2)
        self.assertIn("format: the state has format 2, and this worker reads 1 to 1; start the version", self.log())
        self.assertEqual(sorted(path.name for path in self.state.iterdir()), ["format", "lock"])


if __name__ == "__main__":
    unittest.main()
