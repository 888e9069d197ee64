#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Prints the tables of scheduler/timetable/harvest_paths.cc: how far real sun is from a worker's expectation.

A worker's expectation of an hour halves the weight of earlier days with each new day (telemetry/battery/forecast.h). On the evening before, only the expectation
is known. By day the latest three hours are known too: `seen` is their sun as a share of the expectation.

Reads a year of hours at two places: PVGIS's (global irradiance) and PVWatts's (AC output), from bench/data/sun.
"""

import csv
import pathlib
import statistics

FOLDER = pathlib.Path(__file__).resolve().parent / "data/sun"
PATHS = 64
PAST_DAYS = 20  # Older ones weigh less than a millionth.
SEEN_HOURS = 3
# Values of `seen` between which the planner interpolates, and how far around each of them its median is taken.
KNOTS = [(0, 0.125), (0.25, 0.125), (0.5, 0.125), (0.75, 0.125), (1, 0.125), (1.25, 0.125), (1.5, 0.125), (2, 0.5), (3, 0.5)]
DULL, BRIGHT = 0.5, 1.0  # The spread around the median is printed for mornings up to the first value and from the second.


def hours(file, column):
    with open(FOLDER / file, encoding="utf-8") as rows:
        return [float(row[column]) for row in csv.DictReader(rows)]


def days_of(values):
    """[(hours of a day, their expectation on the evening before)]; the year is a ring."""
    days = [values[begin:begin + 24] for begin in range(0, len(values), 24)]
    weights = [0.5**past for past in range(1, PAST_DAYS + 1)]
    expected = lambda date, hour: sum(weight * days[date - past][hour] for past, weight in enumerate(weights, 1)) / sum(weights)
    return [(day, [expected(date, hour) for hour in range(24)]) for date, day in enumerate(days)]


def mornings(days):
    """[(seen, the rest of the day as a share of the expectation, the next day likewise)] at each hour of each day, with the planner's knowledge."""
    for (day, expected), (tomorrow, _) in zip(days, [*days[1:], days[0]]):
        total, peak = sum(expected), max(expected)
        for now in range(24):
            seen = [hour for hour in range(now) if expected[hour] > peak / 16][-SEEN_HOURS:]
            was_expected, rest = sum(expected[hour] for hour in seen), sum(expected[now:])
            if was_expected >= total / 32 and rest >= total / 20:
                yield sum(day[hour] for hour in seen) / was_expected, sum(day[now:]) / rest, sum(tomorrow) / total


def quantiles(values):
    drawn = sorted(values)
    return [round(1000 * drawn[int((path + 0.5) / PATHS * len(drawn))]) for path in range(PATHS)]


def medians(pairs):
    return [statistics.median(share for seen, share in pairs if abs(seen - knot) <= around) for knot, around in KNOTS]


def between(knots, values, at):
    for (low, high), (first, last) in zip(zip(knots, knots[1:]), zip(values, values[1:])):
        if at <= high:
            return first + (last - first) * (at - low) / (high - low)
    return values[-1]


def show(name, factors):
    print(name)
    for begin in range(0, len(factors), 16):
        print(" ".join(f"{factor}," for factor in factors[begin:begin + 16]))


def main():
    places = [days_of(hours("45n_8e.csv", "w_per_m2")), days_of(hours("denver.csv", "ac_watts_of_4_kw"))]
    show("kDayFactors", quantiles([sum(day) / sum(expected) for days in places for day, expected in days]))
    seen = [morning for days in places for morning in mornings(days)]
    knots = [knot for knot, _ in KNOTS]
    rest = medians([(share, today) for share, today, _ in seen])
    show("kSeen", [round(1000 * knot) for knot in knots])
    show("kRestOfDay", [round(1000 * median) for median in rest])
    show("kNextDay", [round(1000 * median) for median in medians([(share, tomorrow) for share, _, tomorrow in seen])])
    spread = [(share, today / between(knots, rest, share)) for share, today, _ in seen]
    show("kAroundDull", quantiles([around for share, around in spread if share <= DULL]))
    show("kAroundBright", quantiles([around for share, around in spread if share >= BRIGHT]))


if __name__ == "__main__":
    main()
