// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A line of the file that a restore does not set back: who was revoked or waits for approval, which
// token is no longer valid or how often it was used, and at which place of the journal. Pure.
#ifndef WATTLE_COORDINATOR_REVOCATION_LINES_H_
#define WATTLE_COORDINATOR_REVOCATION_LINES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "wattle/v1/access.pb.h"

namespace wattle {

// A place in the journal, which a copy of the journal has or lacks whatever the clocks said.
struct JournalPosition {
  int64_t epoch = 0;
  int64_t sequence = 0;
};
// The present end.
JournalPosition PositionOf(const core::State& state);
// Whether what was written there is in this journal: not, once an older backup was restored.
bool Has(const core::State& state, const JournalPosition& position);

struct KeptLine {
  enum class Kind {
    kOldRevoked,  // Written by earlier versions, without time and position.
    kRevoked,
    kWaits,
    kToken,
  };
  Kind kind = Kind::kRevoked;
  absl::Time at = {};  // When it was written. Not of kOldRevoked.
  JournalPosition position = {};
  // For a revocation only kind, id, key and reason; for a board that waits the whole record.
  v1::IdentityRecord identity = {};
  // Set in a token's line.
  std::string token_id = {};
  absl::Time token_ends = {};
  bool token_revoked = false;
  int token_used = 0;  // 0 if the token is revoked or spent.
};

// What the line is about: a later line about the same replaces it.
std::string SubjectOf(const KeptLine& line);
std::string FormatLine(const KeptLine& line);
// Errors: kDataLoss.
absl::StatusOr<KeptLine> ParseLine(absl::string_view text);

// By what a token of this state works no more, though its end is not there yet: it was revoked, or
// spent. Services do not spend theirs.
bool IsSpent(const v1::EnrolmentToken& token);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_REVOCATION_LINES_H_
