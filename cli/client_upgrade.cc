// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>

#include "cli/client.h"
#include "cli/client_internal.h"

namespace wattle::cli {

using UpgradeStub = v1::UpgradeService::Stub;

absl::StatusOr<v1::Upgrade> Client::PlanUpgrade(const v1::StartUpgradeRequest& request) {
  return Call(stubs_->upgrades, &UpgradeStub::PlanUpgrade, request);
}

absl::StatusOr<v1::Upgrade> Client::StartUpgrade(const v1::StartUpgradeRequest& request) {
  return Call(stubs_->upgrades, &UpgradeStub::StartUpgrade, request);
}

absl::StatusOr<v1::Upgrade> Client::GetUpgrade(const std::string& upgrade_id) {
  v1::GetUpgradeRequest request;
  request.set_upgrade_id(upgrade_id);
  return Call(stubs_->upgrades, &UpgradeStub::GetUpgrade, request);
}

absl::StatusOr<v1::Upgrade> Client::PauseUpgrade(const std::string& reason) {
  v1::PauseUpgradeRequest request;
  request.set_reason(reason);
  return Call(stubs_->upgrades, &UpgradeStub::PauseUpgrade, request);
}

absl::StatusOr<v1::Upgrade> Client::ResumeUpgrade() {
  return Call(stubs_->upgrades, &UpgradeStub::ResumeUpgrade, v1::ResumeUpgradeRequest());
}

absl::StatusOr<v1::Upgrade> Client::AbortUpgrade(const std::string& reason) {
  v1::AbortUpgradeRequest request;
  request.set_reason(reason);
  return Call(stubs_->upgrades, &UpgradeStub::AbortUpgrade, request);
}

}  // namespace wattle::cli
