// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/revocation_lines.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/utf8.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lineage.h"

namespace wattle {
namespace {

constexpr char kRevoked[] = "revoked";
constexpr char kWaits[] = "waits";
constexpr char kSpent[] = "spent";
constexpr char kUsed[] = "used";  // And how often, behind the token's end.
constexpr char kNoKey[] = "-";    // The journal did not know the board when it was revoked.
constexpr char kTimeFormat[] = "%Y-%m-%dT%H:%M:%SZ";

std::string TimeText(absl::Time time) {
  return absl::FormatTime(kTimeFormat, time, absl::UTCTimeZone());
}

bool ParseTimeText(absl::string_view text, absl::Time& time) {
  return absl::ParseTime(kTimeFormat, text, &time, nullptr);
}

std::string RevocationText(const v1::IdentityRecord& revoked) {
  const std::string key = absl::BytesToHexString(revoked.public_key_sha256());
  // The reason is a person's words: a line end in it would be a line that is no revocation.
  return absl::StrCat(revoked.kind(), " ", revoked.id(), " ", key.empty() ? kNoKey : key, " ",
                      OneLine(revoked.revoked_reason()));
}

bool ParseRevocation(absl::string_view text, v1::IdentityRecord& record) {
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(' ', 3));
  if (parts.size() != 4 || (parts[0] != core::kDeviceKind && parts[0] != core::kPersonKind) ||
      !core::CheckId("id", parts[1]).ok() ||
      (parts[2] != kNoKey &&
       (parts[2].size() != 64 ||
        parts[2].find_first_not_of("0123456789abcdef") != std::string::npos))) {
    return false;
  }
  record.set_kind(parts[0]);
  record.set_id(parts[1]);
  record.set_public_key_sha256(parts[2] == kNoKey ? "" : absl::HexStringToBytes(parts[2]));
  record.set_revoked_reason(parts[3]);
  return true;
}

bool ParseWaiting(absl::string_view text, v1::IdentityRecord& record) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  std::string bytes;
  return parts.size() == 2 && absl::Base64Unescape(parts[1], &bytes) &&
         record.ParseFromString(bytes) && record.id() == parts[0] &&
         record.kind() == core::kDeviceKind && core::CheckId("id", parts[0]).ok();
}

bool ParseToken(absl::string_view text, KeptLine& line) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  const bool is_used = parts.size() == 5 && parts[2] == kUsed &&
                       absl::SimpleAtoi(parts[4], &line.token_used) && line.token_used > 0;
  const bool is_over = parts.size() == 4 && (parts[2] == kRevoked || parts[2] == kSpent);
  if ((!is_used && !is_over) || !core::CheckId("id", parts[1]).ok() ||
      !ParseTimeText(parts[0], line.at) || !ParseTimeText(parts[3], line.token_ends)) {
    return false;
  }
  line.token_id = parts[1];
  line.token_revoked = parts[2] == kRevoked;
  return true;
}

// "TIME EPOCH SEQUENCE", and what follows.
bool ParseBegin(absl::string_view text, KeptLine& line, std::string& rest) {
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(' ', 3));
  if (parts.size() != 4 || !ParseTimeText(parts[0], line.at) ||
      !absl::SimpleAtoi(parts[1], &line.position.epoch) ||
      !absl::SimpleAtoi(parts[2], &line.position.sequence)) {
    return false;
  }
  rest = parts[3];
  return true;
}

}  // namespace

JournalPosition PositionOf(const core::State& state) {
  return {core::EpochOf(state), static_cast<int64_t>(state.last_sequence.value())};
}

bool Has(const core::State& state, const JournalPosition& position) {
  bool knows_epoch = false;
  for (const v1::Opening& opening : state.openings) {
    if (opening.epoch() > position.epoch) {
      return knows_epoch && position.sequence <= opening.copied_sequence();
    }
    knows_epoch = knows_epoch || opening.epoch() == position.epoch;
  }
  return knows_epoch && position.sequence <= PositionOf(state).sequence;
}

std::string SubjectOf(const KeptLine& line) {
  const v1::IdentityRecord& identity = line.identity;
  switch (line.kind) {
    case KeptLine::Kind::kOldRevoked:
      return FormatLine(line);  // Each key has a line of its own.
    case KeptLine::Kind::kRevoked:
      return absl::StrCat(kRevoked, " ", identity.kind(), " ", identity.id());
    case KeptLine::Kind::kWaits:
      return absl::StrCat(kWaits, " ", identity.id());
    case KeptLine::Kind::kToken:
      break;
  }
  return absl::StrCat(core::kTokenKind, " ", line.token_id);
}

std::string FormatLine(const KeptLine& line) {
  const std::string begin =
      absl::StrCat(TimeText(line.at), " ", line.position.epoch, " ", line.position.sequence, " ");
  switch (line.kind) {
    case KeptLine::Kind::kOldRevoked:
      return RevocationText(line.identity);
    case KeptLine::Kind::kRevoked:
      return absl::StrCat(kRevoked, " ", begin, RevocationText(line.identity));
    case KeptLine::Kind::kWaits:
      return absl::StrCat(kWaits, " ", begin, line.identity.id(), " ",
                          absl::Base64Escape(line.identity.SerializeAsString()));
    case KeptLine::Kind::kToken:
      break;
  }
  const char* const state = line.token_revoked ? kRevoked : line.token_used > 0 ? kUsed : kSpent;
  return absl::StrCat(core::kTokenKind, " ", TimeText(line.at), " ", line.token_id, " ", state, " ",
                      TimeText(line.token_ends),
                      line.token_used > 0 ? absl::StrCat(" ", line.token_used) : "");
}

absl::StatusOr<KeptLine> ParseLine(absl::string_view text) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(' ', 1));
  KeptLine line;
  std::string rest;
  bool sound = false;
  if (parts.first == kRevoked) {
    sound = ParseBegin(parts.second, line, rest) && ParseRevocation(rest, line.identity);
  } else if (parts.first == kWaits) {
    line.kind = KeptLine::Kind::kWaits;
    sound = ParseBegin(parts.second, line, rest) && ParseWaiting(rest, line.identity);
  } else if (parts.first == core::kTokenKind) {
    line.kind = KeptLine::Kind::kToken;
    sound = ParseToken(parts.second, line);
  } else {
    line.kind = KeptLine::Kind::kOldRevoked;
    sound = ParseRevocation(text, line.identity);
  }
  if (!sound) {
    return absl::DataLossError("is no revocation");
  }
  return line;
}

bool IsSpent(const v1::EnrolmentToken& token) {
  return token.revoked() || (token.kind() != core::kServiceKind && token.used() >= token.uses());
}

}  // namespace wattle
