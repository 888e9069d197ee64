// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// WorkerReport: a device's durable facts, each taken exactly once. The high-water mark is an event
// in the same batch as what the report caused. Pure.
#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "coordinator/core/draft_internal.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

int64_t MarkOf(const v1::DeviceRecord& record, int64_t incarnation) {
  for (const v1::ReportMark& mark : record.marks()) {
    if (mark.incarnation() == incarnation) {
      return mark.sequence();
    }
  }
  return 0;
}

v1::EnergyLedger Sum(const v1::EnergyLedger& base, const v1::EnergyLedger& reported) {
  v1::EnergyLedger sum;
  sum.set_attempt_energy_joules(base.attempt_energy_joules() + reported.attempt_energy_joules());
  sum.set_idle_energy_joules(base.idle_energy_joules() + reported.idle_energy_joules());
  sum.set_overhead_energy_joules(base.overhead_energy_joules() + reported.overhead_energy_joules());
  sum.set_missing_energy_joules(base.missing_energy_joules() + reported.missing_energy_joules());
  sum.set_at_unix_seconds(reported.at_unix_seconds());
  return sum;
}

bool WentBack(const v1::EnergyLedger& from, const v1::EnergyLedger& to) {
  return to.attempt_energy_joules() < from.attempt_energy_joules() ||
         to.idle_energy_joules() < from.idle_energy_joules() ||
         to.overhead_energy_joules() < from.overhead_energy_joules();
}

// The attempt a fact is about, with its job; or why the fact changes nothing.
struct Subject {
  const v1::Job* job = nullptr;
  const v1::Attempt* attempt = nullptr;
  std::string refusal;
};

class ReportDecider {
 public:
  ReportDecider(Draft& draft, const WorkerReport& command)
      : draft_(draft),
        device_(command.device),
        report_(command.report),
        incarnation_(command.incarnation) {}

  // Returns the note of ReportAccepted: why nothing changed, or empty.
  std::string Take() {
    switch (report_.fact_case()) {
      case v1::Report::kAccepted:
        return Progressed(report_.accepted(), v1::ATTEMPT_STATE_FETCHING, "accepted by the device");
      case v1::Report::kStarted:
        return Progressed(report_.started(), v1::ATTEMPT_STATE_RUNNING,
                          report_.started().from_step() == 0
                              ? "running"
                              : absl::StrCat("resumed at step ", report_.started().from_step()));
      case v1::Report::kPaused:
        return Progressed(report_.paused(), v1::ATTEMPT_STATE_PAUSED, report_.paused().reason());
      case v1::Report::kFinished:
        return Finished(report_.finished());
      case v1::Report::kFailed:
        return Failed(report_.failed());
      case v1::Report::kStopped:
        return Stopped(report_.stopped());
      case v1::Report::kLedger:
        return Ledger(report_.ledger());
      case v1::Report::FACT_NOT_SET:
        break;
    }
    return "a fact that this version does not know";
  }

 private:
  template <typename Fact>
  [[nodiscard]] Subject SubjectOf(const Fact& fact) const {
    Subject subject;
    subject.attempt = FindAttempt(draft_.state(), AttemptId(fact.attempt_id()));
    if (subject.attempt == nullptr) {
      subject.refusal = absl::StrCat("unknown attempt ", fact.attempt_id());
      return subject;
    }
    subject.job = &FindJob(draft_.state(), JobId(subject.attempt->job_id()))->job();
    if (subject.attempt->device_id() != device_.value()) {
      subject.refusal = absl::StrCat(fact.attempt_id(), " is placed on another device");
    } else if (subject.attempt->fencing_token() != fact.fencing_token()) {
      subject.refusal = absl::StrCat("token ", fact.fencing_token(), " of ", fact.attempt_id(),
                                     ", want ", subject.attempt->fencing_token());
    }
    return subject;
  }

  // The device is told again what it shall hold: it holds something else.
  std::string Ignore(const std::string& why) {
    draft_.decision().effects.emplace_back(DesiredSetChanged{device_});
    return why;
  }

  template <typename Fact>
  std::string Progressed(const Fact& fact, v1::AttemptState state, const std::string& reason) {
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    if (IsTerminal(subject.attempt->state())) {
      return Ignore(absl::StrCat(fact.attempt_id(), " has ended: ", subject.attempt->reason()));
    }
    draft_.SetAttempt(*subject.attempt, state, reason, nullptr);
    return "";
  }

  // The worker's receipt with what the coordinator knows better.
  [[nodiscard]] v1::Receipt Complete(const v1::Receipt& receipt, const v1::Attempt& attempt) const {
    v1::Receipt complete = receipt;
    complete.set_attempt_id(attempt.attempt_id());
    complete.set_device_id(device_.value());
    if (!complete.has_predicted() && attempt.placement().best_size() > 0) {
      *complete.mutable_predicted() = attempt.placement().best(0).prediction();
    }
    return complete;
  }

  // Joules of an attempt that had already ended for the coordinator: booked, its state stays.
  std::string BookLate(const Subject& subject, const v1::Receipt& receipt, const char* what) {
    const v1::Attempt& attempt = *subject.attempt;
    if (attempt.receipt().has_total()) {
      return Ignore(absl::StrCat(attempt.attempt_id(), " has a receipt already"));
    }
    v1::Receipt complete = Complete(receipt, attempt);
    if (attempt.state() == v1::ATTEMPT_STATE_FAILED) {
      complete.set_failure_class(attempt.receipt().failure_class());
      complete.set_failure_message(attempt.receipt().failure_message());
    }
    draft_.SetAttempt(attempt, attempt.state(), attempt.reason(), &complete);
    return absl::StrCat("late: ", attempt.attempt_id(), " ", what, "; its energy is booked");
  }

  std::string Finished(const v1::AttemptFinished& fact) {
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    const v1::Attempt& attempt = *subject.attempt;
    const v1::Job& job = *subject.job;
    const bool late = IsTerminal(attempt.state());
    const bool adoptable = attempt.state() == v1::ATTEMPT_STATE_SUPERSEDED &&
                           !IsTerminal(job.state()) && !attempt.receipt().has_total();
    if (late && !adoptable) {
      return BookLate(subject, fact.receipt(), "finished");
    }
    const std::string& output = fact.output().artifact_id();
    if (!output.empty() && !draft_.state().artifacts.contains(ArtifactId(output))) {
      // The artifact store never saw it, although the device says so: its upload is lost.
      v1::AttemptFailed lost;
      lost.set_attempt_id(fact.attempt_id());
      lost.set_fencing_token(fact.fencing_token());
      lost.set_failure_class(v1::FAILURE_CLASS_LINK);
      lost.set_message(absl::StrCat("the coordinator does not have the result ", output));
      *lost.mutable_receipt() = fact.receipt();
      return late ? BookLate(subject, fact.receipt(), "finished without a result") : Failed(lost);
    }
    if (late) {
      const v1::Attempt* newer = LiveAttempt(job);
      v1::AttemptAdopted& adopted = *draft_.Add().mutable_attempt_adopted();
      adopted.set_attempt_id(attempt.attempt_id());
      adopted.set_superseded_attempt_id(newer == nullptr ? "" : newer->attempt_id());
    }
    v1::Receipt receipt = Complete(fact.receipt(), attempt);
    receipt.set_output_artifact_id(output);
    if (receipt.has_work()) {
      CompleteWork(job, *receipt.mutable_work());
    }
    draft_.SetAttempt(attempt, v1::ATTEMPT_STATE_FINISHED,
                      late ? "finished late, its result was adopted" : "finished", &receipt);
    Learn(receipt);
    draft_.EndJob(job, v1::JOB_STATE_SUCCEEDED,
                  absl::StrCat("finished on ", DeviceName(draft_.state(), device_.value())),
                  output);
    return "";
  }

  // A runner counts tokens; the bytes of a token follow from what is known of the data.
  void CompleteWork(const v1::Job& job, v1::WorkDone& work) const {
    for (const v1::ResolvedInput& input : job.inputs()) {
      const auto data = draft_.state().artifacts.find(ArtifactId(input.artifact_id()));
      if (input.field() == "data" && work.bytes_per_token() == 0 &&
          data != draft_.state().artifacts.end()) {
        work.set_bytes_per_token(scheduler::BytesPerTokenOf(work, data->second.dataset()));
      }
    }
  }

  void Learn(const v1::Receipt& receipt) {
    const v1::DeviceInfo& info = FindDevice(draft_.state(), device_)->info();
    scheduler::ProfileTable table;
    for (const auto& [key, row] : draft_.state().profile_rows) {
      if (row.device_class() == info.device_class()) {
        // Rows in the state were checked when they were learned.
        (void)table.Put(row);
      }
    }
    const auto rows = scheduler::LearnFromReceipt(table, info, receipt, draft_.now());
    if (rows.empty()) {
      return;
    }
    v1::ProfileUpdated& updated = *draft_.Add().mutable_profile_updated();
    for (const v1::ProfileRow& row : rows) {
      *updated.add_rows() = row;
    }
  }

  std::string Failed(const v1::AttemptFailed& fact) {
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    if (IsTerminal(subject.attempt->state())) {
      return BookLate(subject, fact.receipt(), "failed");
    }
    // A worker that names no class found a fault it cannot place: the device's.
    const v1::FailureClass failure_class = fact.failure_class() == v1::FAILURE_CLASS_UNSPECIFIED
                                               ? v1::FAILURE_CLASS_DEVICE
                                               : fact.failure_class();
    v1::Receipt receipt = Complete(fact.receipt(), *subject.attempt);
    receipt.set_failure_class(failure_class);
    receipt.set_failure_message(fact.message());
    draft_.SetAttempt(*subject.attempt, v1::ATTEMPT_STATE_FAILED, fact.message(), &receipt);
    draft_.AfterFailure(*subject.job, failure_class, fact.message(), device_.value());
    return "";
  }

  std::string Stopped(const v1::AttemptStopped& fact) {
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    if (IsTerminal(subject.attempt->state())) {
      return BookLate(subject, fact.receipt(), "stopped");
    }
    const v1::DeviceRecord& device = *FindDevice(draft_.state(), device_);
    const std::string reason = device.drained()
                                   ? absl::StrCat("stopped, ", device.info().name(), " is drained")
                                   : absl::StrCat("stopped by ", device.info().name());
    const v1::Receipt receipt = Complete(fact.receipt(), *subject.attempt);
    draft_.SetAttempt(*subject.attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, &receipt);
    draft_.Requeue(subject.job->job_id(), reason, draft_.now());
    return "";
  }

  std::string Ledger(const v1::EnergyLedger& ledger) {
    for (const double joules : {ledger.attempt_energy_joules(), ledger.idle_energy_joules(),
                                ledger.overhead_energy_joules(), ledger.missing_energy_joules()}) {
      if (!(joules >= 0.0) || std::isinf(joules)) {
        return "ledger: negative or not a number";
      }
    }
    const v1::DeviceRecord& record = *FindDevice(draft_.state(), device_);
    v1::EnergyLedger base = record.ledger_base();
    v1::EnergyLedger total = Sum(base, ledger);
    if (WentBack(record.ledger(), total)) {
      if (record.ledger_incarnation() == incarnation_) {
        return "ledger: went back";
      }
      // A new spool, and the device counts anew: what it had spent before stays in the sum.
      base = record.ledger();
      total = Sum(base, ledger);
    }
    v1::LedgerRecorded& recorded = *draft_.Add().mutable_ledger_recorded();
    recorded.set_device_id(device_.value());
    *recorded.mutable_ledger() = total;
    *recorded.mutable_base() = base;
    recorded.set_incarnation(incarnation_);
    return "";
  }

  Draft& draft_;
  const DeviceId& device_;
  const v1::Report& report_;
  int64_t incarnation_;
};

}  // namespace

void DecideReport(Draft& draft, const WorkerReport& command) {
  const v1::DeviceRecord* record = FindDevice(draft.state(), command.device);
  if (record == nullptr || command.incarnation == 0) {
    draft.Refuse(absl::FailedPreconditionError(
        absl::StrCat("report of ", command.device.value(), " without a hello before it")));
    return;
  }
  const int64_t mark = MarkOf(*record, command.incarnation);
  const int64_t sequence = command.report.sequence();
  if (sequence <= mark) {
    // Repeated: its acknowledgement was lost.
    draft.decision().effects.emplace_back(Acknowledge{command.device, command.incarnation, mark});
    return;
  }
  if (sequence != mark + 1) {
    draft.Refuse(
        absl::OutOfRangeError(absl::StrCat("report ", sequence, " of ", command.device.value(),
                                           ": ", mark + 1, " is missing; send again from there")));
    draft.decision().effects.emplace_back(Acknowledge{command.device, command.incarnation, mark});
    return;
  }
  const std::string note = ReportDecider(draft, command).Take();
  v1::ReportAccepted& accepted = *draft.Add().mutable_report_accepted();
  accepted.set_device_id(command.device.value());
  accepted.set_incarnation(command.incarnation);
  accepted.set_sequence(sequence);
  accepted.set_note(note);
}

}  // namespace wattle::core
