#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench place: how far the planner's plans are from the best ones, and how long it takes. Writes build/bench/place.json.

Draws small fleets (4 to 6 boards, 12 to 20 jobs, 96 half hours, real sun, a pack on three boards of five, a second power mode on half).
Costs are compared with the lower bound that CBC proves for the model of docs/design/timetable.md within --seconds. Where CBC's own plan
is more than 0.5 % above its bound, HiGHS looks for a better bound within --highs-seconds. The bound knows the sun, all arrivals and all
deadlines; so do the lists and the search (scheduler/timetable/improve.h), which begins with the best of them and makes --moves moves. The shipped planner is asked at each half hour, as the coordinator asks
it: it knows no later arrivals, and of the sun what the days before brought. Its gap therefore includes the value of foresight. Beside it stands
EDF without foresight: the same list at each half hour, of the jobs that have arrived, under the mean sun of the days before and no risk;
and once more under the shipped planner's paths of the sun and its risk. None of these three knows that an instance ends after two days.

Then the fleet pass (scheduler/fleet_plan) plans a large fleet, 10,000 devices of 80 classes and 100,000 jobs of 500 work classes, in a process that begins with
the fleet as bytes, and small random fleets.

  gap_vs_milp_mean_percent, _max_percent     of the search (insertion and improvement, with all known) to the bound, over all
                                             instances, closed or not
  gap_vs_cbc_mean_percent                    the same to CBC's own bound
  shipped.gap_vs_milp_mean_percent, _max_percent  of the shipped planner, which decides without foresight
  gap_*_mean_percent                         the same of EDF, of EDF without foresight (edf_as_jobs_arrive; with the risk: edf_at_risk), and of the
                                             best of four lists (priority, EDF, slack, longest)
  shipped.unmet_share_percent, .unmet_20x60_share_percent  of the cost of all its plans, the price of jobs that ran late or not at all;
                                             beside it the mean cost of a plan in Wh and that share, of each planner without foresight
  instances_closed                           a solver's own gap is at most 0.5 %
  cbc_bounds_refuted                         instances where the search's plan costs less than the bound that CBC proved; HiGHS's bound counts
  gap_vs_lp_20x60_mean_percent               of the search to the linear relaxation, on --large instances of 20 boards x 60 jobs
  gap_vs_milp_closed_mean_percent, _max_percent  the same over the closed instances only
  search_seconds_max, search_20x60_seconds_max  of one core's processor time
  violations                                 plans of the shipped planner (both) and the search that CheckPlan refuses; those of
                                             the shipped planner by the paths of the sun that it gets, at each half hour
  guard_stops_percent                        runs of the shipped planner on packs that the real sun, which it does not know, leaves below
                                             the floor, where a guard stops them; the plan's risk is 2 %.
                                             edf_as_jobs_arrive.guard_stops_percent, edf_at_risk.…: the same of those lists
  plan_bytes_differ                          placements that differ when a plan is made again at once, every six hours of an instance
  deadline_misses_over_optimum_percent       missed by the search and not by the solvers' better plan, in percent of all deadlines
  shipped.deadline_misses_over_optimum_percent, shipped.gap_vs_lp_20x60_mean_percent  of the shipped planner
  shipped.put_off_cost_mean_percent, _max_percent  cost of the shipped planner's plans over the same planner's where every job is wanted
                                             soon, so that nobody is put off; negative: cheaper. Beside it the deadlines that both miss.
                                             shipped.put_off_20x60_cost_mean_percent: of the large instances
  plan_1k_x_1k_s                             one plan of 1,000 free boards and 1,000 jobs by the shipped planner, each job with its own deadline
  plan_10k_x_100k_s, _cpu_s                  of the fleet pass without a solver, from the bytes: wall and processor time of one core
  plan_rss_mib                               most memory until then
  replan_10k_ms_p99, _cpu_ms_p99             100 plans, before each of which 1 % of the devices have another charge and other work
  place_one_ms_p99, _cpu_ms_p99              one job more, 1,000 times
  explain_ms_p99                             why a job has no place
  prices.10k_x_100k_cpu_s, .10k_x_100k_cheaper_percent  the same plan with a solver's prices: all of its processor time, and what it saves
  fleet.violations, fleet.unexplained        plans of the large fleet and of --fleets random fleets that CheckPlan refuses; jobs without a
                                             place, a time at which they are looked at again, or "never"

  --seed N  of the first instance; default: made from HEAD's hash    --instances N  default 40    --large N  default 20
  --seconds N  for CBC, default 60                                  --highs-seconds N  for HiGHS, default 300; 0: not asked
  --moves N  of the search, default 100000
  --fleets N  random fleets, default 10000                          --devices N --jobs N  of the large fleet, default 10000 and 100000
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile

import cbc
import highs
from figures import seed_of_head, write_figures

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/bin/wattle-place-load"
FLEET_PROGRAM = ROOT / "build/release/bin/wattle-fleet-plan-load"
SUN = ROOT / "bench/data/sun/45n_8e.csv"
SLOT, SLOTS = 1800, 96
CLOSED = 0.005  # An instance is closed when a solver's plan is no farther above its bound.
UNIT = 1e6  # The solver counts kilojoules.
LISTS = ("priority", "edf", "slack", "longest")
BLIND = ("shipped", "edf_as_jobs_arrive", "edf_at_risk")  # Planners without foresight, judged by the real sun.


def irradiance():
    """W/m2 on a horizontal plane, for each hour of a year."""
    return [line.split(",")[1] for line in SUN.read_text().splitlines()[1:]]


class Model:
    """The MILP of docs/design/timetable.md in CPLEX's LP format."""

    def __init__(self, instance):
        self.instance = instance
        self.rows, self.objective, self.binaries = [], [], []
        self.covering = [[[] for _ in range(SLOTS)] for _ in instance["devices"]]  # (variable, joules in the slot, seconds in the slot)
        for number, job in enumerate(instance["jobs"]):
            self.add_job(number, job)
        for device, slots in enumerate(self.covering):
            for slot in slots:
                self.add_row([(1, name) for name, _, _ in slot], "<=", 1)
            if instance["devices"][device] >= 0:
                self.add_pack(instance["devices"][device], slots)

    def add_row(self, terms, relation, value):
        if terms:
            self.rows.append(" ".join(f"{factor:+.6f} {name}" for factor, name in terms) + f" {relation} {value:.6f}")

    def add_job(self, number, job):
        names = [f"u{number}"]
        self.objective.append((job["left_out_price"] / UNIT, names[0]))
        for way, option in enumerate(job["options"]):
            slots = math.ceil(option["length"] / SLOT)
            for start in range(job["released"] // SLOT, SLOTS - slots + 1):
                if start * SLOT + option["length"] > job["deadline"]:
                    break
                name = f"x{number}_{way}_{start}"
                names.append(name)
                waited = start - job["released"] // SLOT
                self.objective.append(((option["cost"] + option["cost"] // 100 * waited // 2) / UNIT, name))
                for slot in range(slots):
                    seconds = min(SLOT, option["length"] - slot * SLOT)
                    self.covering[option["device"]][start + slot].append((name, option["power"] * seconds / UNIT, seconds))
        self.binaries += names
        self.add_row([(1, name) for name in names], "=", 1)

    def add_pack(self, number, slots):
        """Charges c0 ... c96. Surplus sun may be left, which only lowers the bound."""
        pack = self.instance["packs"][number]
        charge = [f"c{number}_{slot}" for slot in range(SLOTS + 1)]
        self.rows.append(f"{charge[0]} = {pack['charge'] / UNIT:.6f}")
        for slot in range(SLOTS):
            lacking = f"n{number}_{slot}"
            sun = (pack["harvest"][slot * SLOT // 3600] - pack["idle"]) * SLOT / UNIT
            self.add_row([(1, charge[slot + 1]), (-1, charge[slot]), (-1, lacking)] + [(joules, name) for name, joules, _ in slots[slot]], "<=", sun)
            self.rows.append(f"{charge[slot]} <= {pack['capacity'] / UNIT:.6f}")
            floor = pack["floor"] / UNIT
            self.add_row([(1, charge[slot])] + [(-floor, name) for name, _, _ in slots[slot]], ">=", 0)
            self.add_row([(1, charge[slot + 1])] + [(-floor, name) for name, _, seconds in slots[slot] if seconds == SLOT], ">=", 0)
            # A run that ends within the half hour: the charge that it needs at the slot's beginning to leave the floor at its end.
            net = (pack["harvest"][slot * SLOT // 3600] - pack["idle"]) / UNIT
            ending = [(-max(0, floor + joules - net * seconds), name) for name, joules, seconds in slots[slot] if seconds < SLOT]
            self.add_row([(1, charge[slot])] + ending if ending else [], ">=", 0)
        self.rows.append(f"{charge[SLOTS]} <= {pack['capacity'] / UNIT:.6f}")
        self.add_lacking(number, slots)

    def add_lacking(self, number, slots):
        """The energy that an empty pack does not give to idle boards. The pack becomes empty in a slot if it has less at the beginning than idle draw takes,
        and stays empty to the end, because sun and idle draw do not change within a slot. Work leaves the pack at its floor, so no board worked shortly
        before, unless the floor is less than the idle draw of a slot: then work that ends within a slot may empty the pack in the rest of it."""
        pack = self.instance["packs"][number]
        falls = [(pack["idle"] - pack["harvest"][slot * SLOT // 3600]) * SLOT / UNIT for slot in range(SLOTS)]
        most = pack["charge"] / UNIT
        for slot in range(SLOTS):
            if falls[slot] <= 0 or not self.may_be_empty(pack, slot):
                self.rows.append(f"n{number}_{slot} <= 0")
            else:
                empty = f"e{number}_{slot}"
                self.binaries.append(empty)
                after = max(0, most - falls[slot])
                self.add_row([(1, f"n{number}_{slot}"), (-falls[slot], empty)], "<=", 0)
                work = [(-joules, name) for name, joules, _ in slots[slot]] if pack["floor"] / UNIT <= falls[slot] else []
                self.add_row([(1, f"c{number}_{slot}"), *work, (max(0, most - falls[slot]), empty)], "<=", max(most, falls[slot]))
                self.add_row([(1, f"c{number}_{slot + 1}"), (after, empty)], "<=", after)
                left = pack["floor"] / UNIT - falls[slot]
                for worked in range(slot, -1, -1):
                    if worked < slot:
                        left -= max(0, falls[worked])
                    if left <= 0:
                        break
                    self.add_row([(1, name) for name, _, _ in slots[worked]] + [(1, empty)], "<=", 1)
            most = min(pack["capacity"] / UNIT, max(0, most - falls[slot]))

    @staticmethod
    def may_be_empty(pack, slot):
        """Whether idle draw can empty the pack in the slot, after work that ended at the floor earlier or a start with less."""
        for begin in range(slot + 1):
            charge = min(pack["floor"], pack["charge"])
            for passed in range(begin, slot + 1):
                charge = min(pack["capacity"], charge + (pack["harvest"][passed * SLOT // 3600] - pack["idle"]) * SLOT)
                if charge < 0:
                    return True
        return False

    def text(self):
        lines = ["Minimize", " cost: " + "\n  ".join(f"{factor:+.6f} {name}" for factor, name in self.objective), "Subject To"]
        lines += [f" r{number}: " + row.replace(" +", "\n  +") for number, row in enumerate(self.rows)]
        return "\n".join(lines + ["Binaries"] + [f" {name}" for name in self.binaries] + ["End", ""])


class Solved:
    """The solvers' results for an instance: their best lower bound and CBC's, the cost of their best plan, and the jobs that it leaves out."""

    def __init__(self, document, options):
        text = Model(document["instance"]).text()
        bound, cost, solution = cbc.solve(text, options.seconds)
        if bound is None:
            raise SystemExit(f"cbc proved no bound for seed {document['seed']}")
        self.bound = self.cbc_bound = bound * UNIT
        self.cost = math.inf if cost is None else cost * UNIT
        self.left_out = [int(job) for job in re.findall(r"^ *\d+ u(\d+) +(?:1|0\.99\d*) ", solution, re.M)]
        known = document["plans"]["search"]["cost"]
        # CBC's arithmetic has proved a bound above a plan that HiGHS also finds (seed 105852072). Such a bound is invalid.
        self.refuted = known < self.bound * (1 - cbc.RATIO_GAP)
        if options.highs_seconds > 0 and (self.refuted or not self.closed()):
            self.ask_highs(text, options.highs_seconds, known)

    def closed(self):
        return self.cost <= self.bound * (1 + CLOSED)

    def ask_highs(self, text, seconds, known_cost):
        # Slightly above the known plan, so that HiGHS finds one that is as good.
        bound, cost, ones = highs.solve(text, seconds, min(known_cost, self.cost) / UNIT * (1 + CLOSED))
        if self.refuted:
            self.bound = self.cbc_bound = bound * UNIT
        self.bound = max(self.bound, bound * UNIT)
        if cost is not None and cost * UNIT < self.cost:
            self.cost = cost * UNIT
            self.left_out = [int(name[1:]) for name in ones if name.startswith("u")]


class Relaxed:
    """The optimum of the linear relaxation, in millijoules: a looser bound, and not a plan."""

    def __init__(self, document):
        solution = cbc.run_cbc(Model(document["instance"]).text(), ["-initialSolve"])[1]
        optimal = re.match(r"Optimal - objective value +([-0-9.e+]+)", solution)
        if optimal is None:
            raise SystemExit(f"the relaxation of seed {document['seed']} was not solved: {solution[:100]}")
        self.bound = self.cbc_bound = float(optimal.group(1)) * UNIT
        self.cost, self.left_out, self.refuted = math.inf, [], False

    @staticmethod
    def closed():
        return False


def draw(sun, seed, boards, jobs, moves):
    return json.loads(subprocess.run([PROGRAM, sun, str(seed), str(boards), str(jobs), str(moves)], check=True, capture_output=True, text=True).stdout)


def draw_small(sun, seed, moves):
    dice = random.Random(seed)
    return draw(sun, seed, dice.randint(4, 6), dice.randint(12, 20), moves)


def run_fleet(*arguments):
    done = subprocess.run([FLEET_PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def plan_seconds(devices, jobs, seed):
    return float(subprocess.run([PROGRAM, "--time", str(devices), str(jobs), str(seed)], check=True, capture_output=True, text=True).stdout.split()[2])


class Figures(list):
    def add(self, key, value, unit, peer=None):
        print(f"{key}: {value:.6g} {unit}{'; ' + peer if peer else ''}", flush=True)
        self.append({"key": key, "value": round(value, 4), "unit": unit, "peer": peer})


class Tally:
    """Prints a line for each instance and adds up the figures."""

    def __init__(self, documents, solved):
        self.instances = len(documents)
        self.gaps = {name: [] for name in ("search", "edf", *BLIND, "best_list", "solver")}
        self.gaps_vs_cbc = []
        self.gaps_closed = []  # Gaps of the search, on instances that a solver closed.
        self.misses = {"search": 0, "shipped": 0, "shipped_in_turn": 0}
        self.put_off = []  # Cost relative to the plans that put no job off.
        self.missed = dict.fromkeys((*BLIND, "shipped_in_turn", "edf"), 0)
        self.total_cost = dict.fromkeys(BLIND, 0)
        self.unmet_cost = dict.fromkeys(BLIND, 0)
        self.refuted = self.deadlines = self.violations = self.differ = 0
        self.runs_on_packs = dict.fromkeys(BLIND, 0)
        self.guard_stops = dict.fromkeys(BLIND, 0)
        self.search_seconds = max(document["search_seconds"] for document in documents)
        for document, one in zip(documents, solved):
            self.add(document, one)

    def add(self, document, solved):
        bound = solved.bound
        plans, jobs = document["plans"], document["instance"]["jobs"]
        costs = {name: plans[name]["cost"] for name in ("search", "edf", *BLIND)}
        costs |= {"best_list": min(plans[name]["cost"] for name in LISTS), "solver": solved.cost}
        for name, cost in costs.items():
            self.gaps[name].append(100 * (cost / bound - 1))
        self.gaps_vs_cbc.append(100 * (costs["search"] / solved.cbc_bound - 1))
        self.gaps_closed += [self.gaps["search"][-1]] if solved.closed() else []
        self.refuted += solved.refuted
        self.put_off.append(100 * (plans["shipped"]["cost"] / plans["shipped_in_turn"]["cost"] - 1))
        for name in self.missed:
            self.missed[name] += plans[name]["missed"]
        self.deadlines += sum(job["has_deadline"] for job in jobs)
        for name in self.misses:
            self.misses[name] += plans[name]["missed"] - sum(jobs[job]["has_deadline"] for job in solved.left_out)
        broken = {name: plan["broken"] for name, plan in plans.items() if plan["broken"]}
        self.violations += len(broken.keys() & self.misses.keys())
        self.differ += plans["shipped"]["bytes_differ"]
        for name in BLIND:
            self.total_cost[name] += plans[name]["cost"]
            self.unmet_cost[name] += plans[name]["unmet_cost"]
            self.runs_on_packs[name] += plans[name]["runs_on_packs"]
            self.guard_stops[name] += plans[name]["guard_stops"]
        told = ", ".join(f"{name} {gap[-1]:.2f}" for name, gap in self.gaps.items() if gap[-1] < math.inf)
        never = ", ".join(f"{name} {plan['left_out']}" for name, plan in plans.items()) + (f", solver {len(solved.left_out)}" if solved.cost < math.inf else "")
        print(f"  seed {document['seed']}, {len(document['instance']['devices'])} x {len(jobs)}: % above the bound: {told}; never run: {never}"
              f"{'; ' + str(broken) if broken else ''}", flush=True)
        if broken.keys() - self.misses.keys():
            sys.exit("a list breaks a rule: the bench itself is wrong")
        below = [name for name, plan in plans.items() if not plan["broken"] and not plan.get("guard_stops") and plan["cost"] < bound * (1 - cbc.RATIO_GAP)]
        if below:
            sys.exit(f"{', '.join(below)}: a plan that keeps all rules costs less than the bound: the model or CBC is wrong; HiGHS tells which (--highs-seconds)")

    def missed_words(self):
        return f"of {self.deadlines} deadlines {self.missed['shipped']} missed, {self.missed['shipped_in_turn']} where nobody is put off, {self.missed['edf_as_jobs_arrive']} by EDF without foresight, {self.missed['edf_at_risk']} by the same with the risk, {self.missed['edf']} by EDF"

    def add_unmet(self, figures, key):
        watt_hours = {name: cost / self.instances / 3_600_000 for name, cost in self.total_cost.items()}
        share = {name: 100 * cost / self.total_cost[name] for name, cost in self.unmet_cost.items()}
        figures.add(key, share["shipped"], "%", ", ".join(f"{name} {watt_hours[name]:.0f} Wh, {share[name]:.0f} %" for name in BLIND))

    def peers(self):
        return "; ".join(f"{name} {statistics.mean(gap):.2f}, worst {max(gap):.2f}" for name, gap in self.gaps.items() if max(gap) < math.inf)


def add_small(figures, tally):
    gaps = tally.gaps
    figures.add("gap_vs_milp_mean_percent", statistics.mean(gaps["search"]), "%", tally.peers())
    figures.add("gap_vs_milp_max_percent", max(gaps["search"]), "%")
    figures.add("gap_vs_cbc_mean_percent", statistics.mean(tally.gaps_vs_cbc), "%")
    figures.add("shipped.gap_vs_milp_mean_percent", statistics.mean(gaps["shipped"]), "%")
    figures.add("shipped.gap_vs_milp_max_percent", max(gaps["shipped"]), "%")
    figures.add("shipped.put_off_cost_mean_percent", statistics.mean(tally.put_off), "%", tally.missed_words())
    figures.add("shipped.put_off_cost_max_percent", max(tally.put_off), "%")
    figures.add("gap_edf_mean_percent", statistics.mean(gaps["edf"]), "%")
    figures.add("gap_edf_as_jobs_arrive_mean_percent", statistics.mean(gaps["edf_as_jobs_arrive"]), "%")
    figures.add("gap_edf_at_risk_mean_percent", statistics.mean(gaps["edf_at_risk"]), "%")
    tally.add_unmet(figures, "shipped.unmet_share_percent")
    figures.add("gap_best_list_mean_percent", statistics.mean(gaps["best_list"]), "%")
    figures.add("instances_closed", len(tally.gaps_closed), f"of {tally.instances}")
    if tally.gaps_closed:
        figures.add("gap_vs_milp_closed_mean_percent", statistics.mean(tally.gaps_closed), "%")
        figures.add("gap_vs_milp_closed_max_percent", max(tally.gaps_closed), "%")
    figures.add("cbc_bounds_refuted", tally.refuted, f"of {tally.instances}")
    for name, key in (("search", ""), ("shipped", "shipped.")):
        figures.add(f"{key}deadline_misses_over_optimum_percent", 100 * tally.misses[name] / tally.deadlines, f"% of {tally.deadlines} deadlines")
    figures.add("search_seconds_max", tally.search_seconds, "s")


def add_large(figures, tally):
    figures.add("gap_vs_lp_20x60_mean_percent", statistics.mean(tally.gaps["search"]), "%", tally.peers())
    figures.add("shipped.gap_vs_lp_20x60_mean_percent", statistics.mean(tally.gaps["shipped"]), "%")
    figures.add("shipped.put_off_20x60_cost_mean_percent", statistics.mean(tally.put_off), "%", tally.missed_words())
    tally.add_unmet(figures, "shipped.unmet_20x60_share_percent")
    figures.add("search_20x60_seconds_max", tally.search_seconds, "s")


def add_fleet(figures, sun, seed, options):
    with tempfile.NamedTemporaryFile() as file:
        run_fleet("draw", sun, seed, options.devices, options.jobs, file.name)
        plan = run_fleet("plan", file.name)
    size = f"{plan['devices']} x {plan['jobs']}"
    figures.add("plan_10k_x_100k_s", plan["plan_s"], "s", f"{size}; {plan['left_out']} jobs have no place")
    figures.add("plan_10k_x_100k_cpu_s", plan["plan_cpu_s"], "s")
    figures.add("plan_rss_mib", plan["rss_mib"], "MiB")
    for key, name in (("replan_10k", "replan"), ("place_one", "place_one")):
        figures.add(f"{key}_ms_p99", 1000 * plan[f"{name}_p99_s"], "ms")
        figures.add(f"{key}_cpu_ms_p99", 1000 * plan[f"{name}_cpu_p99_s"], "ms")
    figures.add("explain_ms_p99", 1000 * plan["explanations"]["p99_s"], "ms", f"{plan['explanations']['explained']} jobs")
    if plan["prices"]:
        figures.add("prices.10k_x_100k_cpu_s", plan["prices"]["cpu_s"], "s")
        figures.add("prices.10k_x_100k_cheaper_percent", plan["prices"]["cheaper_percent"], "%")
    fuzz = run_fleet("fuzz", seed, options.fleets)
    broken = fuzz["broken"] + [rule for rule in (plan["broken"], plan["broken_after"]) if rule]
    figures.add("fleet.violations", len(broken), f"of {fuzz['fleets'] + 2} plans", "; ".join(broken[:3]))
    figures.add("fleet.unexplained", fuzz["unexplained"], f"of {fuzz['jobs']} jobs", f"{fuzz['never']} never, {fuzz['not_now']} not now")
    figures.add("fleet.plan_bytes_differ", plan["bytes_differ"] + fuzz["bytes_differ"], "places")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--instances", type=int, default=40)
    parser.add_argument("--large", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--highs-seconds", type=int, default=300)
    parser.add_argument("--moves", type=int, default=100_000)
    parser.add_argument("--fleets", type=int, default=10_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=100_000)
    options = parser.parse_args()
    seed = seed_of_head() if options.seed is None else options.seed
    print(f"seed {seed}; again: ./dev bench place --seed {seed} --instances {options.instances} --large {options.large}", flush=True)
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        sun = pathlib.Path(folder) / "sun"
        sun.write_text("\n".join(irradiance()))
        small = list(pool.map(lambda one: draw_small(sun, one, options.moves), range(seed, seed + options.instances)))
        solved = pool.map(lambda document: Solved(document, options), small)
        tallies = [Tally(small, solved)]
        add_small(figures, tallies[0])
        if options.large > 0:
            large = list(pool.map(lambda one: draw(sun, one, 20, 60, options.moves), range(seed, seed + options.large)))
            tallies.append(Tally(large, pool.map(Relaxed, large)))
            add_large(figures, tallies[1])
        add_fleet(figures, sun, seed, options)
    figures.add("violations", sum(tally.violations for tally in tallies), f"of {3 * sum(tally.instances for tally in tallies)} plans")
    for name in BLIND:
        key = "" if name == "shipped" else f"{name}."
        runs = sum(tally.runs_on_packs[name] for tally in tallies)
        stops = sum(tally.guard_stops[name] for tally in tallies)
        figures.add(f"{key}guard_stops_percent", 100 * stops / max(1, runs), f"% of {runs} runs on packs")
    figures.add("plan_bytes_differ", sum(tally.differ for tally in tallies), "placements")
    figures.add("plan_1k_x_1k_s", plan_seconds(1000, 1000, seed), "s")
    write_figures("place", figures)


if __name__ == "__main__":
    main()
