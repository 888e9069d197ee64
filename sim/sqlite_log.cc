// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real journal as an event log.
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "base/status_macros.h"
#include "coordinator/shell/shell.h"
#include "coordinator/store/journal.h"
#include "sim/event_log.h"

namespace wattle::sim {
namespace {

// About the number of disk operations of one append.
constexpr int kOperationsOfAnAppend = 12;

class SqliteLog final : public EventLog {
 public:
  SqliteLog(SqliteMount& mount, std::unique_ptr<store::Journal> journal)
      : mount_(mount), journal_(std::move(journal)) {}

  absl::Status Append(const std::vector<v1::Event>& events) override {
    return journal_->Append(events);
  }

  void AppendUnconfirmed(const std::vector<v1::Event>& events) override {
    // The machine stops during the append or right after it.
    mount_.UnplugSoon(kOperationsOfAnAppend);
    journal_->Append(events).IgnoreError();
  }

  absl::StatusOr<core::State> Recover(const std::function<void(const v1::Event&)>& seen) override {
    WATTLE_ASSIGN_OR_RETURN(std::vector<int64_t> snapshots, journal_->Snapshots());
    shell::Recorded recorded;
    recorded.snapshots = std::move(snapshots);
    recorded.read_snapshot = [this](int64_t sequence, const auto& take) {
      return journal_->ReadSnapshot(sequence, take);
    };
    recorded.replay = [this, &seen](int64_t after, const auto& take) {
      return journal_->Replay(after, [&](const v1::Event& event) {
        seen(event);
        return take(event);
      });
    };
    return shell::Recover(recorded);
  }

  absl::Status WriteSnapshot(const core::State& state) override {
    store::SnapshotToWrite snapshot;
    snapshot.sequence = state.last_sequence.value();
    snapshot.rows = [&state](const store::TakeRow& take) {
      return core::GiveSnapshotRows(state, take);
    };
    snapshot.check = [&state](const store::GiveRows& stored) {
      return shell::CheckSnapshot(state, stored);
    };
    WATTLE_RETURN_IF_ERROR(journal_->WriteSnapshot(snapshot));
    return journal_->Checkpoint();
  }

 private:
  SqliteMount& mount_;
  std::unique_ptr<store::Journal> journal_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventLog>> OpenSqliteLog(SqliteMount& mount) {
  WATTLE_ASSIGN_OR_RETURN(
      std::unique_ptr<store::Journal> journal,
      store::Journal::Open(absl::StrCat(mount.root(), "/journal"), kSqliteVfsName));
  return std::make_unique<SqliteLog>(mount, std::move(journal));
}

}  // namespace wattle::sim
