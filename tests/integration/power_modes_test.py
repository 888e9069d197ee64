# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Power modes from the plan to the profile: a real worker on a file tree of a board, which it may set."""

import getpass
import subprocess
import unittest

from fleet import BIN, receipt_of
from scene import Scene

CPU = "sys/devices/system/cpu/cpu0/cpufreq"
# In 10W the processor may run at half its frequency.
NVPMODEL = """< PARAM TYPE=CLOCK NAME=CPU >
MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq
< POWER_MODEL ID=0 NAME=MODE_10W >
CPU MAX_FREQ 950400
< POWER_MODEL ID=1 NAME=MODE_20W >
CPU MAX_FREQ 1900800
< PM_CONFIG DEFAULT=0 >
"""


class Board(Scene):
    """A file tree of a board in its 10 W mode, and a worker on it."""

    def make_board(self):
        self.board = self.fleet.directory / "board"
        for path, text in {"etc/nvpmodel.conf": NVPMODEL, "var/lib/nvpmodel/status": "pmode:0000\n", f"{CPU}/scaling_max_freq": "950400\n",
                           f"{CPU}/cpuinfo_max_freq": "1900800\n"}.items():
            (self.board / path).parent.mkdir(parents=True, exist_ok=True)
            (self.board / path).write_text(text)

    def start_worker_on_board(self, *flags, env=None):
        self.plain_worker("board", env=env, extra=["--sensor-root", self.board, *flags])
        self.fleet.until_connected("board")

    def frequency(self):
        return int((self.board / CPU / "scaling_max_freq").read_text())


class PowerModes(Board):
    def start_board(self, *flags, env=None):
        self.make_board()
        self.start_worker_on_board(*flags, env=env)

    def test_a_job_runs_in_the_mode_that_it_was_placed_for_and_is_learned_under_it(self):
        self.start()
        self.start_board("--allow-power-modes", env=self.held_at("frame:step:2:after"))
        self.push_demo()
        file = self.finetune_file(objective="time", steps=6, heldout_data="")
        candidate = self.fleet.wattle("plan", file)["candidates"][0]
        self.assertEqual((candidate["power_mode"], candidate["sets_power_mode"]), ("MODE_20W", True))
        self.assertEqual([other["power_mode"] for other in candidate["other_power_modes"]], ["MODE_10W"])
        job_id = self.fleet.submit(file)
        held = self.until_held()
        self.assertEqual(self.frequency(), 1900800)
        self.let_go(held)
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        self.assertEqual(receipt_of(job)["power_mode"], "MODE_20W")
        self.assertIn("in power mode MODE_20W, which the worker sets", job["attempts"][0]["placement"]["reason"])
        self.fleet.until("the board's own mode", lambda: self.frequency() == 950400)
        self.assertEqual({row["power_mode"] for row in self.fleet.wattle("profile", "ls")["rows"] if row.get("device_id")}, {"MODE_20W"})

        # For the fewest joules it stays in the mode that was measured, or in its own: a guess is no reason to change it.
        again = self.fleet.wattle("plan", self.finetune_file("again", steps=6, heldout_data=""))["candidates"][0]
        self.assertEqual(again["power_mode"], "MODE_10W")

    def test_without_permission_nothing_is_set(self):
        self.start()
        self.start_board()
        self.push_demo()
        file = self.finetune_file(objective="time", steps=6, heldout_data="")
        candidate = self.fleet.wattle("plan", file)["candidates"][0]
        self.assertEqual(candidate["power_mode"], "MODE_10W")
        self.assertFalse(candidate.get("sets_power_mode") or candidate.get("other_power_modes"))
        written = (self.board / CPU / "scaling_max_freq").stat().st_mtime_ns
        job = self.assert_succeeded(self.fleet.until_done(self.fleet.submit(file)))
        self.assertEqual(receipt_of(job)["power_mode"], "MODE_10W")
        self.assertEqual((self.board / CPU / "scaling_max_freq").stat().st_mtime_ns, written)

    def test_a_worker_that_was_killed_restores_the_board_when_it_starts_again(self):
        self.start()
        self.start_board("--allow-power-modes", "--power-mode", "MODE_20W")
        self.assertEqual(self.frequency(), 1900800)
        self.fleet.workers["board"].kill()
        self.assertEqual(self.frequency(), 1900800)
        worker = self.plain_worker("board", extra=["--sensor-root", self.board])  # no permission: it restores all the same
        self.assertEqual(self.frequency(), 950400)
        worker.stop()

    def test_a_worker_that_stops_restores_the_board(self):
        self.start()
        self.start_board("--allow-power-modes", "--power-mode", "MODE_20W")
        self.fleet.workers["board"].stop()
        self.assertEqual(self.frequency(), 950400)

    def test_a_worker_without_rights_has_its_modes_set_by_powerd(self):
        self.start()
        self.make_board()
        socket = self.fleet.directory / "powerd.sock"
        powerd = subprocess.Popen([BIN / "wattle-powerd", "--socket", socket, "--user", getpass.getuser(), "--state-dir", self.fleet.directory / "powerd",
                                   "--sensor-root", self.board])
        self.addCleanup(powerd.wait)
        self.addCleanup(powerd.kill)
        self.fleet.until("wattle-powerd to listen", socket.exists)
        self.start_worker_on_board("--allow-power-modes", "--power-mode", "MODE_20W", "--powerd-socket", socket)
        self.assertEqual(self.frequency(), 1900800)
        self.assertTrue((self.fleet.directory / "powerd/power_settings.pb").exists(), "the originals are where root keeps them")
        self.assertFalse((self.fleet.directory / "board/power_settings.pb").exists())
        self.fleet.workers["board"].stop()
        self.assertEqual(self.frequency(), 950400)

    def test_a_mode_that_others_set_is_followed_and_stays(self):
        self.start()
        self.start_board("--allow-power-modes", "--power-mode", "MODE_20W")
        (self.board / CPU / "scaling_max_freq").write_text("1200000\n")
        (self.board / "var/lib/nvpmodel/status").write_text("pmode:0001\n")  # as nvpmodel -m 1 says, with a frequency of its own
        self.fleet.until("the fleet to know", lambda: "was set by others" in self.fleet.workers["board"].log())
        self.fleet.workers["board"].stop()
        self.assertEqual(self.frequency(), 1200000)


if __name__ == "__main__":
    unittest.main()
