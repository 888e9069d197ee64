#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""fuzz_hours (a ctest): how ./dev fuzz counts hours and crashes, with a program that imitates libFuzzer."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HOURS = pathlib.Path(__file__).resolve().parent / "fuzz/hours.py"

# Crashes in "manifest", ends silently in "spool", and tries 1,000 inputs in every other target.
PROGRAM = """#!/bin/sh
prefix=$(printf '%s\\n' "$@" | sed -n 's/^-artifact_prefix=//p')
case $WATTLE_FUZZ_TARGET in
  manifest) echo bytes >"${prefix}crash-0a1b"; echo '#17	NEW    cov: 3' >&2; echo 'stat::number_of_executed_units: 18' >&2; exit 77 ;;
  spool) exit 127 ;;
  certificate) exit 72 ;;
  contexts) sleep 1 ;;
esac
echo slow >"${prefix}slow-unit-0a1b"
echo 'Done 1000 runs in 2 second(s)' >&2
echo 'stat::number_of_executed_units: 1000' >&2
"""


class FuzzHoursTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="wattle-hours-")))
        (self.folder / "bin").mkdir()
        program = self.folder / "bin/wattle_fuzz"
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def fuzz(self, only, *more):
        """The exit status, the figures, and the rows by target."""
        told = subprocess.run([sys.executable, HOURS, "--only", only, "--fuzz", self.folder, "--json", self.folder / "fuzz.json",
                               "--recorded", self.folder / "recorded.jsonl", *more], capture_output=True, text=True, check=False)
        figures = json.loads((self.folder / "fuzz.json").read_text())
        return told, figures, {row["target"]: row for row in figures["targets"]}

    def test_a_crash_stops_no_other_target_and_stays_until_its_file_is_removed(self):
        told, figures, rows = self.fuzz("^(journal|manifest|snapshot)$")
        self.assertEqual(told.returncode, 1, told.stderr)
        self.assertEqual({name: (row["executions"], row["crashes"]) for name, row in rows.items()},
                         {"journal": (1000, 0), "manifest": (18, 1), "snapshot": (1000, 0)})
        self.assertEqual((figures["fuzz_targets"], figures["crashes"]), (3, 1))
        self.assertIn("manifest-crash-0a1b", told.stdout)
        told, figures, _ = self.fuzz("^(journal|manifest)$")
        self.assertEqual((told.returncode, figures["crashes"]), (1, 1), "the same input again")
        (self.folder / "manifest-crash-0a1b").unlink()
        told, figures, rows = self.fuzz("^journal$")
        self.assertEqual((told.returncode, figures["crashes"], rows["journal"]["executions"]), (0, 0, 3000), told.stderr)

    def test_hours_of_earlier_runs_count(self):
        (self.folder / "runs.jsonl").write_text('{"target": "journal", "seconds": 5400.0, "executions": 7, "status": 0}\n')
        told, figures, rows = self.fuzz("^(journal|snapshot)$")
        self.assertEqual((told.returncode, figures["fuzz_hours"], rows["journal"]["executions"]), (0, 1.5, 1007), told.stderr)

    def test_recorded_runs_count_once_and_outlast_the_folder_of_the_build(self):
        (self.folder / "runs.jsonl").write_text('{"target": "journal", "seconds": 1800.0, "executions": 7, "status": 0}\n' * 3)
        told, figures, rows = self.fuzz("^snapshot$", "--record")
        self.assertEqual((told.returncode, list(rows), figures["fuzz_hours"]), (0, ["journal"], 1.5), told.stderr)
        self.assertFalse((self.folder / "runs.jsonl").exists(), "what was recorded would count twice")
        (line,) = (self.folder / "recorded.jsonl").read_text().splitlines()
        self.assertEqual({key: value for key, value in json.loads(line).items() if key != "commit"},
                         {"target": "journal", "seconds": 5400.0, "executions": 21})
        _, figures, rows = self.fuzz("^journal$")
        self.assertEqual((figures["fuzz_hours"], rows["journal"]["executions"]), (1.5, 1021))
        self.fuzz("^$", "--record")
        told, figures, _ = self.fuzz("^$", "--record")
        self.assertEqual((told.returncode, figures["fuzz_hours"]), (1, 1.5))
        self.assertIn("has no run", told.stderr)

    def test_a_program_that_only_waits_adds_no_time(self):
        _, _, rows = self.fuzz("^contexts$")
        self.assertLess(rows["contexts"]["seconds"], 0.5, "of a second by the clock")

    def test_a_program_that_ends_without_an_input_is_a_crash_too(self):
        told, figures, rows = self.fuzz("^(spool|squad)$")
        self.assertEqual((told.returncode, rows["spool"]["crashes"], rows["squad"]["executions"]), (1, 1, 1000), told.stderr)

    def test_who_interrupts_gets_the_table_and_no_crash(self):
        told, figures, rows = self.fuzz("^(certificate|journal)$")
        self.assertEqual((told.returncode, list(rows), figures["crashes"]), (130, ["certificate"], 0), told.stderr)
        self.assertIn("fuzz_hours", told.stdout)


if __name__ == "__main__":
    unittest.main()
