# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Enrolments and renewals that are cut off at each of their files, and on a full disk: the next try is the same device."""

import contextlib
import os
import subprocess
import unittest

from fleet import BIN, FleetError
from scene import Scene

KILLED = -9
FILES_OF_AN_ENROLMENT = ("key.pem", "request.pem", "roots.pem", "coordinator", "certificate.pem")
FILES_OF_A_RENEWAL = ("roots.pem", "coordinator", "certificate.pem")


class Enrolment(Scene):
    def enroll(self, token, **env):
        command = [BIN / "wattle-worker", "enroll", token, "--state-dir", self.fleet.directory / "board"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False)

    def token(self):
        return self.fleet.output("wattle", "device", "token", "--uses", "1").strip()

    def devices(self):
        return [identity["id"] for identity in self.fleet.wattle("access", "ls", "--kind", "device").get("identities", [])]

    def assert_one_device_works(self):
        enrolled = self.devices()
        self.plain_worker("board")
        self.fleet.until_connected("board")
        self.assertEqual(enrolled, [self.fleet.workers["board"].device_id])

    def test_kill_9_at_any_step_of_an_enrolment(self):
        self.fleet.start_coordinator()
        token = self.token()
        for file in FILES_OF_AN_ENROLMENT:
            self.assertEqual(self.enroll(token, WATTLE_CRASH_AT=f"credentials:{file}").returncode, KILLED, file)
        done = self.enroll(token)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_one_device_works()

    def test_kill_9_at_any_step_of_a_renewal(self):
        self.fleet.start_coordinator()
        self.plain_worker("board")
        self.fleet.until_connected("board")
        board = self.fleet.workers["board"]
        certificate = self.fleet.directory / "board/credentials/certificate.pem"
        for file in FILES_OF_A_RENEWAL:
            board.kill()
            before = certificate.read_text()
            (certificate.parent / "renew").touch()
            board.env = {"WATTLE_CRASH_AT": f"credentials:{file}"}
            with contextlib.suppress(FleetError):  # The cut may come before the board prints that it is ready.
                board.start()
            board.wait(30)
            self.assertEqual((board.popen.returncode, certificate.read_text()), (KILLED, before), file)
            board.env = {}
            board.start()
            self.fleet.until("the board to renew", lambda before=before: certificate.read_text() != before)
            self.fleet.until_connected("board")
        self.assertEqual(len(self.devices()), 1)

    def test_a_full_disk_at_an_enrolment(self):
        self.fleet.start_coordinator()
        token = self.token()
        kind = self.fleet.directory / "kind"
        sick = {"LD_PRELOAD": str(BIN / "libwattle_failing_files.so"), "WATTLE_FAILING_DIRECTORY": f"{self.fleet.directory}/board/",
                "WATTLE_FAILING_KIND": str(kind)}
        kind.write_text("full")
        for cut_at in ("identity", "key.pem", "roots.pem"):  # The last one after the coordinator has answered.
            if cut_at != "identity":
                self.assertEqual(self.enroll(token, WATTLE_CRASH_AT=f"credentials:{cut_at}").returncode, KILLED)
            refused = self.enroll(token, **sick)
            self.assertEqual((refused.returncode, len(refused.stderr.strip().splitlines())), (1, 1), refused.stderr)
            self.assertIn(cut_at, refused.stderr)
            self.assertIn("No space left", refused.stderr)
        done = self.enroll(token)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_one_device_works()


if __name__ == "__main__":
    unittest.main()
