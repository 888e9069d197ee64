// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Converts events to SQL statements.
#include "coordinator/store/tables.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/crc32c.h"
#include "base/fault_point.h"
#include "base/status_macros.h"
#include "proto/kind_name.h"
#include "proto/state_names.h"
#include "proto/visit_event.h"

namespace wattle::store {

absl::StatusOr<Statement*> Tables::Prepared(const std::string& sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    WATTLE_ASSIGN_OR_RETURN(Statement statement, database_->Prepare(sql));
    found = statements_.emplace(sql, std::move(statement)).first;
  }
  found->second.Reset();
  return &found->second;
}

absl::Status Tables::Store(const v1::Event& event, uint32_t& chain) {
  const std::string bytes = event.SerializeAsString();
  const uint32_t crc = ExtendCrc32c(chain, bytes);
  WATTLE_ASSIGN_OR_RETURN(Statement * insert,
                          Prepared("INSERT INTO events VALUES (?, ?, ?, ?, ?)"));
  const absl::Status stored = insert->Bind(event.sequence())
                                  .Bind(event.at_unix_seconds())
                                  .Bind(KindName(event))
                                  .BindBytes(bytes)
                                  .Bind(int64_t{crc})
                                  .Run();
  if (absl::IsAlreadyExists(stored)) {
    return absl::AbortedError(absl::StrCat("journal: event ", event.sequence(),
                                           " exists already: another coordinator leads; this one "
                                           "stops"));
  }
  WATTLE_RETURN_IF_ERROR(stored);
  chain = crc;
  const absl::Status updated = VisitEvent(event, [&](const auto& fact) { return On(fact, event); });
  if (absl::IsAlreadyExists(updated)) {
    return absl::DataLossError(
        absl::StrCat(updated.message(), "; the tables do not agree with the ", "events at event ",
                     event.sequence(), " (", KindName(event), "); restore a backup"));
  }
  return updated;
}

absl::Status Tables::On(const v1::JobSubmitted& job, const v1::Event& event) {
  WATTLE_ASSIGN_OR_RETURN(Statement * insert,
                          Prepared("INSERT INTO jobs (job_id, name, owner, kind, objective, state, "
                                   "submitted_unix_seconds) VALUES (?, ?, ?, ?, ?, 'waiting', ?)"));
  return insert->Bind(job.job_id())
      .Bind(job.spec().name())
      .Bind(job.spec().owner())
      .Bind(KindName(job.spec()))
      .Bind(LowerName(job.spec().objective()))
      .Bind(event.at_unix_seconds())
      .Run();
}

absl::Status Tables::On(const v1::JobStateChanged& job, const v1::Event& event) {
  const bool ended = IsTerminal(job.state());
  WATTLE_ASSIGN_OR_RETURN(
      Statement * update,
      Prepared(ended ? "UPDATE jobs SET state = ?, reason = ?, output_artifact_id = ?, "
                       "finished_unix_seconds = ? WHERE job_id = ?"
                     : "UPDATE jobs SET state = ?, reason = ? WHERE job_id = ?"));
  update->Bind(LowerName(job.state())).Bind(job.reason());
  if (ended) {
    update->Bind(job.output_artifact_id()).Bind(event.at_unix_seconds());
  }
  return update->Bind(job.job_id()).Run();
}

absl::Status Tables::On(const v1::JobArchived& archived, const v1::Event&) {
  const v1::Job& job = archived.job();
  if (WATTLE_FAULT_POINT("history row")) {
    return absl::OkStatus();
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(absl::StripPrefix(job.job_id(), "j"), &number)) {
    return absl::InternalError(absl::StrCat("journal: archived job \"", job.job_id(), "\""));
  }
  WATTLE_ASSIGN_OR_RETURN(
      Statement * insert,
      Prepared("INSERT INTO archived_jobs (number, idempotency_key, state, owner, kind, "
               "submitted_unix_seconds, job) VALUES (?, ?, ?, ?, ?, ?, ?)"));
  return insert->Bind(number)
      .Bind(archived.idempotency_key())
      .Bind(int64_t{job.state()})
      .Bind(job.spec().owner())
      .Bind(KindName(job.spec()))
      .Bind(job.submitted_unix_seconds())
      .BindBytes(job.SerializeAsString())
      .Run();
}

absl::Status Tables::On(const v1::AttemptPlaced& placed, const v1::Event& event) {
  v1::Prediction prediction = placed.prediction();
  if (!placed.has_prediction() && placed.placement().best_size() > 0) {
    prediction = placed.placement().best(0).prediction();  // The event is from an earlier version.
  }
  WATTLE_ASSIGN_OR_RETURN(
      Statement * insert,
      Prepared(
          "INSERT INTO attempts (attempt_id, job_id, device_id, fencing_token, state, reason, "
          "placed_unix_seconds, lease_seconds, predicted_run_seconds, "
          "predicted_run_energy_joules, placement) VALUES (?, ?, ?, ?, 'placed', ?, ?, ?, ?, ?, "
          "?)"));
  return insert->Bind(placed.attempt_id())
      .Bind(placed.job_id())
      .Bind(placed.device_id())
      .Bind(placed.fencing_token())
      .Bind(placed.placement().reason())
      .Bind(event.at_unix_seconds())
      .Bind(placed.lease_seconds())
      .Bind(prediction.run_seconds().mean())
      .Bind(prediction.run_energy_joules().mean())
      .BindBytes(placed.placement().SerializeAsString())
      .Run();
}

absl::Status Tables::On(const v1::AttemptAdopted& adopted, const v1::Event& event) {
  WATTLE_ASSIGN_OR_RETURN(Statement * update,
                          Prepared("UPDATE attempts SET state = 'superseded', reason = ?, "
                                   "ended_unix_seconds = ? WHERE attempt_id = ?"));
  return update->Bind(absl::StrCat("the result of ", adopted.attempt_id(), " arrived first"))
      .Bind(event.at_unix_seconds())
      .Bind(adopted.superseded_attempt_id())
      .Run();
}

absl::Status Tables::On(const v1::AttemptStateChanged& changed, const v1::Event& event) {
  WATTLE_ASSIGN_OR_RETURN(
      Statement * update,
      Prepared(
          "UPDATE attempts SET state = ?1, reason = ?2, ended_unix_seconds = CASE WHEN ?3 AND "
          "ended_unix_seconds IS NULL THEN ?4 ELSE ended_unix_seconds END WHERE attempt_id = ?5"));
  WATTLE_RETURN_IF_ERROR(update->Bind(LowerName(changed.state()))
                             .Bind(changed.reason())
                             .Bind(IsTerminal(changed.state()))
                             .Bind(event.at_unix_seconds())
                             .Bind(changed.attempt_id())
                             .Run());
  if (!changed.has_receipt()) {
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(
      Statement * receipt,
      Prepared("UPDATE attempts SET run_seconds = ?, run_energy_joules = ?, "
               "total_energy_joules = ?, energy_source = ? WHERE attempt_id = ?"));
  return receipt->Bind(changed.receipt().run().seconds())
      .Bind(changed.receipt().run().gross_energy_joules())
      .Bind(changed.receipt().total().gross_energy_joules())
      .Bind(LowerName(changed.receipt().total().source()))
      .Bind(changed.attempt_id())
      .Run();
}

absl::Status Tables::On(const v1::DeviceRegistered& registered, const v1::Event& event) {
  const v1::DeviceInfo& info = registered.info();
  WATTLE_ASSIGN_OR_RETURN(
      Statement * insert,
      Prepared(
          "INSERT INTO devices (device_id, name, device_class, emulated, incarnation, "
          "memory_bytes, battery_capacity_wh, registered_unix_seconds) VALUES (?1, ?2, ?3, ?4, "
          "?5, ?6, ?7, ?8) ON CONFLICT (device_id) DO UPDATE SET name = ?2, device_class = ?3, "
          "emulated = ?4, incarnation = ?5, memory_bytes = ?6, battery_capacity_wh = ?7, "
          "registered_unix_seconds = ?8"));
  return insert->Bind(info.device_id())
      .Bind(info.name())
      .Bind(info.device_class())
      .Bind(info.emulated())
      .Bind(registered.incarnation())
      .Bind(info.memory_bytes())
      .Bind(info.battery_capacity_wh())
      .Bind(event.at_unix_seconds())
      .Run();
}

absl::Status Tables::SetDrained(const std::string& device_id, bool drained) {
  WATTLE_ASSIGN_OR_RETURN(Statement * update,
                          Prepared("UPDATE devices SET drained = ? WHERE device_id = ?"));
  return update->Bind(drained).Bind(device_id).Run();
}

absl::Status Tables::On(const v1::LedgerRecorded& recorded, const v1::Event& event) {
  const v1::EnergyLedger& ledger = recorded.ledger();
  WATTLE_ASSIGN_OR_RETURN(Statement * insert,
                          Prepared("INSERT INTO energy_ledger VALUES (?, ?, ?, ?, ?, ?, ?)"));
  return insert->Bind(recorded.device_id())
      .Bind(event.sequence())
      .Bind(event.at_unix_seconds())
      .Bind(ledger.attempt_energy_joules())
      .Bind(ledger.idle_energy_joules())
      .Bind(ledger.overhead_energy_joules())
      .Bind(ledger.missing_energy_joules())
      .Run();
}

absl::Status Tables::On(const v1::ProfileUpdated& updated, const v1::Event&) {
  for (const v1::ProfileRow& row : updated.rows()) {
    WATTLE_ASSIGN_OR_RETURN(
        Statement * insert,
        Prepared(
            "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    WATTLE_RETURN_IF_ERROR(insert->Bind(row.device_class())
                               .Bind(row.device_id())
                               .Bind(row.emulated())
                               .Bind(row.power_mode())
                               .BindBytes(row.signature().SerializeAsString())
                               .Bind(LowerName(row.unit()))
                               .Bind(LowerName(row.signature().method()))
                               .Bind(int64_t{row.signature().batch_size()})
                               .Bind(int64_t{row.signature().sequence_length()})
                               .Bind(row.seconds_per_unit().mean())
                               .Bind(row.power_watts().mean())
                               .Bind(row.energy_joules_per_unit().mean())
                               .Bind(row.seconds_per_unit().count())
                               .Bind(row.updated_unix_seconds())
                               .Run());
  }
  return absl::OkStatus();
}

}  // namespace wattle::store
