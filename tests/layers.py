#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Holds every #include against cmake/layers.txt, and pure folders against the clocks, threads and files they must not know. The engine asks for a
device only through worker/engine/device/device.h.

Prints file:line: rule for each breach; exit status 1 if there is one. Tests (…_test.cc, tests/, bench/) may include anything.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
OURS = {"base", "units", "proto", "policy", "formats", "models", "artifacts", "identity", "telemetry", "scheduler", "sim", "coordinator", "worker", "cli"}
LIBRARIES = {"absl", "google", "grpcpp", "grpc", "prometheus", "sqlite3.h", "yaml-cpp", "nlohmann", "pcre2.h", "snappy.h", "spdlog", "fmt",
             "CLI", "httplib.h", "openssl", "ATen", "c10", "torch"}
PURE = ("policy/", "scheduler/", "coordinator/core/", "coordinator/event_loop/", "telemetry/battery/", "telemetry/heat/", "telemetry/meter/", "sim/", "worker/agent/core/")
IMPURE = [
    (re.compile(r"#\s*include\s+<(thread|mutex|fstream|chrono|random|condition_variable|future)>"), "a pure folder includes <{}>"),
    (re.compile(r"\b(absl::Now|std::random_device|absl::GetCurrentTimeNanos|std::rand|clock_gettime|getenv)\b"), "a pure folder uses {}"),
]
# A board without a clock of its own sets its wall clock in the middle of everything. Time that passes is Clock::Boottime's; gRPC's
# deadlines alone are made of wall time, and gRPC counts them on a clock that does not step.
MEASURED = ("coordinator/", "worker/", "telemetry/")
# What the engine asks of a device stands in one header; only the folders that answer know which device it is.
WHICH_DEVICE = re.compile(r"\bis_(cpu|cuda|privateuseone)\(\)")
DEVICES = "worker/engine/device/"
WALL_CLOCK = re.compile(r"\babsl::Now\(\)")
GRPC_DEADLINE = "absl::ToChronoTime(absl::Now() + "


def read_rules():
    rules = {}
    for line in (ROOT / "cmake/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, rest = line.split(":", 1)
            ours, libraries = rest.split("|")
            rules[folder.strip()] = (ours.split(), set(libraries.split()))
    return rules


def rule_for(rules, path):
    best = None
    for folder in rules:
        if (path.startswith(folder + "/") or path.startswith(folder + "_") or path.startswith(folder + ".")) and (
                best is None or len(folder) > len(best)):
            best = folder
    return best


def breach(rules, folder, bracket, target):
    ours, libraries = rules[folder]
    first = target.split("/")[0]
    if target.startswith("wattle/v1/"):
        wanted = "grpc" if target.endswith(".grpc.pb.h") else "proto"
        return None if wanted in ours else f"{folder} may not include the {wanted} target"
    if first in OURS and bracket == '"':
        owner = rule_for(rules, target)
        if owner == folder or any(target.startswith(other + "/") for other in ours) or target.startswith(folder + "/"):
            return None
        return f"{folder} may not include {target}"
    if first in LIBRARIES and first not in libraries and target not in libraries:
        return f"{folder} may not include the library {first}"
    return None


def main():
    rules = read_rules()
    breaches = []
    for path in sorted(ROOT.glob("**/*.h")) + sorted(ROOT.glob("**/*.cc")):
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] not in OURS or name.endswith("_test.cc") or "/testing/" in name:
            continue
        folder = rule_for(rules, name)
        if folder is None:
            breaches.append(f"{name}:1: no rule for this folder in cmake/layers.txt")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                problem = breach(rules, folder, *match.groups())
                if problem:
                    breaches.append(f"{name}:{number}: {problem}")
            if name.startswith(MEASURED) and WALL_CLOCK.search(line.replace(GRPC_DEADLINE, "")) and "_fixture" not in name:
                breaches.append(f"{name}:{number}: takes absl::Now(); base/clock.h has the clocks, Boottime for time that passes")
            if name.startswith("worker/engine/") and not name.startswith(DEVICES) and WHICH_DEVICE.search(line):
                breaches.append(f"{name}:{number}: asks which device it is; device/device.h has what the engine asks of one")
            if name.startswith(PURE):
                for pattern, text in IMPURE:
                    found = pattern.search(line)
                    if found and not line.strip().startswith("//"):
                        breaches.append(f"{name}:{number}: {text.format(found.group(1))}")
    print("\n".join(breaches) if breaches else "layers: every #include is allowed")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
