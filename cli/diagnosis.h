// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds what is wrong with a fleet; each finding has its remedy. Pure; thread-safe.
#ifndef WATTLE_CLI_DIAGNOSIS_H_
#define WATTLE_CLI_DIAGNOSIS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/service.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::cli {

struct Facts {
  std::string version;  // of this program
  v1::CoordinatorStatus coordinator;
  absl::Time asked_at;             // this machine's clock, in the middle of the call
  absl::Duration answered_within;  // duration of the call; hides smaller differences of clocks
  v1::ListDevicesResponse devices;
  v1::ListPoliciesResponse policies;
  v1::ListProfilesResponse profiles;   // of all classes
  std::optional<v1::Upgrade> upgrade;  // the latest, if there was one
};

struct Finding {
  bool trouble = false;  // false: checked, and no trouble found
  std::string what;
  std::string remedy;  // for a finding with trouble; empty if `what` contains the remedy
};

// Returns the findings in the order in which a person would check: coordinator, versions,
// certificate, restore, upgrade, clocks, disks, devices, sensors, isolation, classes, names,
// policies.
std::vector<Finding> Diagnose(const Facts& facts);

// One line for each finding: "ok  …", "!!  …; remedy".
std::string RenderDiagnosis(const std::vector<Finding>& findings);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_DIAGNOSIS_H_
