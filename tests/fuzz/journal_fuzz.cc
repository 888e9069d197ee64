// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/testing/test_directory.h"
#include "coordinator/store/journal.h"
#include "coordinator/store/testing/journal_fixture.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"

namespace wattle::fuzz {
namespace {

const std::string& ValidJournal() {
  static const std::string& file = *[] {
    const TestDirectory directory;
    auto journal = store::Journal::Open(directory.File("journal.db"));
    WATTLE_CHECK(journal.ok() && (*journal)->Append(store::JobEvents(1, 30)).ok() &&
                     (*journal)->WriteSnapshot(store::SnapshotOf(10, {"a", "b"})).ok(),
                 "a journal can be made");
    journal->reset();
    return new std::string(directory.Read("journal.db"));
  }();
  return file;
}

}  // namespace
}  // namespace wattle::fuzz

// Damage to a journal's file: a position in three bytes, and the new byte.
WATTLE_FUZZ_TARGET(journal, bytes) {
  constexpr size_t kDamageBytes = 4;
  std::string file = ValidJournal();
  for (; bytes.size() >= kDamageBytes; bytes.remove_prefix(kDamageBytes)) {
    const auto byte = [&](size_t at) {
      return static_cast<size_t>(static_cast<unsigned char>(bytes[at]));
    };
    file[(byte(0) << 16 | byte(1) << 8 | byte(2)) % file.size()] = bytes[3];
  }
  WATTLE_ASSIGN_OR_RETURN(const auto journal,
                          store::Journal::Open(FolderWith("journal.db", file) + "/journal.db"));
  const auto take = [](const auto&) { return absl::OkStatus(); };
  WATTLE_ASSIGN_OR_RETURN(const auto snapshots, journal->Snapshots());
  for (const int64_t sequence : snapshots) {
    (void)journal->ReadSnapshot(sequence, take).ok();  // any answer except a crash is right
  }
  return journal->Replay(0, take);
}
