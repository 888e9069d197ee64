#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Prints the lines of the product by room (a folder at the root) beside their bounds in cmake/layers.txt; exit status 1 if a room is above its bound.

A product line is one of *.cc *.h *.cu *.cuh outside of tests, benches and the material of tests (TEST_MATERIAL).
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = (".cc", ".h", ".cu", ".cuh")
TEST_MATERIAL = re.compile(r"_test\.|_for_test|(^|/)tests?/|^bench/|(^|/)testing/|(^|/)fake_|_fixture|(^|/)test_")
BOUND = re.compile(r"lines (\S+): (\d+)$")
ALL = "all"


def is_product(name):
    """name: of a file, from the root."""
    return name.endswith(SOURCES) and not TEST_MATERIAL.search(name)


def read_bounds():
    lines = (ROOT / "cmake/layers.txt").read_text().splitlines()
    return {match[1]: int(match[2]) for match in map(BOUND.match, lines) if match}


def count():
    """{room: lines}"""
    lines = {}
    for room in sorted(path for path in ROOT.iterdir() if path.is_dir() and path.name != "build" and not path.name.startswith(".")):
        files = [path for path in room.rglob("*") if is_product(path.relative_to(ROOT).as_posix())]
        if files:
            lines[room.name] = sum(path.read_bytes().count(b"\n") for path in files)
    return lines | {ALL: sum(lines.values())}


def main():
    bounds = read_bounds()
    lines = count()
    wrong = [f"{room}: cmake/layers.txt bounds the lines of a folder that has none" for room in sorted(bounds.keys() - lines.keys())]
    print(f"{'room':12} {'lines':>8} {'bound':>8}")
    for room, number in lines.items():
        print(f"{room:12} {number:8,} {bounds.get(room, 0):8,}")
        if number > bounds.get(room, 0):
            wrong.append(f"{room}: {number:,} lines of product, above the bound {bounds.get(room, 0):,} in cmake/layers.txt; "
                         "take code out, or raise the bound and say why in the commit")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
