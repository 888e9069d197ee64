#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""soak_history (a ctest): which jobs ./dev soak expects to be removed at the end of a run. An ended job stays in memory for ten minutes by design."""

import contextlib
import io
import pathlib
import re
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import soak  # noqa: E402


def ended(seconds_ago):
    return {"state": "JOB_STATE_SUCCEEDED", "finished_unix_seconds": time.time() - seconds_ago}


class SoakHistoryTest(unittest.TestCase):
    def figures(self, listed, ended_at, history_seconds):
        """The figures, and the output."""
        figures = []
        with contextlib.redirect_stdout(io.StringIO()) as said:
            soak.add_beyond_history(figures, listed, ended_at, history_seconds)
        return figures, said.getvalue()

    def test_what_is_younger_than_ten_minutes_may_be_listed_however_short_the_history(self):
        listed = [ended(ago) for ago in range(10, 600, 20)]
        figures, said = self.figures(listed, [job["finished_unix_seconds"] for job in listed], 22.5)
        self.assertEqual(figures, [])
        self.assertIn("soak.jobs_beyond_history: not tried", said)

    def test_older_jobs_are_counted_and_are_above_the_bound(self):
        gone = time.time() - 900
        old, young, waits = ended(700), ended(500), {"state": "JOB_STATE_QUEUED"}
        figures, _ = self.figures([old, young, waits], [gone, old["finished_unix_seconds"], young["finished_unix_seconds"]], 90)
        self.assertEqual([figure["value"] for figure in figures], [1])
        self.assertIn("2 of 3 ended jobs should have gone", figures[0]["peer"])
        self.assertEqual(len(soak.broken_bounds(figures)), 1)
        figures, _ = self.figures([young, waits], [gone], 90)
        self.assertEqual(soak.broken_bounds(figures), [])

    def test_a_long_history_counts_by_its_own_length(self):
        figures, _ = self.figures([ended(1400)], [time.time() - 1700], 1200)
        self.assertEqual(soak.broken_bounds(figures), [])

    def test_the_coordinator_keeps_ended_jobs_for_so_long(self):
        archive = (ROOT / "coordinator/core/archive.cc").read_text()
        minutes = re.search(r"kStaysAtLeast = absl::Minutes\((\d+)\)", archive)
        self.assertEqual(int(minutes[1]) * 60, soak.ENDED_STAYS_SECONDS)


if __name__ == "__main__":
    unittest.main()
