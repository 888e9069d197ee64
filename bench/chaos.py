#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench chaos [--seconds N | --kills N]: real programs are killed at random beside jobs. Also `./dev chaos`. Writes build/bench/chaos.json.

Rounds of tests/integration/random_kills_test.py, each with a fleet and a seed of its own. A round that finds a fault ends the bench; its
seed is printed. --kills N goes on until coordinator, workers and runners were killed N times each; the figures are written after each round.

  chaos.kills.PROGRAM                     by SIGKILL; `ended_in_order`: of all, those that were asked to end [goal: 1,000 each]
  chaos.jobs, chaos.jobs_lost             that ran beside them, that did not succeed [goal: 0 lost]
  chaos.double_commits                    jobs with more than one result [goal: 0]
  chaos.rounds                            whose kills these are
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from figures import ROOT, add, write_figures

TESTS = ROOT / "tests/integration"
KILLED = ("coordinator", "worker", "runner")
ROUND_SECONDS = 60
LONG_ROUND_SECONDS = 600  # With --kills: what a round does before and after its kills takes half a minute.


def one_round(seconds):
    """The figures of one round, by key."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "round.json"
        env = {**os.environ, "WATTLE_KILL_SECONDS": str(seconds), "WATTLE_CHAOS_JSON": str(path), "PYTHONDONTWRITEBYTECODE": "1",
               "PYTHONPATH": str(ROOT / "deploy/demo")}
        if subprocess.run([sys.executable, TESTS / "random_kills_test.py"], env=env).returncode != 0:
            sys.exit("bench chaos: a round found a fault, see above; WATTLE_SEED repeats its draws")
        return {figure["key"]: figure["value"] for figure in json.loads(path.read_text())}


def main():
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help=f"of kills in a round [{ROUND_SECONDS}; with --kills {LONG_ROUND_SECONDS}]")
    parser.add_argument("--kills", type=int, default=0, help="of each program, in as many rounds as it takes [one round]")
    options = parser.parse_args()
    seconds = options.seconds if options.seconds is not None else LONG_ROUND_SECONDS if options.kills else ROUND_SECONDS
    if seconds <= 0 or options.kills < 0:
        parser.error("--seconds wants more than 0, --kills 0 or more")
    total = collections.Counter()
    while True:
        total.update(one_round(seconds))
        total["chaos.rounds"] += 1
        figures = []
        for key, value in sorted(total.items()):
            add(figures, key, [value], "", "", 0)
        write_figures("chaos", figures)
        if all(total[f"chaos.kills.{name}"] >= options.kills for name in KILLED):
            break


if __name__ == "__main__":
    main()
