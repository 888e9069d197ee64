#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Prints the factors of scheduler/timetable/harvest_paths.cc: how far real days are from the mean of their season.

Reads a year of hours at two places: PVGIS's (global irradiance) and PVWatts's (AC output), from ../shared/data/energy.
"""

import pathlib
import statistics

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "shared/data/energy"
PATHS = 64


def hours(file, column, columns):
    rows = (line.strip().split(",") for line in (FOLDER / file).read_text().splitlines())
    return [float(row[column]) for row in rows if len(row) == columns and row[0][:1].isdigit()]


def shares(values):
    """Each day's sum as a share of the mean of the 31 days around it; the year is a ring."""
    days = [sum(values[begin:begin + 24]) for begin in range(0, len(values), 24)]
    return [day / statistics.mean(days[(date + near) % len(days)] for near in range(-15, 16)) for date, day in enumerate(days)]


def main():
    drawn = sorted(shares(hours("pvgis_tmy_45N_8E.csv", 3, 10)) + shares(hours("pvwatts_8760_denver_roofmount_4kw.csv", 10, 11)))
    quantiles = [drawn[int((path + 0.5) / PATHS * len(drawn))] for path in range(PATHS)]
    factors = [round(1000 * quantile / statistics.mean(quantiles)) for quantile in quantiles]
    factors[-1] += 1000 * PATHS - sum(factors)  # what rounding left, so that the mean is exact
    for begin in range(0, PATHS, 16):
        print(" ".join(f"{factor}," for factor in factors[begin:begin + 16]))


if __name__ == "__main__":
    main()
