#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Checks docs/metrics.md against the sources: each metric that a program can export is listed once, and no other; its unit matches
its name; ● marks those of a heartbeat. Types and labels are compared with live pages by tests/integration/telemetry_test.py.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXPORTERS = ["coordinator/http", "coordinator/remote_write", "telemetry", "worker/agent"]
BY_HEARTBEAT = pathlib.Path("telemetry/export/device_metrics.cc")
UNITS = {"watts": "W", "joules": "J", "celsius": "°C", "seconds": "s", "bytes": "B", "hertz": "Hz", "volts": "V"}


def exported(root=ROOT):
    """Names in the sources: a metric's name is always one literal."""
    names = {}
    for folder in EXPORTERS:
        for path in sorted((root / folder).rglob("*.cc")):
            if path.name.endswith("_test.cc"):
                continue
            for name in re.findall(r'"((?:wattle|process)_[a-z0-9_]+)"', path.read_text()):
                names.setdefault(name, path.relative_to(root))
    return names


def documented(text):
    """{name: (type, labels as written)} of each row of the tables, and rows that name one twice."""
    rows, twice, table = {}, [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == "metric":
            table = True
        names = re.findall(r"`([a-z0-9_]+)`", cells[0]) if cells and table else []
        types = cells[1].split(", ") if names else []
        for name, kind in zip(names, types if len(types) == len(names) else types * len(names)):
            twice += [name] if name in rows else []
            rows[name] = (kind, cells[-1])
    return rows, twice


def row_problems(text, names):
    """Rows whose unit or ● disagrees with the sources."""
    unit_column = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == "metric":
            unit_column = cells.index("unit") if "unit" in cells else None
        for name in re.findall(r"`([a-z0-9_]+)`", cells[0]) if cells and cells[0] != "metric" else []:
            unit = UNITS.get(name.removesuffix("_total").rsplit("_", 1)[-1])
            if unit_column and unit and cells[unit_column] != unit:
                yield f"docs/metrics.md: {name} has the unit {cells[unit_column]}, its name says {unit}"
            if name in names and ("●" in cells[0]) != (names[name] == BY_HEARTBEAT):
                yield f"docs/metrics.md: {name} {'is' if '●' in cells[0] else 'is not'} marked ●, against {BY_HEARTBEAT}"


def main():
    text = (ROOT / "docs/metrics.md").read_text()
    rows, twice = documented(text)
    names = exported()
    problems = [f"docs/metrics.md lists {name} twice" for name in twice]
    problems += [f"{names[name]} exports {name}, which docs/metrics.md does not list" for name in sorted(names.keys() - rows.keys())]
    problems += [f"docs/metrics.md lists {name}, which nothing exports" for name in sorted(rows.keys() - names.keys())]
    problems += row_problems(text, names)
    print("\n".join(problems) or f"{len(rows)} metrics: the page and the sources agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
