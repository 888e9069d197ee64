// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Writes the state as rows of one record each, and reads it back. A row is a StateSnapshot, and the
// concatenation of all rows is one too. The messages have no map fields and every container is
// ordered, so equal states give equal rows.
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "coordinator/core/index_internal.h"
#include "coordinator/core/state.h"
#include "coordinator/core/upgrades.h"

namespace wattle::core {
namespace {

constexpr int kFormatVersion = 1;
// Far above any record that the checks of commands and reports accept.
constexpr size_t kRowBytesMax = size_t{64} << 20;

// The first row: the counters, and the few small collections.
v1::StateSnapshot FirstRow(const State& state) {
  v1::StateSnapshot row;
  row.set_format_version(kFormatVersion);
  row.set_last_sequence(state.last_sequence.value());
  row.set_next_job_number(state.next_job_number);
  row.set_next_fencing_token(state.next_fencing_token.value());
  row.set_lineage_id(state.lineage_id);
  row.mutable_openings()->Assign(state.openings.begin(), state.openings.end());
  row.mutable_restore_findings()->Assign(state.restore_findings.begin(),
                                         state.restore_findings.end());
  for (const auto& [job_state, jobs] : state.archived_jobs) {
    v1::ArchivedJobs& archived = *row.add_archived_jobs();
    archived.set_state(job_state);
    archived.set_jobs(jobs);
  }
  for (const auto& [attempt_state, attempts] : state.archived_attempts) {
    v1::ArchivedAttempts& archived = *row.add_archived_attempts();
    archived.set_state(attempt_state);
    archived.set_attempts(attempts);
  }
  return row;
}

absl::Status Give(const v1::StateSnapshot& row,
                  const std::function<absl::Status(absl::string_view)>& take) {
  if (row.ByteSizeLong() > kRowBytesMax) {
    return absl::OutOfRangeError(
        absl::StrCat("snapshot: a record of ", row.ByteSizeLong(), " bytes, at most ", kRowBytesMax,
                     " are stored: ", row.ShortDebugString().substr(0, 100)));
  }
  return take(row.SerializeAsString());
}

// Passes on a row for each record of the map. add: appends to the field for such records.
template <typename Records, typename Record>
absl::Status GiveEach(const Records& records, Record* (v1::StateSnapshot::*add)(),
                      const std::function<absl::Status(absl::string_view)>& take) {
  for (const auto& [key, record] : records) {
    v1::StateSnapshot row;
    *(row.*add)() = record;
    WATTLE_RETURN_IF_ERROR(Give(row, take));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GiveSnapshotRows(const State& state,
                              const std::function<absl::Status(absl::string_view)>& take) {
  WATTLE_RETURN_IF_ERROR(Give(FirstRow(state), take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.devices, &v1::StateSnapshot::add_devices, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.jobs, &v1::StateSnapshot::add_jobs, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.policies, &v1::StateSnapshot::add_policies, take));
  // Before the artifacts: if two rows have one artifact, the later one holds its facts.
  for (const auto& [number, artifacts] : state.other_uploads) {
    for (const ArtifactId& id : artifacts) {
      v1::StateSnapshot row;
      v1::ArtifactInfo& upload = *row.add_artifacts();
      upload.set_artifact_id(id.value());
      upload.set_job_id(absl::StrCat("j", number));
      WATTLE_RETURN_IF_ERROR(Give(row, take));
    }
  }
  WATTLE_RETURN_IF_ERROR(GiveEach(state.artifacts, &v1::StateSnapshot::add_artifacts, take));
  for (const auto& [name, id] : state.artifact_names) {
    v1::StateSnapshot row;
    v1::ArtifactName& entry = *row.add_artifact_names();
    entry.set_name(name);
    entry.set_artifact_id(id.value());
    WATTLE_RETURN_IF_ERROR(Give(row, take));
  }
  WATTLE_RETURN_IF_ERROR(GiveEach(state.tokens, &v1::StateSnapshot::add_tokens, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.identities, &v1::StateSnapshot::add_identities, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.forecasts, &v1::StateSnapshot::add_forecasts, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.quotas, &v1::StateSnapshot::add_quotas, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.projects, &v1::StateSnapshot::add_projects, take));
  WATTLE_RETURN_IF_ERROR(GiveEach(state.upgrades, &v1::StateSnapshot::add_upgrades, take));
  for (const v1::ProfileRow& profile : state.profiles.Rows()) {
    if (profile.source() != v1::PROFILE_SOURCE_PUBLISHED) {
      v1::StateSnapshot row;
      *row.add_profile_rows() = profile;
      WATTLE_RETURN_IF_ERROR(Give(row, take));
    }
  }
  return absl::OkStatus();
}

absl::Status SnapshotReader::Take(absl::string_view row) {
  v1::StateSnapshot snapshot;
  if (!snapshot.ParseFromArray(row.data(), static_cast<int>(row.size()))) {
    return absl::DataLossError("a row cannot be read");
  }
  if (!begun_ || snapshot.format_version() != 0) {
    if (begun_ || snapshot.format_version() != kFormatVersion) {
      return absl::FailedPreconditionError(absl::StrCat(
          "snapshot: format version ", snapshot.format_version(), ", this program reads ",
          kFormatVersion, "; start the version of wattle-coordinator that wrote it"));
    }
    begun_ = true;
    state_.last_sequence = SequenceNumber(snapshot.last_sequence());
    state_.next_job_number = snapshot.next_job_number();
    state_.next_fencing_token = FencingToken(snapshot.next_fencing_token());
    state_.lineage_id = snapshot.lineage_id();
    state_.openings.assign(snapshot.openings().begin(), snapshot.openings().end());
    state_.restore_findings.assign(snapshot.restore_findings().begin(),
                                   snapshot.restore_findings().end());
  }
  return AddRecords(snapshot);
}

absl::Status SnapshotReader::AddRecords(const v1::StateSnapshot& snapshot) {
  for (const v1::DeviceRecord& record : snapshot.devices()) {
    state_.devices.Mutable(DeviceId(record.info().device_id())) = record;
    if (!record.removed()) {
      state_.profiles.mutable_rates().Put(record.info());
    }
  }
  for (const v1::JobRecord& record : snapshot.jobs()) {
    const std::optional<int64_t> number = JobNumber(record.job().job_id());
    if (!number.has_value()) {
      return absl::DataLossError(
          absl::StrCat("\"", OneLine(record.job().job_id()), "\" is not a job id"));
    }
    state_.jobs.Mutable(*number) = record;
    for (const v1::Attempt& attempt : record.job().attempts()) {
      if (attempt.released_for_gain()) {
        state_.left_for_gain.Mutable(DeviceId(attempt.device_id())) = std::nullopt;
      }
    }
    state_.job_by_idempotency_key.Mutable(record.idempotency_key()) = *number;
    IndexJob(state_, *number);
  }
  for (const v1::Policy& policy : snapshot.policies()) {
    state_.policies.Mutable(policy.name()) = policy;
  }
  for (const v1::ArtifactInfo& info : snapshot.artifacts()) {
    const ArtifactId id(info.artifact_id());
    if (const v1::ArtifactInfo* const upload = state_.artifacts.Find(id); upload != nullptr) {
      NoteOtherUpload(state_, upload->job_id(), id);
    }
    state_.artifacts.Mutable(id) = info;
    state_.artifact_bytes += info.size_bytes();
  }
  for (const v1::ArtifactName& entry : snapshot.artifact_names()) {
    state_.artifact_names.Mutable(entry.name()) = ArtifactId(entry.artifact_id());
  }
  for (const v1::EnrolmentToken& token : snapshot.tokens()) {
    state_.tokens.Mutable(token.token_id()) = token;
  }
  for (const v1::IdentityRecord& identity : snapshot.identities()) {
    state_.identities.Mutable(absl::StrCat(identity.kind(), "/", identity.id())) = identity;
  }
  for (const v1::HarvestForecast& forecast : snapshot.forecasts()) {
    state_.forecasts.Mutable(forecast.name()) = forecast;
  }
  for (const v1::Quota& quota : snapshot.quotas()) {
    state_.quotas.Mutable(QuotaKey(quota.owner(), quota.project())) = quota;
  }
  for (const v1::Project& project : snapshot.projects()) {
    state_.projects.Mutable(project.name()) = project;
  }
  for (const v1::Upgrade& upgrade : snapshot.upgrades()) {
    state_.upgrades.Mutable(UpgradeNumber(upgrade.upgrade_id()).value_or(0)) = upgrade;
  }
  for (const v1::ProfileRow& row : snapshot.profile_rows()) {
    // The row was checked when it was learned. A row that a stricter version rejects is dropped.
    (void)state_.profiles.Put(row);
  }
  for (const v1::ArchivedJobs& archived : snapshot.archived_jobs()) {
    state_.archived_jobs[archived.state()] += archived.jobs();
    state_.job_counts[archived.state()] += archived.jobs();
  }
  for (const v1::ArchivedAttempts& archived : snapshot.archived_attempts()) {
    state_.archived_attempts[archived.state()] += archived.attempts();
    state_.attempt_counts[archived.state()] += archived.attempts();
  }
  return absl::OkStatus();
}

absl::StatusOr<State> SnapshotReader::Finish() && {
  if (!begun_) {
    return absl::DataLossError("it has no rows");
  }
  return std::move(state_);
}

absl::StatusOr<uint32_t> SnapshotDigest(const State& state) {
  uint32_t digest = 0;
  const absl::Status given = GiveSnapshotRows(state, [&digest](absl::string_view row) {
    digest = ExtendCrc32c(digest, row);
    return absl::OkStatus();
  });
  WATTLE_RETURN_IF_ERROR(given);
  return digest;
}

std::string SnapshotBytes(const State& state) {
  std::string bytes;
  const absl::Status given = GiveSnapshotRows(state, [&bytes](absl::string_view row) {
    bytes.append(row.data(), row.size());
    return absl::OkStatus();
  });
  WATTLE_CHECK(given.ok(), "the state's records are small enough to be stored");
  return bytes;
}

absl::StatusOr<State> ParseSnapshot(absl::string_view bytes) {
  SnapshotReader reader;
  WATTLE_RETURN_IF_ERROR(reader.Take(bytes));
  return std::move(reader).Finish();
}

}  // namespace wattle::core
