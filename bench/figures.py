# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Where a bench's figures go."""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def write_figures(bench, figures):
    """Writes build/bench/BENCH.json and says so."""
    path = ROOT / f"build/bench/{bench}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path.relative_to(ROOT)}")
