#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Every test that a page of docs/ names is there: `Suite.Name` in a C++ test, `name_test.py` in tests/integration. Each row of the threat
model names one. Every link between pages leads to a file, and its anchor to a heading.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ["docs/reliability.md", "docs/operate/security.md"]
THREATS = ("docs/operate/security.md", "| attacker | wants | control | test |")
NAMED = r"`((?:[A-Z]\w+)?\.[A-Z]\w+|[A-Z]\w+|\w+_test(?:\.py)?)`"


def tests_of_the_tree():
    names = set()
    for top in ROOT.iterdir():
        if top.is_dir() and top.name != "build" and not top.name.startswith("."):
            for path in top.rglob("*_test.cc"):
                names |= {".".join(found) for found in re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text())}
    return names


def threats_without_a_test(suites):
    """The rows whose last cell names no existing test or suite, and does not refer to the previous row."""
    page, head = THREATS
    rows = (ROOT / page).read_text().split(head)[1].split("\n\n")[0].splitlines()[2:]
    for row in rows:
        cell = row.rstrip(" |").rsplit(" | ", 1)[1]
        named = [word for word in re.findall(NAMED, cell) if word.split(".")[0] in suites or word.removesuffix(".py").endswith("_test")]
        if not named and cell != "the same test":
            yield f"{page}: no test that is there in the row: {row[:90]}"


def anchors(page):
    """Anchors of the headings, as GitHub makes them; a repeated heading gets a number."""
    found, fenced = [], False
    for line in page.read_text().splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip())
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.append(anchor if anchor not in found else f"{anchor}-{found.count(anchor)}")
    return found


def broken_links():
    for page in sorted(ROOT.rglob("*.md")):
        relative = page.relative_to(ROOT)
        if relative.parts[0] in ("build", "shared"):
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if target.startswith(("http:", "https:")):
                continue
            if not file.exists():
                yield f"{relative}: the link {target} leads to no file"
            elif anchor and anchor not in anchors(file):
                yield f"{relative}: the link {target} leads to no heading"


def main():
    tests = tests_of_the_tree()
    programs = {path.name for path in (ROOT / "tests/integration").glob("*_test.py")}
    problems = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        suite = ""
        # "`Suite.One`, `.Two`": the second is of the same suite.
        for word in re.findall(r"`((?:[A-Z]\w+)?\.[A-Z]\w+|\w+_test\.py)`", text):
            if word.endswith(".py"):
                known = word in programs
            else:
                suite = word.split(".")[0] or suite
                word = f"{suite}.{word.split('.')[1]}"
                known = word in tests
            if not known:
                problems.append(f"{page}: names the test {word}, which is not in the tree")
    problems += threats_without_a_test({name.split(".")[0] for name in tests} | {"Attacks"})  # Attacks: of attacks_test.py.
    problems += broken_links()
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
