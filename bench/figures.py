# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""How a bench tells its figures, and where they go."""

import json
import pathlib
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def seed_of_head():
    """So that each commit draws other situations."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return int(head[:8], 16)


def add(figures, key, values, unit, peer, digits=3):
    """Prints the median of the values of several runs, with their range and the peer, and adds the figure."""
    value, lowest, highest = (round(number, digits) for number in (statistics.median(values), min(values), max(values)))
    print(f"{key}: {value:g} {unit} ({lowest:g} to {highest:g}){'; ' if peer else ''}{peer}", flush=True)
    figures.append({"key": key, "value": value, "unit": unit, "peer": peer, "range": [lowest, highest]})


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def write_figures(bench, figures):
    """Writes build/bench/BENCH.json and says so."""
    path = ROOT / f"build/bench/{bench}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path.relative_to(ROOT)}")
