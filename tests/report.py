#!/usr/bin/env python3
"""Reads the output of `ctest -V` and prints each failure in full, and nothing about tests that passed.

usage: ctest -V ... | report.py FILE

A GoogleTest program is one ctest, and its tests count one by one. FILE gets a line "passed failed skipped", then a line
"seconds name" for each test, for ./dev to add up over its steps.
"""
import re
import sys

BEGIN = re.compile(r"^ *Start +(\d+): ")
LINE = re.compile(r"^(\d+): (.*)$")
END = re.compile(r"^ *\d+/\d+ Test +#(\d+): (\S+) \.*(.*?) +([\d.]+) sec")
# "[       OK ] Suite.Name (12 ms)"; a failed test with a parameter prints the parameter before the time.
CASE = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+?),?( where .*)? \((\d+) ms\)$")
CASE_BEGIN = re.compile(r"^\[ RUN +\] (\S+)")
QUIET = re.compile(r"^\[( RUN|       OK|-+|=+|  PASSED| +SKIPPED) *\]|^Running main\(\)|^Test (command|timeout)|^Note: |^ *$|^Working Directory|^Environment variables")


class Program:
    """One ctest: its output, and the GoogleTest tests in it."""

    def __init__(self):
        self.lines = []
        self.cases = []  # (OK, FAILED or SKIPPED; name; seconds)
        self.open = None

    def read(self, text):
        self.lines.append(text)
        if begin := CASE_BEGIN.match(text):
            self.open = begin[1]
        elif case := CASE.match(text):
            self.cases.append((case[1], case[2], int(case[4]) / 1000))
            self.open = None

    def end(self, name, verdict, seconds):
        """All tests of the program, as `cases` has them; a program that died failed in the test that was open."""
        cases = list(self.cases)
        if self.open:
            cases.append(("FAILED", self.open, seconds))
        elif not cases or ("Passed" not in verdict and "Skipped" not in verdict and all(case[0] != "FAILED" for case in cases)):
            kind = "OK" if verdict == "Passed" else "SKIPPED" if "Skipped" in verdict else "FAILED"
            cases.append((kind, name, seconds))
        return cases


def main():
    programs, cases, ended = {}, [], False
    for raw in sys.stdin:
        text = raw.rstrip("\n")
        if begin := BEGIN.match(text):
            programs[begin[1]] = Program()
        elif (line := LINE.match(text)) and line[1] in programs:
            programs[line[1]].read(line[2])
        elif end := END.match(text):
            number, name, verdict, seconds = end[1], end[2], end[3].strip(" *"), float(end[4])
            program = programs.pop(number)
            own = program.end(name, verdict, seconds)
            cases += own
            if any(case[0] == "FAILED" for case in own):
                print(f"FAILED {name}: " + " ".join(case[1] for case in own if case[0] == "FAILED"), flush=True)
                print("\n".join("    " + line for line in program.lines if not QUIET.match(line)), flush=True)
        elif "tests failed out of" in text or text.startswith("No tests were found"):
            ended = True
    if not ended:
        print("report.py: ctest did not come to its end", file=sys.stderr)
        return 1
    count = {kind: sum(case[0] == kind for case in cases) for kind in ("OK", "FAILED", "SKIPPED")}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        print(count["OK"], count["FAILED"], count["SKIPPED"], file=file)
        for _, name, seconds in cases:
            print(f"{seconds:.1f} {name}", file=file)
    print(f"{count['OK']} passed, {count['FAILED']} failed, {count['SKIPPED']} skipped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
