// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of a scenario's file (scenario.proto). The common reader of files has checked each
// field separately; these functions check combinations of fields, and build the scenario.
#ifndef WATTLE_SIM_SCENARIO_SCENARIO_PARTS_INTERNAL_H_
#define WATTLE_SIM_SCENARIO_SCENARIO_PARTS_INTERNAL_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <yaml-cpp/yaml.h>

#include "sim/scenario/scenario.h"
#include "sim/scenario/scenario_file.h"
#include "wattle/v1/scenario.pb.h"

namespace wattle::sim {

// A map of the file, for the places in errors. If the map lacks a field, the map's own place is
// used for it.
class FilePart {
 public:
  // path: of the map within the file, with dots; "" for the file's own.
  FilePart(const YAML::Node& node, std::string file, std::string path)
      : node_(node), file_(std::move(file)), path_(std::move(path)) {}

  // A map in a field, and in a list. REQUIRES: the map exists.
  [[nodiscard]] FilePart Of(const std::string& field) const;
  [[nodiscard]] FilePart Of(const std::string& field, int index) const;
  // "FILE:LINE: " of the map and of a field.
  [[nodiscard]] std::string Place() const;
  [[nodiscard]] std::string PlaceOf(const std::string& field) const;
  // kInvalidArgument: FILE:LINE: WHAT
  [[nodiscard]] absl::Status Error(absl::string_view what) const;
  [[nodiscard]] absl::Status ErrorAt(const std::string& field, absl::string_view what) const;
  // kInvalidArgument: FILE:LINE: PATH: "VALUE"; wanted WANTED
  [[nodiscard]] absl::Status Wrong(const std::string& field, absl::string_view wanted) const;

 private:
  YAML::Node node_;
  std::string file_;
  std::string path_;
};

absl::Status ApplyChanges(YAML::Node& root, const Changes& changes);
// REQUIRES: the scenario has its duration. Hours in which a link has no rate become cuts.
absl::Status ReadFleet(const v1::ScenarioFile& file, const FilePart& top, const ReadFile& read,
                       Scenario& scenario);
absl::Status ReadFleetPolicies(const v1::ScenarioFile& file, const FilePart& top,
                               Scenario& scenario);
// Checks that a board is in at most one power group, and that the boards of a pack agree about it.
// REQUIRES: the scenario has its fleet and policies.
absl::Status CheckPowerGroups(const FilePart& top, const Scenario& scenario);
// Refuses policies that together let no job run, ever. REQUIRES: CheckPowerGroups returned OK.
absl::Status CheckPoliciesLetWork(const FilePart& top, const Scenario& scenario);
absl::Status ReadArtifacts(const v1::ScenarioFile& file, const FilePart& top, Scenario& scenario);
// REQUIRES: the scenario has its artifacts.
absl::Status ReadJobs(const v1::ScenarioFile& file, const FilePart& top, const ReadFile& read,
                      Scenario& scenario);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCENARIO_PARTS_INTERNAL_H_
