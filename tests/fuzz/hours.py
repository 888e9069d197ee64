#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""What ./dev fuzz runs once the fuzzers are built: each target for a while, one after the other, and a table at the end.

Each run is a line of build/fuzz/runs.jsonl, so hours may be collected in several runs. `--record` moves these lines, added up for each
target, to tests/fuzz/recorded_runs.jsonl, which the repository keeps: both files count. A recorded line has the commit that is checked out,
so record before you change what was fuzzed. Seconds are the processor's:
a run beside other work, or at a low priority, counts for what it did. A target that crashes does not stop the others. What libFuzzer
leaves in build/fuzz stays a crash until the file is removed, and with one the exit status is 1.
Writes build/bench/fuzz.json after each target:

  target, seconds, executions, crashes    of each target, in all runs
  fuzz_targets, fuzz_hours, crashes       of all targets
"""

import argparse
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL_TARGETS = ("weights", "load", "readers", "gguf")  # Separate programs, which write their first inputs themselves.
CRASH = re.compile(r"(\w+)-(crash|leak|oom|timeout|failed)-")
INTERRUPTED = 72  # libFuzzer's exit code after SIGINT and SIGTERM.


def target_names():
    return sorted(folder.name for folder in (ROOT / "tests/fuzz/corpus").iterdir()) + list(MODEL_TARGETS)


def command(target, fuzz, seconds):
    """The arguments of libFuzzer, and the additions to its environment."""
    corpus = fuzz / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-print_final_stats=1", f"-artifact_prefix={fuzz}/{target}-", str(corpus)]
    if target not in MODEL_TARGETS:
        return [fuzz / "bin/wattle_fuzz", "-max_len=65536", *options, ROOT / "tests/fuzz/corpus" / target], {"WATTLE_FUZZ_TARGET": target}
    program = fuzz / f"bin/wattle_{target}_fuzz"
    subprocess.run([program, "-runs=1"], env=os.environ | {"WATTLE_FUZZ_CORPUS": str(corpus)}, capture_output=True, check=False)
    return [program, "-max_len=131072", *options], {}


def executions(told):
    """The number of inputs that a run tried, from libFuzzer's output, which has it after a crash too."""
    counts = re.findall(r"^stat::number_of_executed_units: *(\d+)$", told, re.MULTILINE) or re.findall(r"^#(\d+)\t", told, re.MULTILINE)
    return int(counts[-1]) if counts else 0


def crash_files(fuzz, target):
    return [path for path in fuzz.glob("*") if (match := CRASH.match(path.name)) and match[1] == target]


def processor_seconds():
    """Processor seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(target, fuzz, arguments, environment):
    """Runs one target, adds its line to runs.jsonl, and returns libFuzzer's exit code."""
    before, told = processor_seconds(), []
    with subprocess.Popen(arguments, env=os.environ | environment, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        try:
            for line in process.stderr:
                sys.stderr.write(line)
                told = told[-499:] + [line]  # Only the end: a run of hours prints much.
        except KeyboardInterrupt:
            process.terminate()
            told += process.stderr.readlines()
        status = process.wait()
    line = {"target": target, "seconds": round(processor_seconds() - before, 1), "executions": executions("".join(told)), "status": status}
    with open(fuzz / "runs.jsonl", "a") as runs:
        runs.write(json.dumps(line) + "\n")
    if status not in (0, INTERRUPTED) and not crash_files(fuzz, target):  # For example, the program did not even start.
        (fuzz / f"{target}-failed-{time.time_ns()}").write_text("".join(told))
    return status


def runs_in(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def added_up(runs):
    return {"seconds": round(sum(run["seconds"] for run in runs), 1), "executions": sum(run["executions"] for run in runs)}


def totals(runs, fuzz, names):
    """One row for each target that ever ran, or that has a crash, over all runs."""
    rows = []
    for name in names:
        own = [run for run in runs if run["target"] == name]
        crashes = len(crash_files(fuzz, name))
        if own or crashes:
            rows.append({"target": name} | added_up(own) | {"crashes": crashes})
    return rows


def record(fuzz, recorded):
    """Moves the lines of runs.jsonl to the file that the repository keeps."""
    runs = runs_in(fuzz / "runs.jsonl")
    if not runs:
        sys.exit(f"fuzz: {fuzz / 'runs.jsonl'} has no run; ./dev fuzz makes some")
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    with open(recorded, "a") as file:
        for target in sorted({run["target"] for run in runs}):
            own = added_up([run for run in runs if run["target"] == target])
            file.write(json.dumps({"target": target, "commit": commit} | own) + "\n")
    (fuzz / "runs.jsonl").unlink()


def write(rows, path):
    figures = {"fuzz_targets": len(rows), "fuzz_hours": round(sum(row["seconds"] for row in rows) / 3600, 2),
               "crashes": sum(row["crashes"] for row in rows), "targets": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="of each target, by the clock [600]")
    parser.add_argument("--only", default="", help="targets whose name matches [all]")
    parser.add_argument("--fuzz", type=pathlib.Path, default=ROOT / "build/fuzz", help="the folder of the build and of what is found")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench/fuzz.json", help="where the figures go")
    parser.add_argument("--recorded", type=pathlib.Path, default=ROOT / "tests/fuzz/recorded_runs.jsonl", help="the runs that the repository keeps")
    parser.add_argument("--record", action="store_true", help="runs nothing; moves the runs of the build's folder to those that the repository keeps")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names, status = target_names(), 0
    if options.record:
        record(options.fuzz, options.recorded)

    def figures_so_far():
        return write(totals(runs_in(options.recorded) + runs_in(options.fuzz / "runs.jsonl"), options.fuzz, names), options.json)

    figures = figures_so_far()
    for target in (name for name in names if re.search(options.only, name) and not options.record):
        print(f"==> {target}: {options.seconds} s", flush=True)
        status = run(target, options.fuzz, *command(target, options.fuzz, options.seconds))
        figures = figures_so_far()
        if status == INTERRUPTED:
            break
    print(f"{'target':20}{'seconds':>10}{'executions':>14}{'crashes':>9}")
    for row in figures["targets"]:
        print(f"{row['target']:20}{row['seconds']:>10.0f}{row['executions']:>14,}{row['crashes']:>9}")
    for row in (row for row in figures["targets"] if row["crashes"]):
        print(f"{row['target']}: remove it once it is mended:", *sorted(map(str, crash_files(options.fuzz, row["target"]))))
    print(f"fuzz_targets {figures['fuzz_targets']}, fuzz_hours {figures['fuzz_hours']}, crashes {figures['crashes']}; written: {options.json}")
    sys.exit(1 if figures["crashes"] else 130 if status == INTERRUPTED else 0)


if __name__ == "__main__":
    main()
