# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Two clocks of a measured Jetson tell the others, as two measured power modes tell a third (scheduler/predict/unmeasured_mode.h)."""

import math

from figures import add
from predict_measured import INTERVAL90, QUANTITIES, joules_of, mean, seconds_of

# By the same public logs with little load.
IDLE_WATTS = {"Nano": 1.0, "NX": 2.3}
REACH_ABOVE, REACH_BELOW = 1.6, 5  # As in the predictor: clocks further away are carried.


def carried(there, watts, idle):
    """(seconds, joules) by carrying: the joules above idle stay. The peer is told the true watts, which nominal watts are not."""
    seconds, joules = there
    seconds *= (joules / seconds - idle) / (watts - idle) if min(watts, joules / seconds) > idle else 1
    return seconds, seconds * watts


def two_of(cells, draw):
    """Two drawn cells, and those in their reach."""
    two = sorted(draw.sample(cells, 2))
    return two, [cell for cell in cells if cell not in two and cell[0] <= REACH_ABOVE * two[1][0] and cell[0] * REACH_BELOW >= two[0][0]]


def measure_two_modes(regression, boards, draw, seeds, figures):
    """A board under one number of requests is a workload, and its clocks are the modes. boards: of predict_measured.loudva()."""
    errors, held = {}, {"time": [], "energy": []}
    for _ in range(seeds):
        of_seed = {}
        for board, truth in boards.items():
            for requests in sorted({cell[2] for cell in truth}):
                cells = sorted(cell for cell in truth if cell[2] == requests)
                two, rest = two_of(cells, draw)
                regression.reset(cells)
                for cell in two:
                    regression.tell(board, cell, truth[cell])
                estimates = dict(zip(cells, regression.ask(board)[0]))
                for cell in rest:
                    nearest = truth[min(two, key=lambda known: abs(math.log(known[0] / cell[0])))]
                    told = {"ours": (seconds_of(estimates[cell]), joules_of(estimates[cell])),
                            "carried by the true watts": carried(nearest, truth[cell][1] / truth[cell][0], IDLE_WATTS[board]),
                            "nearest measured mode": nearest}
                    for quantity, (index, _, interval) in QUANTITIES.items():
                        for name, value in told.items():
                            of_seed.setdefault((quantity, name), []).append(100 * abs(value[index] / truth[cell][index] - 1))
                        middle, deviation = interval(estimates[cell])
                        held[quantity].append(abs(math.log(truth[cell][index]) - middle) <= INTERVAL90 * deviation)
        for key, found in of_seed.items():
            errors.setdefault(key, []).append(mean(found))
    for quantity in held:
        peers = ", ".join(f"{name} {mean(errors[quantity, name]):.3g}" for of, name in errors if of == quantity and name != "ours")
        add(figures, f"two_modes.{quantity}_error_percent", errors[quantity, "ours"], "%",
            f"{peers}; 90 % intervals hold {100 * mean(held[quantity]):.1f} %", digits=2)
