#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""chaos_runs (a ctest): how ./dev chaos counts kills over runs, with rounds that only print figures, and how figures of one file are merged."""

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import chaos  # noqa: E402
import figures  # noqa: E402

# A round with 40 kills of each program, 80 of coordinators, and one job; the seed 13 finds a fault, and 14 dies before it has figures.
ROUND = """
import json, os, sys
seed = int(os.environ["WATTLE_SEED"])
if seed != 14:
    told = {"chaos.kills.coordinator": 80, "chaos.kills.worker": 41, "chaos.kills.runner": 40}
    told = {key: count for key, count in told.items() if key.split(".")[-1] in os.environ["WATTLE_KILL_ONLY"].split()}
    told |= {"chaos.jobs": 1, "chaos.jobs_lost": int(seed == 13), "chaos.double_commits": 0}
    json.dump([{"key": key, "value": value} for key, value in told.items()], open(os.environ["WATTLE_CHAOS_JSON"], "w"))
sys.exit(seed in (13, 14))
"""


class ChaosRunsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="wattle-chaos-")))
        (self.folder / "round.py").write_text(ROUND)
        self.enterContext(mock.patch.object(chaos, "ROUND", self.folder / "round.py"))
        self.enterContext(mock.patch.object(figures, "FOLDER", self.folder))

    def run_chaos(self, *arguments, seed=""):
        """The figures, by key, and whether the run ended without a fault."""
        with mock.patch.dict(os.environ, {"WATTLE_SEED": seed}), contextlib.redirect_stdout(io.StringIO()):
            try:
                chaos.main(arguments)
                ended = True
            except SystemExit:
                ended = False
        return {figure["key"]: figure for figure in json.loads((self.folder / "chaos.json").read_text())}, ended

    def test_kills_of_earlier_runs_count(self):
        told, ended = self.run_chaos("--kills", "100")
        self.assertTrue(ended)
        self.assertEqual((told["chaos.kills.runner"]["value"], told["chaos.rounds"]["value"]), (120, 3))
        self.assertEqual(told["chaos.kills.coordinator"]["value"], 160, "who has enough is killed no more")
        told, ended = self.run_chaos("--kills", "200")
        self.assertEqual((told["chaos.kills.runner"]["value"], told["chaos.kills.worker"]["value"], told["chaos.jobs"]["value"]), (200, 205, 5))

    def test_each_round_keeps_its_seed_and_its_tree(self):
        self.run_chaos(seed="7")
        told, ended = self.run_chaos(seed="8")
        self.assertTrue(ended)
        self.assertRegex(told["chaos.rounds"]["peer"], r"^[0-9a-f]+(-dirty)? seed 7, [0-9a-f]+(-dirty)? seed 8$")

    def test_a_round_that_found_a_fault_stays(self):
        told, ended = self.run_chaos("--kills", "1000", seed="13")
        self.assertFalse(ended)
        self.assertEqual((told["chaos.jobs_lost"]["value"], told["chaos.kills.worker"]["value"]), (1, 41), "its kills count, and it ends the run")
        told, ended = self.run_chaos(seed="14")
        self.assertFalse(ended, "a round without figures")
        told, ended = self.run_chaos(seed="9")
        self.assertTrue(ended)
        self.assertEqual((told["chaos.rounds"]["value"], told["chaos.rounds_failed"]["value"], told["chaos.jobs_lost"]["value"]), (3, 2, 1))
        self.assertRegex(told["chaos.rounds_failed"]["peer"], r" seed 13, .* seed 14$")

    def test_figures_that_are_measured_apart_come_together(self):
        with contextlib.redirect_stdout(io.StringIO()):
            figures.merge_figures("field", [{"key": "a", "value": 1}, {"key": "b", "value": 2}])
            figures.merge_figures("field", [{"key": "b", "value": 3}, {"key": "c", "value": 4, "revision": "of before"}])
        told = figures.kept_figures("field")
        self.assertEqual([(figure["key"], figure["value"]) for figure in told], [("a", 1), ("b", 3), ("c", 4)])
        self.assertEqual(told[2]["revision"], "of before")
        self.assertEqual(told[0]["revision"], figures.revision())


if __name__ == "__main__":
    unittest.main()
