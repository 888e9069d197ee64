# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Predicts the other clocks of a measured Jetson from two, as two measured power modes predict a third (scheduler/predict/unmeasured_mode.h).

A board under one number of requests is a workload, and its clocks are the modes. In each draw both boards are one fleet whose workloads come in a
drawn order. Of each workload two drawn clocks are given, then the others are predicted, and then they are measured too. In this order only the
errors of the workloads before it calibrate an interval. The given runs score no prediction, because first runs are of another kind and share the
level. The fleet is played to the predictor of the scheduler (wattle-predict-runs).
"""

import math
import subprocess

from figures import ROOT, add
from predict_measured import mean

# From the same public logs with little load.
IDLE_WATTS = {"Nano": 1.0, "NX": 2.3}
REACH_ABOVE, REACH_BELOW = 1.6, 5  # The predictor's limit: clocks further away are carried.
QUANTITIES = "time", "energy"


def play_runs(lines):
    """The answers of wattle-predict-runs: for each run (mean, low, high of seconds, mean, low, high of joules)."""
    told = subprocess.run([ROOT / "build/release/bin/wattle-predict-runs"], input="".join(line + "\n" for line in lines), capture_output=True,
                          text=True, check=True)
    return [tuple(map(float, line.split())) for line in told.stdout.splitlines()]


def carried(there, watts, idle):
    """(seconds, joules) by carrying: the joules above idle stay. The peer gets the true watts instead of nominal ones."""
    seconds, joules = there
    seconds *= (joules / seconds - idle) / (watts - idle) if min(watts, joules / seconds) > idle else 1
    return seconds, seconds * watts


def two_of(cells, draw):
    """Two drawn cells, and those in their reach."""
    two = sorted(draw.sample(cells, 2))
    return two, [cell for cell in cells if cell not in two and cell[0] <= REACH_ABOVE * two[1][0] and cell[0] * REACH_BELOW >= two[0][0]]


def drawn_fleet(boards, draw):
    """[(board, two measured cells, the others in their reach)] of each workload, in a drawn order."""
    workloads = [(board, requests) for board in sorted(boards) for requests in sorted({cell[2] for cell in boards[board]})]
    draw.shuffle(workloads)
    return [(board, *two_of(sorted(cell for cell in boards[board] if cell[2] == requests), draw)) for board, requests in workloads]


def predicted(boards, fleet):
    """[predictions of the others] for each workload of the fleet, before the predictor learns them."""
    lines = [f"modes {board} {' '.join(repr(clock) for clock in sorted({cell[0] for cell in truth}))}" for board, truth in boards.items()]
    asked = []  # Whether the answer of a run counts.
    for board, two, rest in fleet:
        def run(cell, measured):
            seconds, joules = boards[board][cell]
            # Layers distinguish the workloads.
            return f"f {board} {cell[2]:.0f} 8 {cell[0]!r} {seconds if measured else 0!r} {joules / seconds!r}"
        lines += [run(cell, True) + " given" for cell in two] + [run(cell, False) for cell in rest] + [run(cell, True) for cell in rest]
        asked += [False] * len(two) + [True] * len(rest) + [False] * len(rest)
    answers = iter([answer for answer, counts in zip(play_runs(lines), asked) if counts])
    return [[next(answers) for _ in rest] for _, _, rest in fleet]


def refuse_clairvoyance(boards, draw):
    """Ends the bench if a prediction depends on runs that come after it."""
    fleet = drawn_fleet(boards, draw)
    now = len(fleet) // 2
    later = {(board, cell) for board, two, rest in fleet[now + 1:] for cell in [*two, *rest]} | {(fleet[now][0], cell) for cell in fleet[now][2]}
    shuffled = {board: {cell: (value[0] * draw.uniform(0.1, 10), value[1] * draw.uniform(0.1, 10)) if (board, cell) in later else value
                        for cell, value in truth.items()} for board, truth in boards.items()}
    if predicted(boards, fleet)[:now + 1] != predicted(shuffled, fleet)[:now + 1]:
        raise SystemExit("predictions of modes changed with runs that came later: the predictor knows the future")


def measure_two_modes(boards, draw, seeds, figures):
    """boards: of predict_measured.loudva()."""
    refuse_clairvoyance(boards, draw)
    errors, held = {}, {quantity: [] for quantity in QUANTITIES}
    for _ in range(seeds):
        fleet, of_seed, inside = drawn_fleet(boards, draw), {}, {quantity: [] for quantity in QUANTITIES}
        for (board, two, rest), answers in zip(fleet, predicted(boards, fleet)):
            truth = boards[board]
            for cell, answer in zip(rest, answers):
                nearest = truth[min(two, key=lambda known: abs(math.log(known[0] / cell[0])))]
                told = {"ours": (answer[0], answer[3]),
                        "carried by the true watts": carried(nearest, truth[cell][1] / truth[cell][0], IDLE_WATTS[board]),
                        "nearest measured mode": nearest}
                for index, quantity in enumerate(QUANTITIES):
                    for name, value in told.items():
                        of_seed.setdefault((quantity, name), []).append(100 * abs(value[index] / truth[cell][index] - 1))
                    inside[quantity].append(answer[3 * index + 1] <= truth[cell][index] <= answer[3 * index + 2])
        for key, found in of_seed.items():
            errors.setdefault(key, []).append(mean(found))
        for quantity, found in inside.items():
            held[quantity].append(100 * mean(found))
    for quantity in QUANTITIES:
        peers = ", ".join(f"{name} {mean(errors[quantity, name]):.3g}" for of, name in errors if of == quantity and name != "ours")
        add(figures, f"two_modes.{quantity}_error_percent", errors[quantity, "ours"], "%", peers, digits=2)
        add(figures, f"two_modes.{quantity}_coverage_percent", held[quantity], "%", "", digits=1)
