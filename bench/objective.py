#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench objective: does the objective decide in the demo, whatever the boards' hidden offsets are?

Plays the demo up to the placement of (b) once for each seed of the hidden offsets, and counts the seeds for which (b) goes to another
board than the one that (a)'s objective would have it wait for. Writes build/bench/objective.json.  --seeds FIRST-LAST (default 1-20).
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy/demo"))

import run  # noqa: E402
from figures import write_figures  # noqa: E402
from fleet import FleetError, leave_no_fleet_behind  # noqa: E402


def objective_decides(seed):
    """(whether the objective decides, the demo's own sentence about it) for the boards of this seed."""
    demo = run.Demo(argparse.Namespace(keep=False, no_jobs=False, squad=None, model=None, seed=seed, verbose=False))
    try:
        demo.start()
        demo.push()
        first = demo.fleet.submit(run.HERE / "finetune.yaml")
        demo.until_placed(first)
        plan = demo.wattle("plan", run.HERE / "finetune.yaml", "--set", "objective=time")
        second = demo.fleet.submit(run.HERE / "finetune.yaml", objective="time")
        demo.until_placed(second)
        demo.check_objective(plan, second)
    except FleetError as error:
        return False, str(error)
    finally:
        demo.fleet.stop()
    return demo.checks[-1]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench objective")
    parser.add_argument("--seeds", default="1-20", help="first and last seed of the hidden offsets [1-20]")
    first, last = (int(part) for part in parser.parse_args().seeds.split("-"))
    leave_no_fleet_behind()
    results = []
    for seed in range(first, last + 1):
        holds, text = objective_decides(seed)
        print(f"seed {seed}: {'ok' if holds else 'FAILED'}  {text}", flush=True)
        results.append(bool(holds))
    figure = {"key": "objective_decides_seeds", "value": sum(results), "unit": f"of {len(results)} seeds", "peer": None, "goal": str(len(results))}
    print(f"the objective decides for {sum(results)} of {len(results)} seeds")
    write_figures("objective", [figure])
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
