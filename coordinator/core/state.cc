// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Look-ups in the state. Pure.
#include "coordinator/core/state.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "coordinator/core/forecasts.h"
#include "coordinator/core/lineage_internal.h"
#include "coordinator/core/projects.h"

namespace wattle::core {
namespace {

constexpr size_t kPrefixDigitsMin = 8;  // of an artifact id
constexpr size_t kNamesListedMax = 8;   // in an error message
constexpr int kMissedHeartbeats = 3;    // this many missing heartbeats are a silence

std::string Known(const std::vector<std::string>& names) {
  if (names.empty()) {
    return "there is none yet";
  }
  const size_t shown = std::min(names.size(), kNamesListedMax);
  std::string list =
      absl::StrJoin(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", ");
  return absl::StrCat("known: ", list, names.size() > shown ? ", …" : "");
}

bool IsCovered(const State& state, const Scope& scope, const ArtifactId& id) {
  const v1::ArtifactInfo* const info = state.artifacts.Find(id);
  return scope.all() || (info != nullptr && scope.Covers(*info));
}

// A search for a model also finds a job's output.
bool IsOfKind(const v1::ArtifactInfo* info, v1::ArtifactKind kind) {
  const v1::ArtifactKind own = info == nullptr ? v1::ARTIFACT_KIND_UNSPECIFIED : info->kind();
  return kind == v1::ARTIFACT_KIND_UNSPECIFIED || own == kind ||
         (kind == v1::ARTIFACT_KIND_MODEL && own != v1::ARTIFACT_KIND_DATASET &&
          own != v1::ARTIFACT_KIND_RELEASE);
}

absl::Status NoArtifact(const State& state, absl::string_view reference, const Scope& scope,
                        v1::ArtifactKind kind) {
  std::vector<std::string> names;
  for (const auto& [name, id] : state.artifact_names) {
    if (IsCovered(state, scope, id) && IsOfKind(state.artifacts.Find(id), kind)) {
      names.push_back(name);
    }
  }
  const char* const push = kind == v1::ARTIFACT_KIND_DATASET   ? "'wattle data push'"
                           : kind == v1::ARTIFACT_KIND_RELEASE ? "'wattle release push'"
                           : kind == v1::ARTIFACT_KIND_MODEL
                               ? "'wattle model push'"
                               : "'wattle model push' or 'wattle data push'";
  return absl::NotFoundError(
      absl::StrCat(kind == v1::ARTIFACT_KIND_RELEASE ? "no release \"" : "no artifact \"",
                   reference, "\"; ", Known(names), "; push it with ", push));
}

}  // namespace

std::optional<int64_t> JobNumber(absl::string_view job_id) {
  int64_t number = 0;
  if (!absl::ConsumePrefix(&job_id, "j") || job_id.empty() ||
      !absl::ascii_isdigit(static_cast<unsigned char>(job_id[0])) ||
      !absl::SimpleAtoi(job_id, &number) || number < 1) {
    return std::nullopt;
  }
  return number;
}

const v1::JobRecord* FindJob(const State& state, const JobId& job) {
  const std::optional<int64_t> number = JobNumber(job.value());
  if (!number.has_value()) {
    return nullptr;
  }
  const v1::JobRecord* found = state.jobs.Find(*number);
  // A job has one spelling: "j007" is not j7.
  return found == nullptr || found->job().job_id() != job.value() ? nullptr : found;
}

const v1::Attempt* FindAttempt(const State& state, const AttemptId& attempt) {
  const size_t dot = attempt.value().find('.');
  if (dot == std::string::npos) {
    return nullptr;
  }
  const v1::JobRecord* record = FindJob(state, JobId(attempt.value().substr(0, dot)));
  if (record == nullptr) {
    return nullptr;
  }
  for (const v1::Attempt& one : record->job().attempts()) {
    if (one.attempt_id() == attempt.value()) {
      return &one;
    }
  }
  return nullptr;
}

const v1::DeviceRecord* FindDevice(const State& state, const DeviceId& device) {
  return state.devices.Find(device);
}

const v1::ReportMark* FindMark(const State& state, const DeviceId& device, int64_t incarnation) {
  const v1::DeviceRecord* record = FindDevice(state, device);
  if (record == nullptr) {
    return nullptr;
  }
  for (const v1::ReportMark& mark : record->marks()) {
    if (mark.incarnation() == incarnation) {
      return &mark;
    }
  }
  return nullptr;
}

absl::StatusOr<DeviceId> ResolveDevice(const State& state, absl::string_view reference) {
  const DeviceId exact{std::string(reference)};
  if (state.devices.contains(exact)) {
    return exact;
  }
  std::vector<DeviceId> by_name;
  std::vector<DeviceId> by_prefix;
  std::vector<std::string> names;
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    names.push_back(record.info().name());
    if (record.info().name() == reference) {
      by_name.push_back(id);
    }
    if (!reference.empty() && absl::StartsWith(id.value(), reference)) {
      by_prefix.push_back(id);
    }
  }
  const std::vector<DeviceId>& matches = by_name.empty() ? by_prefix : by_name;
  if (matches.size() == 1) {
    return matches.front();
  }
  if (matches.empty()) {
    return absl::NotFoundError(absl::StrCat("no device \"", reference, "\"; ", Known(names)));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", reference, "\" names ", matches.size(),
                   " devices; use the id ('wattle devices' shows it)"));
}

std::string QuotaKey(const std::string& owner, const std::string& project) {
  return project.empty() ? owner : absl::StrCat("project/", project);
}

absl::StatusOr<ArtifactId> ResolveArtifact(const State& state, absl::string_view reference) {
  return ResolveArtifact(state, reference, Scope::All());
}

absl::StatusOr<ArtifactId> ResolveArtifact(const State& state, absl::string_view reference,
                                           const Scope& scope, v1::ArtifactKind kind) {
  absl::string_view rest = reference;
  if (absl::ConsumePrefix(&rest, "job:")) {
    if (!absl::ConsumeSuffix(&rest, "/output")) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", reference, "\": want job:ID/output, for example job:j1/output"));
    }
    const v1::JobRecord* record = FindJob(state, JobId(std::string(rest)));
    if (record == nullptr || !scope.Covers(record->job().spec())) {
      return absl::NotFoundError(absl::StrCat("no job \"", rest, "\"; 'wattle jobs' lists them"));
    }
    if (record->job().output_artifact_id().empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "job ", rest, " has no output (yet); 'wattle job show ", rest, "' tells why"));
    }
    const ArtifactId output(record->job().output_artifact_id());
    if (state.artifacts.contains(output) && !IsCovered(state, scope, output)) {
      return absl::NotFoundError(absl::StrCat("the output of job ", rest,
                                              " is of none of your projects; ask an operator"));
    }
    return output;
  }
  const auto is_covered = [&](const ArtifactId& id) { return IsCovered(state, scope, id); };
  if (const auto named = state.artifact_names.find(std::string(reference));
      named != state.artifact_names.end() && is_covered(named->second)) {
    return named->second;
  }
  if (const ArtifactId exact{std::string(reference)};
      state.artifacts.contains(exact) && is_covered(exact)) {
    return exact;
  }
  if (reference.size() >= kPrefixDigitsMin) {
    std::vector<ArtifactId> found;
    for (auto it = state.artifacts.lower_bound(ArtifactId(std::string(reference)));
         it != state.artifacts.end() && absl::StartsWith(it->first.value(), reference) &&
         found.size() < 2;
         ++it) {
      if (is_covered(it->first)) {
        found.push_back(it->first);
      }
    }
    if (found.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", reference, "\" is the start of several artifact ids; give more digits"));
    }
    if (!found.empty()) {
      return found.front();
    }
  }
  return NoArtifact(state, reference, scope, kind);
}

absl::Time FromUnix(double seconds) {
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

double ToUnix(absl::Time time) {
  return absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

bool IsReachable(const Observations& observations, const DeviceId& device, Monotonic now) {
  const auto found = observations.devices.find(device);
  return found != observations.devices.end() && found->second.connected &&
         found->second.last_seen.has_value() &&
         now - found->second.last_seen->monotonic <=
             std::max(observations.unreachable_after,
                      kMissedHeartbeats * found->second.heartbeat_interval);
}

void NoteHeartbeat(const v1::Heartbeat& heartbeat, Monotonic now, DeviceObservation& observation) {
  if (heartbeat.storage_problem().empty()) {
    observation.storage_sick_since.reset();
  } else if (!observation.storage_sick_since) {
    observation.storage_sick_since = now;
  }
  KeepHarvest(heartbeat.recent_harvest(), observation.harvest);
  const v1::HandOverProgress& told = heartbeat.hand_over();
  HandOver& known = observation.hand_over;
  if (told.attempt_id().empty() ||
      (known.attempt.value() == told.attempt_id() && told.handed_bytes() <= known.handed_bytes)) {
    return;
  }
  known = {.attempt = AttemptId(told.attempt_id()),
           .handed_bytes = told.handed_bytes(),
           .size_bytes = told.size_bytes(),
           .advanced = now};
}

bool IsCaughtUp(const Observations& observations, const DeviceId& device) {
  const auto found = observations.devices.find(device);
  return found != observations.devices.end() && found->second.caught_up;
}

std::set<JobId> JobsWithResultsToCome(const Observations& observations, Monotonic now) {
  std::set<JobId> jobs;
  for (const auto& [device, observation] : observations.devices) {
    if (!observation.results_to_come.empty() && IsReachable(observations, device, now)) {
      for (const AttemptId& attempt : observation.results_to_come) {
        jobs.insert(JobId(JobIdOf(attempt)));
      }
    }
  }
  return jobs;
}

AttemptId EndedAttempt(const v1::Report& report) {
  if (report.has_finished()) {
    return AttemptId(report.finished().attempt_id());
  }
  if (report.has_failed()) {
    return AttemptId(report.failed().attempt_id());
  }
  return AttemptId(report.stopped().attempt_id());
}

Monotonic LastContact(const Observations& observations, const DeviceId& device) {
  const auto found = observations.devices.find(device);
  const Monotonic listening = observations.listening_since;
  return found == observations.devices.end() || !found->second.last_seen.has_value()
             ? listening
             : std::max(listening, found->second.last_seen->monotonic);
}

}  // namespace wattle::core
