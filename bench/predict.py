#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench predict: how near predictions are after few measurements, and how soon they follow a board that has changed.

On boards that others measured (bench/data/boards) one board, or one quantization on it, is new: the first probe is drawn, the scheduler's
regression (wattle-predict-modes) chooses the others, and the error counts over all cells that were not probed. Peers have probes that are drawn.

  loudva.p10|p20.…           a new Jetson with 10 and 20 probes, beside the other one
  orin_llm.p10.…, .p4.…      a new quantization from only its own 10 probes, and from 4 beside the others
  pi5_llm.p2.…               a new model or number of threads from two benchmarks
  profile.regret_p10_percent joules of a request in the cell that looks best after 10 probes, above those in the best one
  two_modes.…_error_percent  other clocks of a Jetson from two drawn ones, under one number of requests
  two_modes.…_coverage_…     share of them in their 90 % interval, which the workloads before have calibrated
  interval90_…_percent       share of cells in their 90 % interval, over all and in the level where it is lowest
  interval90_width_vs_oracle mean width of those intervals in the logarithm, over that of a quantile regression that knows all cells

Draws the runs of one job on 20 boards: 50 runs of 1,000 s with a noise of 4 %, then its fan dies and runs take 1,500 s. The scheduler's own
predictor (wattle-predict-runs) predicts each run before it learns it. Beside it stand the mean of all runs, which never forgets, and an
exponentially weighted mean with a weight of 0.2 for each new run. Writes build/bench/predict.json.

  drift.runs_to_cover        slow runs after which the 90 % interval holds 1,500 s, then and until the end
  drift.runs_to_5_percent    slow runs after which the mean is within 5 % of 1,500 s, then and until the end
  drift.still_error_percent  error of the mean after 10 runs of a board that does not change

Draws first jobs of boards that nobody has measured (predict_first.py) and learns from their first steps before it predicts them again.

  first_job.ratio_p50|p90      upper over lower end of the 90 % interval of a job's seconds after its probe
  first_job.coverage_percent   share of the jobs that then take seconds within it
  first_job.probe_s_p90        seconds of the run until the probe is enough

Asks the predictor for every pair of 80 device classes and 500 signatures (wattle-predict-pairs).

  predict_us_per_pair_p99      time of one prediction where the class has a row of the signature

--seed N draws the runs again; by default it is the hash of the commit.
"""

import argparse
import random
import statistics
import subprocess

from figures import ROOT, add, write_figures
from predict_first import measure_first_jobs
from predict_measured import loudva, measure_all
from predict_two_modes import measure_two_modes, play_runs

BOARDS, COOL_RUNS, HOT_RUNS, STILL_RUNS = 20, 50, 100, 10
COOL_SECONDS, HOT_SECONDS, NOISE, WATTS = 1000, 1500, 0.04, 10
FORGET = 0.2


def predictions(boards):
    """(mean, low, high) of seconds before each run of each board, and after its last one, from the predictor."""
    rows = iter(play_runs(f"f{number} b{number} 12 8 0 {seconds!r} {WATTS}" for number, runs in enumerate(boards) for seconds in [*runs, 0]))
    return [[next(rows)[:3] for _ in [*runs, 0]] for runs in boards]


def weighted_means(runs, weight):
    """The mean before each run but the first, and after the last one; `weight`(n) is that of run n."""
    mean, means = 0.0, []
    for number, seconds in enumerate(runs, 1):
        mean += weight(number) * (seconds - mean)
        means.append(mean)
    return means


def runs_until(good):
    """The number of runs after which `good` holds to the end; one more than there are, if never. good[0]: after no run."""
    last_bad = max((runs for runs, holds in enumerate(good) if not holds), default=-1)
    return last_bad + 1


def measure_pairs(figures):
    """Three runs of the program, one in which half of the pairs have no row of their own, and two in unmeasured modes."""
    def ask(*arguments):
        told = subprocess.run([ROOT / "build/release/bin/wattle-predict-pairs", *arguments], capture_output=True, text=True, check=True)
        return tuple(map(float, told.stdout.split()))
    runs = [ask("80", "500", "1") for _ in range(3)]
    half = ask("80", "500", "0.5")
    # A thread caches its results for 16,384 pairs.
    kept, learned = (ask(classes, "500", "1", "unmeasured") for classes in ("16", "80"))
    add(figures, "predict_us_per_pair_p99", [p99 for _, p99, _ in runs], "us",
        f"median {statistics.median(p50 for p50, _, _ in runs):.3g}, of pairs half of which have no row {half[0]:.3g} and p99 {half[1]:.3g}, "
        f"in unmeasured modes {kept[0]:.3g} and p99 {kept[1]:.3g}, learned anew {learned[0]:.3g} and p99 {learned[1]:.3g}, "
        f"one row into the table {statistics.median(put for _, _, put in runs):.3g}")


def near(mean):
    return abs(mean / HOT_SECONDS - 1) <= 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=20, help="how often boards and probes are drawn; default 20")
    options = parser.parse_args()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    seed = options.seed if options.seed is not None else int(head[:8], 16)
    print(f"seed {seed}; again: ./dev bench predict --seed {seed}")
    draw = random.Random(seed)

    def runs(count, seconds):
        return [seconds * draw.lognormvariate(0, NOISE) for _ in range(count)]

    boards = [runs(COOL_RUNS, COOL_SECONDS) + runs(HOT_RUNS, HOT_SECONDS) for _ in range(BOARDS)]
    still = [runs(STILL_RUNS, COOL_SECONDS) for _ in range(BOARDS)]
    told = [board[COOL_RUNS:] for board in predictions(boards)]  # told[b][n]: after n slow runs
    figures = []

    def peers_of(of_board, series):
        median = {name: statistics.median(of_board(weighted_means(runs, weight)) for runs in series)
                  for name, weight in (("mean of all", lambda n: 1 / n), ("weighted mean", lambda n: 1 if n == 1 else FORGET))}
        return ", ".join(f"{name} {value:.3g}" for name, value in median.items())

    add(figures, "drift.runs_to_cover", [runs_until([low <= HOT_SECONDS <= high for _, low, high in board]) for board in told], "runs", "")
    add(figures, "drift.runs_to_5_percent", [runs_until([near(mean) for mean, _, _ in board]) for board in told], "runs",
        peers_of(lambda means: runs_until([near(mean) for mean in means[COOL_RUNS - 1:]]), boards))
    add(figures, "drift.still_error_percent", [abs(board[-1][0] / COOL_SECONDS - 1) * 100 for board in predictions(still)], "%",
        peers_of(lambda means: abs(means[-1] / COOL_SECONDS - 1) * 100, still))
    measure_first_jobs(draw, options.seeds, figures)
    measure_pairs(figures)
    measure_all(draw, options.seeds, figures)
    measure_two_modes(loudva(), draw, options.seeds, figures)
    write_figures("predict", figures)


if __name__ == "__main__":
    main()
