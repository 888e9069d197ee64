# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Coordinator and worker as services: what they tell the service manager, which is this test, and what systemd says of their units."""

import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import unittest

from fleet import BIN, ROOT
from scene import Scene
from unit_filter import allowed_calls, enter

PATIENCE_SECONDS = 30
WORKER_UNIT = ROOT / "deploy/systemd/wattle-worker.service.in"
NOBODY = 65534
EXPOSURE_MAX = 2.0  # systemd-analyze security: 0 (nothing to lose) to 10 (may do everything).


def status_for(group, path):
    """What the socket of the board's owner answers to a stranger of this group; asked by a child, because only root may be somebody else."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"refused"
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                line.sendall(b"status\n")
                answer = line.recv(4096)
        finally:
            os.write(tell, answer)
            os._exit(0)
    os.close(tell)
    with open(told, "rb") as answers:
        answer = answers.read().decode()
    os.waitpid(child, 0)
    return answer


class Services(Scene):
    def manager(self, watchdog_seconds):
        """(socket, environment): as systemd starts a service of Type=notify."""
        path = self.fleet.directory / "notify"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(path))
        manager.settimeout(PATIENCE_SECONDS)
        return manager, {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(watchdog_seconds * 1e6))}

    def until_told(self, manager, line):
        """The first message with this line; an exception after PATIENCE_SECONDS of silence."""
        while True:
            message = manager.recv(4096).decode()
            if line in message.splitlines():
                return message

    def check_life(self, process, manager):
        for _ in range(3):
            self.until_told(manager, "WATCHDOG=1")
        # A process that stands still feeds nobody; once it goes on, it feeds again.
        process.signal(signal.SIGSTOP)
        self.fleet.until("the process to stand still", lambda: pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
        manager.setblocking(False)
        try:
            while manager.recv(4096):
                pass  # Earlier messages.
        except BlockingIOError:
            pass
        manager.settimeout(PATIENCE_SECONDS)
        process.signal(signal.SIGCONT)
        self.until_told(manager, "WATCHDOG=1")
        process.signal(signal.SIGTERM)
        self.until_told(manager, "STOPPING=1")
        self.assertEqual(process.wait(PATIENCE_SECONDS), 0)

    def test_a_coordinator_tells_when_it_serves_lives_and_stops(self):
        manager, environment = self.manager(watchdog_seconds=2)
        self.fleet.start_coordinator(env=environment)
        self.assertIn(f"STATUS=listening grpc={self.fleet.grpc}", self.until_told(manager, "READY=1"))
        self.check_life(self.fleet.coordinator, manager)

    def test_a_worker_tells_when_it_is_ready_lives_and_stops_without_a_coordinator(self):
        manager, environment = self.manager(watchdog_seconds=0.2)
        self.fleet.start_coordinator()
        self.fleet.enroll("alone")
        self.fleet.coordinator.stop()
        self.plain_worker("alone", env=environment)
        self.assertIn("STATUS=worker alone", self.until_told(manager, "READY=1"))
        self.check_life(self.fleet.workers["alone"], manager)

    def test_what_is_installed_runs_and_systemd_finds_little_to_expose(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here")
        staged = self.fleet.directory / "staged"
        subprocess.run(["cmake", "--install", BIN.parent], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": str(staged)})
        installed = staged / "usr/local"
        self.assertEqual(sorted(path.name for path in (installed / "bin").iterdir()), ["wattle", "wattle-coordinator", "wattle-launch", "wattle-powerd", "wattle-runner", "wattle-worker"])
        boards = subprocess.run([installed / "bin/wattle-worker", "--emulate=none-such"], capture_output=True, text=True, check=False).stderr
        self.assertIn("there are: jetson-orin-nano, jetson-xavier-nx, raspberry-pi-5", boards)
        self.assertIn("u wattle-worker ", (installed / "lib/sysusers.d/wattle.conf").read_text())
        units = sorted((installed / "lib/systemd/system").iterdir())
        self.assertEqual([unit.name for unit in units], ["wattle-coordinator.service", "wattle-powerd.service", "wattle-worker.service"])
        for unit in units:  # A user's machine has the program, and systemd checks that it is there.
            unit.write_text(unit.read_text().replace("=/usr/local/bin/", f"={installed}/bin/"))
        verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
        self.assertEqual((verified.returncode, verified.stdout + verified.stderr), (0, ""))
        for unit in units:
            judged = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", unit], capture_output=True, text=True,
                                    check=True, env={**os.environ, "LC_ALL": "C"}).stdout
            exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", judged)[1])
            print(f"{unit.name}: exposure {exposure}")
            self.assertLessEqual(exposure, EXPOSURE_MAX, judged)

    def told_by_worker(self, calls):
        """By one that wants isolation full and finds no coordinator, in a service that has these calls; None: all of them."""
        command = [BIN / "wattle-worker", "--isolation-min=full", "--plaintext-loopback", "--coordinator=127.0.0.1:1", f"--state-dir={self.fleet.directory / 'sandboxed'}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=calls and (lambda: enter(calls))) as worker:
            told = ""
            for line in worker.stderr:  # Until it ends, or goes on.
                told += line
                if "not reachable" in line:
                    break
            worker.kill()
        return told

    def test_a_worker_below_its_least_isolation_does_not_start(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here")
        calls = allowed_calls(WORKER_UNIT.read_text())
        command = [BIN / "wattle-worker", "--isolation-min=full", "--plaintext-loopback", "--coordinator=127.0.0.1:1", f"--state-dir={self.fleet.directory / 'bare'}"]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=lambda: enter(calls - {"landlock_create_ruleset"}))
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("--isolation-min full: this machine gives seccomp (Landlock", refused.stderr.splitlines()[-1])

    def test_the_unit_leaves_the_box_whole(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here")
        free = self.told_by_worker(None)
        if "this machine gives" in free:
            self.skipTest(free)
        calls = allowed_calls(WORKER_UNIT.read_text())
        self.assertNotIn("capset", calls, "the case that matters")
        told = self.told_by_worker(calls)
        self.assertIn("not reachable", told)
        self.assertNotIn("this machine gives", told)

    def test_a_worker_in_its_units_filter_hears_of_the_time_service(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here")
        timesync = self.fleet.directory / "board/run/systemd/timesync"
        timesync.mkdir(parents=True)
        self.start()
        worker = self.plain_worker("barn", extra=["--exclusive", "game", "--sensor-root", self.fleet.directory / "board"])
        worker.stop()
        worker.command = [sys.executable, ROOT / "tests/integration/unit_filter.py", WORKER_UNIT, *worker.command]
        (timesync / "synchronized").touch()
        worker.start()

        def told():
            return self.fleet.devices().get("barn", {}).get("heartbeat", {}).get("clock_source")
        self.fleet.until("the board's time to be that of its time service", lambda: told() == "CLOCK_SOURCE_KERNEL")

        def findings():
            return " ".join(self.fleet.devices()["barn"]["info"]["findings"])
        self.assertIn("--exclusive: the programs of other users are hidden", findings())
        self.assertNotIn("systemd-timesyncd does not run", findings())
        worker.stop()
        shutil.rmtree(timesync)
        worker.start()
        self.fleet.until("the missing time service to be told", lambda: "systemd-timesyncd does not run" in findings())

    def test_the_workers_group_may_ask_and_reads_nothing_else(self):
        self.start("one")
        folder = self.fleet.directory / "one"
        self.assertEqual([stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "owner.sock")], [0o710, 0o660])
        self.assertEqual([path.name for path in folder.iterdir() if path.name != "owner.sock" and path.stat().st_mode & 0o077], [])
        if os.geteuid() != 0:
            return  # Only root may be somebody else.
        self.fleet.directory.chmod(0o711)
        self.assertIn("coordinator: ", status_for(os.getegid(), folder / "owner.sock"))
        self.assertEqual(status_for(NOBODY, folder / "owner.sock"), "refused")

    def test_root_enrols_a_board_for_the_user_of_its_service(self):
        if os.geteuid() != 0:
            self.skipTest("only root may be somebody else")
        self.start()
        self.fleet.directory.chmod(0o711)
        folder = self.fleet.directory / "service"
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
        self.fleet.enroll("service")
        self.assertEqual({path.stat().st_uid for path in (folder, *folder.rglob("*"))}, {NOBODY})


if __name__ == "__main__":
    unittest.main()
