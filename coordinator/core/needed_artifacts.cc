// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/needed_artifacts.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/upgrades.h"

namespace wattle::core {

std::vector<std::string> OpenJobsWith(const State& state, const ArtifactId& artifact) {
  std::vector<std::string> jobs;
  for (const int64_t number : state.open_jobs) {
    const v1::JobRecord& record = state.jobs.at(number);
    const auto& inputs = record.job().inputs();
    const v1::Attempt* const live = LiveAttempt(record.job());
    if ((live != nullptr && live->model_choice().artifact_id() == artifact.value()) ||
        record.checkpoint().artifact_id() == artifact.value() ||
        std::any_of(inputs.begin(), inputs.end(), [&](const v1::ResolvedInput& input) {
          return input.artifact_id() == artifact.value();
        })) {
      jobs.push_back(record.job().job_id());
    }
  }
  return jobs;
}

std::vector<std::string> NamesOf(const State& state, const ArtifactId& artifact) {
  std::vector<std::string> names;
  for (const auto& [name, id] : state.artifact_names) {
    if (id == artifact) {
      names.push_back(name);
    }
  }
  return names;
}

absl::Status CheckNotNeeded(const State& state, const ArtifactId& artifact) {
  const std::vector<std::string> names = NamesOf(state, artifact);
  const std::vector<std::string> jobs = OpenJobsWith(state, artifact);
  const v1::Upgrade* const upgrade = UpgradeWith(state, artifact);
  if (names.empty() && upgrade == nullptr && (jobs.empty() || WATTLE_FAULT_POINT("eviction"))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("artifact ", artifact.value(), ": needed by ",
                   !names.empty()       ? absl::StrCat("the name ", names.front())
                   : upgrade != nullptr ? absl::StrCat("upgrade ", upgrade->upgrade_id())
                                        : absl::StrCat("job ", jobs.front())));
}

}  // namespace wattle::core
