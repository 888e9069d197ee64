# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Prints and stores the figures of a bench."""

import json
import os
import pathlib
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/bench"


def seed_of_head():
    """A seed from HEAD, so that each commit draws other situations."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return int(head[:8], 16)


def add(figures, key, values, unit, peer, digits=3):
    """Prints the median of the values of several runs, with their range and the peer, and adds the figure."""
    value, lowest, highest = (round(number, digits) for number in (statistics.median(values), min(values), max(values)))
    print(f"{key}: {value:g} {unit} ({lowest:g} to {highest:g}){'; ' if peer else ''}{peer}", flush=True)
    figures.append({"key": key, "value": value, "unit": unit, "peer": peer, "range": [lowest, highest]})


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def revision():
    """The tree's revision; `-dirty` if files differ from it."""
    return subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def write_figures(bench, figures):
    """Writes build/bench/BENCH.json and prints its path. A figure without a tree belongs to the present one."""
    path = FOLDER / f"{bench}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = {"revision": revision()}
    path.write_text(json.dumps([{**tree, **figure} for figure in figures], indent=1, ensure_ascii=False) + "\n")
    print(f"written: {os.path.relpath(path, ROOT)}")


def kept_figures(bench):
    path = FOLDER / f"{bench}.json"
    return json.loads(path.read_text()) if path.exists() else []


def merge_figures(bench, figures):
    """Writes the figures in place of those of the same keys."""
    measured = {figure["key"] for figure in figures}
    write_figures(bench, [figure for figure in kept_figures(bench) if figure["key"] not in measured] + figures)


def runs_file(bench):
    """One line for each run of a bench that counts over runs; removing the file restarts the count."""
    return FOLDER / f"{bench}_runs.jsonl"


def keep_run(bench, facts):
    """Adds a run, with the tree that it ran, and returns all of them."""
    path = runs_file(bench)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps({"revision": revision(), **facts}) + "\n")
    return kept_runs(bench)


def kept_runs(bench):
    path = runs_file(bench)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
