#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Checks by brute force on tiny fleets that the MILP of bench/place.py finds the cost of the cheapest plan.

Draws up to 3 boards and 5 jobs over 5 half hours. The brute force tries every way and start of every job, and follows the charge of each
pack by the rules in words, without the model's rows. Without CBC there is nothing to compare: exit status 77.
"""

import pathlib
import random
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import cbc  # noqa: E402
import place  # noqa: E402

SLOTS = 5
SEEDS = range(1, 25)
KILOJOULE = 1_000_000
SKIPPED = 77
# Tolerance for CBC's gap and the six decimals of its file together.
RELATIVE_ERROR = 2 * cbc.RATIO_GAP


def draw(seed):
    """An instance as printed by wattle-place-load: milliwatts, millijoules and seconds."""
    dice = random.Random(seed)
    devices = [number if dice.random() < 0.7 else -1 for number in range(dice.randint(2, 3))]
    packs = []
    for _ in devices:
        capacity = dice.randint(20, 60) * KILOJOULE
        harvest = [dice.choice((0, dice.randint(0, 16_000))) for _ in range(SLOTS * place.SLOT // 3600 + 1)]
        packs.append({"capacity": capacity, "charge": int(capacity * dice.uniform(0.1, 1)), "floor": int(capacity * dice.uniform(0, 0.4)),
                      "idle": dice.randint(500, 5000), "harvest": harvest})
    jobs = []
    for _ in range(dice.randint(3, 5)):
        options = [{"device": device, "length": dice.randint(600, 2 * place.SLOT), "power": dice.randint(3000, 14_000)}
                   for device in range(len(devices)) for _ in range(dice.randint(0, 2))]
        for option in options:
            option["cost"] = option["length"] * option["power"]
        released = dice.randint(0, 2) * place.SLOT
        jobs.append({"released": released, "deadline": released + dice.randint(place.SLOT, SLOTS * place.SLOT), "options": options,
                     "left_out_price": dice.randint(10, 60) * KILOJOULE})
    return {"devices": devices, "packs": packs, "jobs": jobs}


def keeps_its_pack(pack, runs):
    """runs: (start, length, power) on the pack's board, which do not overlap. Work leaves the floor from its first second to its last."""
    charge, now = pack["charge"], 0
    moments = {slot * place.SLOT for slot in range(SLOTS + 1)} | {moment for start, length, _ in runs for moment in (start, start + length)}
    for moment in sorted(moments - {0}):
        working = [power for start, length, power in runs if start <= now < start + length]
        gain = (pack["harvest"][now // 3600] - pack["idle"] - sum(working)) * (moment - now)
        after = min(pack["capacity"], charge + gain)
        if working and min(charge, after) < pack["floor"]:
            return False
        charge, now = max(0, after), moment
    return True


def ways_of(job):
    """(device, start, length, power, cost) of each start at a half hour that is in time."""
    for option in job["options"]:
        for slot in range(job["released"] // place.SLOT, SLOTS):
            end = slot * place.SLOT + option["length"]
            if end <= min(job["deadline"], SLOTS * place.SLOT):
                waited = slot - job["released"] // place.SLOT
                yield option["device"], slot * place.SLOT, option["length"], option["power"], option["cost"] + option["cost"] // 100 * waited // 2


def least_cost(instance):
    runs = [[] for _ in instance["devices"]]

    def fits(device, start, length):
        """A board does one thing in each half hour."""
        slots = range(start // place.SLOT, -(-(start + length) // place.SLOT))
        return all(slot not in slots for other, its_length, _ in runs[device] for slot in range(other // place.SLOT, -(-(other + its_length) // place.SLOT)))

    def least(job):
        if job == len(instance["jobs"]):
            return 0
        best = instance["jobs"][job]["left_out_price"] + least(job + 1)
        for device, start, length, power, cost in ways_of(instance["jobs"][job]):
            if cost >= best or not fits(device, start, length):
                continue
            runs[device].append((start, length, power))
            pack = instance["devices"][device]
            if pack < 0 or keeps_its_pack(instance["packs"][pack], runs[device]):
                best = min(best, cost + least(job + 1))
            runs[device].pop()
        return best

    return least(0)


def main():
    if shutil.which("cbc") is None:
        print("skipped: cbc is not here, with which bench/place.py solves the MILP; install coinor-cbc")
        sys.exit(SKIPPED)
    place.SLOTS = SLOTS
    wrong = 0
    for seed in SEEDS:
        instance = draw(seed)
        least = least_cost(instance)
        _, cost, _ = cbc.solve(place.Model(instance).text(), 60)
        told = None if cost is None else cost * place.UNIT
        if told is None or abs(told - least) > RELATIVE_ERROR * least:
            wrong += 1
            print(f"seed {seed}: the cheapest plan costs {least / KILOJOULE:.6f} kJ, and the MILP's {'is none' if told is None else f'{told / KILOJOULE:.6f} kJ'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
