#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench scenario: the coordinator's plans beside simple planners, in simulated days on drawn boards. Writes build/bench/scenario.json.

Each seed draws boards whose true rates differ from the tables, sunny and dark days, and arrivals (deploy/scenarios). All planners meet the
same world, under the same rules and guards. NAME is deadlines (boards on mains, urgent jobs) or mast (boards on sun).

  NAME.energy_vs_fastest_percent  joules of work for each finished job, less than those of `fastest`; median of the seeds
  NAME.missed                     deadlines missed or failed, of all seeds; those of each peer beside it
  NAME.wait_hours                 from the submission to the start, mean of a seed; median of the seeds
  energy_vs_fastest_first_percent  joules of work for each finished job, less than those of `fastest`, over both scenarios and all seeds; the goal
                                  of 20 holds at no more misses, which stand beside it
  misses_vs_edf, misses_vs_heft   missed or failed, over those of `edf` and `heft`, of both scenarios and all seeds
  plan_breaches                   plans of `ours` that break a rule by the check that shares no code with the planner, of both scenarios and all
                                  seeds; those of each peer beside it
  moves.saved_percent             joules of work for each finished job that moves of running attempts save (deploy/scenarios/moves.yaml); median of the seeds
  changing.inside_percent         runs that ended within the 90 % interval of their time, on boards that step, drift, throttle and get other
  changing.inside_after_change_percent   software (deploy/scenarios/changing.yaml); of all runs, and of those after the step or the update

  --seed N   the first; default: made from HEAD's hash        --seeds N   default 10
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import tempfile

from figures import add, seed_of_head, write_figures

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/bin/wattle"
SCENARIOS = ("deadlines", "mast")
# Three boards of ten are Orins, three are Xaviers.
WEEK = """name: week
duration: 7d
fleet:
  - {{name: orin, class: jetson-orin-nano, count: {orins}}}
  - {{name: xavier, class: jetson-xavier-nx, count: {xaviers}}}
  - {{name: pi, class: raspberry-pi-5, count: {pis}}}
rates: {{seconds_spread: 0.15, watts_spread: 0.05}}
data: {{squad: {{examples: 2000}}, questions: {{examples: 1000}}}}
jobs:
  - {{name: train, per_day: {trains}, job: {{finetune: {{model: distilgpt2, data: squad, sequence_length: 384}}}}}}
  - {{name: check, per_day: {checks}, job: {{deadline_seconds: 86400, evaluate: {{model: distilgpt2, data: questions, sequence_length: 384}}}}}}
"""
PEERS = ("fastest", "fewest_joules", "round_robin", "edf", "heft", "greedy")


def run(scenario, seed, policies=("ours", *PEERS)):
    """{policy: {figure: value}} of one seed."""
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        subprocess.run([PROGRAM, "sim", f"deploy/scenarios/{scenario}.yaml", "--policy", ",".join(policies), "--seeds", "1", "--seed", str(seed),
                        "--json", figures.name], cwd=ROOT, check=True, capture_output=True)
        policies = json.loads(pathlib.Path(figures.name).read_text())["policies"]
    return {policy["policy"]: {key: value["median"] for key, value in policy.items() if isinstance(value, dict) and "median" in value} for policy in policies}


def intervals(seed):
    """How many runs ended within their predicted interval, on boards that change."""
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        subprocess.run([PROGRAM, "sim", "deploy/scenarios/changing.yaml", "--seeds", "1", "--seed", str(seed), "--json", figures.name],
                       cwd=ROOT, check=True, capture_output=True)
        return json.loads(pathlib.Path(figures.name).read_text())["policies"][0]["intervals"]


def week_cpu_seconds(boards, seed):
    text = WEEK.format(orins=boards * 3 // 10, xaviers=boards * 3 // 10, pis=boards - 2 * (boards * 3 // 10), trains=boards * 40 // 7, checks=boards * 60 // 7)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        subprocess.run([PROGRAM, "sim", file.name, "--seeds", "1", "--seed", str(seed)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def joules_of_job(figures):
    return figures["work_watt_hours"] / max(1, figures["jobs_done"])


def missed(figures):
    return figures["deadlines_missed"] + figures["jobs_failed"]


def add_comparison(figures, seeds):
    """Figures over all seeds together, because a ratio of few misses is inaccurate."""
    def total(policy, key):
        return sum(seed[policy][key] for seed in seeds)

    def joules(policy):
        return total(policy, "work_watt_hours") / max(1, total(policy, "jobs_done"))

    misses = {policy: sum(missed(seed[policy]) for seed in seeds) for policy in ("ours", *PEERS)}
    add(figures, "energy_vs_fastest_first_percent", [100 - 100 * joules("ours") / joules("fastest")], "%",
        f"missed: ours {misses['ours']:g}, fastest {misses['fastest']:g}")
    breaches = {policy: total(policy, "plan_breaches") for policy in ("ours", *PEERS)}
    add(figures, "plan_breaches", [breaches["ours"]], "", ", ".join(f"{policy} {count:g}" for policy, count in breaches.items()))
    for peer in ("edf", "heft"):
        add(figures, f"misses_vs_{peer}", [misses["ours"] / max(1, misses[peer])], "", f"ours {misses['ours']:g}, {peer} {misses[peer]:g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=seed_of_head() % 1_000_000_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--week", type=int, default=10)
    arguments = parser.parse_args()
    print(f"seeds {arguments.seed} to {arguments.seed + arguments.seeds - 1}")
    figures = []
    both = []  # All seeds of both scenarios.
    for scenario in SCENARIOS:
        seeds = [run(scenario, arguments.seed + i) for i in range(arguments.seeds)]
        both += seeds

        def beside(value, peers=PEERS, seeds=seeds):
            return ", ".join(f"{peer} {value(seeds, peer):.3g}" for peer in peers)

        def wait(some, policy):
            return statistics.median(seed[policy]["wait_mean_hours"] for seed in some)

        def saved(some, policy):
            return statistics.median(100 - 100 * joules_of_job(seed[policy]) / joules_of_job(seed["fastest"]) for seed in some)

        add(figures, f"{scenario}.energy_vs_fastest_percent", [saved([seed], "ours") for seed in seeds], "%", beside(saved, PEERS[1:]))
        add(figures, f"{scenario}.missed", [sum(missed(seed["ours"]) for seed in seeds)], "of all jobs",
            beside(lambda some, policy: sum(missed(seed[policy]) for seed in some)))
        add(figures, f"{scenario}.wait_hours", [wait([seed], "ours") for seed in seeds], "h", beside(wait))
    add_comparison(figures, both)
    seeds = [run("moves", arguments.seed + i, ("ours", "without_moves")) for i in range(arguments.seeds)]
    add(figures, "moves.saved_percent", [100 - 100 * joules_of_job(seed["ours"]) / joules_of_job(seed["without_moves"]) for seed in seeds], "%",
        f"missed: ours {sum(missed(seed['ours']) for seed in seeds)}, without moves {sum(missed(seed['without_moves']) for seed in seeds)}")
    seeds = [intervals(arguments.seed + i) for i in range(arguments.seeds)]
    for key, inside, runs in (("inside_percent", "inside", "runs"),
                              ("inside_after_change_percent", "inside_after_change", "runs_after_change")):
        add(figures, f"changing.{key}", [100 * sum(seed[inside] for seed in seeds) / max(1, sum(seed[runs] for seed in seeds))], "%",
            f"of {sum(seed[runs] for seed in seeds)} runs")
    if arguments.week:
        add(figures, f"week_{arguments.week}x{100 * arguments.week}_cpu_s", [week_cpu_seconds(arguments.week, arguments.seed)], "s", "")
    write_figures("scenario", figures)


if __name__ == "__main__":
    main()
