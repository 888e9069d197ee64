// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// WorkerReport: accepts each durable fact of a device exactly once. The high-water mark is an event
// in the same batch as the report's other events, so that a crash keeps both or neither. Pure.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/device_artifacts.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/lineage_internal.h"
#include "coordinator/core/model_family_internal.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/profiling.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/rests_at_begin.h"
#include "coordinator/core/state.h"
#include "proto/did_work.h"
#include "proto/job_kind.h"
#include "proto/report_digest.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/processor.h"
#include "scheduler/profiles/profile_table.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// A device that cannot measure its harvest sends none, and a faulty one may send anything.
bool IsHarvestOfADay(const v1::EnergyLedger& ledger) {
  const auto& hours = ledger.harvest_power_watts_by_hour();
  return hours.size() == 24 &&
         std::all_of(hours.begin(), hours.end(), [](double watts) { return std::isfinite(watts); });
}

v1::EnergyLedger Sum(const v1::EnergyLedger& base, const v1::EnergyLedger& reported) {
  v1::EnergyLedger sum;
  sum.set_attempt_energy_joules(base.attempt_energy_joules() + reported.attempt_energy_joules());
  sum.set_idle_energy_joules(base.idle_energy_joules() + reported.idle_energy_joules());
  sum.set_overhead_energy_joules(base.overhead_energy_joules() + reported.overhead_energy_joules());
  sum.set_missing_energy_joules(base.missing_energy_joules() + reported.missing_energy_joules());
  sum.set_implausible_readings(base.implausible_readings() + reported.implausible_readings());
  sum.set_at_unix_seconds(reported.at_unix_seconds());
  sum.set_counter_id(reported.counter_id());
  if (IsHarvestOfADay(reported)) {
    *sum.mutable_harvest_power_watts_by_hour() = reported.harvest_power_watts_by_hour();
  }
  return sum;
}

bool WentBack(const v1::EnergyLedger& from, const v1::EnergyLedger& to) {
  return to.attempt_energy_joules() < from.attempt_energy_joules() ||
         to.idle_energy_joules() < from.idle_energy_joules() ||
         to.overhead_energy_joules() < from.overhead_energy_joules();
}

// The attempt and the job of a fact; or the reason why the fact changes nothing.
struct Subject {
  const v1::Job* job = nullptr;
  const v1::Attempt* attempt = nullptr;
  std::string refusal;
};

class ReportDecider {
 public:
  ReportDecider(DecisionBuilder& builder, const WorkerReport& command)
      : builder_(builder),
        device_(command.device),
        report_(command.report),
        output_signature_(command.output_signature),
        incarnation_(command.incarnation) {}

  // Returns the note of ReportAccepted: why nothing changed, or empty.
  std::string Take() {
    switch (report_.fact_case()) {
      case v1::Report::kAccepted:
        return Progressed(report_.accepted(), v1::ATTEMPT_STATE_FETCHING,
                          ReasonOfAccepted(AttemptId(report_.accepted().attempt_id())), 0);
      case v1::Report::kStarted:
        return Progressed(report_.started(), v1::ATTEMPT_STATE_RUNNING,
                          report_.started().from_step() == 0
                              ? "running"
                              : absl::StrCat("resumed at step ", report_.started().from_step()),
                          report_.started().from_step());
      case v1::Report::kPaused:
        return Progressed(report_.paused(), v1::ATTEMPT_STATE_PAUSED,
                          ToldText(report_.paused().reason()), report_.paused().checkpoint_step());
      case v1::Report::kFinished:
        return Finished(report_.finished());
      case v1::Report::kFailed:
        return Failed(report_.failed());
      case v1::Report::kStopped:
        return Stopped(report_.stopped());
      case v1::Report::kLedger:
        return Ledger(report_.ledger());
      case v1::Report::kUpgradeEnded:
        return DecideUpgradeEnded(builder_, device_, report_.upgrade_ended());
      case v1::Report::FACT_NOT_SET:
        break;
    }
    v1::ReportStored& stored = *builder_.Add().mutable_report_stored();
    stored.set_device_id(device_.value());
    stored.set_incarnation(incarnation_);
    stored.set_sequence(report_.sequence());
    stored.set_report(report_.SerializeAsString());
    return "this version does not know the fact; the journal keeps it unchanged";
  }

 private:
  [[nodiscard]] std::string ReasonOfAccepted(const AttemptId& id) const {
    const v1::Attempt* const attempt = FindAttempt(builder_.state(), id);
    return attempt != nullptr && IsQueued(builder_.state(), *attempt)
               ? absl::StrCat("accepted, waits behind ", AheadOf(builder_.state(), *attempt))
               : "accepted by the device";
  }

  template <typename Fact>
  [[nodiscard]] Subject SubjectOf(const Fact& fact) const {
    Subject subject;
    subject.attempt = FindAttempt(builder_.state(), AttemptId(fact.attempt_id()));
    if (subject.attempt == nullptr) {
      subject.refusal = absl::StrCat("unknown attempt ", fact.attempt_id());
      return subject;
    }
    subject.job = &FindJob(builder_.state(), JobId(subject.attempt->job_id()))->job();
    if (subject.attempt->device_id() != device_.value()) {
      subject.refusal = absl::StrCat(fact.attempt_id(), " is placed on another device");
    } else if (subject.attempt->fencing_token() != fact.fencing_token()) {
      subject.refusal = absl::StrCat("token ", fact.fencing_token(), " of ", fact.attempt_id(),
                                     ", want ", subject.attempt->fencing_token());
    }
    return subject;
  }

  // The device's state differs from its desired set, so the device gets the set again.
  std::string Ignore(const std::string& why) {
    builder_.decision().effects.emplace_back(DesiredSetChanged{device_});
    return why;
  }

  template <typename Fact>
  std::string Progressed(const Fact& fact, v1::AttemptState state, const std::string& reason,
                         int64_t reached_step) {
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    if (IsTerminal(subject.attempt->state())) {
      return Ignore(absl::StrCat(fact.attempt_id(), " has ended: ", subject.attempt->reason()));
    }
    v1::AttemptStateChanged& changed =
        builder_.SetAttempt(*subject.attempt, state, reason, nullptr, reached_step);
    if (state == v1::ATTEMPT_STATE_RUNNING) {
      if (const auto rest = RestSecondsAtBegin(builder_.state(), builder_.observations(),
                                               *subject.attempt, builder_.now())) {
        changed.set_rest_seconds(*rest);
      }
    }
    return "";
  }

  // Whether the store has the artifact as an upload for this job.
  [[nodiscard]] bool Has(const v1::Job& job, const std::string& artifact) const {
    return IsUploadedFor(builder_.state(), job, ArtifactId(artifact));
  }

  // The worker's receipt, completed with the coordinator's own data.
  [[nodiscard]] v1::Receipt Complete(const v1::Receipt& receipt, const v1::Attempt& attempt) const {
    v1::Receipt complete = receipt;
    complete.set_attempt_id(attempt.attempt_id());
    complete.set_device_id(device_.value());
    complete.clear_row_move();
    complete.clear_profile_point();
    if (attempt.has_profile_point()) {
      *complete.mutable_profile_point() = attempt.profile_point();
    }
    if (!complete.has_predicted() && attempt.has_prediction()) {
      *complete.mutable_predicted() = attempt.prediction();
    }
    if (WATTLE_FAULT_POINT("score of the future") && complete.work().units() > 0) {
      complete.mutable_predicted()->set_seconds_per_unit(complete.run().seconds() /
                                                         complete.work().units());
    }
    AddProbed(builder_.state(), attempt, complete);
    if (attempt.has_model_choice()) {
      *complete.mutable_model_choice() = attempt.model_choice();
    }
    return complete;
  }

  // Books the joules of an attempt that the coordinator has already ended. The attempt keeps its
  // state.
  std::string BookLate(const Subject& subject, const v1::Receipt& receipt, const char* what) {
    const v1::Attempt& attempt = *subject.attempt;
    if (attempt.receipt().has_total()) {
      return Ignore(absl::StrCat(attempt.attempt_id(), " has a receipt already"));
    }
    if (!DidWork(receipt)) {
      return Ignore(absl::StrCat("late: ", attempt.attempt_id(), " ", what, ", and did no work"));
    }
    v1::Receipt complete = Complete(receipt, attempt);
    if (attempt.state() == v1::ATTEMPT_STATE_FAILED) {
      complete.set_failure_class(attempt.receipt().failure_class());
      complete.set_failure_message(attempt.receipt().failure_message());
    }
    builder_.SetAttempt(attempt, attempt.state(), attempt.reason(), &complete);
    return absl::StrCat("late: ", attempt.attempt_id(), " ", what, "; its energy is booked");
  }

  // Accepts the end of an attempt that was placed after the backup of which this journal is a copy.
  // The attempt is recorded, so that its joules count. Its result is adopted if the store has it.
  template <typename Fact>
  std::string RecoverEnd(const Fact& fact, v1::AttemptState end, const std::string& output) {
    const AttemptId id(fact.attempt_id());
    const v1::JobRecord* record = FindJob(builder_.state(), JobId(JobIdOf(id)));
    if (record == nullptr) {
      NoteUnknownJob(builder_, device_.value(), fact);
      return absl::StrCat(id.value(),
                          " was placed before the restore, and its job is not open here");
    }
    const v1::Job& job = record->job();
    if (!MayHaveLostAttempts(builder_.state(), job)) {
      return Ignore(absl::StrCat(id.value(), ": ", job.job_id(), " is younger than the restore"));
    }
    v1::AttemptRecovered& recovered = *builder_.Add().mutable_attempt_recovered();
    recovered.set_attempt_id(id.value());
    recovered.set_job_id(job.job_id());
    recovered.set_device_id(device_.value());
    recovered.set_fencing_token(fact.fencing_token());
    recovered.set_state(end);
    v1::Attempt attempt;
    attempt.set_attempt_id(id.value());
    attempt.set_job_id(job.job_id());
    attempt.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
    const bool finished = end == v1::ATTEMPT_STATE_FINISHED;
    const bool output_there = output.empty() || Has(job, output);
    if (finished && output_there && !IsTerminal(job.state())) {
      Adopt(job, attempt, fact.receipt(), output, "finished before the restore");
      NoteTakenInAgain(job, fact);
      return "";
    }
    const v1::Receipt receipt = Complete(fact.receipt(), attempt);
    builder_.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, "ended before the restore",
                        &receipt);
    if (finished && !IsTerminal(job.state())) {
      NoteFinding(builder_, device_.value(), fact, false,
                  absl::StrCat(job.job_id(), " had finished on ",
                               DeviceName(builder_.state(), device_.value()), ", but its result ",
                               output, " is not in the restored store: the job runs again"));
    }
    return absl::StrCat(id.value(), " was placed before the restore; its energy is booked");
  }

  template <typename Fact>
  void NoteTakenInAgain(const v1::Job& job, const Fact& fact) {
    NoteFinding(builder_, device_.value(), fact, true,
                absl::StrCat(job.job_id(), " had finished on ",
                             DeviceName(builder_.state(), device_.value()),
                             "; its result was taken in again"));
  }

  // Makes the result of an attempt that the coordinator has already ended the job's result.
  void Adopt(const v1::Job& job, const v1::Attempt& attempt, const v1::Receipt& told,
             const std::string& output, const std::string& reason) {
    // A live attempt would repeat finished work, so the adopted result supersedes it.
    const v1::Attempt* newer = LiveAttempt(job);
    v1::AttemptAdopted& adopted = *builder_.Add().mutable_attempt_adopted();
    adopted.set_attempt_id(attempt.attempt_id());
    adopted.set_superseded_attempt_id(newer == nullptr ? "" : newer->attempt_id());
    Succeed(job, attempt, told, output, reason);
  }

  void Succeed(const v1::Job& job, const v1::Attempt& attempt, const v1::Receipt& told,
               const std::string& output, const std::string& reason) {
    v1::Receipt receipt = Complete(told, attempt);
    receipt.set_output_artifact_id(output);
    if (receipt.has_work()) {
      CompleteWork(job, *receipt.mutable_work());
    }
    // A signature vouches for everything that went into the model, so its inputs must be trusted
    // too.
    if (output_signature_.ByteSizeLong() > 0 && KindOf(job.spec()).makes_model &&
        TrustsInputs(job, attempt)) {
      AddSignature(builder_, ArtifactId(output), output_signature_, "the coordinator");
    }
    // Learns before the receipt is stored, because the receipt states how far the rows moved.
    const std::vector<v1::ProfileRow> learned = LearnFrom(receipt, job, attempt);
    if (!learned.empty()) {
      *receipt.mutable_row_move() = scheduler::MoveOf(builder_.state().profiles, learned);
    }
    builder_.SetAttempt(attempt, v1::ATTEMPT_STATE_FINISHED, reason, &receipt);
    if (!learned.empty()) {
      builder_.Add().mutable_profile_updated()->mutable_rows()->Assign(learned.begin(),
                                                                       learned.end());
    }
    if (IsProfile(job.spec())) {
      builder_.Requeue(job.job_id(), OutcomeOfRun(attempt, receipt, !learned.empty()));
      return;
    }
    RecordMeasurement(builder_, job, receipt, output);
    std::string how = absl::StrCat("finished on ", DeviceName(builder_.state(), device_.value()));
    const v1::JobRecord& record = *FindJob(builder_.state(), JobId(job.job_id()));
    const absl::Duration late =
        JobAge(builder_.state(), builder_.observations(), record, builder_.now().monotonic) -
        absl::Seconds(job.spec().deadline_seconds());
    if (job.spec().deadline_seconds() > 0.0 && late > absl::ZeroDuration()) {
      absl::StrAppend(&how, ", ", FormatElapsed(late), " after its deadline");
    }
    builder_.EndJob(job, v1::JOB_STATE_SUCCEEDED, how, output);
  }

  // A job from before signatures were required may have used an unsigned model; its output is then
  // not signed either.
  [[nodiscard]] bool TrustsInputs(const v1::Job& job, const v1::Attempt& attempt) const {
    const auto trusts = [this](const std::string& id) {
      const v1::ArtifactInfo* const model = builder_.state().artifacts.Find(ArtifactId(id));
      return model != nullptr && builder_.observations().check_model &&
             builder_.observations().check_model(*model).ok();
    };
    return std::all_of(job.inputs().begin(), job.inputs().end(),
                       [&](const v1::ResolvedInput& input) {
                         return !IsModelField(input.field()) || trusts(input.artifact_id());
                       }) &&
           (!attempt.has_model_choice() || trusts(attempt.model_choice().artifact_id()));
  }

  std::string Finished(const v1::AttemptFinished& fact) {
    if (IsBeforeRestore(builder_.state(), fact)) {
      return RecoverEnd(fact, v1::ATTEMPT_STATE_FINISHED, fact.output().artifact_id());
    }
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    const v1::Attempt& attempt = *subject.attempt;
    const v1::Job& job = *subject.job;
    const bool late = IsTerminal(attempt.state()) && !WATTLE_FAULT_POINT("token check");
    const std::string& output = fact.output().artifact_id();
    // After a restore an end may be reported twice: at once, and again once its result has arrived.
    const bool returned =
        EpochOf(FencingToken(fact.fencing_token())) < EpochOf(builder_.state()) && Has(job, output);
    // A superseded attempt may still bring the job's result, as long as the job is open.
    const bool superseded = attempt.state() == v1::ATTEMPT_STATE_SUPERSEDED;
    const bool adoptable = !IsTerminal(job.state()) &&
                           (returned ? superseded || attempt.state() == v1::ATTEMPT_STATE_FAILED
                                     : superseded && !attempt.receipt().has_total());
    if (late && !adoptable) {
      return BookLate(subject, fact.receipt(), "finished");
    }
    if (output.empty() && KindOf(job.spec()).makes_model) {
      v1::AttemptFailed lost;
      lost.set_attempt_id(fact.attempt_id());
      lost.set_fencing_token(fact.fencing_token());
      lost.set_failure_class(v1::FAILURE_CLASS_DEVICE);
      lost.set_message("the run ended without its result files");
      *lost.mutable_receipt() = fact.receipt();
      return late ? BookLate(subject, fact.receipt(), "finished without a result") : Failed(lost);
    }
    if (!output.empty() && !Has(job, output)) {
      // The device uploaded the result, but the store lacks it: the upload is lost. Or the device
      // names another job's artifact as its result.
      v1::AttemptFailed lost;
      lost.set_attempt_id(fact.attempt_id());
      lost.set_fencing_token(fact.fencing_token());
      lost.set_failure_class(v1::FAILURE_CLASS_LINK);
      lost.set_message(absl::StrCat("the coordinator does not have the result ", output));
      if (EpochOf(FencingToken(fact.fencing_token())) < EpochOf(builder_.state())) {
        NoteFinding(builder_, device_.value(), fact, false,
                    absl::StrCat(job.job_id(), " had finished on ",
                                 DeviceName(builder_.state(), device_.value()), ", but its result ",
                                 output, " is not in the restored store: the job runs again"));
      }
      *lost.mutable_receipt() = fact.receipt();
      return late ? BookLate(subject, fact.receipt(), "finished without a result") : Failed(lost);
    }
    if (late) {
      Adopt(job, attempt, fact.receipt(), output, "finished late, its result was adopted");
      if (returned) {
        NoteTakenInAgain(job, fact);
      }
    } else {
      Succeed(job, attempt, fact.receipt(), output, "finished");
    }
    return "";
  }

  // A runner counts tokens. The bytes per token follow from the data set's record.
  void CompleteWork(const v1::Job& job, v1::WorkDone& work) const {
    const v1::ArtifactInfo* const data = InputOf(job, "data");
    const v1::ArtifactInfo* const model = InputOf(job, kModelInput);
    if (work.bytes_per_token() == 0 && data != nullptr) {
      work.set_bytes_per_token(scheduler::BytesPerTokenOf(
          work, data->dataset(),
          model != nullptr && model->has_chat_template() ? &model->chat_template() : nullptr));
    }
  }

  // The artifact of the job's input; null if there is none, or it was removed.
  [[nodiscard]] const v1::ArtifactInfo* InputOf(const v1::Job& job, absl::string_view field) const {
    const v1::ResolvedInput* const input = FindInput(job, field);
    return input == nullptr ? nullptr
                            : builder_.state().artifacts.Find(ArtifactId(input->artifact_id()));
  }

  [[nodiscard]] std::vector<v1::ProfileRow> LearnFrom(const v1::Receipt& receipt,
                                                      const v1::Job& job,
                                                      const v1::Attempt& attempt) const {
    if (IsRevoked(builder_.state(), device_)) {
      return {};
    }
    const v1::DeviceRecord& record = *FindDevice(builder_.state(), device_);
    v1::DeviceInfo info = scheduler::ProcessorOf(record.info(), receipt.on_cpu());
    if (record.registered_unix_seconds() > attempt.placed_unix_seconds()) {
      info.clear_power_modes();  // The numbers may have differed when the run was placed.
    }
    const v1::ResolvedInput* const model = FindInput(job, kModelInput);
    return scheduler::LearnFromReceipt(
        builder_.state().profiles, info, receipt, builder_.now().wall,
        attempt.has_model_choice() ? attempt.model_choice().artifact_id()
                                   : (model == nullptr ? "" : model->artifact_id()));
  }

  std::string Failed(const v1::AttemptFailed& fact) {
    if (IsBeforeRestore(builder_.state(), fact)) {
      return RecoverEnd(fact, v1::ATTEMPT_STATE_FAILED, "");
    }
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    if (IsTerminal(subject.attempt->state())) {
      return BookLate(subject, fact.receipt(), "failed");
    }
    // A worker that names no class could not classify the fault; the device counts as the cause.
    const v1::FailureClass failure_class = fact.failure_class() == v1::FAILURE_CLASS_UNSPECIFIED
                                               ? v1::FAILURE_CLASS_DEVICE
                                               : fact.failure_class();
    v1::Receipt receipt = Complete(fact.receipt(), *subject.attempt);
    receipt.set_failure_class(failure_class);
    const std::string message = ToldText(fact.message());
    receipt.set_failure_message(message);
    builder_.SetAttempt(*subject.attempt, v1::ATTEMPT_STATE_FAILED, message, &receipt,
                        fact.checkpoint_step());
    builder_.AfterFailure(*subject.job,
                          {failure_class, device_.value(),
                           std::max(fact.checkpoint_step(), subject.attempt->reached_step())},
                          message);
    return "";
  }

  // The checkpoint belongs to the job whatever the attempt's state, because its steps count from
  // the start of the job.
  void TakeCheckpoint(const Subject& subject, const v1::AttemptStopped& fact) {
    const std::string& artifact = fact.checkpoint().artifact_id();
    const v1::JobRecord& record = *FindJob(builder_.state(), JobId(subject.job->job_id()));
    if (artifact.empty() || IsTerminal(subject.job->state()) || !Has(*subject.job, artifact) ||
        fact.checkpoint_step() <= record.checkpoint().step()) {
      return;
    }
    v1::JobCheckpointStored& stored = *builder_.Add().mutable_job_checkpoint_stored();
    stored.set_job_id(subject.job->job_id());
    stored.set_attempt_id(fact.attempt_id());
    stored.set_artifact_id(artifact);
    stored.set_step(fact.checkpoint_step());
  }

  std::string Stopped(const v1::AttemptStopped& fact) {
    if (IsBeforeRestore(builder_.state(), fact)) {
      return RecoverEnd(fact, v1::ATTEMPT_STATE_SUPERSEDED, "");
    }
    const Subject subject = SubjectOf(fact);
    if (!subject.refusal.empty()) {
      return Ignore(subject.refusal);
    }
    TakeCheckpoint(subject, fact);
    if (IsTerminal(subject.attempt->state())) {
      return BookLate(subject, fact.receipt(), "stopped");
    }
    const v1::Attempt& attempt = *subject.attempt;
    const v1::DeviceRecord& device = *FindDevice(builder_.state(), device_);
    std::string reason = absl::StrCat("stopped by ", device.info().name());
    absl::Duration backoff = absl::ZeroDuration();
    if (device.drained()) {
      reason = absl::StrCat("stopped, ", device.info().name(), " is drained");
    } else if (attempt.released()) {
      reason = attempt.reason();
    } else {
      backoff = BackoffAfterStop(
          *subject.job, {v1::FAILURE_CLASS_UNSPECIFIED, device_.value(), fact.checkpoint_step()});
    }
    const v1::Receipt receipt = Complete(fact.receipt(), attempt);
    builder_.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason,
                        DidWork(receipt) ? &receipt : nullptr, fact.checkpoint_step());
    builder_.Requeue(subject.job->job_id(), reason, backoff);
    return "";
  }

  // Adds joules that a device counts from zero to the device's earlier sum. A new counter_id means
  // that the device began a new count. A device of version 0.1 sends no counter_id; there a new
  // spool and a smaller sum mean the same.
  std::string Ledger(const v1::EnergyLedger& ledger) {
    for (const double joules : {ledger.attempt_energy_joules(), ledger.idle_energy_joules(),
                                ledger.overhead_energy_joules(), ledger.missing_energy_joules()}) {
      if (!(joules >= 0.0) || std::isinf(joules)) {
        return "ledger: negative or not a number";
      }
    }
    const v1::DeviceRecord& record = *FindDevice(builder_.state(), device_);
    v1::EnergyLedger base = record.ledger_base();
    v1::EnergyLedger total = Sum(base, ledger);
    const bool names_counter = ledger.counter_id() != 0 && record.ledger().counter_id() != 0;
    if (names_counter && ledger.counter_id() == base.counter_id() &&
        ledger.counter_id() != record.ledger().counter_id()) {
      // A worker with renumbered reports may repeat those of the previous counter.
      return "ledger: of a counter that a later one has replaced";
    }
    const bool anew = names_counter ? ledger.counter_id() != record.ledger().counter_id()
                                    : WentBack(record.ledger(), total) &&
                                          (record.ledger_incarnation() != incarnation_ ||
                                           ledger.counter_id() != 0);
    if (anew) {
      base = record.ledger();
      total = Sum(base, ledger);
    } else if (WentBack(record.ledger(), total)) {
      return "ledger: went back";
    }
    v1::LedgerRecorded& recorded = *builder_.Add().mutable_ledger_recorded();
    recorded.set_device_id(device_.value());
    *recorded.mutable_ledger() = std::move(total);
    *recorded.mutable_base() = std::move(base);
    recorded.set_incarnation(incarnation_);
    return "";
  }

  DecisionBuilder& builder_;
  const DeviceId& device_;
  const v1::Report& report_;
  const v1::ArtifactSignature& output_signature_;
  int64_t incarnation_;
};

}  // namespace

void Decide(DecisionBuilder& builder, const WorkerReport& command) {
  const v1::DeviceRecord* record = FindDevice(builder.state(), command.device);
  if (record == nullptr || command.incarnation == 0) {
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat("report of ", command.device.value(), " without a hello before it")));
    return;
  }
  const v1::ReportMark* known = FindMark(builder.state(), command.device, command.incarnation);
  const int64_t mark = known == nullptr ? 0 : known->sequence();
  const int64_t sequence = command.report.sequence();
  // One board never gives two different reports the same number, so a second board uses its
  // identity.
  if (sequence == mark && known != nullptr && known->digest() != 0 &&
      known->digest() != ReportDigest(command.report)) {
    RefuseClone(builder, *record,
                absl::StrCat("report ", sequence, " came twice with different contents"));
    return;
  }
  const bool again = sequence <= mark && WATTLE_FAULT_POINT("high-water mark");
  if (sequence <= mark && !again) {
    // The worker repeats the report because the acknowledgement was lost.
    builder.decision().effects.emplace_back(Acknowledge{command.device, command.incarnation, mark});
    return;
  }
  // Accepting a report after a gap would lose the missing facts for good.
  if (sequence != mark + 1 && !again) {
    builder.Refuse(
        absl::OutOfRangeError(absl::StrCat("report ", sequence, " of ", command.device.value(),
                                           ": ", mark + 1, " is missing; send again from there")));
    builder.decision().effects.emplace_back(Acknowledge{command.device, command.incarnation, mark});
    return;
  }
  // A device that waits for approval has no work to report on. Accepting its report without effect
  // lets the device drop the report.
  const std::string note = WaitsForApproval(builder.state(), command.device)
                               ? "the device waits for approval"
                               : ReportDecider(builder, command).Take();
  v1::ReportAccepted& accepted = *builder.Add().mutable_report_accepted();
  accepted.set_device_id(command.device.value());
  accepted.set_incarnation(command.incarnation);
  accepted.set_sequence(sequence);
  accepted.set_note(note);
  accepted.set_digest(ReportDigest(command.report));
}

}  // namespace wattle::core
