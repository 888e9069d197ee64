// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's entry (./dev fuzz). WATTLE_FUZZ_TARGET names the target that reads the inputs.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/fuzz_target.h"

namespace {

const wattle::fuzz::FuzzTarget& Chosen() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): a fuzz target has one thread
  const char* name = std::getenv("WATTLE_FUZZ_TARGET");
  for (const wattle::fuzz::FuzzTarget& target : wattle::fuzz::FuzzTargets()) {
    if (name != nullptr && target.name == name) {
      return target;
    }
  }
  std::fprintf(stderr, "WATTLE_FUZZ_TARGET: want a folder of tests/fuzz/corpus\n");
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const wattle::fuzz::FuzzTarget& target = Chosen();
  wattle::fuzz::RunFuzzTarget(target, {reinterpret_cast<const char*>(data), size});
  return 0;
}
