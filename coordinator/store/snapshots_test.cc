// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests snapshots through the journal's interface: which are kept, and what a crash or damage
// leaves.
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/store/journal_reader.h"
#include "coordinator/store/testing/journal_fixture.h"

namespace wattle::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SnapshotsTest : public JournalFixture {
 protected:
  static std::vector<int64_t> Sequences(Journal& journal) {
    auto sequences = journal.Snapshots();
    EXPECT_THAT(sequences, IsOk());
    return *sequences;
  }
  static absl::Status Read(Journal& journal, int64_t sequence, Rows& rows) {
    return ReadRows([&](const TakeRow& take) { return journal.ReadSnapshot(sequence, take); },
                    rows);
  }
};

TEST_F(SnapshotsTest, TheLatestTwoAreKeptWithTheEventsAfterTheOlder) {
  {
    auto journal = Open();
    ASSERT_THAT(journal->Append(JobEvents(1, 10)), IsOk());
    for (const int64_t sequence : {2, 4, 8}) {
      ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(sequence, {absl::StrCat("at ", sequence)})),
                  IsOk());
    }
  }
  auto journal = Open();
  EXPECT_THAT(Sequences(*journal), ElementsAre(8, 4));
  Rows rows;
  ASSERT_THAT(Read(*journal, 8, rows), IsOk());
  EXPECT_THAT(rows, ElementsAre("at 8"));
  EXPECT_THAT(ReadAll(*journal, 4), SizeIs(6));
  EXPECT_EQ(Query(path_, "SELECT count(*) FROM events"), 6);
  EXPECT_EQ(Query(path_, "SELECT count(*) FROM snapshot_rows"), 2);
  EXPECT_EQ(Query(path_ + ".archive", "SELECT count(*) FROM events WHERE crc IS NOT NULL"), 4);
}

TEST_F(SnapshotsTest, EventsOfAKindAreReadFromTheArchiveToo) {
  auto journal = Open();
  const auto reader = JournalReader::Open(path_);
  ASSERT_THAT(reader, IsOk());
  const auto sequences = [&](int64_t last_sequence, int64_t limit) {
    const auto events =
        (*reader)->EventsOfKinds({"job_submitted", "policy_applied"}, 0, last_sequence, limit);
    EXPECT_THAT(events, IsOk());
    std::vector<int64_t> read;
    for (const v1::Event& event : *events) {
      read.push_back(event.sequence());
    }
    return read;
  };
  ASSERT_THAT(journal->Append(JobEvents(1, 10)), IsOk());
  EXPECT_THAT(sequences(10, 20), SizeIs(10)) << "there is no archive yet";
  for (const int64_t sequence : {4, 6, 8}) {
    ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(sequence, {"rows"})), IsOk());
  }
  ASSERT_EQ(Query(path_, "SELECT min(sequence) FROM events"), 7);
  EXPECT_THAT(sequences(10, 20), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(sequences(10, 6), ElementsAre(5, 6, 7, 8, 9, 10));
  EXPECT_THAT(sequences(10, 2), ElementsAre(9, 10));
  EXPECT_THAT(sequences(3, 20), ElementsAre(1, 2, 3));
  EXPECT_THAT(*(*reader)->EventsOfKinds({"policy_applied"}, 0, 10, 20), SizeIs(0));
}

TEST_F(SnapshotsTest, TheFirstOneKeepsEveryEvent) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 5)), IsOk());
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(5, {"all"})), IsOk());
  EXPECT_THAT(ReadAll(*journal), SizeIs(5)) << "the only snapshot may turn out damaged";
}

// Many megabytes in many transactions make one snapshot.
TEST_F(SnapshotsTest, ManyRowsOfManySizesReadBackInOrder) {
  Rows rows;
  for (size_t i = 0; i < 3000; ++i) {
    rows.push_back(std::string(i * 7919 % 2000, static_cast<char>(i)));
  }
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 1)), IsOk());
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(1, rows)), IsOk());
  Rows back;
  ASSERT_THAT(Read(*journal, 1, back), IsOk());
  EXPECT_EQ(back, rows);
}

TEST_F(SnapshotsTest, ASnapshotThatReadsBackWrongIsDroppedAlone) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 10)), IsOk());
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(3, {"three"})), IsOk());
  SnapshotToWrite wrong = SnapshotOf(6, {"six"});
  wrong.check = [](const GiveRows&) { return absl::DataLossError("another state"); };
  EXPECT_THAT(journal->WriteSnapshot(wrong),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another state")));
  SnapshotToWrite half = SnapshotOf(7, {});
  half.rows = [](const TakeRow& take) {
    EXPECT_THAT(take(std::string(200'000, 'x')), IsOk());
    return absl::OutOfRangeError("a record is too large");
  };
  EXPECT_THAT(journal->WriteSnapshot(half),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("too large")));
  EXPECT_THAT(Sequences(*journal), ElementsAre(3));
  EXPECT_EQ(Query(path_, "SELECT count(*) FROM snapshot_rows"), 1);
  EXPECT_THAT(ReadAll(*journal), SizeIs(10));
}

TEST_F(SnapshotsTest, DamageIsFoundWhereverItIs) {
  const Rows rows = {"one", "two", "three"};
  {
    auto journal = Open();
    ASSERT_THAT(journal->Append(JobEvents(1, 2)), IsOk());
    ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(2, rows)), IsOk());
  }
  for (const std::string damage :
       {"UPDATE snapshot_rows SET record = x'00' WHERE row = 1 RETURNING 1",
        "DELETE FROM snapshot_rows WHERE row = 0 RETURNING 1",
        "DELETE FROM snapshot_rows WHERE row = 2 RETURNING 1",
        "UPDATE snapshots SET digest = digest + 1 RETURNING 1"}) {
    const std::string copy = path_ + ".copy";
    std::filesystem::remove(copy);
    ASSERT_THAT(BackupJournal(path_, copy), IsOk());
    Query(copy, damage);
    auto journal = Journal::Open(copy);
    ASSERT_THAT(journal, IsOk());
    Rows back;
    EXPECT_THAT(Read(**journal, 2, back), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("2")))
        << damage;
  }
}

TEST_F(SnapshotsTest, TheNextStartRemovesTheHalfWrittenSnapshotOfACrash) {
  {
    auto journal = Open();
    ASSERT_THAT(journal->Append(JobEvents(1, 5)), IsOk());
    ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(2, {"two"})), IsOk());
  }
  // Snapshot 3 has rows and no header; snapshot 4 has a header that was never verified.
  Query(path_, "INSERT INTO snapshot_rows VALUES (3, 0, x'00') RETURNING 1");
  Query(path_, "INSERT INTO snapshot_rows VALUES (4, 0, x'00') RETURNING 1");
  Query(path_, "INSERT INTO snapshots VALUES (4, 0, 1, 0, 0) RETURNING 1");
  auto journal = Open();
  EXPECT_THAT(Sequences(*journal), ElementsAre(2));
  EXPECT_EQ(Query(path_, "SELECT count(*) FROM snapshot_rows"), 1);
  EXPECT_EQ(journal->last_sequence(), 5);
}

TEST_F(SnapshotsTest, CommitsGoOnWhileASnapshotIsWritten) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 1)), IsOk());
  SnapshotToWrite snapshot = SnapshotOf(1, {});
  // Another thread commits between two rows of the snapshot. With one large transaction that commit
  // would hang.
  snapshot.rows = [&journal](const TakeRow& take) {
    for (int64_t i = 0; i < 20; ++i) {
      if (absl::Status taken = take(std::string(200'000, 'x')); !taken.ok()) {
        return taken;
      }
      std::thread([&journal, i] {
        EXPECT_THAT(journal->Append({JobEvent(2 + i)}), IsOk());
      }).join();
    }
    return absl::OkStatus();
  };
  snapshot.check = [](const GiveRows& stored) {
    Rows rows;
    absl::Status read = ReadRows(stored, rows);
    EXPECT_THAT(rows, SizeIs(20));
    return read;
  };
  ASSERT_THAT(journal->WriteSnapshot(snapshot), IsOk());
  EXPECT_EQ(journal->last_sequence(), 21);
}

TEST_F(SnapshotsTest, AJournalWithoutOneHasNone) {
  EXPECT_THAT(Sequences(*Open()), IsEmpty());
}

}  // namespace
}  // namespace wattle::store
