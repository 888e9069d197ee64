#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Prints the factors of scheduler/timetable/harvest_paths.cc: how far real days are from what a worker expects of them.

A worker's expectation halves the weight of earlier days with each new day (telemetry/battery/forecast.h).

Reads a year of hours at two places: PVGIS's (global irradiance) and PVWatts's (AC output), from ../shared/data/energy.
"""

import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "shared/data/energy"
PATHS = 64
PAST_DAYS = 20  # Older ones weigh less than a millionth.


def hours(file, column, columns):
    rows = (line.strip().split(",") for line in (FOLDER / file).read_text().splitlines())
    return [float(row[column]) for row in rows if len(row) == columns and row[0][:1].isdigit()]


def shares(values):
    """Each day's sum as a share of the expectation on the evening before; the year is a ring."""
    days = [sum(values[begin:begin + 24]) for begin in range(0, len(values), 24)]
    weights = [0.5**past for past in range(1, PAST_DAYS + 1)]
    expected = lambda date: sum(weight * days[date - past] for past, weight in enumerate(weights, 1)) / sum(weights)
    return [day / expected(date) for date, day in enumerate(days)]


def main():
    drawn = sorted(shares(hours("pvgis_tmy_45N_8E.csv", 3, 10)) + shares(hours("pvwatts_8760_denver_roofmount_4kw.csv", 10, 11)))
    quantiles = [drawn[int((path + 0.5) / PATHS * len(drawn))] for path in range(PATHS)]
    factors = [round(1000 * quantile) for quantile in quantiles]
    for begin in range(0, PATHS, 16):
        print(" ".join(f"{factor}," for factor in factors[begin:begin + 16]))


if __name__ == "__main__":
    main()
