// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a copy of the journal takes over the fleet that worked for the original. Private to
// coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_LINEAGE_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_LINEAGE_INTERNAL_H_

#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/lineage.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::core {

void Decide(DecisionBuilder& builder, const OpenJournal& command);
// Whether the device may work for this journal. Refuses a device that has seen a later epoch of
// this lineage. Opens the next epoch for a device that worked for another copy of the same backup.
bool CheckLineage(DecisionBuilder& builder, const v1::Hello& hello);
// Recovers the attempts that the device holds and the copy lacks. An attempt goes on if its job has
// no other attempt. Any other attempt is recorded, so that its joules are booked when it stops, and
// so that the device keeps a result that it has not uploaded yet.
void RecoverHeldAttempts(DecisionBuilder& builder, const v1::Hello& hello);

// Refuses the device's message because another board uses the same identity, most likely after an
// SD card was copied. The first refusal is an event. The device's record shows the problem until a
// person removes the cause.
void RefuseClone(DecisionBuilder& builder, const v1::DeviceRecord& device,
                 const std::string& evidence);
// Whether the hello can come from the board that has reported so far. Refuses the hello otherwise.
bool CheckIdentity(DecisionBuilder& builder, const v1::Hello& hello);

// "j12" of "j12.1".
std::string JobIdOf(const AttemptId& attempt);
// Adds a finding to the restore's report, unless the report has it already.
void AddFinding(DecisionBuilder& builder, v1::RestoreFinding finding);

// Whether the fact concerns an attempt that was placed after the backup: an attempt of an earlier
// epoch that this journal lacks.
template <typename Fact>
bool IsBeforeRestore(const State& state, const Fact& fact) {
  return EpochOf(FencingToken(fact.fencing_token())) < EpochOf(state) &&
         FindAttempt(state, AttemptId(fact.attempt_id())) == nullptr;
}

template <typename Fact>
void NoteFinding(DecisionBuilder& builder, const std::string& device_id, const Fact& fact,
                 bool recovered, const std::string& text) {
  v1::RestoreFinding finding;
  finding.set_device_id(device_id);
  finding.set_attempt_id(fact.attempt_id());
  finding.set_fencing_token(fact.fencing_token());
  finding.set_recovered(recovered);
  finding.set_text(text);
  AddFinding(builder, std::move(finding));
}

template <typename Fact>
void NoteUnknownJob(DecisionBuilder& builder, const std::string& device_id, const Fact& fact) {
  const std::string job_id = JobIdOf(AttemptId(fact.attempt_id()));
  if (WasGivenOut(builder.state(), JobNumber(job_id).value_or(0))) {
    return;  // The job ended before the backup, and the history has it.
  }
  NoteFinding(
      builder, device_id, fact, /*recovered=*/false,
      absl::StrCat("job ", job_id, " was submitted after the backup and is not known here; ",
                   DeviceName(builder.state(), device_id), " worked on it: submit the job again"));
}

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LINEAGE_INTERNAL_H_
