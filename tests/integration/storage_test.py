# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Sick disks under real workers: a layer before the C library fails their writes (failing_files.cc)."""

import os
import subprocess
import unittest

from fleet import BIN
from scene import Scene

KINDS = {"erofs": "disk read-only: ", "eio": "disk error: ", "full": "disk full: ", "slow": "disk slow: "}


class Storage(Scene):
    def kind_file(self, name):
        return self.fleet.directory / f"{name}.kind"

    def sick_worker(self, name):
        directory = self.fleet.directory / name
        env = {"LD_PRELOAD": str(BIN / "libwattle_failing_files.so"), "WATTLE_FAILING_DIRECTORY": f"{directory}/",
               "WATTLE_FAILING_KIND": str(self.kind_file(name))}
        return self.plain_worker(name, env=env)

    def problem(self, name):
        return self.fleet.devices()[name].get("heartbeat", {}).get("storage_problem", "")

    def until_named(self, seconds=150):
        """Workers write every minute; a slow write counts with the next one."""
        for name, told in KINDS.items():
            problem = self.fleet.until(f"{name} to name its disk", lambda name=name: self.problem(name), seconds)
            self.assertTrue(problem.startswith(told), f"{name}: {problem}")

    def files_of(self, name):
        return {path.relative_to(self.fleet.directory) for path in (self.fleet.directory / name).rglob("*") if path.is_file() and path.suffix != ".partial"}

    def test_each_sickness_of_a_disk_is_named_holds_the_work_deletes_nothing_and_heals(self):
        self.start()
        self.push_demo()
        for name in KINDS:
            self.sick_worker(name)
        self.fleet.until_connected(*KINDS)
        before = {name: self.files_of(name) for name in KINDS}
        identities = {name: worker.device_id for name, worker in self.fleet.workers.items()}
        for name in KINDS:
            self.kind_file(name).write_text(name)
        self.until_named()
        table = self.fleet.run_wattle("devices").stdout
        self.assertEqual(table.count("sick disk"), len(KINDS), table)
        job = self.fleet.submit(self.finetune_file(steps=4))
        self.assertEqual(self.fleet.job(job).get("attempts", []), [], "no board takes it")
        # A start on the sick disk tells as well.
        for name in ("erofs", "full"):
            worker = self.fleet.workers[name]
            worker.kill()
            worker.start()
        self.fleet.until_connected(*KINDS)
        self.until_named()
        for name in KINDS:
            self.assertLessEqual(before[name], self.files_of(name), "nothing is deleted")
            self.kind_file(name).unlink()
        for name in KINDS:
            self.fleet.until(f"{name} to be healthy", lambda name=name: not self.problem(name), 90)
        self.assert_succeeded(self.fleet.until_done(job, 240))
        self.assertEqual({name: device["info"]["device_id"] for name, device in self.fleet.devices().items()}, identities)

    def test_a_disk_of_the_kernel_that_is_full_or_read_only_is_named_and_heals(self):
        """What the layer cannot play: a block in place is written on a full disk too, and no name or mode changes on a read-only one."""
        folder = self.fleet.directory / "barn"
        folder.mkdir()

        def mount(*words):
            return subprocess.run(["mount", *words, folder], capture_output=True, check=False).returncode == 0
        if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=300m", "tmpfs"):
            self.skipTest("mounting a small file system is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
        self.start("barn")

        def heals():
            self.fleet.until("the disk to be healthy", lambda: not self.problem("barn"), 90)
        ballast = folder / "ballast"
        with open(ballast, "wb") as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        self.assertIn("disk full: ", self.fleet.until("the full disk to be named", lambda: self.problem("barn"), 150))
        ballast.unlink()
        heals()
        worker = self.fleet.workers["barn"]
        worker.kill()
        self.assertTrue(mount("-o", "remount,ro"))
        worker.start()
        self.assertIn("disk read-only: ", self.fleet.until("the read-only disk to be named", lambda: self.problem("barn"), 150))
        self.assertTrue(mount("-o", "remount,rw"))
        heals()
        self.push_demo()
        self.assert_succeeded(self.fleet.until_done(self.fleet.submit(self.finetune_file(steps=2))))


if __name__ == "__main__":
    unittest.main()
