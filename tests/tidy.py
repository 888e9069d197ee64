#!/usr/bin/env python3
"""Runs clang-tidy over every source of Wattle, in as many processes as there are cores.

A source that was clean is checked again only if the source, a Wattle header that it includes, .clang-tidy or clang-tidy
itself has changed: build/tidy has one stamp per clean state of a source. Which headers a source includes is what ninja noted when
it compiled the source; a source that was not compiled is always read.

Sources that include libtorch are read as built with libtorch 2.7.1: clang cannot parse the headers of Debian's 1.13 as C++20 (a vector of an
incomplete type, which gcc lets pass).
"""
import concurrent.futures
import functools
import hashlib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
STAMPS = ROOT / "build/tidy"
CLANG_TIDY = str(ROOT / "build/venv-lint/bin/clang-tidy")
# The tests' replacements of NVIDIA's libraries use NVIDIA's names.
UNREAD = re.compile(r"_(test|fuzz)\.cc$|/test_(driver|nvrtc|cuda_driver)\.cc$|/(\w+_)?neon(_\w+)?\.cc$|^(bench|cmake|tests)/")
WITH_LIBTORCH = re.compile(r"^worker/(engine|runner)/")


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def headers_of_ours(build):
    """source → Wattle's files, generated ones included, that its compilation read."""
    files = {}
    for block in run("ninja", "-C", build, "-t", "deps").split("\n\n"):
        names = [line.strip() for line in block.splitlines()[1:]]
        ours = [os.path.normpath(os.path.join(build, name)) for name in names if not name.startswith("/")]
        if ours:
            files[ours[0]] = sorted(ours)
    return files


@functools.lru_cache(maxsize=None)
def content_digest(path):
    file = ROOT / path
    return hashlib.sha256(file.read_bytes()).digest() if file.exists() else b"-"


def stamp_of(source, files, settings):
    """The name of the stamp; None for a source whose headers are not known."""
    if files is None:
        return None
    digest = hashlib.sha256(settings)
    for path in files:
        digest.update(path.encode() + b"\0" + content_digest(path))
    return STAMPS / f"{source.replace('/', '.')}.{digest.hexdigest()[:16]}"


def main():
    settings = (ROOT / ".clang-tidy").read_bytes() + run(CLANG_TIDY, "--version").encode()
    STAMPS.mkdir(parents=True, exist_ok=True)
    work = []
    known = {build: headers_of_ours(build) for build in ("build/files", "build/torch2-build")}
    for source in run("git", "ls-files", "*.cc").splitlines():
        if UNREAD.search(source):
            continue
        build = "build/torch2-build" if WITH_LIBTORCH.match(source) else "build/files"
        stamp = stamp_of(source, known[build].get(source), settings)
        if stamp is None or not stamp.exists():
            work.append((build, source, stamp))

    def read(item):
        build, source, stamp = item
        result = subprocess.run([CLANG_TIDY, "-p", build, "--quiet", source], cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode == 0 and stamp is not None:
            for old in STAMPS.glob(f"{source.replace('/', '.')}.*"):
                old.unlink()
            stamp.touch()
        return source, result

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for source, result in pool.map(read, work):
            if result.returncode != 0:
                failed += 1
                print(f"{source}:\n{result.stdout}", flush=True)
    print(f"clang-tidy: {len(work)} sources read, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
