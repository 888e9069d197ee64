// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle policy apply|ls|rm.
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/fleet_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "formats/job_file.h"

namespace wattle::cli {
namespace {

// Names the boards on which no work could ever run under these policies together with the existing
// ones. The policies are applied nevertheless: the next file may change another policy.
absl::Status RemarkNeverOpen(Session& session, const v1::ListPoliciesResponse& applied,
                             const v1::ListPoliciesResponse& all) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListDevicesResponse devices,
                          session.client().Call(&DeviceStub::ListDevices));
  for (const std::string& line : NeverOpen(applied, all, devices, session.Now())) {
    session.PrintRemark(line);
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Apply(Session& session, const std::string& file) {
  const auto policies = formats::ReadPolicyFile(file);
  WATTLE_RETURN_IF_ERROR(AsBadInput(policies.status()));
  v1::ListPoliciesResponse applied;
  for (const v1::Policy& policy : *policies) {
    v1::ApplyPolicyRequest request;
    *request.mutable_policy() = policy;
    auto stored = session.client().Call(&PolicyStub::ApplyPolicy, request);
    WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat(file, ": ", policy.name()), stored.status()));
    *applied.add_policies() = *std::move(stored);
  }
  session.Print(applied, [&] {
    std::string text;
    for (const v1::Policy& policy : applied.policies()) {
      absl::StrAppend(&text, "applied ", RenderPolicy(policy));
    }
    return text;
  });
  // The policy stays applied: devices that it selects may come later.
  WATTLE_ASSIGN_OR_RETURN(const v1::ListPoliciesResponse all,
                          session.client().Call(&PolicyStub::ListPolicies));
  for (const v1::Policy& policy : applied.policies()) {
    if (SelectedDevices(all, policy.name()) == 0) {
      session.PrintRemark(absl::StrCat("policy ", policy.name(),
                                       " selects no device now; it waits for workers with --label ",
                                       absl::StrJoin(policy.selector(), " --label ")));
    }
  }
  WATTLE_RETURN_IF_ERROR(RemarkNeverOpen(session, applied, all));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListPolicies(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListPoliciesResponse policies,
                          session.client().Call(&PolicyStub::ListPolicies));
  session.Print(policies, [&] { return RenderPolicies(policies, session.style()); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Remove(Session& session, const std::string& name) {
  WATTLE_RETURN_IF_ERROR(session.client().Call(&PolicyStub::DeletePolicy, name).status());
  session.Print(v1::DeletePolicyResponse(), [&] { return absl::StrCat("removed ", name, "\n"); });
  return ExitCode::kOk;
}

}  // namespace

void AddPolicyCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* policy =
      AddGroup(app, "policy", "Limits of devices (charge, heat, energy, hours): apply, ls, rm.",
               "  wattle policy apply deploy/examples/policy.yaml\n"
               "  wattle policy ls\n");
  CLI::App* apply =
      AddLeaf(policy, "apply",
              "Apply the policies of a file. A policy replaces the one of the same name. Devices "
              "enforce policies also while they are offline.",
              "  wattle policy apply deploy/examples/policy.yaml\n");
  const auto file = std::make_shared<std::string>();
  apply->add_option("FILE", *file, "Policy file")->required();
  slot->Bind(apply, [file](Session& session) { return Apply(session, *file); });
  slot->Bind(AddLeaf(policy, "ls", "List the fleet's policies.", "  wattle policy ls\n"),
             ListPolicies);
  CLI::App* remove = AddLeaf(policy, "rm", "Remove a policy.", "  wattle policy rm solar-masts\n");
  const auto name = std::make_shared<std::string>();
  remove->add_option("POLICY", *name, "Name of the policy")->required();
  slot->Bind(remove, [name](Session& session) { return Remove(session, *name); });
}

}  // namespace wattle::cli
