// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/lineage.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/device_artifacts.h"
#include "coordinator/core/lineage_internal.h"

namespace wattle::core {
namespace {

bool KnowsOpening(const State& state, const std::string& opening_id) {
  return std::any_of(state.openings.begin(), state.openings.end(),
                     [&](const v1::Opening& one) { return one.opening_id() == opening_id; });
}

void Open(DecisionBuilder& builder, int64_t epoch, const std::string& opening_id,
          const std::string& reason) {
  v1::JournalOpened& opened = *builder.Add().mutable_journal_opened();
  opened.set_lineage_id(builder.state().lineage_id);
  opened.set_epoch(epoch);
  opened.set_opening_id(opening_id);
  opened.set_copied_sequence(builder.state().last_sequence.value());
  opened.set_reason(reason);
}

}  // namespace

int64_t EpochOf(const State& state) {
  return state.openings.empty() ? 0 : state.openings.back().epoch();
}

std::string OpeningOf(const State& state) {
  return state.openings.empty() ? "" : state.openings.back().opening_id();
}

bool WasGivenOut(const State& state, int64_t job_number) {
  const int64_t epoch = (job_number - 1) / kJobNumbersOfAnEpoch;
  for (const v1::Opening& opening : state.openings) {
    if (opening.epoch() > epoch) {
      return job_number < opening.next_job_number();
    }
  }
  return job_number < state.next_job_number;
}

bool IsOfThisOpening(const State& state, const v1::Hello& hello) {
  return hello.lineage_id().empty() ||
         (hello.lineage_id() == state.lineage_id && hello.opening_id() == OpeningOf(state));
}

void Decide(DecisionBuilder& builder, const OpenJournal& command) {
  const State& state = builder.state();
  if (state.openings.empty()) {
    const bool copy = command.copy && state.last_sequence.value() > 0;
    Open(builder, copy ? std::max<int64_t>(1, command.epoch_min) : 0, command.opening_id,
         copy ? command.reason : "the journal began");
    builder.decision().events.back().mutable_journal_opened()->set_lineage_id(command.lineage_id);
  } else if (command.copy && !WATTLE_FAULT_POINT("epoch")) {
    Open(builder, std::max(EpochOf(state) + 1, command.epoch_min), command.opening_id,
         command.reason);
  }
}

bool CheckLineage(DecisionBuilder& builder, const v1::Hello& hello) {
  const State& state = builder.state();
  // A worker of another lineage drops the attempts that it holds, whatever the epochs. A worker of
  // version 0.1 sends no lineage.
  if (hello.lineage_id().empty() || hello.lineage_id() != state.lineage_id ||
      KnowsOpening(state, hello.opening_id()) || hello.epoch() < EpochOf(state)) {
    return true;
  }
  if (hello.epoch() > EpochOf(state)) {
    builder.Refuse(absl::FailedPreconditionError(absl::StrCat(
        hello.device().name(), " has worked for epoch ", hello.epoch(),
        " of this journal, which stands at epoch ", EpochOf(state),
        " here: a copy of it runs elsewhere. Stop this coordinator; or, if it is the one to go on, "
        "stop the other and run 'wattle-coordinator restore --epoch ",
        hello.epoch() + 1, "'")));
    return false;
  }
  // The same backup was opened twice, and the device worked for the other copy. Both copies used
  // one epoch for their numbers. The new epoch makes the numbers of this copy distinct from now on.
  Open(builder, EpochOf(state) + 1, absl::StrCat(OpeningOf(state), "+"),
       absl::StrCat(hello.device().name(), " has worked for another copy of the same backup"));
  return true;
}

namespace {

// Whether the attempt has ended and its report waits for its result.
bool WaitsToReturn(const v1::Hello& hello, const v1::HeldAttempt& held) {
  const auto& waiting = hello.results_to_return();
  return IsTerminal(held.state()) &&
         std::find(waiting.begin(), waiting.end(), held.attempt_id()) != waiting.end();
}

}  // namespace

void RecoverHeldAttempts(DecisionBuilder& builder, const v1::Hello& hello) {
  const State& state = builder.state();
  for (const v1::HeldAttempt& held : hello.attempts()) {
    const bool waits_to_return = WaitsToReturn(hello, held);
    if (!IsBeforeRestore(state, held) || (IsTerminal(held.state()) && !waits_to_return)) {
      continue;  // A report brings the end of such an attempt.
    }
    const AttemptId id(held.attempt_id());
    const v1::JobRecord* record = FindJob(state, JobId(JobIdOf(id)));
    if (record == nullptr) {
      NoteUnknownJob(builder, hello.device().device_id(), held);
      continue;
    }
    const v1::Job& job = record->job();
    if (!MayHaveLostAttempts(state, job)) {
      continue;  // No device worked on it before the restore.
    }
    const bool current = !waits_to_return && job.state() == v1::JOB_STATE_QUEUED &&
                         LiveAttempt(job) == nullptr &&
                         !state.wanted_attempts.contains(DeviceId(hello.device().device_id()));
    v1::AttemptRecovered& recovered = *builder.Add().mutable_attempt_recovered();
    recovered.set_attempt_id(held.attempt_id());
    recovered.set_job_id(job.job_id());
    recovered.set_device_id(hello.device().device_id());
    recovered.set_fencing_token(held.fencing_token());
    recovered.set_lease_seconds(held.lease_seconds());
    recovered.set_power_mode(held.power_mode());
    recovered.set_on_cpu(held.on_cpu());
    recovered.set_state(held.state());
    recovered.set_current(current);
    if (current) {
      builder.SetJob(job.job_id(), v1::JOB_STATE_ACTIVE,
                     absl::StrCat("goes on on ", hello.device().name(),
                                  ", which held it through the restore"));
    }
    if (waits_to_return) {
      continue;  // The finding follows once its result has arrived.
    }
    NoteFinding(builder, hello.device().device_id(), held, current,
                current ? absl::StrCat(held.attempt_id(), " goes on on ", hello.device().name())
                        : absl::StrCat(held.attempt_id(), " on ", hello.device().name(),
                                       " is stopped: the job is ",
                                       IsTerminal(job.state()) ? "ended" : "placed elsewhere"));
  }
}

void RefuseClone(DecisionBuilder& builder, const v1::DeviceRecord& device,
                 const std::string& evidence) {
  const std::string problem = absl::StrCat(
      device.info().name(), ": two boards use the identity ", device.info().device_id(), " (",
      evidence,
      "): most likely an SD card was copied. On the copy, delete the worker's state directory and "
      "start it again");
  builder.Refuse(absl::FailedPreconditionError(problem));
  if (device.problem().empty()) {
    v1::DeviceProblemChanged& changed = *builder.Add().mutable_device_problem_changed();
    changed.set_device_id(device.info().device_id());
    changed.set_problem(problem);
  }
}

bool CheckIdentity(DecisionBuilder& builder, const v1::Hello& hello) {
  const DeviceId id(hello.device().device_id());
  const v1::DeviceRecord* record = FindDevice(builder.state(), id);
  const v1::ReportMark* mark = FindMark(builder.state(), id, hello.incarnation());
  if (record == nullptr || mark == nullptr) {
    return true;
  }
  if (record->incarnation() != hello.incarnation()) {
    RefuseClone(builder, *record, "a numbering of reports came back that a newer one had replaced");
    return false;
  }
  // A smaller sequence number does not indicate a clone: the board lost reports with its card and
  // draws a new incarnation.
  if (hello.last_report_sequence() == mark->sequence() && mark->digest() != 0 &&
      hello.last_report_digest() != 0 && hello.last_report_digest() != mark->digest()) {
    RefuseClone(builder, *record,
                absl::StrCat("its report ", mark->sequence(), " is not the one that came"));
    return false;
  }
  return true;
}

std::string JobIdOf(const AttemptId& attempt) {
  return attempt.value().substr(0, attempt.value().find('.'));
}

void AddFinding(DecisionBuilder& builder, v1::RestoreFinding finding) {
  for (const v1::RestoreFinding& known : builder.state().restore_findings) {
    if (known.attempt_id() == finding.attempt_id() &&
        known.fencing_token() == finding.fencing_token() &&
        known.recovered() == finding.recovered()) {
      return;
    }
  }
  *builder.Add().mutable_restore_finding() = std::move(finding);
}

}  // namespace wattle::core
