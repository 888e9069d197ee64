#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench chaos [--seconds N] [--kills N]: real programs are killed at random beside jobs, over links that are slow, lossy and cut, one of
them on a disk that is sick now and then. Also `./dev chaos`. Writes build/bench/chaos.json.

Rounds of tests/integration/random_kills_test.py, each with a fleet and a seed of its own. Rounds count over runs: each is a line of
build/bench/chaos_runs.jsonl with its seed and the tree that it ran, and the figures are those of all lines. Remove the file to begin at
zero. A round that finds a fault ends the bench. WATTLE_SEED, with its victims as WATTLE_KILL_ONLY, repeats its draws. --kills N goes on
until coordinator, workers and runners were killed N times each, those of earlier runs included; who has N is killed no more.

  chaos.kills.PROGRAM                     by SIGKILL; `ended_in_order`: of all, those that were asked to end [goal: 1,000 each]
  chaos.cut_links, chaos.sick_disks       of the workers meanwhile
  chaos.jobs, chaos.jobs_lost             that ran beside them, that did not succeed [goal: 0 lost]
  chaos.double_commits                    jobs with more than one result [goal: 0]
  chaos.rounds, chaos.rounds_failed       whose kills these are, with revision and seed; that found a fault
"""

import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from figures import ROOT, add, keep_run, kept_runs, revision, write_figures

ROUND = ROOT / "tests/integration/random_kills_test.py"
KILLED = ("coordinator", "worker", "runner")
ROUND_SECONDS = 60
LONG_ROUND_SECONDS = 600  # With --kills: the parts of a round before and after its kills take half a minute.


def one_round(seconds, victims):
    """Runs a round in which these kinds of programs are killed, and keeps it. Returns its exit status."""
    seed = int(os.environ.get("WATTLE_SEED") or random.SystemRandom().randrange(1, 1_000_000))
    tree = revision()  # The tree may change during the round.
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "round.json"
        env = {**os.environ, "WATTLE_SEED": str(seed), "WATTLE_KILL_SECONDS": str(seconds), "WATTLE_CHAOS_JSON": str(path), "WATTLE_KILL_ONLY": " ".join(victims),
               "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT / "deploy/demo")}
        status = subprocess.run([sys.executable, ROUND], env=env, check=False).returncode
        told = json.loads(path.read_text()) if path.exists() else []  # A round that fails early has no figures.
    keep_run("chaos", {"revision": tree, "seed": seed, "seconds": seconds, "victims": victims, "status": status, "figures": {figure["key"]: figure["value"] for figure in told}})
    return status


def totals(rounds):
    """The sums of all rounds, by key."""
    total = collections.Counter({f"chaos.kills.{name}": 0 for name in KILLED})
    for one in rounds:
        total.update(one["figures"])
    total["chaos.rounds"] = len(rounds)
    total["chaos.rounds_failed"] = sum(one["status"] != 0 for one in rounds)
    return total


def write(rounds):
    total, figures = totals(rounds), []
    whose = {"chaos.rounds": rounds, "chaos.rounds_failed": [one for one in rounds if one["status"] != 0]}
    for key, value in sorted(total.items()):
        add(figures, key, [value], "", ", ".join(f"{one['revision']} seed {one['seed']}" for one in whose.get(key, [])), 0)
    write_figures("chaos", figures)
    return total


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help=f"of kills in a round [{ROUND_SECONDS}; with --kills {LONG_ROUND_SECONDS}]")
    parser.add_argument("--kills", type=int, default=0, help="of each program, over all runs, in as many rounds as it takes [one round]")
    options = parser.parse_args(arguments)
    seconds = options.seconds if options.seconds is not None else LONG_ROUND_SECONDS if options.kills else ROUND_SECONDS
    if seconds <= 0 or options.kills < 0:
        parser.error("--seconds wants more than 0, --kills 0 or more")
    total = totals(kept_runs("chaos"))
    while True:
        status = one_round(seconds, [name for name in KILLED if total[f"chaos.kills.{name}"] < options.kills] or KILLED)
        total = write(kept_runs("chaos"))
        if status != 0:
            sys.exit("bench chaos: a round found a fault, see above; WATTLE_SEED, with WATTLE_KILL_ONLY, repeats its draws")
        if all(total[f"chaos.kills.{name}"] >= options.kills for name in KILLED):
            break


if __name__ == "__main__":
    main()
