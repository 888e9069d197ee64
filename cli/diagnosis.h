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
  std::string version;  // Of this program.
  v1::CoordinatorStatus coordinator;
  absl::Time asked_at;  // This machine's clock, halfway through the call that gave `coordinator`
  absl::Duration answered_within;  // Duration of that call; clocks are known no better than this.
  v1::ListDevicesResponse devices;
  v1::ListPoliciesResponse policies;
  v1::ListProfilesResponse profiles;   // Of all classes.
  std::optional<v1::Upgrade> upgrade;  // The latest, if there was one.
};

struct Finding {
  bool trouble = false;  // False: this was looked at and is well.
  std::string what;
  std::string remedy;  // Of a finding with trouble; empty where `what` says the remedy.
};

// The findings, in the order in which a person would look: coordinator, versions, certificate,
// restore, upgrade, clocks, disks, devices, sensors, isolation, classes, names, policies.
std::vector<Finding> Diagnose(const Facts& facts);

// One line a finding: "ok  …", "!!  …; remedy".
std::string RenderDiagnosis(const std::vector<Finding>& findings);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_DIAGNOSIS_H_
