# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A profile job on a real worker: a file tree of a board with two power modes, which it may set, and a sensor that follows them."""

import threading
import unittest

from power_modes_test import CPU, Board
from scene import FINETUNE

HWMON = "sys/class/hwmon/hwmon3"


class Watts:
    """Writes what the board draws in its present mode, with a little noise, because a sensor that never moves is taken as frozen."""

    def __init__(self, board):
        self.board = board
        self.ended = threading.Event()
        (board / HWMON).mkdir(parents=True, exist_ok=True)
        for name, text in {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": "5000", "update_interval": "100"}.items():
            (board / HWMON / name).write_text(text + "\n")
        self.write(0)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def write(self, count):
        fast = (self.board / CPU / "scaling_max_freq").read_text().strip() == "1900800"
        written = self.board / "curr1_input"
        written.write_text(f"{(2600 if fast else 1600) + count % 7}\n")
        written.replace(self.board / HWMON / "curr1_input")  # A reader sees a whole number.

    def run(self):
        count = 0
        while not self.ended.wait(0.05):
            count += 1
            self.write(count)

    def stop(self):
        self.ended.set()
        self.thread.join()


class ProfileRun(Board):
    def start_measured_board(self, *flags):
        self.start()
        self.make_board()
        watts = Watts(self.board)
        self.addCleanup(watts.stop)
        self.start_worker_on_board(*flags)
        self.push_demo()

    def test_both_modes_are_measured_and_the_boards_own_is_restored(self):
        self.start_measured_board("--allow-power-modes")
        file = self.job_file("tune", deadline_seconds=3, finetune=FINETUNE)
        printed = self.fleet.run_wattle("profile", "run", file, "--device", "board", "--modes", "--batch", "2,4", "--seconds", "5", "--budget", "5",
                                        timeout_seconds=600)
        self.assertEqual(printed.returncode, 0, printed.stderr + printed.stdout)
        for words in ("one run for each of 4 points takes together about", "is measured; the next run is chosen", "joules over device s of one training token",
                      "MODE_10W, batch", "MODE_20W, batch", "measured in"):
            self.assertIn(words, printed.stdout)
        (job,) = [self.fleet.job(job["job_id"]) for job in self.fleet.wattle("jobs", "--kind", "profile")["jobs"]]
        self.assert_succeeded(job)
        self.assertNotIn("output_artifact_id", {key for key, value in job.items() if value})
        self.fleet.until("the board's own mode", lambda: self.frequency() == 950400)

        # A row of the workload for each run, as of any run.
        runs = {(attempt["profile_point"]["power_mode"], attempt["profile_point"]["batch_size"]) for attempt in job["attempts"]}
        self.assertEqual({mode for mode, _ in runs}, {"MODE_10W", "MODE_20W"})
        rows = [row for row in self.fleet.wattle("profile", "ls")["rows"] if row.get("device_id")]
        self.assertEqual({(row["power_mode"], row["signature"]["batch_size"]) for row in rows}, runs)
        self.assertEqual({row["source"] for row in rows}, {"PROFILE_SOURCE_MEASURED"})
        for attempt in job["attempts"]:
            self.assertEqual(attempt["receipt"]["power_mode"], attempt["profile_point"]["power_mode"])
            watts = 13 if attempt["receipt"]["power_mode"] == "MODE_20W" else 8
            self.assertAlmostEqual(attempt["receipt"]["run"]["mean_power_watts"], watts, delta=0.4)
            self.assertNotIn("checkpoint of step", self.fleet.run_wattle("job", "logs", job["job_id"]).stdout)
        self.assertIn("expected to narrow what is known by", self.fleet.run_wattle("job", "receipt", job["job_id"]).stdout)

        # Every joule of the runs is in the device's ledger and in the job.
        joules = sum(attempt["receipt"]["total"]["gross_energy_joules"] for attempt in job["attempts"])
        self.fleet.until("the ledger", lambda: abs(self.fleet.devices()["board"]["ledger"].get("attempt_energy_joules", 0) - joules) < 0.01 * joules)
        self.assertGreater(joules, 8 * 5 * len(runs) / 2)

        # What is measured is not measured again, and a plan knows the modes in which this batch was measured.
        again = self.fleet.run_wattle("profile", "run", file, "--device", "board", "--modes", "--batch", "2,4", "--budget", "5")
        self.assertEqual(again.returncode, 0, again.stderr)
        batch = max((size for _, size in runs), key=lambda size: sum(size == each for _, each in runs))
        candidate = self.fleet.wattle("plan", self.finetune_file("next", batch_size=batch, heldout_data=""))["candidates"][0]
        told = {mode["power_mode"]: mode["provenance"] for mode in candidate["other_power_modes"]}
        told[candidate["power_mode"]] = candidate["prediction"]["provenance"]
        measured = {mode for mode, size in runs if size == batch}
        self.assertEqual({told[mode] for mode in measured}, {"PROVENANCE_MEASURED_DEVICE"}, f"{runs} {told}")

    def test_of_two_devices_of_a_name_the_right_one_is_measured(self):
        self.start_measured_board("--allow-power-modes")
        old_card = self.fleet.workers["board"]
        old_card.stop()
        new_card = self.fleet.start_worker("card", called="board", extra=["--threads=1", "--sensor-root", self.board, "--allow-power-modes"])

        def until_connected(*device_ids):
            self.fleet.until("the cards", lambda: {device["info"]["device_id"] for device in self.fleet.wattle("devices")["devices"] if device["connected"]}
                             == set(device_ids))

        # A job file names the board as people do, and the record of the old card is still there.
        until_connected(new_card.device_id)
        front = self.job_file("front", required_labels=["device=board"], energy_budget_wh=1,
                              profile={"finetune": {**FINETUNE, "batch_size": 2}, "runs_max": 1, "run_seconds": 5})
        job = self.assert_succeeded(self.fleet.until_done(self.fleet.submit(front)))
        self.assertEqual({attempt["device_id"] for attempt in job["attempts"]}, {new_card.device_id})

        # With both in the fleet the id says which.
        old_card.start()
        until_connected(old_card.device_id, new_card.device_id)
        file = self.finetune_file("tune")
        by_name = self.fleet.run_wattle("profile", "run", file, "--device", "board", "--budget", "1")
        self.assertIn('"board" names 2 devices; use the id', by_name.stderr)
        printed = self.fleet.run_wattle("profile", "run", file, "--device", new_card.device_id, "--runs", "1", "--seconds", "5", "--budget", "1",
                                        timeout_seconds=300)
        self.assertEqual(printed.returncode, 0, printed.stderr + printed.stdout)
        latest = self.fleet.job(self.fleet.wattle("jobs", "--kind", "profile")["jobs"][0]["job_id"])
        self.assertEqual({attempt["device_id"] for attempt in latest["attempts"]}, {new_card.device_id})

    def test_bad_input_is_one_line_with_a_remedy(self):
        self.start_measured_board()
        file = self.finetune_file("tune")

        def refused(*arguments):
            done = self.fleet.run_wattle("profile", "run", *arguments)
            self.assertNotEqual(done.returncode, 0, done.stdout)
            self.assertEqual(done.stdout, "")
            (line,) = done.stderr.splitlines()
            return line

        self.assertIn("--budget: 0 Wh measures nothing; give more", refused(file, "--device", "board", "--budget", "0"))
        self.assertIn('no device "nobody"', refused(file, "--device", "nobody", "--budget", "1"))
        self.assertIn("may not set power modes; start it with --allow-power-modes", refused(file, "--device", "board", "--modes", "--budget", "1"))
        quantize = self.job_file("quantize", quantize={"model": "base"})
        self.assertIn("is a job of the kind quantize; profile run measures finetune, generate and evaluate",
                      refused(quantize, "--device", "board", "--budget", "1"))
        self.assertIn("would draw", refused(file, "--device", "board", "--budget", "0.00001"))
        policy = self.fleet.directory / "reserve.yaml"
        policy.write_text("name: field\nreserve_state_of_charge_ratio: 0.5\nmissing_gauge: refuse\n")
        self.fleet.wattle("policy", "apply", policy)
        self.assertIn("profile run: board: ", refused(file, "--device", "board", "--budget", "1"))
        self.fleet.wattle("policy", "rm", "field")
        without_label = self.job_file("front", profile={"finetune": {"model": "base", "data": "train"}})
        done = self.fleet.run_wattle("submit", without_label)
        self.assertIn("required_labels: a profile job measures one device; name it once, as [device=NAME]", done.stderr)

        # Without a budget the device measures for its share of a day, and here it has none.
        policy.write_text("name: field\nexploration_ratio: 0\n")
        self.fleet.wattle("policy", "apply", policy)
        line = self.fleet.run_wattle("profile", "run", file, "--device", "board")
        self.assertEqual(line.returncode, 1, line.stdout)
        self.assertIn("submit again with an energy_budget_wh", line.stderr)

        # What runs the job without the flags is the job file that they make.
        front = self.fleet.directory / "front.yaml"
        front.write_text(self.fleet.run_wattle("profile", "run", file, "--device", "board", "--budget", "1", "--runs", "1", "--seconds", "5",
                                               "--dry-run").stdout)
        job = self.assert_succeeded(self.fleet.until_done(self.fleet.submit(front)))
        self.assertEqual(len(job["attempts"]), 1)


if __name__ == "__main__":
    unittest.main()
