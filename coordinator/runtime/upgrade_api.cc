// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/upgrade_api.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/state.h"
#include "coordinator/core/upgrades.h"
#include "coordinator/runtime/unknown_fields.h"

namespace wattle::runtime {
namespace {

// The reason with the name of the user, for people.
std::string ReasonBy(const std::string& by, const std::string& reason) {
  return by.empty() ? reason : absl::StrCat("by ", by, reason.empty() ? "" : ": ", reason);
}

}  // namespace

absl::StatusOr<v1::Upgrade> UpgradeApi::Find(const std::string& upgrade_id) const {
  const std::shared_ptr<const core::State> state = runtime_.Version();
  const v1::Upgrade* const found = core::FindUpgrade(*state, upgrade_id);
  if (found == nullptr) {
    return absl::NotFoundError(
        upgrade_id.empty()
            ? "no upgrade was started yet; 'wattle upgrade start --to VERSION' starts one"
            : absl::StrCat("no upgrade \"", upgrade_id,
                           "\"; 'wattle upgrade status' shows the latest"));
  }
  return core::DescribeUpgrade(*state, runtime_.heartbeats().Snapshot(), *found, runtime_.Now());
}

absl::StatusOr<v1::Upgrade> UpgradeApi::PlanUpgrade(const v1::StartUpgradeRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::shared_ptr<const core::State> state = runtime_.Version();
  return core::PlanUpgrade(*state, request, version_, runtime_.Now());
}

absl::StatusOr<v1::Upgrade> UpgradeApi::GetUpgrade(const v1::GetUpgradeRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  return Find(request.upgrade_id());
}

void UpgradeApi::Post(const absl::Status& valid, core::Command&& command,
                      const v1::EventCaller& caller, Reply<v1::Upgrade> reply) {
  if (!valid.ok()) {
    reply(valid);
    return;
  }
  const absl::Status posted = runtime_.Post(
      std::move(command),
      [this, reply](const Answer& answer) {
        reply(answer.status.ok() ? Find(answer.id) : absl::StatusOr<v1::Upgrade>(answer.status));
      },
      caller);
  if (!posted.ok()) {
    reply(posted);
  }
}

void UpgradeApi::StartUpgrade(const v1::StartUpgradeRequest& request, const v1::EventCaller& caller,
                              Reply<v1::Upgrade> reply) {
  Post(RefuseUnknownFields(request), core::StartUpgrade{request, version_}, caller,
       std::move(reply));
}

void UpgradeApi::PauseUpgrade(const v1::PauseUpgradeRequest& request, const std::string& by,
                              const v1::EventCaller& caller, Reply<v1::Upgrade> reply) {
  Post(RefuseUnknownFields(request), core::PauseUpgrade{ReasonBy(by, request.reason())}, caller,
       std::move(reply));
}

void UpgradeApi::ResumeUpgrade(const v1::ResumeUpgradeRequest& request,
                               const v1::EventCaller& caller, Reply<v1::Upgrade> reply) {
  Post(RefuseUnknownFields(request), core::ResumeUpgrade{}, caller, std::move(reply));
}

void UpgradeApi::AbortUpgrade(const v1::AbortUpgradeRequest& request, const std::string& by,
                              const v1::EventCaller& caller, Reply<v1::Upgrade> reply) {
  Post(RefuseUnknownFields(request), core::AbortUpgrade{ReasonBy(by, request.reason())}, caller,
       std::move(reply));
}

}  // namespace wattle::runtime
