// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads a scenario from YAML. docs/guide/simulate.md lists every field; unknown content is an
// error. Pure: the caller reads the files that the scenario names. Thread-safe.
#ifndef WATTLE_SIM_SCENARIO_SCENARIO_FILE_H_
#define WATTLE_SIM_SCENARIO_SCENARIO_FILE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "sim/scenario/scenario.h"

namespace wattle::sim {

// Reads the text of a file that the scenario names. path: relative to the scenario's own folder,
// unless it is absolute.
using ReadFile = std::function<absl::StatusOr<std::string>(const std::string& path)>;

// Values that the command line replaces or adds.
struct Changes {
  // "reserve=0.4" in each board group with a pack, "mast.reserve=0.4" in one, "duration=2d" at the
  // top.
  std::vector<std::string> set;
  std::vector<std::string> add;  // "raspberry-pi-5=2": more boards, on mains
};

// file: its name for messages. Errors: kInvalidArgument, one line with file, line, value and the
// expected form; those of `read`.
absl::StatusOr<Scenario> ParseScenario(absl::string_view text, absl::string_view file,
                                       const Changes& changes, const ReadFile& read);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCENARIO_FILE_H_
