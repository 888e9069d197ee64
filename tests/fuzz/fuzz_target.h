// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fuzz target is one reader of bytes from outside. Its code is in a file NAME_fuzz.cc of this
// folder, and its valid inputs are in corpus/NAME/:
//   WATTLE_FUZZ_TARGET(job_file, bytes) { return formats::ParseJobFile(bytes, "j").status(); } Two
//   programs run all targets. The test fuzz_replay_test runs in each `./dev test`; libFuzzer runs
//   them in `./dev fuzz`.
#ifndef WATTLE_TESTS_FUZZ_FUZZ_TARGET_H_
#define WATTLE_TESTS_FUZZ_FUZZ_TARGET_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::fuzz {

struct FuzzTarget {
  std::string name;
  // The reader's refusal, which the caller checks. The function itself may end the process if the
  // reader accepts an invalid input.
  absl::Status (*read)(absl::string_view bytes);
};

// All targets, ordered by name.
const std::vector<FuzzTarget>& FuzzTargets();

// Reads the bytes. Ends the process for a refusal that is not one line of UTF-8, or that reports a
// fault of the program.
void RunFuzzTarget(const FuzzTarget& target, absl::string_view bytes);

bool AddFuzzTarget(const char* name, absl::Status (*read)(absl::string_view bytes));

// A sensor's reading that cannot be true is kInternal by its contract (telemetry/sensors/source.h).
inline absl::Status ImpossibleReading(const absl::Status& status) {
  return absl::IsInternal(status) ? absl::DataLossError(status.message()) : status;
}

}  // namespace wattle::fuzz

#define WATTLE_FUZZ_TARGET(name, bytes)                                                 \
  namespace wattle::fuzz {                                                              \
  static absl::Status Read_##name(absl::string_view bytes);                             \
  [[maybe_unused]] static const bool kAdded_##name = AddFuzzTarget(#name, Read_##name); \
  }                                                                                     \
  static absl::Status wattle::fuzz::Read_##name(absl::string_view bytes)

#endif  // WATTLE_TESTS_FUZZ_FUZZ_TARGET_H_
