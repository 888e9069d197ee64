# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""CBC (Debian's coinor-cbc) on a model in CPLEX's LP format."""

import pathlib
import re
import subprocess
import tempfile

RATIO_GAP = 1e-4  # The gap at which CBC calls a plan optimal.


def run_cbc(text, arguments):
    """Returns CBC's log and its solution file's text."""
    with tempfile.TemporaryDirectory() as folder:
        model, solution = pathlib.Path(folder) / "model.lp", pathlib.Path(folder) / "solution"
        model.write_text(text)
        log = subprocess.run(["cbc", model, *arguments, "-solution", solution], check=True, capture_output=True, text=True).stdout
        return log, solution.read_text() if solution.exists() else ""


def solve(text, seconds):
    """Minimizes within the seconds. Returns the proved lower bound, the cost of CBC's plan (None: no plan), and the solution file's text.

    The bound is None if CBC proved none."""
    log, solution = run_cbc(text, ["-seconds", str(seconds), "-ratioGap", str(RATIO_GAP), "-solve"])
    cost = re.search(r"^Objective value: +([-0-9.e+]+)", log, re.M)
    bound = re.search(r"^Lower bound: +([-0-9.e+]+)", log, re.M)
    found = float(cost.group(1)) if cost is not None and float(cost.group(1)) < 1e40 else None
    if bound is not None:
        return float(bound.group(1)), found, solution
    optimal = re.match(r"Optimal - objective value +([-0-9.e+]+)", solution)
    if optimal is not None:  # Also for a program without integers, whose log has neither line.
        found = float(optimal.group(1))
        return found - abs(found) * RATIO_GAP, found, solution
    return None, found, solution
