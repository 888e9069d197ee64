#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench sim: how fast the simulation goes, and whether it finds every mutant. Writes build/bench/sim.json.

  device_years_per_minute  of slow worlds (weeks of a field) with all faults on, on all cores
  violations               of an invariant, in those worlds and in as many dense ones
  mutants_found            of `mutants`: found within 1,000 seeds of dense worlds
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/bin/wattle-simulate"


def simulate(jobs, keep_text=False):
    """Runs wattle-simulate once for each list of arguments, in parallel; returns their figures, with their output if requested."""
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number, arguments in enumerate(jobs):
            path = pathlib.Path(folder) / f"{number}.json"
            text = open(path.with_suffix(".txt"), "w+", encoding="utf-8")  # pylint: disable=consider-using-with
            running.append((subprocess.Popen([PROGRAM, *map(str, arguments), "--json", path], stdout=text), path, text))
        figures = []
        said = ""
        for process, path, text in running:
            process.wait()
            figures.append(json.loads(path.read_text()))
            text.seek(0)
            said += text.read()
            text.close()
        return (figures, said) if keep_text else figures


def mutants_found(cores):
    """By mutant: the number of seeds of dense worlds until it was found; 0: not within 1,000."""
    names = subprocess.run([PROGRAM, "--mutants"], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for begin in range(0, len(names), cores):
        batch = names[begin:begin + cores]
        figures = simulate([["--pace", "dense", "--seeds", 1000, "--mutant", name] for name in batch])
        found.update({name: figure["found_after_seeds"] for name, figure in zip(batch, figures)})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of slow worlds, and again of dense ones")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    worlds = {}
    for pace in ("slow", "dense"):
        worlds[pace] = simulate([["--pace", pace, "--first", arguments.first + core, "--stride", cores, "--seeds", 1_000_000,
                                  "--seconds", arguments.seconds, "--go-on"] for core in range(cores)])
    found = mutants_found(cores)
    result = {
        "device_years_per_minute": round(sum(60 * part["device_years"] / part["seconds"] for part in worlds["slow"]), 1),
        "dense_worlds_per_minute": round(sum(60 * part["worlds"] / part["seconds"] for part in worlds["dense"])),
        "violations": sum(part["violations"] for parts in worlds.values() for part in parts),
        "mutants": len(found),
        "mutants_found": sum(1 for seeds in found.values() if seeds > 0),
        "seeds_until_found": found,
        "cores": cores,
    }
    for key, value in result.items():
        print(f"{key:26} {value}")
    (ROOT / "build/bench/sim.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
