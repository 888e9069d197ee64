#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench deadlines: which deadlines are missed without foresight, at what energy. Writes build/bench/deadlines.json.

The instances of `./dev bench place`, many more of them, and without bounds, so no solver is asked. Each planner is asked at each half
hour and knows neither the jobs nor the sun to come; its plans are judged by the real sun.

  shipped             the shipped planner, at its risk of 2 %; it does not know how long a run really takes, but an interval
  shipped_in_turn     the same planner where every job is wanted soon, so that nobody is put off
  edf_as_jobs_arrive  the list by deadlines, by the mean sun of the days before and the true length of each run
  edf_at_risk         the same list, by the shipped planner's paths of the sun and its risk

A key is SIZE.PLANNER.FIGURE; SIZE is `small` (4 to 6 boards, 12 to 20 jobs) or `20x60` (20 boards, 60 jobs):

  missed_percent       of all deadlines
  missed_more          deadlines that the planner misses more than the shipped one, of 100; with the 90 % interval over instances drawn
                       again (bootstrap). Below zero: it misses fewer
  cost_watt_hours      the mean cost of a plan: the energy, the price of waiting, and the price of jobs that did not run or not in time
  guard_stops_percent  of runs on packs: the real sun leaves them below the floor, where a guard stops them

  --seed N  of the first instance; default: made from HEAD's hash    --small N  instances, default 200    --large N  default 60
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import sys
import tempfile

import place
from figures import seed_of_head, write_figures

PLANNERS = ("shipped", "shipped_in_turn", "edf_as_jobs_arrive", "edf_at_risk")
DRAWN_AGAIN = 2_000


def missed_more(plans, deadlines, planner, dice):
    """The deadlines of 100 that the planner misses more than the shipped one, then the 5th and the 95th percentile over instances drawn again."""
    more = [one[planner]["missed"] - one["shipped"]["missed"] for one in plans]
    drawn = []
    for _ in range(DRAWN_AGAIN):
        chosen = [dice.randrange(len(plans)) for _ in plans]
        drawn.append(100 * sum(more[one] for one in chosen) / sum(deadlines[one] for one in chosen))
    drawn.sort()
    return 100 * sum(more) / sum(deadlines), drawn[DRAWN_AGAIN // 20], drawn[-DRAWN_AGAIN // 20]


def add_size(figures, size, documents, seed):
    plans = [document["plans"] for document in documents]
    deadlines = [sum(job["has_deadline"] for job in document["instance"]["jobs"]) for document in documents]
    dice = random.Random(seed)
    for planner in PLANNERS:
        own = [one[planner] for one in plans]
        missed, stops, runs = (sum(plan[name] for plan in own) for name in ("missed", "guard_stops", "runs_on_packs"))
        broken = [plan["broken"] for plan in own if plan["broken"]]
        if broken:
            sys.exit(f"{size}, {planner}: a plan breaks a rule: {broken[0]}")
        figures.add(f"{size}.{planner}.missed_percent", 100 * missed / sum(deadlines), "%", f"{missed} of {sum(deadlines)}")
        if planner != "shipped":
            more, low, high = missed_more(plans, deadlines, planner, dice)
            figures.add(f"{size}.{planner}.missed_more", more, "of 100 deadlines", f"{low:.2f} to {high:.2f}")
        figures.add(f"{size}.{planner}.cost_watt_hours", sum(plan["cost"] for plan in own) / len(own) / 3_600_000, "Wh")
        figures.add(f"{size}.{planner}.guard_stops_percent", 100 * stops / max(1, runs), "%", f"{stops} of {runs}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--large", type=int, default=60)
    options = parser.parse_args()
    if min(options.small, options.large) < 0:
        parser.error("--small and --large want 0 or more instances")
    seed = seed_of_head() if options.seed is None else options.seed
    if not place.SUN.exists():
        sys.exit(f"skipped: {place.SUN} is not here; the instances need a year of sun")
    print(f"seed {seed}; again: ./dev bench deadlines --seed {seed} --small {options.small} --large {options.large}", flush=True)
    figures = place.Figures()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        sun = pathlib.Path(folder) / "sun"
        sun.write_text("\n".join(place.irradiance()))
        for size, count, draw in (("small", options.small, lambda one: place.draw_small(sun, one, 0)),
                                  ("20x60", options.large, lambda one: place.draw(sun, one, 20, 60, 0))):
            if count > 0:
                add_size(figures, size, list(pool.map(draw, range(seed, seed + count))), seed)
    write_figures("deadlines", figures)


if __name__ == "__main__":
    main()
