# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A board under its service manager, and upgrades of it. The tests and ./dev bench field use it."""

import os
import pathlib
import shutil
import signal
import subprocess

from fleet import BIN, ROOT, FleetError
from scene import process_status

PATIENCE_SECONDS = 240
PROGRAMS = ("wattle-worker", "wattle-runner")
ENDED = ("UPGRADE_STATE_FINISHED", "UPGRADE_STATE_PAUSED")


def version_of(programs):
    return subprocess.run([programs / "wattle-worker", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def version_after(version, count):
    """A later version of as many characters, of this minor release or the next."""
    major, minor, patch = map(int, version.split("."))
    number = 10 * minor + patch + count
    return f"{major}.{number // 10}.{number % 10}"


def numbers_of(version):
    return tuple(map(int, version.split(".")))


def earlier_releases():
    """(version, folder of its programs) of each of the two minor releases before this one, if ./dev release-fixture has built it."""
    own = numbers_of(version_of(BIN))
    lines = (ROOT / "deploy/releases.txt").read_text().splitlines()
    versions = [line.split()[0] for line in lines if line and not line.startswith("#")]
    served = [version for version in versions if own[:2] > numbers_of(version)[:2] >= (own[0], own[1] - 2)]
    built = ((version, ROOT / "build/fixtures" / version / "bin") for version in served)
    return [(version, programs) for version, programs in built if (programs / "wattle-worker").exists()]


class Board:
    """One device of a fleet, named `board`, whose launcher and worker are those of a folder."""

    def __init__(self, fleet, installed=BIN):
        self.fleet = fleet
        self.installed = pathlib.Path(installed)
        self.releases = fleet.directory / "releases"
        self.place = fleet.directory / "place"
        self.killed = fleet.directory / "killed"
        self.place.write_text("")
        self.log = open(fleet.directory / "board.log", "ab")
        self.manager = None

    def start(self, **env):
        """What the service manager does on a board: the launcher again and again. Each start takes its place of a kill from a file
        (base/crash_point.h)."""
        self.fleet.enroll("board")
        self.releases.mkdir()
        command = [self.installed / "wattle-launch", "--state-dir", self.fleet.directory / "board", "--releases", self.releases, "--coordinator",
                   self.fleet.grpc, "--name", "board", "--threads=1", "--metrics", "none"]
        loop = 'while true; do WATTLE_CRASH_AT="$(cat "$PLACE")" "$@"; sleep 0.2; done'
        self.manager = subprocess.Popen(
            ["/bin/sh", "-c", loop, "manager", *command], stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PLACE": str(self.place), "WATTLE_CRASH_MARKER": str(self.killed), **env})
        self.fleet.until_connected("board")

    def close(self):
        os.killpg(self.manager.pid, signal.SIGKILL)
        self.manager.wait()
        self.log.close()

    def worker_pid(self):
        """None while none runs."""
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            name, state, _, session = process_status(pid) or ("", "Z", 0, 0)
            if name == "wattle-worker" and state != "Z" and session == self.manager.pid:
                return pid
        return None

    def restart(self):
        """The worker dies, and its manager starts it anew."""
        before = self.worker_pid()
        os.kill(before, signal.SIGKILL)
        self.fleet.until("another worker on the board", lambda: self.worker_pid() not in (None, before))
        self.fleet.until_connected("board")

    def told(self):
        return self.fleet.devices()["board"]

    def running(self):
        return self.told()["info"]["worker_version"]

    def push(self, version, programs=BIN, **replaced):
        """A release of these programs, with this version in their text. replaced: runner="/bin/false"."""
        folder = self.fleet.directory / f"wattle-{version}"
        (folder / "bin").mkdir(parents=True)
        told = version_of(programs)
        for program in PROGRAMS:
            path = folder / "bin" / program
            path.write_bytes((programs / program).read_bytes().replace(told.encode(), version.encode()))
            path.chmod(0o755)
        for name, program in replaced.items():
            shutil.copy(program, folder / f"bin/wattle-{name}")
        self.fleet.wattle("release", "push", folder, "--version", version)

    def until_upgrade_ended(self, patience_seconds=PATIENCE_SECONDS):
        def ended():
            upgrade = self.fleet.wattle("upgrade", "status")
            return upgrade if upgrade["state"] in ENDED else None
        return self.fleet.until("the upgrade to end", ended, patience_seconds, 0.5)

    def until_running(self, version):
        """The upgrade ends well, and the board reports the version."""
        upgrade = self.until_upgrade_ended()
        device = upgrade["devices"][0]
        if (upgrade["state"], device["state"]) != ("UPGRADE_STATE_FINISHED", "DEVICE_UPGRADE_STATE_ACTIVE"):
            raise FleetError(f"the upgrade to {version} ended as {upgrade}")
        self.fleet.until(f"the board to tell {version}", lambda: self.running() == version, PATIENCE_SECONDS)
