// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The state as one message and back. The messages have no map fields, and every container here is
// ordered: equal states give equal bytes.
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/index_internal.h"
#include "coordinator/core/state.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

constexpr int kFormatVersion = 1;

}  // namespace

v1::StateSnapshot ToSnapshot(const State& state) {
  v1::StateSnapshot snapshot;
  snapshot.set_format_version(kFormatVersion);
  snapshot.set_last_sequence(state.last_sequence.value());
  snapshot.set_next_job_number(state.next_job_number);
  snapshot.set_next_fencing_token(state.next_fencing_token.value());
  for (const auto& [id, record] : state.devices) {
    *snapshot.add_devices() = record;
  }
  for (const auto& [number, record] : state.jobs) {
    *snapshot.add_jobs() = record;
  }
  for (const auto& [name, policy] : state.policies) {
    *snapshot.add_policies() = policy;
  }
  for (const auto& [id, info] : state.artifacts) {
    *snapshot.add_artifacts() = info;
  }
  for (const auto& [name, id] : state.artifact_names) {
    v1::ArtifactName* entry = snapshot.add_artifact_names();
    entry->set_name(name);
    entry->set_artifact_id(id.value());
  }
  for (const auto& [key, row] : state.profile_rows) {
    *snapshot.add_profile_rows() = row;
  }
  snapshot.set_lineage_id(state.lineage_id);
  for (const v1::Opening& opening : state.openings) {
    *snapshot.add_openings() = opening;
  }
  for (const v1::RestoreFinding& finding : state.restore_findings) {
    *snapshot.add_restore_findings() = finding;
  }
  return snapshot;
}

absl::StatusOr<State> FromSnapshot(const v1::StateSnapshot& snapshot) {
  if (snapshot.format_version() != kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "snapshot: format version ", snapshot.format_version(), ", this program reads ",
        kFormatVersion, "; start the version of wattle-coordinator that wrote it"));
  }
  State state;
  state.last_sequence = SequenceNumber(snapshot.last_sequence());
  state.next_job_number = snapshot.next_job_number();
  state.next_fencing_token = FencingToken(snapshot.next_fencing_token());
  for (const v1::DeviceRecord& record : snapshot.devices()) {
    state.devices[DeviceId(record.info().device_id())] = record;
  }
  for (const v1::JobRecord& record : snapshot.jobs()) {
    const std::optional<int64_t> number = JobNumber(record.job().job_id());
    if (!number.has_value()) {
      return absl::DataLossError(
          absl::StrCat("snapshot: \"", record.job().job_id(), "\" is not a job id"));
    }
    state.jobs[*number] = record;
    state.job_by_idempotency_key[record.idempotency_key()] = *number;
    IndexJob(state, *number);
  }
  for (const v1::Policy& policy : snapshot.policies()) {
    state.policies[policy.name()] = policy;
  }
  for (const v1::ArtifactInfo& info : snapshot.artifacts()) {
    state.artifacts[ArtifactId(info.artifact_id())] = info;
  }
  for (const v1::ArtifactName& entry : snapshot.artifact_names()) {
    state.artifact_names[entry.name()] = ArtifactId(entry.artifact_id());
  }
  state.lineage_id = snapshot.lineage_id();
  state.openings.assign(snapshot.openings().begin(), snapshot.openings().end());
  state.restore_findings.assign(snapshot.restore_findings().begin(),
                                snapshot.restore_findings().end());
  for (const v1::ProfileRow& row : snapshot.profile_rows()) {
    state.profile_rows[scheduler::ProfileKey(row)] = row;
  }
  return state;
}

std::string SnapshotBytes(const State& state) {
  return ToSnapshot(state).SerializeAsString();
}

absl::StatusOr<State> ParseSnapshot(absl::string_view bytes) {
  v1::StateSnapshot snapshot;
  if (!snapshot.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("snapshot: cannot be read; start from a backup");
  }
  return FromSnapshot(snapshot);
}

}  // namespace wattle::core
