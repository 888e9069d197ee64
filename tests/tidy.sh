#!/usr/bin/env bash
# clang-tidy over every source of ours, in as many processes as there are cores. What includes libtorch is read as built with
# libtorch 2.7.1: clang cannot parse the headers of Debian's 1.13 as C++20 (a vector of an incomplete type, which gcc lets pass).
set -euo pipefail
cd "$(dirname "$0")/.."
tidy() { xargs -P "$(nproc)" -n 4 clang-tidy -p "$1" --quiet 2>/dev/null; }
sources=$(git ls-files '*.cc' | grep -vE '_test\.cc$|^(bench|cmake|tests)/')
grep -E '^worker/(engine|runner)/' <<<"$sources" | tidy build/torch2-build
grep -vE '^worker/(engine|runner)/' <<<"$sources" | tidy build/release
