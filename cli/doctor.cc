// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle doctor: checks for the faults that happen in practice.
#include <string>
#include <utility>
#include <vector>

#include "cli/diagnosis.h"
#include "cli/session.h"
#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

std::string FindingsJson(const std::vector<Finding>& findings) {
  nlohmann::ordered_json document;  // keeps the order of the code below
  document["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    document["findings"].push_back(
        {{"trouble", finding.trouble}, {"what", finding.what}, {"remedy", finding.remedy}});
  }
  return document.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

absl::StatusOr<ExitCode> Examine(Session& session) {
  Facts facts;
  facts.version = session.version();
  const absl::Time before = session.Now();
  WATTLE_ASSIGN_OR_RETURN(facts.coordinator,
                          session.client().Call(&CoordinatorStub::GetCoordinator));
  facts.answered_within = session.Now() - before;
  facts.asked_at = before + facts.answered_within / 2;
  WATTLE_ASSIGN_OR_RETURN(facts.devices, session.client().Call(&DeviceStub::ListDevices));
  WATTLE_ASSIGN_OR_RETURN(facts.policies, session.client().Call(&PolicyStub::ListPolicies));
  WATTLE_ASSIGN_OR_RETURN(facts.profiles, session.client().Call(&ProfileStub::ListProfiles, ""));
  if (absl::StatusOr<v1::Upgrade> latest = session.client().Call(&UpgradeStub::GetUpgrade, "");
      latest.ok()) {
    facts.upgrade = *std::move(latest);
  }
  const std::vector<Finding> findings = Diagnose(facts);
  session.PrintText(session.json() ? FindingsJson(findings) : RenderDiagnosis(findings));
  for (const Finding& finding : findings) {
    if (finding.trouble) {
      return ExitCode::kRefused;
    }
  }
  return ExitCode::kOk;
}

}  // namespace

void AddDoctorCommand(CLI::App* app, CommandSlot* slot) {
  slot->Bind(AddLeaf(app, "doctor",
                     "Look for faults of the fleet: versions, clocks, disks, sensors, names, "
                     "silent devices, boards "
                     "that contradict their class. "
                     "Each finding has its remedy. Exits with 5 where something is wrong.",
                     "  wattle doctor\n"
                     "  wattle -o json doctor | jq -r '.findings[] | select(.trouble).what'\n"),
             Examine);
}

}  // namespace wattle::cli
