// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The results of the attempts that ended last stay here for a while. A coordinator that was
// restored from an older backup does not have them: it gets each again before it is told of the
// attempt's end, so that the job is not run once more.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "worker/agent/core/agent_core.h"

namespace wattle::agent {
namespace {

constexpr size_t kKeptResultsMax = 16;
constexpr absl::Duration kKeptFor = absl::Hours(14 * 24);
// A full disk at the coordinator lasts until a person comes.
constexpr absl::Duration kReturnRetryMax = absl::Minutes(5);

// now: 1970 while nobody knows the time, and then nothing is too old.
bool IsTooOld(const v1::Report& ended, absl::Time now) {
  const absl::Time at = absl::UnixEpoch() + absl::Seconds(ended.at_unix_seconds());
  return at >= TimeKeeper::kWritten && now - at > kKeptFor;
}

}  // namespace

const v1::Report* AgentCore::EndRemembered(const std::string& attempt_id) const {
  for (const v1::Report& report : ended_.reports()) {
    if (EndOf(report).first == attempt_id) {
      return &report;
    }
  }
  return nullptr;
}

void AgentCore::KeepResult(const std::string& attempt_id, const Instant& now) {
  NoteDisk(state_.KeepResult(attempt_id), now);
  std::vector<std::string> newest_first;
  for (auto ended = ended_.reports().rbegin();
       ended != ended_.reports().rend() && newest_first.size() < kKeptResultsMax; ++ended) {
    if (ended->has_finished() && !IsTooOld(*ended, civil_)) {
      newest_first.push_back(ended->finished().attempt_id());
    }
  }
  state_.KeepResultsOf(newest_first);
}

bool AgentCore::WillReturn(const v1::Report& ended) {
  const std::string& id = ended.finished().attempt_id();
  if (!ended.has_finished() || ended.finished().output().artifact_id().empty() ||
      state_.ResultSizeBytes(id) == 0) {
    return false;
  }
  const auto& waiting = ended_.results_to_return();
  if (std::find(waiting.begin(), waiting.end(), id) == waiting.end()) {
    ended_.add_results_to_return(id);
  }
  return true;
}

void AgentCore::ReturnNextResult(const Instant& now) {
  if (ended_.results_to_return().empty() || now.wall < next_return_ || !MayUpload(now)) {
    return;
  }
  const std::string id = ended_.results_to_return(0);
  const v1::Report* ended = EndRemembered(id);
  if (ended == nullptr) {
    ended_.mutable_results_to_return()->erase(ended_.mutable_results_to_return()->begin());
    return SaveEnded();
  }
  returning_ = id;
  ports_.StartUpload(state_.ResultDirectory(id), ended->finished().output());
}

void AgentCore::OnResultReturned(const UploadResult& result, const Instant& now) {
  const std::string id = std::exchange(returning_, "");
  const v1::Report* ended = EndRemembered(id);
  auto& waiting = *ended_.mutable_results_to_return();
  const auto place = std::find(waiting.begin(), waiting.end(), id);
  if (ended == nullptr || place == waiting.end()) {
    return;  // Another journal began meanwhile.
  }
  const bool gone = absl::IsNotFound(result.status) || absl::IsDataLoss(result.status) ||
                    absl::IsInvalidArgument(result.status);
  if (!result.status.ok() && !gone && state_.ResultSizeBytes(id) > 0) {
    ports_.Note(absl::StrCat(
        id, ": its result cannot go back to the coordinator yet: ", result.status.message()));
    next_return_ = now.wall + return_backoff_.AfterFailure(kReturnRetryMax);
    return;
  }
  return_backoff_.Reset();
  v1::Report again = *ended;
  waiting.erase(place);
  Report(std::move(again), now);
  SaveEnded();
}

}  // namespace wattle::agent
