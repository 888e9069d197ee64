# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The demo as a new user runs it: to its end, and ended early by Ctrl-C and by a terminal that closes."""

import itertools
import json
import math
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import urllib.request

import run
from fleet import ROOT, Fleet, Process
from prometheus_scene import program


def processes_with(text):
    """Command lines of the processes that name this text."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in command:
                found.append(command)
    return found


class ClosingTable(unittest.TestCase):
    def test_a_line_tells_where_a_job_went_and_what_it_took(self):
        placement = {"objective": "OBJECTIVE_ENERGY",
                     "best": [{"device_name": "nano", "marginal_energy_joules": 20.04, "finish_in_seconds": 9},
                              {"device_name": "pi", "marginal_energy_joules": 43.5, "finish_in_seconds": 4}]}
        receipt = {"attempt_id": "j1.1", "run": {"seconds": 4.191, "gross_energy_joules": 44.31},
                   "predicted": {"run_seconds": {"mean": 0.331, "low": 0.3, "high": 0.36},
                                 "run_energy_joules": {"mean": 28.3, "low": 1.9, "high": 412.6}}}
        job = {"job_id": "j1", "spec": {"finetune": {}},
               "attempts": [{"attempt_id": "j1.1", "device_id": "d1", "placement": placement, "receipt": receipt}]}
        self.assertEqual(run.closing_lines([job]), [
            "job  kind      device  why                 predicted s  took s       predicted J  took J  saved",
            "j1   finetune  nano    fewest joules  0.33 (0.30-0.36)    4.19  28.3 (1.9-412.6)    44.3  23.5 J against pi"])

    def test_jobs_within_their_intervals_are_counted(self):
        jobs = [{"attempts": [{"receipt": {"run": {"seconds": seconds}, "predicted": {"run_seconds": {"low": 1.0, "high": 2.0}}}}]}
                for seconds in (0.99, 1.0, 1.5, 2.01)]
        self.assertEqual(run.inside_intervals(jobs), 2)

    def test_the_widest_interval_is_named(self):
        told = [("plan (a), nano", {"low": 3.9, "high": 4.4}), ("j1", {"low": 0.18, "high": 36.9}), ("j2", {"low": 2.0, "high": 6.0})]
        self.assertEqual(run.widest_interval(told), (36.9 / 0.18, "j1"))
        self.assertEqual(run.widest_interval([*told, ("j3", {"high": 2.0})]), (math.inf, "j3"), "an interval without a lower end")

    def test_an_interval_that_nobody_can_use_fails_the_demo(self):
        def checked(*intervals):
            demo = unittest.mock.Mock(told=[("plan (a), nano", {"low": 3.9, "high": 4.4})])
            demo.check = lambda holds, text: checks.append((holds, text))
            checks = []
            jobs = [{"job_id": "j1", "attempts": [{"receipt": {"attempt_id": "j1.1", "predicted": {
                "run_seconds": {"low": 1.0, "high": 1.2}, "run_energy_joules": interval}}}]} for interval in intervals]
            run.Demo.check_intervals(demo, jobs)
            return checks
        self.assertEqual(checked({"low": 2.0, "high": 6.0}),
                         [(True, "of 3 intervals in the tables the widest is 3.0 to 1, j1 (at most 3 to 1 wanted)")])
        self.assertEqual(checked({"low": 1.0, "high": 3.1})[0][0], False)

    def test_where_joules_are_alike_the_earlier_end_is_the_reason(self):
        placement = {"objective": "OBJECTIVE_ENERGY",
                     "best": [{"device_name": "nano", "marginal_energy_joules": 20.5, "finish_in_seconds": 4},
                              {"device_name": "pi", "marginal_energy_joules": 20.0, "finish_in_seconds": 9}]}
        self.assertEqual(run.choice_words(placement), ("fewest joules and waiting", "5.0 s against pi"))
        placement["best"][1]["start_in_seconds"] = 0.4
        self.assertEqual(run.choice_words(placement), ("fewest joules and waiting", "at once, pi is busy"))
        del placement["best"][1]
        self.assertEqual(run.choice_words(placement), ("fewest joules", "-"))


class Progress(unittest.TestCase):
    def test_without_a_terminal_a_line_comes_each_quarter_of_a_minute_at_most(self):
        clock = itertools.count(0, 4)
        demo = unittest.mock.Mock(progress_at=-100, line=lambda job: f"{job['job_id']}  step")
        polls = iter([*["JOB_STATE_ACTIVE"] * 20, "JOB_STATE_SUCCEEDED"])
        demo.fleet.job = lambda job_id: {"job_id": job_id, "state": next(polls)}
        with unittest.mock.patch("run.time.sleep"), unittest.mock.patch("run.time.monotonic", lambda: next(clock)), \
                unittest.mock.patch("run.note") as note, unittest.mock.patch("sys.stdout"):
            sys.stdout.isatty.return_value = False
            run.Demo.watch(demo, "j1")
        # The clock is read once a poll, and once more for a line: 21 polls in 84 to 100 s.
        self.assertIn(note.call_count, (5, 6))
        note.assert_called_with("j1 step")


SMALL = {"CAPPED_EXAMPLES": 16, "CAPPED_STEPS": (6, 6), "CAPPED_HELDOUT": 6}  # The demo with less work: only sizes differ.


OF_MACHINE = {"peak_memory_bytes", "engine_version", "updated_unix_seconds", "at_unix_seconds"}  # In receipts and rows, but no figure of a board.


def of_boards(message):
    """The message without what is of this machine."""
    if isinstance(message, dict):
        return {key: of_boards(value) for key, value in message.items() if key not in OF_MACHINE}
    return [of_boards(value) for value in message] if isinstance(message, list) else message


def figures_of_small_demo():
    """Plays the demo's rounds with little work, and returns all that its table and its receipts say of the boards."""
    options = run.command_line().parse_args([])
    for name, value in SMALL.items():
        setattr(run, name, value)
    demo = run.Demo(options)
    demo.capped = True
    try:
        demo.start()
        demo.push()
        demo.measure_first()
        jobs = demo.finetune_twice()
        demo.check_reserve()
        jobs += demo.generate_and_evaluate(jobs[0]["job_id"])
        receipts = [run.receipt_of(demo.fleet.job(job)) for job in sorted(found["job_id"] for found in demo.fleet.api("jobs")["jobs"])]
        text = json.dumps({"table": run.closing_lines(jobs), "checks": demo.checks, "told": demo.told, "receipts": of_boards(receipts),
                           "rows": of_boards(demo.wattle("profiles"))})
        for name, device in demo.fleet.devices().items():  # Its id is drawn anew in each fleet.
            text = text.replace(device["info"]["device_id"], name)
        figures = json.loads(text)
        figures["rows"]["rows"].sort(key=json.dumps)
        return figures
    finally:
        demo.fleet.stop()


class SameTable(unittest.TestCase):
    def test_a_busy_core_changes_no_figure(self):
        play = [sys.executable, "-c", "import json, demo_test; figures = demo_test.figures_of_small_demo(); print('FIGURES' + json.dumps(figures))"]
        core = min(os.sched_getaffinity(0))
        busy = subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"])
        self.addCleanup(busy.wait)
        self.addCleanup(busy.kill)
        plays = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
                 for command in (["taskset", "-c", str(core), *play], play)]
        outputs = [process.communicate(timeout=800)[0] for process in plays]
        crowded, free = (json.loads(output.rpartition("FIGURES")[2]) for output in outputs)
        self.maxDiff = None
        for what in ("table", "checks", "receipts", "rows", "told"):
            self.assertEqual(crowded[what], free[what], what)


class Starting(unittest.TestCase):
    def test_a_signal_while_a_program_starts_finds_the_program_known(self):
        start = subprocess.Popen

        def interrupted(*arguments, **options):
            started = start(*arguments, **options)
            signal.raise_signal(signal.SIGTERM)
            return started
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        with tempfile.TemporaryDirectory() as directory:
            process = Process("sleep", ["sleep", "600"], pathlib.Path(directory) / "log", "never")
            with unittest.mock.patch("subprocess.Popen", interrupted), self.assertRaises(SystemExit):
                process.start()
        self.assertTrue(process.running(), "the program is known, so that the fleet can stop it")
        process.kill()


class Demo(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="wattle-demo-test-")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.directory], check=False)

    def start(self, *options):
        # The fleet's state lies under TMPDIR, so that its processes are found by their command lines.
        return subprocess.Popen([sys.executable, ROOT / "deploy/demo/run.py", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env={**os.environ, "TMPDIR": self.directory}, start_new_session=True)

    def check_ended_by(self, ending, status):
        demo = self.start()
        Fleet.until(None, "the fleet to be up", lambda: len(processes_with(self.directory)) >= 4 or demo.poll() is not None, 120)
        self.assertIsNone(demo.poll(), "the demo ended before its fleet was up")
        demo.send_signal(ending)
        output, _ = demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, status, output[-2000:])
        self.assertEqual(processes_with(self.directory), [], "no process of the fleet stays behind")
        self.assertEqual(list(pathlib.Path(self.directory).glob("wattle-demo-*")), [], "no state stays behind")

    def test_ctrl_c_leaves_nothing_behind(self):
        self.check_ended_by(signal.SIGINT, 130)

    def test_a_closed_terminal_leaves_nothing_behind(self):
        self.check_ended_by(signal.SIGHUP, 128 + signal.SIGHUP)

    def test_keep_leaves_the_fleet_and_a_prometheus_that_scrapes_it(self):
        if not program("prometheus"):
            self.skipTest("Debian's prometheus is not here; ./dev deps fetches it")
        for port in (7410, 7411, 9090):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    self.skipTest(f"port {port}, which the demo keeps, is taken")
        demo = self.start("--keep", "--no-jobs")
        output, _ = demo.communicate(timeout=600)
        stop = re.search(r"to stop it: kill ([0-9 ]+)", output)
        self.assertTrue(stop, output[-2000:])
        for number in stop.group(1).split():
            self.addCleanup(os.kill, int(number), signal.SIGKILL)
        self.assertEqual(demo.returncode, 0, output[-2000:])
        prometheus = re.search(r"prometheus (http://[0-9.:]+)/graph", output)
        self.assertTrue(prometheus, output[-2000:])

        def scraped():
            with urllib.request.urlopen(f"{prometheus.group(1)}/api/v1/query?query=count(up==1)", timeout=10) as answer:
                result = json.loads(answer.read())["data"]["result"]
            return result and result[0]["value"][1] == "4"
        Fleet.until(None, "the coordinator and three boards to be scraped", scraped, 120)

    def test_slow_the_whole_demo_holds_what_it_checks(self):
        demo = self.start()
        output, _ = demo.communicate(timeout=1200)
        self.assertEqual(demo.returncode, 0, output[-4000:])
        self.assertNotIn("FAILED", output)


if __name__ == "__main__":
    unittest.main()
