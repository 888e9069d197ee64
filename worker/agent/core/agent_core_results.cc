// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The results of the latest attempts stay on the device for a while. A coordinator that was
// restored from an older backup lacks them: it receives each result before the report of the
// attempt's end, so that the job is not run again. A result that could not be uploaded when its
// attempt ended waits in the same way (agent_core_queue.cc).
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
// A full disk at the coordinator lasts until a person intervenes.
constexpr absl::Duration kReturnRetryMax = absl::Minutes(5);

// now: 1970 while the time is unknown, and then nothing is too old.
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
  if (WaitsForUpload(id) && IsUnwanted(*ended)) {
    return OnUnwantedResult(id, now);
  }
  returning_ = id;
  ports_.StartUpload(state_.ResultDirectory(id), ended->finished().output());
}

void AgentCore::OnResultReturned(const UploadResult& result, const Instant& now) {
  const std::string id = std::exchange(returning_, "");
  const v1::Report* ended = EndRemembered(id);
  const auto& waiting = ended_.results_to_return();
  if (ended == nullptr || std::find(waiting.begin(), waiting.end(), id) == waiting.end()) {
    return;  // another journal began meanwhile
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
  TellEnd(WaitsForUpload(id) ? EndWithResult(*ended, result) : *ended, now);
}

void AgentCore::OnUnwantedResult(const std::string& attempt_id, const Instant& now) {
  const v1::AttemptFinished finished = EndRemembered(attempt_id)->finished();
  v1::Report again;
  again.mutable_stopped()->set_attempt_id(attempt_id);
  again.mutable_stopped()->set_fencing_token(finished.fencing_token());
  *again.mutable_stopped()->mutable_receipt() = finished.receipt();
  TellEnd(again, now);
}

// Reports the end of an attempt whose result waited. The result is kept until the report is on the
// disk; a repeated report does no harm.
void AgentCore::TellEnd(const v1::Report& told, const Instant& now) {
  Report(told, now);
  if (!unsaved_.empty()) {
    next_return_ = now.wall + return_backoff_.AfterFailure(kReturnRetryMax);
    return;
  }
  auto& waiting = *ended_.mutable_results_to_return();
  waiting.erase(std::remove(waiting.begin(), waiting.end(), EndOf(told).first), waiting.end());
  auto& ends = *ended_.mutable_reports();
  ends.erase(std::remove_if(ends.begin(), ends.end(),
                            [&](const v1::Report& one) { return EndOf(one) == EndOf(told); }),
             ends.end());
  RememberEnd(told);
  HoldResults();
}

}  // namespace wattle::agent
