// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of a scenario's file, each read by a file of its own. They throw Problem
// (yaml_fields_internal.h), which ParseScenario turns into an error.
#ifndef WATTLE_SIM_SCENARIO_SCENARIO_PARTS_INTERNAL_H_
#define WATTLE_SIM_SCENARIO_SCENARIO_PARTS_INTERNAL_H_

#include <string>

#include <yaml-cpp/yaml.h>

#include "sim/scenario/scenario.h"
#include "sim/scenario/scenario_file.h"
#include "sim/scenario/yaml_fields_internal.h"

namespace wattle::sim {

void ApplyChanges(YAML::Node& root, const Changes& changes);
// The scenario has its duration already. Hours in which a link has no rate become cuts.
void ReadFleet(Fields& top, const ReadFile& read, Scenario& scenario);
void ReadFleetPolicies(Fields& top, Scenario& scenario);
// Boards are in one power group at most. The scenario has its fleet and policies already.
void CheckPowerGroups(Fields& top, const Scenario& scenario);
// Boards of one pack tell the same of it. CheckPowerGroups comes before it.
void CheckSharedPacks(Fields& top, const Scenario& scenario);
// Policies that together let no job run, ever. CheckPowerGroups comes before it.
void CheckPoliciesLetWork(Fields& top, const Scenario& scenario);
void ReadArtifacts(Fields& top, Scenario& scenario);
// One entry of jobs. The scenario has its artifacts already.
JobGroup ReadJobs(const YAML::Node& node, const std::string& file, const ReadFile& read,
                  const Scenario& scenario);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCENARIO_PARTS_INTERNAL_H_
