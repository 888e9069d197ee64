// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the journal under real faults: kill -9 during appends, a full disk, a second coordinator, a
// newer or damaged file, and a backup during appends.
#include "coordinator/store/journal.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sqlite3.h>

#include "base/crc32c.h"
#include "base/testing/status_matchers.h"
#include "coordinator/store/journal_reader.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/testing/journal_fixture.h"

namespace wattle::store {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

using JournalTest = JournalFixture;

TEST_F(JournalTest, AppendedEventsAreReplayedInOrderAfterReopening) {
  Open()->Append(JobEvents(1, 3)).IgnoreError();
  auto journal = Open();
  EXPECT_EQ(journal->last_sequence(), 3);
  const auto events = ReadAll(*journal);
  ASSERT_THAT(events, SizeIs(3));
  EXPECT_EQ(events[2].SerializeAsString(), JobEvent(3).SerializeAsString());
  EXPECT_THAT(ReadAll(*journal, 2), SizeIs(1));
}

TEST_F(JournalTest, TablesFollowTheEventsInTheSameTransaction) {
  auto journal = Open();
  std::vector<v1::Event> events = JobEvents(1, 1);
  v1::Event placed;
  placed.set_sequence(2);
  placed.set_at_unix_seconds(5);
  placed.mutable_attempt_placed()->set_attempt_id("j1.1");
  placed.mutable_attempt_placed()->set_job_id("j1");
  placed.mutable_attempt_placed()->set_device_id("d");
  placed.mutable_attempt_placed()->set_fencing_token(7);
  v1::Event finished;
  finished.set_sequence(3);
  finished.set_at_unix_seconds(9);
  v1::AttemptStateChanged& changed = *finished.mutable_attempt_state_changed();
  changed.set_attempt_id("j1.1");
  changed.set_state(v1::ATTEMPT_STATE_FINISHED);
  changed.mutable_receipt()->mutable_total()->set_gross_energy_joules(40);
  v1::Event ledger;
  ledger.set_sequence(4);
  ledger.mutable_ledger_recorded()->set_device_id("d");
  ledger.mutable_ledger_recorded()->mutable_ledger()->set_attempt_energy_joules(40);
  events.insert(events.end(), {placed, finished, ledger});
  ASSERT_THAT(journal->Append(events), IsOk());

  EXPECT_EQ(Query(path_, "SELECT count(*) FROM jobs WHERE kind = 'finetune'"), 1);
  EXPECT_EQ(Query(path_, "SELECT total_energy_joules FROM attempts WHERE state = 'finished'"), 40);
  EXPECT_EQ(Query(path_, "SELECT attempt_energy_joules FROM energy_ledger"), 40);
}

TEST_F(JournalTest, ALedgerOfAnOlderProgramGetsItsIndexAndIsReadByTime) {
  std::vector<v1::Event> events;
  for (int64_t sequence = 1; sequence <= 40; ++sequence) {
    v1::Event event;
    event.set_sequence(sequence);
    event.mutable_ledger_recorded()->set_device_id(sequence % 2 == 0 ? "even" : "odd");
    event.set_at_unix_seconds(86400.0 * static_cast<double>(sequence));
    events.push_back(event);
  }
  ASSERT_THAT(Open()->Append(events), IsOk());
  {
    auto database = Database::Open(path_, SQLITE_OPEN_READWRITE);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(database->Execute("DROP INDEX energy_ledger_by_time"), IsOk());
  }
  const auto journal = Open();
  const auto reader = JournalReader::Open(path_);
  ASSERT_THAT(reader, IsOk());
  const auto before = (*reader)->LedgersBefore(86400.0 * 7.5);
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(*before, SizeIs(2));
  EXPECT_EQ((*before)[0].day, 6);  // device "even"
  EXPECT_EQ((*before)[1].day, 7);
  EXPECT_THAT(*(*reader)->LedgersBefore(86400.0 * 1.5), SizeIs(1));
  EXPECT_THAT(*(*reader)->LedgersBefore(1), SizeIs(0));
  const auto days = (*reader)->LedgersByDay(86400.0 * 30, 86400.0 * 33);
  ASSERT_THAT(days, IsOk());
  ASSERT_THAT(*days, SizeIs(3));
  EXPECT_EQ((*days)[0].day, 30);
}

TEST_F(JournalTest, GapInTheNumbersIsRefusedAndNothingIsStored) {
  auto journal = Open();
  EXPECT_THAT(journal->Append({JobEvent(1), JobEvent(3)}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("gap")));
  EXPECT_THAT(ReadAll(*journal), SizeIs(0));
}

TEST_F(JournalTest, ASecondCoordinatorOnTheSameDirectoryGetsAnError) {
  auto journal = Open();
  EXPECT_THAT(Journal::Open(path_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("another coordinator"), HasSubstr(absl::StrCat(getpid())))));
}

TEST_F(JournalTest, NumberThatExistsMeansAnotherLeads) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 2)), IsOk());
  // A process that did not see the lock (on another host of a shared disk) wrote number 3.
  Query(path_, "INSERT INTO events VALUES (3, 0, 'job_submitted', x'00', 0) RETURNING sequence");
  EXPECT_THAT(journal->Append({JobEvent(3)}),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("another coordinator leads")));
  EXPECT_EQ(journal->last_sequence(), 2);
}

// Only a clash of event numbers means another leader. A clash in another table is a fault of this
// file.
TEST_F(JournalTest, AClashInAnotherTableDoesNotCountAsAnotherLeader) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 1)), IsOk());
  v1::Event again = JobEvent(2);
  again.mutable_job_submitted()->set_job_id("j1");
  EXPECT_THAT(journal->Append({again}),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("jobs"), HasSubstr("event 2 (job_submitted)"))));
  EXPECT_EQ(journal->last_sequence(), 1);
}

// The statement fails and names the limit; the value does not silently become NULL.
TEST_F(JournalTest, AValueTooLargeForSqliteIsAnErrorOfItsStatement) {
  auto database = Database::Open(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  ASSERT_THAT(database, IsOk());
  ASSERT_THAT(database->Execute("CREATE TABLE t (bytes BLOB)"), IsOk());
  sqlite3_limit(database->get(), SQLITE_LIMIT_LENGTH, 1000);
  auto insert = database->Prepare("INSERT INTO t VALUES (?)");
  ASSERT_THAT(insert, IsOk());
  EXPECT_THAT(insert->BindBytes(std::string(1001, 'x')).Run(),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("1001 bytes"), HasSubstr("1000 bytes"))));
  EXPECT_THAT(insert->BindBytes(std::string(900, 'x')).Run(), IsOk());
  EXPECT_EQ(*database->Integer("SELECT count(*) FROM t WHERE bytes IS NOT NULL"), 1);
}

TEST_F(JournalTest, NewerSchemaIsRefusedInOneLine) {
  Open();
  Query(path_, "PRAGMA user_version = 99");
  EXPECT_THAT(Journal::Open(path_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                             AllOf(HasSubstr("schema version 99"),
                                                   HasSubstr("newer wattle-coordinator"))));
}

// One damaged byte of the file's head is enough.
TEST_F(JournalTest, AFileThatSaysAnOlderVersionThanItsTablesIsDamaged) {
  ASSERT_THAT(Open()->Append({JobEvent(1)}), IsOk());
  Query(path_, "PRAGMA user_version = 1");
  EXPECT_THAT(Journal::Open(path_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("restore a backup")));
}

TEST_F(JournalTest, AFileOfAnotherKindIsRefused) {
  std::ofstream(path_) << std::string(8192, 'z');
  EXPECT_THAT(Journal::Open(path_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("restore a backup")));
}

TEST_F(JournalTest, MissingDirectoryIsNamed) {
  EXPECT_THAT(Journal::Open(directory_.File("missing/journal.db")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/missing/journal.db")));
}

absl::Status ReplayAll(Journal& journal) {
  return journal.Replay(0, [](const v1::Event&) { return absl::OkStatus(); });
}

// An event with a flipped byte may still parse; only the chain finds the damage.
TEST_F(JournalTest, AnyFlippedByteOfAnEventIsFoundAndTheEventNamed) {
  Open()->Append(JobEvents(1, 4)).IgnoreError();
  const std::string bytes = JobEvent(3).SerializeAsString();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x01);
    SetEvent(3, damaged);
    EXPECT_THAT(ReplayAll(*Open()),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("event 3 is damaged"), HasSubstr("restore a backup"))))
        << "byte " << i;
  }
  SetEvent(3, bytes);
  EXPECT_THAT(ReplayAll(*Open()), IsOk());
}

TEST_F(JournalTest, AnEventOfAnotherJournalInTheMiddleBreaksTheChain) {
  Open()->Append(JobEvents(1, 3)).IgnoreError();
  // The event has its own right checksum, but the checksum is not chained.
  const std::string other = JobEvent(2, 20).SerializeAsString();
  SetEvent(2, other);
  Query(path_,
        absl::StrCat("UPDATE events SET crc = ", Crc32c(other), " WHERE sequence = 2 RETURNING 1"));
  EXPECT_THAT(ReplayAll(*Open()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("event 2")));
}

TEST_F(JournalTest, AMissingEventIsNamed) {
  Open()->Append(JobEvents(1, 3)).IgnoreError();
  Query(path_, "DELETE FROM events WHERE sequence = 2 RETURNING 1");
  EXPECT_THAT(ReplayAll(*Open()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("event 2 is missing")));
}

TEST_F(JournalTest, TheChainGoesOnAfterReopening) {
  for (int64_t next = 1; next < 10; next += 3) {
    ASSERT_THAT(Open()->Append(JobEvents(next, 3)), IsOk());
  }
  EXPECT_THAT(ReadAll(*Open()), SizeIs(9));
}

TEST_F(JournalTest, BackupWhileEventsAreAppendedIsConsistent) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 50)), IsOk());
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(20, {"twenty"})), IsOk());
  ASSERT_THAT(journal->WriteSnapshot(SnapshotOf(40, {"forty"})), IsOk());
  std::atomic<bool> stop = false;
  std::atomic<int64_t> next = 51;
  std::thread writer([&] {
    while (!stop) {
      ASSERT_THAT(journal->Append(JobEvents(next, 3)), IsOk());
      next += 3;
    }
  });
  const std::string copy = directory_.File("copy.db");
  std::vector<absl::Status> statuses;
  for (int i = 0; i < 5; ++i) {
    const std::string one = absl::StrCat(copy, i);
    statuses.push_back(journal->Backup(one));
  }
  stop = true;
  writer.join();
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(statuses[static_cast<size_t>(i)], IsOk());
    auto restored = Journal::Open(absl::StrCat(copy, i));
    ASSERT_THAT(restored, IsOk());
    const auto events = ReadAll(**restored, 20);
    EXPECT_EQ(events.size() % 3, 0u) << "a torn batch";
    EXPECT_EQ(Query(absl::StrCat(copy, i), "SELECT count(*) FROM jobs"),
              (*restored)->last_sequence());
    EXPECT_EQ(Query(absl::StrCat(copy, i) + ".archive", "SELECT count(*) FROM events"), 20);
  }
  EXPECT_THAT(journal->Backup(copy + "0"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("exists")));
}

// Runs `body` in a child process and returns its wait status.
template <typename Body>
pid_t Fork(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  return child;
}

TEST_F(JournalTest, KillInTheMiddleOfAppendsLeavesOnlyWholeBatches) {
  constexpr int kBatch = 7;
  int64_t before = 0;
  for (int round = 0; round < 6; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = Fork([&] {
      auto journal = Journal::Open(path_);
      if (!journal.ok()) {
        _exit(1);
      }
      for (int64_t next = (*journal)->last_sequence() + 1;; next += kBatch) {
        if (!(*journal)->Append(JobEvents(next, kBatch, 2000)).ok()) {
          _exit(2);
        }
        // The child reports the number only after the commit.
        const int64_t durable = next + kBatch - 1;
        if (write(pipe_ends[1], &durable, sizeof(durable)) != sizeof(durable)) {
          _exit(3);
        }
      }
    });
    close(pipe_ends[1]);
    // Kills at a commit that differs by round. By then the child is in a later append.
    int64_t acknowledged = 0;
    for (int seen = 0; seen < 3 + round; ++seen) {
      ASSERT_EQ(read(pipe_ends[0], &acknowledged, sizeof(acknowledged)),
                static_cast<ssize_t>(sizeof(acknowledged)));
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    int64_t more = 0;
    while (read(pipe_ends[0], &more, sizeof(more)) == static_cast<ssize_t>(sizeof(more))) {
      acknowledged = more;
    }
    close(pipe_ends[0]);

    auto journal = Open();
    const auto events = ReadAll(*journal);
    EXPECT_EQ(events.size() % kBatch, 0u) << "a torn batch";
    EXPECT_GE(journal->last_sequence(), acknowledged) << "an acknowledged batch is lost";
    EXPECT_GT(journal->last_sequence(), before);
    EXPECT_EQ(Query(path_, "SELECT count(*) FROM jobs"), journal->last_sequence());
    before = journal->last_sequence();
  }
}

// Replaces SQLite's write call: a write fails with a full disk once `g_bytes_free` is used up.
int64_t g_bytes_free = 0;
ssize_t WriteOnSmallDisk(int file, const void* data, size_t size, off_t offset) {
  g_bytes_free -= static_cast<int64_t>(size);
  if (g_bytes_free < 0) {
    errno = ENOSPC;
    return -1;
  }
  return pwrite(file, data, size, offset);
}

class SmallDisk {
 public:
  explicit SmallDisk(int64_t bytes_free) {
    g_bytes_free = bytes_free;
    Set(reinterpret_cast<sqlite3_syscall_ptr>(WriteOnSmallDisk));
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() { Set(nullptr); }

 private:
  static void Set(sqlite3_syscall_ptr call) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    for (const char* name : {"pwrite", "pwrite64"}) {
      vfs->xSetSystemCall(vfs, name, call);
    }
  }
};

TEST_F(JournalTest, AFullDiskGivesAnErrorWithARemedyAndLeavesNothingHalfWritten) {
  constexpr int kBatch = 5;
  auto journal = Open();
  absl::Status status;
  {
    const SmallDisk disk(300'000);
    for (int64_t next = 1; status.ok() && next < 2000; next += kBatch) {
      status = journal->Append(JobEvents(next, kBatch, 4000));
    }
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free space")));

  journal.reset();
  journal = Open();
  EXPECT_GT(journal->last_sequence(), 0);
  EXPECT_EQ(journal->last_sequence() % kBatch, 0) << "a torn batch";
  EXPECT_EQ(Query(path_, "SELECT count(*) FROM jobs"), journal->last_sequence());
  EXPECT_THAT(journal->Append(JobEvents(journal->last_sequence() + 1, 1)), IsOk());
}

TEST_F(JournalTest, BackupToAFullDiskLeavesNothingBehind) {
  auto journal = Open();
  ASSERT_THAT(journal->Append(JobEvents(1, 20, 4000)), IsOk());
  const std::string copy = directory_.File("copy.db");
  {
    const SmallDisk disk(30'000);
    EXPECT_THAT(journal->Backup(copy),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free space")));
  }
  EXPECT_FALSE(std::filesystem::exists(copy));
  EXPECT_FALSE(std::filesystem::exists(copy + ".partial"));
}

}  // namespace
}  // namespace wattle::store
