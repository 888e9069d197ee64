// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle doctor: looks at everything that goes wrong in practice.
#include "cli/diagnosis.h"
#include "cli/json_output.h"
#include "cli/session.h"
#include <google/protobuf/struct.pb.h>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

std::string FindingsJson(const std::vector<Finding>& findings) {
  google::protobuf::Struct document;
  google::protobuf::ListValue* list = (*document.mutable_fields())["findings"].mutable_list_value();
  for (const Finding& finding : findings) {
    auto& fields = *list->add_values()->mutable_struct_value()->mutable_fields();
    fields["trouble"].set_bool_value(finding.trouble);
    fields["what"].set_string_value(finding.what);
    fields["remedy"].set_string_value(finding.remedy);
  }
  return ToJsonDocument(document);
}

absl::StatusOr<ExitCode> Examine(Session& session) {
  Facts facts;
  facts.version = session.version();
  const absl::Time before = session.Now();
  WATTLE_ASSIGN_OR_RETURN(facts.coordinator, session.client().GetCoordinator());
  facts.answered_within = session.Now() - before;
  facts.asked_at = before + facts.answered_within / 2;
  WATTLE_ASSIGN_OR_RETURN(facts.devices, session.client().ListDevices());
  WATTLE_ASSIGN_OR_RETURN(facts.policies, session.client().ListPolicies());
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
  slot->Bind(
      AddLeaf(app, "doctor",
              "Look for what goes wrong in practice: versions, clocks, disks, sensors, names, "
              "silent devices; each finding with its remedy. Exits with 5 where there is one.",
              "  wattle doctor\n"
              "  wattle -o json doctor | jq -r '.findings[] | select(.trouble).what'\n"),
      Examine);
}

}  // namespace wattle::cli
