# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Certificates that end, with real processes whose clocks are moved by Debian's faketime."""

import glob
import os
import shutil
import subprocess
import unittest

from fleet import BIN
from scene import Scene

LIBRARY = (glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [None])[0]


class Expiry(Scene):
    def at(self, moment):
        """The environment of a process whose wall clock, and no other, says so: "+40d", "@1970-01-02 00:00:00"."""
        return {"LD_PRELOAD": LIBRARY, "FAKETIME": moment, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}

    def setUp(self):
        super().setUp()
        if LIBRARY is None:
            self.skipTest("faketime is not installed")
        worker = os.path.join(os.environ["WATTLE_BIN"], "wattle-worker")
        if "san.so" in subprocess.run(["ldd", worker], capture_output=True, text=True, check=True).stdout:
            self.skipTest("a sanitizer must be the first library, and so must faketime")

    def test_a_board_at_1970_renews_what_ended_while_it_was_away(self):
        fleet = self.fleet
        self.start("board")
        fleet.workers["board"].stop()
        fleet.coordinator.stop()
        fleet.start_coordinator(env=self.at("+40d"))
        self.plain_worker("board", env=self.at("@1970-01-02 00:00:00"))
        fleet.until_connected("board")
        log = fleet.workers["board"].log()
        self.assertIn("expired at", log)
        self.assertIn("certificate: renewed until", log)

    def test_a_person_who_works_is_renewed_and_one_who_does_not_logs_in_again(self):
        fleet = self.fleet
        fleet.start_coordinator()
        token = fleet.output("wattle", "person", "token", "mia", "--role", "viewer").strip()
        env = {**fleet.env, "XDG_CONFIG_HOME": str(fleet.directory / "config-mia")}
        kept = fleet.directory / "config-mia/wattle/identities/default/certificate.pem"
        subprocess.run([BIN / "wattle", "login", token], env=env, capture_output=True, timeout=60, check=True)

        def who_at(days):
            fleet.coordinator.stop()
            fleet.start_coordinator(env=self.at(f"+{days}d"))
            return subprocess.run([BIN / "wattle", "whoami"], env={**env, **self.at(f"+{days}d")}, capture_output=True, text=True, timeout=60, check=False)
        # At 45 days the first certificate would have ended; from 45 to 300 days nobody works, and only the renewal is accepted.
        for days, renews in ((10, False), (20, True), (45, True), (300, True)):
            before = kept.read_text()
            done = who_at(days)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(kept.read_text() != before, renews, days)
        refused = who_at(1000)
        self.assertEqual((refused.returncode, len(refused.stderr.strip().splitlines())), (5, 1), refused.stderr)
        self.assertRegex(refused.stderr, "the certificate of person mia expired at .* by a new token")

    def test_doctor_says_why_a_certificate_is_not_renewed(self):
        fleet = self.fleet
        self.start("board")
        fleet.workers["board"].stop()
        fleet.coordinator.stop()
        (fleet.directory / "board/credentials/certificate.pem.partial").mkdir()  # Nothing can be written there.
        fleet.start_coordinator(env=self.at("+20d"))
        self.plain_worker("board", env=self.at("+20d"))
        fleet.until("doctor to tell it", lambda: "board: certificate: not renewed: " in fleet.run_wattle("doctor").stdout)
        told = fleet.run_wattle("doctor")
        self.assertEqual(told.returncode, 5)
        self.assertRegex(told.stdout, r"certificate.pem.*; trying again every hour; it ends on 20")

    def test_a_board_that_was_away_for_two_years_is_told_to_enrol(self):
        fleet = self.fleet
        self.start("board")
        fleet.workers["board"].stop()
        fleet.coordinator.stop()
        fleet.start_coordinator(env=self.at("+730d"))
        self.plain_worker("board")
        fleet.until("the board to hear it", lambda: "enrol again by a new token" in fleet.workers["board"].log(), 60)
        self.assertTrue(fleet.workers["board"].running(), "its work goes on")


if __name__ == "__main__":
    unittest.main()
