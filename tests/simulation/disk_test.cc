// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The simulated disk keeps what was synced and loses the rest from a random point on; SQLite on it
// keeps its promises through cuts of the power.
#include "sim/disk.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sqlite3.h>

#include "base/status_matchers.h"
#include "coordinator/store/journal.h"
#include "sim/sqlite_disk.h"

namespace wattle::sim {
namespace {

using testing::StartsWith;

TEST(DiskTest, SyncedBytesStayAndTheRestIsLostFromAPointOn) {
  std::set<size_t> sizes;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    Random random(seed);
    Disk disk(random);
    ASSERT_THAT(disk.Append("log", "kept"), IsOk());
    disk.Sync("log");
    ASSERT_THAT(disk.Append("log", "one"), IsOk());
    ASSERT_THAT(disk.Append("log", "two"), IsOk());
    disk.LosePower();
    EXPECT_THAT(std::string("keptonetwo"), StartsWith(*disk.Find("log")));
    EXPECT_THAT(*disk.Find("log"), StartsWith("kept"));
    sizes.insert(disk.Find("log")->size());
  }
  EXPECT_EQ(sizes.size(), 7U) << "every cut happens";
}

TEST(DiskTest, AFullDiskRefusesAndKeepsWhatItHas) {
  Random random(1);
  Disk disk(random);
  ASSERT_THAT(disk.Replace("a", "old"), IsOk());
  disk.SetFull(true);
  EXPECT_THAT(disk.Replace("a", "new"),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::HasSubstr("full")));
  EXPECT_EQ(*disk.Find("a"), "old");
}

// Rows that a committed transaction wrote, and the sum that each transaction keeps at zero.
struct Ledger {
  explicit Ledger(const std::string& root) {
    EXPECT_EQ(sqlite3_open_v2(absl::StrCat(root, "/db").c_str(), &database,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kSqliteVfsName),
              SQLITE_OK);
    Run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS moves (id INTEGER PRIMARY KEY, amount INTEGER);");
  }
  ~Ledger() { sqlite3_close_v2(database); }
  bool Run(const std::string& sql) const {
    return sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  [[nodiscard]] int64_t Integer(const std::string& sql) const {
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
  }
  sqlite3* database = nullptr;
};

TEST(SqliteDiskTest, CommittedTransactionsSurviveEveryCutWhole) {
  Random random(7);
  Disk disk(random);
  SqliteMount mount(disk, random);
  int64_t committed = 0;
  for (int life = 0; life < 40; ++life) {
    auto ledger = std::make_unique<Ledger>(mount.root());
    ASSERT_GE(ledger->Integer("SELECT count(*) FROM moves"), committed);
    ASSERT_EQ(ledger->Integer("SELECT coalesce(sum(amount), 0) FROM moves"), 0);
    committed = ledger->Integer("SELECT count(*) FROM moves");
    for (int i = random.Below(5); i > 0; --i) {
      ASSERT_TRUE(ledger->Run(
          "BEGIN; INSERT INTO moves (amount) VALUES (5); INSERT INTO moves (amount) VALUES (-5);"
          "COMMIT;"));
      committed += 2;
    }
    // Half a transaction is under way when the power goes.
    ledger->Run("BEGIN; INSERT INTO moves (amount) VALUES (7);");
    mount.Unplug(true);
    ledger.reset();
    disk.LosePower();
    mount.Unplug(false);
  }
}

TEST(SqliteDiskTest, WithoutSyncACutLosesCommittedTransactions) {
  bool lost = false;
  for (uint64_t seed = 0; seed < 50 && !lost; ++seed) {
    Random random(seed);
    Disk disk(random);
    SqliteMount mount(disk, random);
    auto ledger = std::make_unique<Ledger>(mount.root());
    ledger->Run("PRAGMA synchronous = OFF;");
    ASSERT_TRUE(ledger->Run("INSERT INTO moves (amount) VALUES (5)"));
    mount.Unplug(true);
    ledger.reset();
    disk.LosePower();
    mount.Unplug(false);
    ledger = std::make_unique<Ledger>(mount.root());
    lost = ledger->Integer("SELECT count(*) FROM moves") == 0;
  }
  EXPECT_TRUE(lost) << "the disk forgets nothing";
}

// A copy without its mark goes on under the epoch of the original, and gives out its tokens again.
TEST(SqliteDiskTest, ABackupThatIsDoneIsWholeAndMarkedWhereverThePowerFails) {
  constexpr int64_t kEvents = 40;
  constexpr int kOperationsOfACopy = 40;
  int done = 0;
  int failed = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Disk disk(random);
    SqliteMount mount(disk, random);
    auto journal = store::Journal::Open(mount.root() + "/journal", kSqliteVfsName);
    ASSERT_THAT(journal, IsOk());
    std::vector<v1::Event> events(kEvents);
    for (int64_t i = 0; i < kEvents; ++i) {
      events[static_cast<size_t>(i)].set_sequence(i + 1);
      events[static_cast<size_t>(i)].mutable_policy_deleted()->set_name("reserve");
    }
    ASSERT_THAT((*journal)->Append(events), IsOk());
    mount.UnplugSoon(kOperationsOfACopy);
    const absl::Status copied =
        store::CopyJournal(mount.root() + "/journal", mount.root() + "/copy", kSqliteVfsName);
    mount.Unplug(true);
    journal->reset();
    disk.LosePower();
    (copied.ok() ? done : failed) += 1;
    if (!copied.ok()) {
      continue;
    }
    Disk other(random);
    SqliteMount there(other, random);
    other.Restore({{there.root() + "/journal", disk.Copy().at(mount.root() + "/copy")}});
    auto restored = store::Journal::Open(there.root() + "/journal", kSqliteVfsName);
    ASSERT_THAT(restored, IsOk()) << "seed " << seed;
    EXPECT_TRUE((*restored)->is_copy()) << "seed " << seed;
    EXPECT_EQ((*restored)->last_sequence(), kEvents) << "seed " << seed;
  }
  EXPECT_GT(done, 0);
  EXPECT_GT(failed, 0);
}

// A process that dies between a write and its sync leaves events that the next process reads from
// the kernel's memory. Whoever is told of them must not lose them with the power.
TEST(SqliteDiskTest, WhatAJournalReadsAtItsStartSurvivesACutOfThePower) {
  constexpr int kOperationsOfAnAppend = 12;
  int read_unconfirmed = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Disk disk(random);
    SqliteMount mount(disk, random);
    std::unique_ptr<store::Journal> journal;
    const auto open = [&] {
      auto opened = store::Journal::Open(mount.root() + "/journal", kSqliteVfsName);
      ASSERT_THAT(opened, IsOk()) << "seed " << seed;
      journal = *std::move(opened);
    };
    const auto die = [&](bool power_fails) {
      mount.Unplug(true);
      journal.reset();
      if (power_fails) {
        disk.LosePower();
      }
      mount.Unplug(false);
    };
    open();
    std::vector<v1::Event> events(1);
    events[0].set_sequence(1);
    events[0].mutable_policy_deleted()->set_name("reserve");
    mount.UnplugSoon(kOperationsOfAnAppend);
    const bool confirmed = journal->Append(events).ok();
    die(/*power_fails=*/false);
    open();
    const int64_t read = journal->last_sequence();
    read_unconfirmed += !confirmed && read == 1 ? 1 : 0;
    die(/*power_fails=*/true);
    open();
    EXPECT_GE(journal->last_sequence(), read) << "seed " << seed;
    die(/*power_fails=*/false);
  }
  EXPECT_GT(read_unconfirmed, 0);
}

TEST(SqliteDiskTest, AFullDiskRefusesTheCommit) {
  Random random(1);
  Disk disk(random);
  SqliteMount mount(disk, random);
  const Ledger ledger(mount.root());
  disk.SetFull(true);
  EXPECT_FALSE(ledger.Run("INSERT INTO moves (amount) VALUES (5)"));
  disk.SetFull(false);
  EXPECT_TRUE(ledger.Run("INSERT INTO moves (amount) VALUES (0)"));
  EXPECT_EQ(ledger.Integer("SELECT count(*) FROM moves"), 1);
}

}  // namespace
}  // namespace wattle::sim
