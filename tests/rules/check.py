#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The rules of deploy/prometheus: promtool checks them and runs their unit tests; each alert must state a remedy and fire in a unit test.

Exits with 77 (skipped) if promtool is missing; in CI that is a failure.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
TESTS = sorted((ROOT / "tests/rules").glob("*_test.yml"))
FETCHED = ROOT / "build/tools/prometheus/usr/bin/promtool"


def promtool(*arguments):
    program = FETCHED if FETCHED.exists() else shutil.which("promtool")
    if not program:
        print("promtool is not here; ./dev deps fetches Debian's prometheus")
        sys.exit(1 if os.environ.get("CI") else 77)
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def untold():
    """Alerts that no unit test sees firing, or that lack a severity or a summary of a sentence about the fault and one about the remedy."""
    fired = "\n".join(re.findall(r'alertname="(\w+)"', "\n".join(path.read_text() for path in TESTS)))
    recorded = "\n".join(path.read_text() for path in TESTS)
    for path in RULES:
        for block in re.split(r"\n      - ", path.read_text())[1:]:
            kind, name = re.match(r"(alert|record): (\S+)", block).groups()
            if kind == "record":
                # Tested itself, or through an alert that reads it.
                if name not in recorded and name not in "\n".join(rule.read_text() for rule in RULES if rule != path):
                    yield f"{path.name}: {name}: no unit test reads it"
                continue
            if name not in fired.split():
                yield f"{path.name}: {name}: no unit test sees it firing"
            if not re.search(r"severity: (critical|warning|info)", block):
                yield f"{path.name}: {name}: no severity"
            summary = " ".join(re.search(r"summary: >-\n(.*)", block, re.S).group(1).split())
            if len(re.findall(r"[.:] [A-Z`]", summary)) < 1 or len(summary) < 80:
                yield f"{path.name}: {name}: the summary does not say what to do: {summary}"


def main():
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory, "prometheus")
        shutil.copytree(ROOT / "deploy/prometheus", copy)
        for name in ("wattle-token", "wattle-page-token", "wattle-roots.pem"):  # The files that an operator puts beside the configuration.
            (copy / name).write_text("made by wattle service token\n")
        return check(copy)


def check(folder):
    problems = list(untold())
    for arguments in (["check", "rules", *map(str, RULES)], ["test", "rules", *map(str, TESTS)],
                      *(["check", "config", str(path)] for path in sorted(folder.glob("*.yml")))):
        status, output = promtool(*arguments)
        if status != 0:
            problems.append(f"promtool {arguments[0]} {arguments[1]}:\n{output}")
    print("\n".join(problems) or f"{len(RULES)} rule files, {len(TESTS)} files of unit tests: good")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
