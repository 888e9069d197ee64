// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Writes a real fleet, as listed by its coordinator, as the part of a scenario file that has
// boards, policies, measured rows, models and data sets. scenario_file.h reads the text like any
// other scenario. Pure; thread-safe.
#ifndef WATTLE_SIM_SCENARIO_FLEET_SCENARIO_H_
#define WATTLE_SIM_SCENARIO_FLEET_SCENARIO_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::sim {

// The answers of the coordinator's lists.
struct FleetTold {
  std::vector<v1::Device> devices;
  std::vector<v1::Policy> policies;
  std::vector<v1::ProfileRow> rows;
  std::vector<v1::ArtifactInfo> artifacts;  // models and data sets
};

struct FleetScenario {
  std::string text;  // of a whole scenario file
  // Values that neither the coordinator nor a change gave: one line for people.
  std::string assumed;
};

// rest: the text of a scenario file without a fleet, which comes first in the whole file, so that
// its lines keep their numbers. Its own `models` and `data` come before the fleet's. Errors:
// kInvalidArgument if the rest has a fleet, policies of a fleet or rows, or is no block of fields;
// kFailedPrecondition if no board can work. set: see Changes; it is not part of the text.
absl::StatusOr<FleetScenario> ScenarioOfFleet(const FleetTold& told, absl::string_view rest,
                                              absl::string_view file,
                                              const std::vector<std::string>& set = {});

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_FLEET_SCENARIO_H_
