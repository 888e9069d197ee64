#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""HiGHS (PyPI's highspy) on a model in CPLEX's LP format: a second solver, for the models whose bound CBC leaves loose.

The module runs in any Python; HiGHS itself runs as a program in an environment of its own, build/venv-highs.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

PYTHON = pathlib.Path(__file__).resolve().parent.parent / "build/venv-highs/bin/python"


def solve(text, seconds, cutoff):
    """Minimizes within the seconds and one thread, and searches no plan above the cutoff.

    Returns the proved lower bound, the cost of HiGHS's plan (None: no plan), and the names of the variables that are 1 in that plan."""
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "model.lp"
        model.write_text(text)
        done = subprocess.run([PYTHON, __file__, model, str(seconds), str(cutoff)], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])  # after a banner
    return told["bound"], told["cost"], told["ones"]


def main():
    import highspy  # Only the environment's Python has highspy.

    model, seconds, cutoff = sys.argv[1:]
    highs = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("time_limit", float(seconds)), ("objective_bound", float(cutoff)), ("mip_rel_gap", 1e-4)):
        highs.setOptionValue(option, value)
    highs.readModel(model)
    highs.run()
    info = highs.getInfo()
    found = info.primal_solution_status == highspy.kSolutionStatusFeasible
    values = highs.getSolution().col_value
    ones = [highs.getColName(column)[1] for column, value in enumerate(values) if value > 0.99] if found else []
    print(json.dumps({"bound": min(info.mip_dual_bound, float(cutoff)), "cost": info.objective_function_value if found else None, "ones": ones}))


if __name__ == "__main__":
    main()
