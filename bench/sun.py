#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench sun: how much of the work that real sun allows the planner does. Writes build/bench/sun.json.

Fine-tunes of 6 h, one each 8 h for each board, at 4 sites in 3 seasons, for 14 days each. A site has the sun of PVGIS (45 N 8 E) or PVWatts
(Denver) in bench/data/sun, and an Orin Nano, with or without a Xavier NX; each board has a panel of 60 W and a pack of 150 Wh with a
reserve of 30 %. A seed draws the first day of each season and the boards' true rates, which differ from the tables.

The clairvoyant plan knows the true sun and the true rates. This plan may split work at will, has each job from the first day on, and knows no start,
no fetch and no margin of a guard, so no planner does more. The plan works whenever the pack is above the reserve. No other plan has done more work at
any time: at the first moment at which one had, both had done the same work so far, and the other one had worked later. Hence its pack was never
emptier, it lost no less sun, and it has no more charge now. The clairvoyant plan rests now, so its pack is at the reserve, and the other plan must
rest too.

A linear program over hours, which CBC solves, bounds the same from above. The bound is looser, because a board that works for half of an hour keeps
half of its reserve there. Its only integers say in which hours a pack is empty. Each run of the bench checks that the clairvoyant plan does not do
more. Whole jobs count: what each does, rounded down, and no more jobs than come.

  work_vs_clairvoyant_percent   finished jobs in percent of the clairvoyant plan's, over all sites, seasons and seeds
  worst_site_percent            the same of the site that does worst
  work_vs_linear_bound_percent  finished jobs in percent of the linear program's
  guard_stops_percent           how often a guard stopped runs that were planned without rests as they began, over such runs, at the risk of 2 % that no policy changes
  rests_per_job                 how often a run rested at the reserve as planned, over the finished jobs
  risk_calibration.N            the share of runs that a guard stopped at a risk of N % (1, 2, 5, 10), over N %, where no run rests: the policy has a
                                window of work too, which never closes. Where runs rest, few are planned near their limit.

  --seed N   the first; default: made from HEAD's hash        --seeds N   default 2        --risks 2 5   of those risks, the ones to simulate
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import cbc
from figures import ROOT, add, seed_of_head, write_figures

PROGRAM = ROOT / "build/release/bin/wattle"
FOLDER = ROOT / "bench/data/sun"
SUNS = {"45N": "45n_8e.csv", "denver": "denver.csv"}
BOARDS = {"one": ("jetson-orin-nano",), "two": ("jetson-orin-nano", "jetson-xavier-nx")}
SITES = [(sun, boards) for sun in SUNS for boards in BOARDS]
SEASONS = {"spring": 75, "summer": 166, "autumn": 245}  # The earliest first day of each season.
FIRST_DAYS = 20  # The number of possible first days.
DAYS = 14
HOURS = 24 * DAYS
HOURS_LOOKED_BACK = 72
SOLVER_SECONDS = 30
MINUTES_BETWEEN_JOBS = 480  # For each board.
PEERS = ("fastest", "greedy", "edf")
RISKS = (1, 2, 5, 10)
RISK_UNSAID = 2
# 36,841 examples take an Orin Nano 6 h by the published table.
SCENARIO = """name: sun
duration: {days}d
fleet:
{fleet}
sun: {{file: {file}, from_day: {day}}}
rates: {{seconds_spread: 0.1, watts_spread: 0.05}}
data: {{squad: {{examples: 36841}}}}
jobs:
  - {{name: work, every: {minutes}m, job: {{finetune: {{model: gpt2, data: squad, sequence_length: 384}}}}}}
"""
BOARD = "  - {{name: {name}, class: {name}, pack_wh: 150, reserve: 0.3, panel_watts: 60, policy: {{sun_risk_ratio: {risk}{more}}}}}\n"
WITHOUT_RESTS = ', work_windows: ["00:00-24:00"]'


def scenario_of(site, day, risk, more):
    sun, boards = site
    fleet = "".join(BOARD.format(name=name, risk=risk / 100, more=more) for name in BOARDS[boards])
    return SCENARIO.format(days=DAYS, fleet=fleet.rstrip(), file=FOLDER / SUNS[sun], day=day, minutes=MINUTES_BETWEEN_JOBS // len(BOARDS[boards]))


def simulate(site, day, seed, risk, policies, more=""):
    """The document of `wattle sim --json`, of one seed. more: lines of the boards' policy."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sun.yaml"
        path.write_text(scenario_of(site, day, risk, more))
        return json.loads(subprocess.run([PROGRAM, "-o", "json", "sim", path, "--policy", ",".join(policies), "--seeds", "1", "--seed", str(seed)],
                                         check=True, capture_output=True, text=True).stdout)


def work_of_clairvoyant(group):
    """The number of jobs, as a fraction, that the group's board does if it works whenever its pack is above the reserve."""
    (job,) = group["boards"][0]["jobs"]
    capacity, idle, power = group["pack_watt_hours"], group["idle_watts"], job["power_watts"]
    reserve, charge, worked = capacity * group["reserve_ratio"], capacity * group["charge_ratio"], 0.0
    for sun in group["sun_watts"]:
        left = 1.0
        if charge > reserve:
            time = left if sun >= power else min(left, (charge - reserve) / (power - sun))
            charge, worked, left = min(capacity, charge + (sun - power) * time), worked + time, left - time
        elif sun > idle:
            time = min(left, (reserve - charge) / (sun - idle))
            charge, left = charge + (sun - idle) * time, left - time
        if sun <= idle:  # At the reserve and below it in the dark.
            charge = max(0.0, charge + (sun - idle) * left)
        else:  # At the reserve work takes all the sun.
            worked += left * min(1.0, (sun - idle) / (power - idle))
            charge = min(capacity, charge + max(0.0, sun - power) * left)
    return worked * 3600 / job["seconds"]


def jobs_that_come(truth):
    return math.ceil(60 * HOURS / MINUTES_BETWEEN_JOBS) * len(truth)


class LinearBound:
    """The program in CPLEX's LP format: watt-hours, and the share of each hour in which a board works."""

    def __init__(self, truth):
        self.objective, self.rows, self.binaries = [], [], []
        for number, group in enumerate(truth):
            self.add_board(number, group)

    def add_board(self, number, group):
        (job,) = group["boards"][0]["jobs"]
        capacity, idle = group["pack_watt_hours"], group["idle_watts"]
        reserve, above_idle = capacity * group["reserve_ratio"], job["power_watts"] - idle
        nets = [sun - idle for sun in group["sun_watts"]]
        self.rows.append(f"c{number}_0 = {capacity * group['charge_ratio']:.6f}")
        least = stopped = min(reserve, capacity * group["charge_ratio"])  # Work leaves at least `stopped`, and then idle draw continues.
        for hour, net in enumerate(nets):
            works, before, after = f"x{number}_{hour}", f"c{number}_{hour}", f"c{number}_{hour + 1}"
            self.objective.append(f"- {3600 / job['seconds']:.9f} {works}")
            self.rows += [f"{works} <= 1", f"{after} <= {capacity:.6f}"]
            # While a board works its charge is at or above the reserve: at some time of the hour, and but for idle draw still at its end.
            self.rows.append(f"{before} - {reserve:.6f} {works} >= {-max(0.0, net):.6f}")
            self.rows.append(f"{after} - {max(0.0, reserve - idle):.6f} {works} >= 0")
            lacking = ""
            if least + net < 0:
                # An empty pack supplies no idle draw. Only a pack with less than an hour of idle draw can become empty in the hour.
                lacking, empty = f" - n{number}_{hour}", f"y{number}_{hour}"
                self.binaries.append(empty)
                self.rows.append(f"n{number}_{hour} - {idle:.6f} {empty} <= 0")
                self.rows.append(f"{before} + {capacity - idle:.6f} {empty} <= {capacity:.6f}")
                self.rows.append(f"{works} + {1 / idle:.6f} n{number}_{hour} <= 1")
            least = min(stopped, max(0.0, least + net))
            # Surplus sun may be lost.
            self.rows.append(f"{after} - {before}{lacking} + {above_idle:.6f} {works} <= {net:.6f}")

    def work(self):
        lines = ["Minimize", " done: " + "\n  ".join(self.objective), "Subject To", *(f" r{i}: {row}" for i, row in enumerate(self.rows))]
        lines += ["Binaries", *(f" {name}" for name in self.binaries)] if self.binaries else []
        bound, _, _ = cbc.solve("\n".join([*lines, "End", ""]), SOLVER_SECONDS)
        if bound is None:
            raise SystemExit("bench: cbc proved no bound")
        return -bound


def bounds(truth):
    """(whole jobs of the clairvoyant plan, whole jobs of the linear program)"""
    works = sum(work_of_clairvoyant(group) for group in truth), LinearBound(truth).work()
    if works[0] > works[1] + 1e-3:
        raise SystemExit(f"bench: the clairvoyant plan works off {works[0]} jobs, and the linear program bounds them by {works[1]}")
    return tuple(min(math.floor(1e-6 + work), jobs_that_come(truth)) for work in works)


FIGURES = ("jobs_done", "guard_stops", "whole_runs", "rests")


def figures_of(policy):
    return {figure: policy[figure]["median"] for figure in FIGURES}


def run(instance):
    """{"bound": jobs, "linear": jobs, policy: FIGURES, risk: FIGURES} of one site, season and seed."""
    site, season, seed, risks = instance
    day = SEASONS[season] + random.Random(f"{season} {seed}").randrange(FIRST_DAYS)
    document = simulate(site, day, seed, RISK_UNSAID, ("ours", *PEERS))
    told = {policy["policy"]: figures_of(policy) for policy in document["policies"]}
    told["bound"], told["linear"] = bounds(document["truth_of_first_seed"])
    for risk in risks:
        told[risk] = figures_of(simulate(site, day, seed, risk, ("ours",), WITHOUT_RESTS)["policies"][0])
    return told


def work(results, policy, bound="bound"):
    return 100 * sum(told[policy]["jobs_done"] for told in results) / sum(told[bound] for told in results)


def total(results, policy, figure):
    return sum(told[policy][figure] for told in results)


def stopped(results, policy):
    return 100 * total(results, policy, "guard_stops") / max(1, total(results, policy, "whole_runs"))


def rests_per_job(results, policy):
    return total(results, policy, "rests") / max(1, total(results, policy, "jobs_done"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=seed_of_head() % 1_000_000_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--risks", type=int, nargs="+", choices=RISKS, default=RISKS)
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    print(f"seeds {seeds[0]} to {seeds[-1]}", flush=True)
    instances = [(site, season, seed, arguments.risks) for site in SITES for season in SEASONS for seed in seeds]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(run, instances))
    of_site = {site: [told for (where, *_), told in zip(instances, results) if where == site] for site in SITES}
    for (site, season, seed, _), told in zip(instances, results):
        others = ", ".join(f"{peer} {told[peer]['jobs_done']:g}" for peer in PEERS)
        print(f"{site[0]} {site[1]:3} {season} {seed}: {told['ours']['jobs_done']:g} jobs of {told['bound']}; {others}")

    def beside(value):
        return ", ".join(f"{peer} {value(peer):.3g}" for peer in PEERS)

    figures = []
    add(figures, "work_vs_clairvoyant_percent", [work(results, "ours")], "%", beside(lambda peer: work(results, peer)))
    add(figures, "worst_site_percent", [min(work(some, "ours") for some in of_site.values())], "%",
        beside(lambda peer: min(work(some, peer) for some in of_site.values())))
    add(figures, "work_vs_linear_bound_percent", [work(results, "ours", "linear")], "%", beside(lambda peer: work(results, peer, "linear")))
    add(figures, "guard_stops_percent", [stopped(results, "ours")], "%", beside(lambda peer: stopped(results, peer)))
    add(figures, "rests_per_job", [rests_per_job(results, "ours")], "", beside(lambda peer: rests_per_job(results, peer)))
    for risk in arguments.risks:
        add(figures, f"risk_calibration.{risk}", [stopped(results, risk) / risk], "", f"of {total(results, risk, 'whole_runs'):g} runs, none of which rests")
    write_figures("sun", figures)


if __name__ == "__main__":
    main()
