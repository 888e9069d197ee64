#!/usr/bin/env bash
# clang-tidy over every source of ours that build/release compiled, in as many processes as there are cores.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.cc' | grep -v '_test\.cc$' | grep -vE '^(bench|cmake|tests)/' |
  xargs -P "$(nproc)" -n 4 clang-tidy -p build/release --quiet 2>/dev/null
