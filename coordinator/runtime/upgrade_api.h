// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The calls about upgrades, built like those of runtime/api.h: each reads the durable view or posts
// a command, and makes no decision. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_UPGRADE_API_H_
#define WATTLE_COORDINATOR_RUNTIME_UPGRADE_API_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

#include "coordinator/runtime/api.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/journal.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::runtime {

class UpgradeApi {
 public:
  // runtime: must outlive the object and every reply. version: of this program.
  UpgradeApi(Runtime& runtime, std::string version)
      : runtime_(runtime), version_(std::move(version)) {}

  [[nodiscard]] absl::StatusOr<v1::Upgrade> PlanUpgrade(
      const v1::StartUpgradeRequest& request) const;
  [[nodiscard]] absl::StatusOr<v1::Upgrade> GetUpgrade(const v1::GetUpgradeRequest& request) const;
  // Replies like the calls of Api. caller: for the audit. by: for the reason that people read.
  void StartUpgrade(const v1::StartUpgradeRequest& request, const v1::EventCaller& caller,
                    Reply<v1::Upgrade> reply);
  void PauseUpgrade(const v1::PauseUpgradeRequest& request, const std::string& by,
                    const v1::EventCaller& caller, Reply<v1::Upgrade> reply);
  void ResumeUpgrade(const v1::ResumeUpgradeRequest& request, const v1::EventCaller& caller,
                     Reply<v1::Upgrade> reply);
  void AbortUpgrade(const v1::AbortUpgradeRequest& request, const std::string& by,
                    const v1::EventCaller& caller, Reply<v1::Upgrade> reply);

 private:
  [[nodiscard]] absl::StatusOr<v1::Upgrade> Find(const std::string& upgrade_id) const;
  void Post(const absl::Status& valid, core::Command&& command, const v1::EventCaller& caller,
            Reply<v1::Upgrade> reply);

  Runtime& runtime_;
  const std::string version_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_UPGRADE_API_H_
