// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/revocations.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"
#include "base/utf8.h"
#include "coordinator/core/command.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/state.h"

namespace wattle {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr char kNoKey[] = "-";  // Of a board that the journal did not know when it was revoked.

std::string LineOf(const v1::IdentityRecord& revoked) {
  const std::string key = absl::BytesToHexString(revoked.public_key_sha256());
  // The reason is a person's words: a line end in it would be a line that is no revocation.
  return absl::StrCat(revoked.kind(), " ", revoked.id(), " ", key.empty() ? kNoKey : key, " ",
                      OneLine(revoked.revoked_reason()));
}

absl::StatusOr<v1::IdentityRecord> ReadLine(const std::string& line) {
  const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 3));
  if (parts.size() != 4 || (parts[0] != core::kDeviceKind && parts[0] != core::kPersonKind) ||
      !core::CheckId("id", parts[1]).ok() ||
      (parts[2] != kNoKey &&
       (parts[2].size() != 64 ||
        parts[2].find_first_not_of("0123456789abcdef") != std::string::npos))) {
    return absl::DataLossError("is no revocation");
  }
  v1::IdentityRecord record;
  record.set_kind(parts[0]);
  record.set_id(parts[1]);
  record.set_public_key_sha256(parts[2] == kNoKey ? "" : absl::HexStringToBytes(parts[2]));
  record.set_revoked_reason(parts[3]);
  return record;
}

absl::StatusOr<std::set<std::string>> ReadLines(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (absl::IsNotFound(text.status())) {
    return std::set<std::string>();
  }
  WATTLE_RETURN_IF_ERROR(text.status());
  std::set<std::string> lines;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    if (!line.empty() && !ReadLine(std::string(line)).ok()) {
      return absl::DataLossError(absl::StrCat(
          path, ":", number,
          ": is no revocation, wanted KIND ID KEY-SHA256 REASON; mend the line, or move the file "
          "aside and revoke again"));
    }
    if (!line.empty()) {
      lines.emplace(line);
    }
  }
  return lines;
}

// Whether the journal lets the one in whose revocation this is. A device without a record is what
// its certificate says, and a person without one has no role.
bool IsLetIn(const core::State& state, const v1::IdentityRecord& revoked) {
  const v1::IdentityRecord* const known = core::FindIdentity(state, revoked.kind(), revoked.id());
  return known == nullptr
             ? revoked.kind() == core::kDeviceKind
             : !known->revoked() && known->public_key_sha256() == revoked.public_key_sha256();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Revocations>> Revocations::Open(const std::string& path) {
  auto opened = std::unique_ptr<Revocations>(new Revocations(path));
  WATTLE_ASSIGN_OR_RETURN(std::set<std::string> lines, ReadLines(path));
  absl::MutexLock lock(&opened->mutex_);
  opened->lines_ = std::move(lines);
  return opened;
}

absl::Status Revocations::Write() const {
  return tls::WritePrivateFile(path_, absl::StrCat(absl::StrJoin(lines_, "\n"), "\n"));
}

absl::Status Revocations::Keep(const v1::IdentityRecord& revoked) {
  absl::MutexLock lock(&mutex_);
  return lines_.insert(LineOf(revoked)).second ? Write() : absl::OkStatus();
}

absl::Status Revocations::KeepAllOf(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::set<std::string> others, ReadLines(path));
  absl::MutexLock lock(&mutex_);
  const size_t before = lines_.size();
  lines_.insert(others.begin(), others.end());
  return lines_.size() > before ? Write() : absl::OkStatus();
}

absl::StatusOr<int> Revocations::Agree(runtime::Runtime& runtime) {
  std::set<std::string> known;
  {
    absl::MutexLock lock(&mutex_);
    known = lines_;
  }
  int again = 0;
  for (const std::string& line : known) {
    WATTLE_ASSIGN_OR_RETURN(const v1::IdentityRecord revoked, ReadLine(line));
    if (!runtime.Read([&](const core::State& state) { return IsLetIn(state, revoked); })) {
      continue;
    }
    core::RevokeIdentity revoke{revoked.kind(), revoked.id(), revoked.revoked_reason(),
                                kRevocationsFile};
    revoke.also_unknown = true;
    WATTLE_RETURN_IF_ERROR(runtime.PostAndWait(std::move(revoke), kPatience).status);
    ++again;
  }
  const auto of_journal = runtime.Read([](const core::State& state) {
    std::vector<v1::IdentityRecord> revoked;
    for (const auto& [name, record] : state.identities) {
      if (record.revoked() && !record.public_key_sha256().empty()) {
        revoked.push_back(record);
      }
    }
    return revoked;
  });
  for (const v1::IdentityRecord& record : of_journal) {
    WATTLE_RETURN_IF_ERROR(Keep(record));
  }
  return again;
}

}  // namespace wattle
