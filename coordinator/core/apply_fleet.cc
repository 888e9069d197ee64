// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Applies the events of the journal, devices, policies, artifacts and profiles.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/index_internal.h"
#include "coordinator/core/lineage.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

constexpr int kReportMarksMax = 16;  // latest incarnations of a device that the state keeps
constexpr size_t kRestoreFindingsMax = 1000;

}  // namespace

void Applier::On(const v1::JournalOpened& event) {
  state_.lineage_id = event.lineage_id();
  v1::Opening& opening = state_.openings.emplace_back();
  opening.set_epoch(event.epoch());
  opening.set_opening_id(event.opening_id());
  opening.set_at_unix_seconds(at_);
  opening.set_copied_sequence(event.copied_sequence());
  opening.set_reason(event.reason());
  opening.set_next_job_number(state_.next_job_number);
  state_.restore_findings.clear();
  // In an epoch above 0 the numbers begin above all numbers of earlier epochs.
  state_.next_job_number =
      std::max(state_.next_job_number, event.epoch() * kJobNumbersOfAnEpoch + 1);
  state_.next_fencing_token =
      std::max(state_.next_fencing_token, FencingToken((event.epoch() << kTokenCounterBits) + 1));
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::RestoreFinding& event) {
  state_.restore_findings.push_back(event);
  if (state_.restore_findings.size() > kRestoreFindingsMax) {
    state_.restore_findings.erase(state_.restore_findings.begin());
  }
}

void Applier::On(const v1::DeviceProblemChanged& event) {
  state_.devices.Mutable(DeviceId(event.device_id())).set_problem(event.problem());
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::DeviceRegistered& event) {
  const DeviceId id(event.info().device_id());
  v1::DeviceRecord& record = state_.devices.Mutable(id);
  if (record.first_seen_unix_seconds() == 0.0) {
    record.set_first_seen_unix_seconds(at_);
  }
  state_.profiles.mutable_rates().Remove(record.info());
  *record.mutable_info() = event.info();
  state_.profiles.mutable_rates().Put(event.info());
  record.set_incarnation(event.incarnation());
  record.set_removed(false);
  record.set_registered_unix_seconds(at_);
  state_.device_changed.Mutable(id) = sequence_;
  effects_.emplace_back(DesiredSetChanged{id});
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::DeviceDrained& event) {
  SetDrained(event.device_id(), true, event.reason());
}

void Applier::On(const v1::DeviceResumed& event) {
  SetDrained(event.device_id(), false, "");
}

void Applier::On(const v1::DeviceRemoved& event) {
  const DeviceId id(event.device_id());
  v1::DeviceRecord& record = state_.devices.Mutable(id);
  record.set_removed(true);
  state_.profiles.mutable_rates().Remove(record.info());
  state_.device_changed.Mutable(id) = sequence_;
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ReportAccepted& event) {
  auto& marks = *state_.devices.Mutable(DeviceId(event.device_id())).mutable_marks();
  bool known = false;
  for (v1::ReportMark& mark : marks) {
    if (mark.incarnation() == event.incarnation()) {
      mark.set_sequence(event.sequence());
      mark.set_digest(event.digest());
      known = true;
    }
  }
  if (!known) {
    v1::ReportMark& mark = *marks.Add();
    mark.set_incarnation(event.incarnation());
    mark.set_sequence(event.sequence());
    mark.set_digest(event.digest());
    if (marks.size() > kReportMarksMax) {
      marks.erase(marks.begin());
    }
  }
  effects_.emplace_back(
      Acknowledge{DeviceId(event.device_id()), event.incarnation(), event.sequence()});
}

void Applier::On(const v1::LedgerRecorded& event) {
  v1::DeviceRecord& record = state_.devices.Mutable(DeviceId(event.device_id()));
  *record.mutable_ledger() = event.ledger();
  *record.mutable_ledger_base() = event.base();
  record.set_ledger_incarnation(event.incarnation());
}

void Applier::On(const v1::PolicyApplied& event) {
  v1::Policy& policy = state_.policies.Mutable(event.policy().name());
  const v1::Policy before = std::exchange(policy, event.policy());
  PolicyChanged(before, policy);
}

void Applier::On(const v1::PolicyDeleted& event) {
  const v1::Policy* const found = state_.policies.Find(event.name());
  WATTLE_CHECK(found != nullptr, "events delete known policies");
  const v1::Policy before = *found;
  state_.policies.erase(event.name());
  PolicyChanged(before, before);
}

void Applier::On(const v1::ArtifactCommitted& event) {
  const ArtifactId id(event.info().artifact_id());
  const bool known = state_.artifacts.contains(id);
  v1::ArtifactInfo& info = state_.artifacts.Mutable(id);
  const std::string first_job_id = info.job_id();
  state_.artifact_bytes += event.info().size_bytes() - info.size_bytes();
  info = event.info();
  if (known && info.job_id() != first_job_id) {
    info.set_job_id(first_job_id);
    NoteOtherUpload(state_, event.info().job_id(), id);
  }
  if (!event.info().name().empty()) {
    state_.artifact_names.Mutable(event.info().name()) = id;
  }
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ArtifactRemoved& event) {
  const ArtifactId id(event.artifact_id());
  for (const std::string& name : event.names()) {
    state_.artifact_names.erase(name);
  }
  const v1::ArtifactInfo* info = state_.artifacts.Find(id);
  if (!event.names_only() && info != nullptr) {
    state_.artifact_bytes -= info->size_bytes();
    state_.artifacts.erase(id);
    ForgetOtherUploads(state_, id);
  }
}

void Applier::On(const v1::ModelMeasured& event) {
  const ArtifactId id(event.artifact_id());
  if (!state_.artifacts.contains(id)) {
    return;
  }
  v1::ArtifactInfo& info = state_.artifacts.Mutable(id);
  if (event.bits_per_weight() > 0) {
    info.set_bits_per_weight(event.bits_per_weight());
  }
  if (event.stored_bytes() > 0) {
    info.set_stored_bytes(event.stored_bytes());
  }
  if (event.has_quality()) {
    *info.mutable_quality() = event.quality();
  }
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ProfileUpdated& event) {
  for (const v1::ProfileRow& row : event.rows()) {
    // The rows were checked when they were learned. A row that a stricter version rejects is
    // dropped.
    (void)state_.profiles.Put(row);
  }
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ProfilesImported& event) {
  for (const v1::ProfileRow& row : event.rows()) {
    (void)state_.profiles.Put(row);  // See ProfileUpdated.
  }
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ImportedProfilesRemoved& event) {
  state_.profiles.RemoveImported(event.device_class());
  effects_.emplace_back(QueueChanged{});
}

void Applier::SetDrained(const std::string& device_id, bool drained, const std::string& reason) {
  v1::DeviceRecord& record = state_.devices.Mutable(DeviceId(device_id));
  record.set_drained(drained);
  record.set_drain_reason(reason);
  state_.device_changed.Mutable(DeviceId(device_id)) = sequence_;
  effects_.emplace_back(DesiredSetChanged{DeviceId(device_id)});
  effects_.emplace_back(QueueChanged{});
}

void Applier::PolicyChanged(const v1::Policy& before, const v1::Policy& after) {
  for (const auto& [id, record] : state_.devices) {
    const bool selected = !before.name().empty() && scheduler::Selects(before, record.info());
    if (selected || scheduler::Selects(after, record.info())) {
      state_.device_changed.Mutable(id) = sequence_;
      effects_.emplace_back(DesiredSetChanged{id});
    }
  }
  effects_.emplace_back(QueueChanged{});
}

}  // namespace wattle::core
