// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that a file of an earlier version is converted with all its content.
#include "coordinator/store/schema.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/store/testing/journal_fixture.h"
#include "coordinator/store/testing/schema_1_fixture.h"

namespace wattle::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class Version1Test : public JournalFixture {
 protected:
  // Makes a file with a snapshot at event 4 and the events 5 to 9.
  void MakeVersion1(int64_t checksum) {
    ASSERT_THAT(MakeSchema1(path_, "the state", checksum, JobEvents(5, 5)), IsOk());
  }
};

TEST_F(Version1Test, ItsSnapshotAndEventsAreReadAndGoOn) {
  MakeVersion1(Schema1Checksum("the state"));
  for (int start = 0; start < 2;
       ++start) {  // The first start converts; the second finds a converted file.
    auto journal = Open();
    const auto sequences = journal->Snapshots();
    ASSERT_THAT(sequences, IsOk());
    EXPECT_THAT(*sequences, ElementsAre(4));
    Rows rows;
    ASSERT_THAT(ReadRows([&](const TakeRow& take) { return journal->ReadSnapshot(4, take); }, rows),
                IsOk());
    EXPECT_THAT(rows, ElementsAre("the state"));
    EXPECT_THAT(ReadAll(*journal, 4), SizeIs(5 + start));
    ASSERT_THAT(journal->Append({JobEvent(10 + start)}), IsOk());
    EXPECT_THAT(ReadAll(*journal, 4), SizeIs(6 + start));
  }
}

TEST_F(Version1Test, ItsArchiveTakesMoreEvents) {
  MakeVersion1(Schema1Checksum("the state"));
  {
    auto archive = Database::Open(path_ + ".archive", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    ASSERT_THAT(archive, IsOk());
    ASSERT_THAT(archive->Execute("CREATE TABLE events (sequence INTEGER PRIMARY KEY, "
                                 "at_unix_seconds REAL NOT NULL, kind TEXT NOT NULL, event BLOB "
                                 "NOT NULL); INSERT INTO events VALUES (4, 0, 'x', x'00')"),
                IsOk());
  }
  auto journal = Open();
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(6, {"six"})), IsOk());
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(8, {"eight"})), IsOk());
  EXPECT_EQ(Query(path_ + ".archive", "SELECT count(*) FROM events"), 3);
  EXPECT_EQ(Query(path_ + ".archive", "SELECT count(*) FROM events WHERE crc IS NULL"), 1);
}

TEST_F(Version1Test, ADamagedSnapshotIsNotTakenOver) {
  MakeVersion1(Schema1Checksum("another state"));
  EXPECT_THAT(Journal::Open(path_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("snapshot 4 is damaged")));
  EXPECT_EQ(Query(path_, "PRAGMA user_version"), 1) << "half converted";
}

}  // namespace
}  // namespace wattle::store
