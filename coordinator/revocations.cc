// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/revocations.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"
#include "coordinator/core/command.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/state.h"

namespace wattle {
namespace {

constexpr absl::Duration kHoldPatience = absl::Seconds(60);
// A clock that was a day ahead when a token ended must not bring it back.
constexpr absl::Duration kKeptAfterEnd = absl::Hours(24);

using Kind = KeptLine::Kind;

// Whether the journal lets the one in whose revocation this is. A device without a record is what
// its certificate says, and a person without one has no role.
bool IsLetIn(const core::State& state, const KeptLine& line) {
  const v1::IdentityRecord& revoked = line.identity;
  const v1::IdentityRecord* const known = core::FindIdentity(state, revoked.kind(), revoked.id());
  if (known == nullptr) {
    return revoked.kind() == core::kDeviceKind;
  }
  // A line of an earlier version does not say whether a later key came before or after it.
  return !known->revoked() &&
         (line.kind == Kind::kRevoked || known->public_key_sha256() == revoked.public_key_sha256());
}

// Whether the journal lacks what the line says.
bool IsForgotten(const core::State& state, const KeptLine& line) {
  switch (line.kind) {
    case Kind::kOldRevoked:
      return IsLetIn(state, line);
    case Kind::kRevoked:
      return !Has(state, line.position) && IsLetIn(state, line);
    case Kind::kWaits:
      return !Has(state, line.position) &&
             !core::WaitsForApproval(state, DeviceId(line.identity.id()));
    case Kind::kToken:
      break;
  }
  const v1::EnrolmentToken* const token = state.tokens.Find(line.token_id);
  return token != nullptr && !IsSpent(*token) &&
         (line.token_used == 0 || token->used() < line.token_used);
}

// Orders two lines of a token: its uses only grow, until it is spent or revoked.
bool IsNews(const KeptLine& line, const KeptLine& known) {
  const auto rank = [](const KeptLine& one) {
    const bool is_spent = !one.token_revoked && one.token_used == 0;
    return std::make_tuple(one.token_revoked, is_spent, one.token_used);
  };
  return rank(line) > rank(known);
}

bool IsOver(const KeptLine& line, absl::Time now) {
  return line.kind == Kind::kToken && now > line.token_ends + kKeptAfterEnd;
}

// In the order in which it came to be: who was revoked may have enrolled anew and wait.
bool IsBefore(const KeptLine& one, const KeptLine& other) {
  const auto rank = [](const KeptLine& line) {
    return std::make_tuple(line.kind == Kind::kToken, line.position.epoch, line.position.sequence,
                           line.kind);
  };
  return rank(one) < rank(other);
}

}  // namespace

absl::StatusOr<Revocations::Lines> Revocations::ReadLines(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (absl::IsNotFound(text.status())) {
    return Lines();
  }
  WATTLE_RETURN_IF_ERROR(text.status());
  Lines lines;
  int number = 0;
  for (const absl::string_view one : absl::StrSplit(*text, '\n')) {
    ++number;
    if (one.empty()) {
      continue;
    }
    absl::StatusOr<KeptLine> line = ParseLine(one);
    if (!line.ok()) {
      return absl::DataLossError(absl::StrCat(
          path, ":", number,
          ": is no revocation, wanted one of revoked, waits or token; mend the line, or move the "
          "file aside and revoke again"));
    }
    const std::string subject = SubjectOf(*line);
    lines[subject] = *std::move(line);
  }
  return lines;
}

absl::StatusOr<std::unique_ptr<Revocations>> Revocations::Open(const std::string& path) {
  auto opened = std::unique_ptr<Revocations>(new Revocations(path));
  WATTLE_ASSIGN_OR_RETURN(Lines lines, ReadLines(path));
  absl::MutexLock lock(&opened->mutex_);
  opened->lines_ = std::move(lines);
  return opened;
}

absl::Status Revocations::Write() {
  mutex_.Lock();
  const int64_t mine = changes_;
  const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !writing_; };
  mutex_.Await(absl::Condition(&free));
  if (written_ >= mine) {
    mutex_.Unlock();
    return absl::OkStatus();
  }
  const int64_t changes = changes_;
  std::string text;
  for (const auto& [subject, line] : lines_) {
    absl::StrAppend(&text, FormatLine(line), "\n");
  }
  writing_ = true;
  mutex_.Unlock();
  absl::Status status = tls::WritePrivateFile(path_, text);
  mutex_.Lock();
  writing_ = false;
  if (status.ok()) {
    written_ = changes;
  }
  mutex_.Unlock();
  return status;
}

void Revocations::Put(KeptLine line) {
  const std::string subject = SubjectOf(line);
  lines_[subject] = std::move(line);
  ++changes_;
}

void Revocations::Drop(const std::string& subject) {
  changes_ += static_cast<int64_t>(lines_.erase(subject));
}

void Revocations::Take(const core::State& state, absl::Time now,
                       const v1::IdentityRecord& identity) {
  KeptLine line = {.at = now, .position = PositionOf(state), .identity = identity};
  line.identity.clear_certificate_pem();  // Long, and the board has it.
  KeptLine waits = line;
  waits.kind = Kind::kWaits;
  if (identity.revoked() || !identity.waits_for_approval()) {
    Drop(SubjectOf(waits));
  }
  if (!identity.revoked() && !identity.waits_for_approval()) {
    return;
  }
  KeptLine& now_known = identity.revoked() ? line : waits;
  const auto known = lines_.find(SubjectOf(now_known));
  if (known != lines_.end() && Has(state, known->second.position)) {
    KeptLine same = now_known;
    same.at = known->second.at;
    same.position = known->second.position;
    if (FormatLine(same) == FormatLine(known->second)) {
      return;
    }
  }
  Put(std::move(now_known));
}

void Revocations::Take(absl::Time now, const v1::EnrolmentToken& token) {
  KeptLine line = {.kind = Kind::kToken,
                   .at = now,
                   .token_id = token.token_id(),
                   .token_ends = core::FromUnix(token.expires_unix_seconds()),
                   .token_revoked = token.revoked(),
                   .token_used = IsSpent(token) ? 0 : token.used()};
  const auto known = lines_.find(SubjectOf(line));
  const bool is_news = known == lines_.end() || IsNews(line, known->second);
  if ((IsSpent(token) || token.used() > 0) && is_news && !IsOver(line, now)) {
    Put(std::move(line));
  }
}

absl::Status Revocations::Keep(const runtime::Runtime& runtime, const std::string& kind,
                               const std::string& id) {
  {
    absl::MutexLock lock(&mutex_);
    // Behind the lock: of two calls the later one has the later state.
    const std::shared_ptr<const core::State> state = runtime.Version();
    if (kind == core::kTokenKind) {
      if (const v1::EnrolmentToken* const token = state->tokens.Find(id)) {
        Take(runtime.Now().wall, *token);
      }
    } else if (const v1::IdentityRecord* const known = core::FindIdentity(*state, kind, id)) {
      Take(*state, runtime.Now().wall, *known);
    }
  }
  return Write();
}

absl::Status Revocations::KeepAllOf(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(Lines others, ReadLines(path));
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [subject, line] : others) {
      const auto known = lines_.find(subject);
      if (known == lines_.end() || (line.kind == Kind::kToken ? IsNews(line, known->second)
                                                              : IsBefore(known->second, line))) {
        Put(std::move(line));
      }
    }
  }
  return Write();
}

absl::StatusOr<bool> Revocations::HoldAgain(runtime::Runtime& runtime, const KeptLine& line) {
  if (!runtime.Read([&](const core::State& state) { return IsForgotten(state, line); })) {
    return false;
  }
  core::Command command;
  if (line.kind == Kind::kToken && line.token_used > 0) {
    command = core::HoldTokenUses{line.token_id, line.token_used};
  } else if (line.kind == Kind::kToken) {
    command = core::RevokeToken{line.token_id, kRevocationsFile, true};
  } else if (line.kind == Kind::kWaits) {
    command = core::HoldForApproval{line.identity};
  } else {
    core::RevokeIdentity revoke{line.identity.kind(), line.identity.id(),
                                line.identity.revoked_reason(), kRevocationsFile};
    revoke.also_unknown = true;
    command = std::move(revoke);
  }
  WATTLE_RETURN_IF_ERROR(runtime.PostAndWait(std::move(command), kHoldPatience).status);
  return true;
}

absl::StatusOr<int> Revocations::Agree(runtime::Runtime& runtime) {
  std::vector<KeptLine> known;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [subject, line] : lines_) {
      known.push_back(line);
    }
  }
  std::sort(known.begin(), known.end(), IsBefore);
  int again = 0;
  for (const KeptLine& line : known) {
    WATTLE_ASSIGN_OR_RETURN(const bool was_forgotten, HoldAgain(runtime, line));
    again += was_forgotten ? 1 : 0;
  }
  const std::shared_ptr<const core::State> state = runtime.Version();
  const absl::Time now = runtime.Now().wall;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, record] : state->identities) {
      if (!record.id().empty()) {
        Take(*state, now, record);
      }
    }
    for (const auto& [id, token] : state->tokens) {
      Take(now, token);
    }
    for (const KeptLine& line : known) {
      const bool is_replaced =
          line.kind == Kind::kOldRevoked &&
          lines_.contains(SubjectOf({.kind = Kind::kRevoked, .identity = line.identity}));
      if (is_replaced || IsOver(line, now)) {
        Drop(SubjectOf(line));
      }
    }
    for (auto& [subject, line] : lines_) {
      const bool has_position = line.kind == Kind::kRevoked || line.kind == Kind::kWaits;
      if (has_position && !Has(*state, line.position)) {
        // From here on the journal has it. Who enrols by this name later is somebody else.
        line.position = PositionOf(*state);
        ++changes_;
      }
    }
  }
  WATTLE_RETURN_IF_ERROR(Write());
  return again;
}

}  // namespace wattle
