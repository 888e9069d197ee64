// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a fleet, each finding with its remedy. Pure; thread-safe.
#ifndef WATTLE_CLI_DIAGNOSIS_H_
#define WATTLE_CLI_DIAGNOSIS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {

struct Facts {
  std::string version;  // Of this program.
  v1::CoordinatorStatus coordinator;
  absl::Time asked_at;  // This machine's clock, in the middle of the call for `coordinator`
  absl::Duration answered_within;  // Of that call: no clock is known better.
  v1::ListDevicesResponse devices;
  v1::ListPoliciesResponse policies;
};

struct Finding {
  bool trouble = false;  // False: looked at, and well.
  std::string what;
  std::string remedy;  // Of trouble; empty where the sentence has it.
};

// In the order in which one would look: coordinator, versions, restore, clocks, disks, devices,
// sensors, policies.
std::vector<Finding> Diagnose(const Facts& facts);

// One line a finding: "ok  …", "!!  …; remedy".
std::string RenderDiagnosis(const std::vector<Finding>& findings);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_DIAGNOSIS_H_
