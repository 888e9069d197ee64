// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What happens when a copy of the journal meets the fleet that worked for the original. Private to
// coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_LINEAGE_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_LINEAGE_INTERNAL_H_

#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/draft_internal.h"
#include "coordinator/core/lineage.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::core {

void DecideOpenJournal(Draft& draft, const OpenJournal& command);
// Whether the device may work for this journal. Refuses the hello of a device that has seen a later
// epoch; opens the next epoch for one that worked for another copy of the same backup.
bool CheckLineage(Draft& draft, const v1::Hello& hello);
// Attempts that the device still holds and the copy does not know: each goes on where its job has
// no other, else it is made known so that its joules are booked when it stops.
void RecoverHeldAttempts(Draft& draft, const v1::Hello& hello);

// Refuses what the device says: another board uses its identity too, most likely a copied SD card.
// The device's record says so until a person removes the cause; the first such refusal is an event.
void RefuseClone(Draft& draft, const v1::DeviceRecord& device, const std::string& evidence);
// Whether the hello can come from the board that reported so far. Refuses it otherwise.
bool CheckIdentity(Draft& draft, const v1::Hello& hello);

// "j12" of "j12.1".
std::string JobIdOf(const AttemptId& attempt);
// For the restore's report; each once.
void AddFinding(Draft& draft, v1::RestoreFinding finding);

// Whether the fact is of an attempt that was placed under an earlier epoch and that this journal
// does not know: placed after the backup was made.
template <typename Fact>
bool IsBeforeRestore(const State& state, const Fact& fact) {
  return EpochOf(FencingToken(fact.fencing_token())) < EpochOf(state) &&
         FindAttempt(state, AttemptId(fact.attempt_id())) == nullptr;
}

template <typename Fact>
void NoteFinding(Draft& draft, const std::string& device_id, const Fact& fact, bool recovered,
                 const std::string& text) {
  v1::RestoreFinding finding;
  finding.set_device_id(device_id);
  finding.set_attempt_id(fact.attempt_id());
  finding.set_fencing_token(fact.fencing_token());
  finding.set_recovered(recovered);
  finding.set_text(text);
  AddFinding(draft, std::move(finding));
}

template <typename Fact>
void NoteUnknownJob(Draft& draft, const std::string& device_id, const Fact& fact) {
  const std::string job_id = JobIdOf(AttemptId(fact.attempt_id()));
  if (WasGivenOut(draft.state(), JobNumber(job_id).value_or(0))) {
    return;  // It had ended before the backup, and the history has it.
  }
  NoteFinding(
      draft, device_id, fact, /*recovered=*/false,
      absl::StrCat("job ", job_id, " was submitted after the backup and is not known here; ",
                   DeviceName(draft.state(), device_id), " worked on it: submit the job again"));
}

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LINEAGE_INTERNAL_H_
