// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real journal as an event log, with the real history.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/event_loop/event_loop.h"
#include "coordinator/store/history.h"
#include "coordinator/store/journal.h"
#include "sim/event_log.h"

namespace wattle::sim {
namespace {

// About the number of disk operations of one append.
constexpr int kOperationsOfAnAppend = 12;
constexpr char kJournalFile[] = "/journal";
constexpr char kCopyFile[] = "/copy";
constexpr int kHistoryPage = 5;  // small, so that most lists have several pages

class SqliteLog final : public EventLog {
 public:
  SqliteLog(SqliteMount& mount, const Disk& disk, std::unique_ptr<store::Journal> journal,
            std::unique_ptr<store::History> history)
      : mount_(mount), disk_(disk), journal_(std::move(journal)), history_(std::move(history)) {}

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
    event_loop::Recorded recorded;
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
    return event_loop::Recover(recorded);
  }

  absl::Status WriteSnapshot(const core::State& state) override {
    store::SnapshotToWrite snapshot;
    snapshot.sequence = state.last_sequence.value();
    snapshot.rows = [&state](const store::TakeRow& take) {
      return core::GiveSnapshotRows(state, take);
    };
    snapshot.check = [&state](const store::GiveRows& stored) {
      return event_loop::CheckSnapshot(state, stored);
    };
    WATTLE_RETURN_IF_ERROR(journal_->WriteSnapshot(snapshot));
    return journal_->Checkpoint();
  }

  absl::StatusOr<Disk::Image> Backup() override {
    const std::string copy = mount_.root() + kCopyFile;
    WATTLE_RETURN_IF_ERROR(store::CopyJournal(mount_.root() + kJournalFile, copy, kSqliteVfsName));
    Disk::Image image;
    for (const auto& [path, content] : disk_.Copy()) {
      for (const std::string& suffix : {std::string(), std::string(store::kArchiveSuffix)}) {
        if (path == copy + suffix) {
          image[mount_.root() + kJournalFile + suffix] = content;
        }
      }
    }
    return image;
  }

  [[nodiscard]] bool is_copy() const override { return journal_->is_copy(); }

  absl::Status CheckHistory(const std::map<std::string, v1::Job>& archived) override {
    size_t listed = 0;
    for (store::HistoryQuery page{.limit = kHistoryPage};;) {
      WATTLE_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, history_->Jobs(page));
      if (jobs.empty()) {
        break;
      }
      listed += jobs.size();
      page.before_number = core::JobNumber(jobs.back().job_id()).value_or(0);
    }
    if (listed != archived.size()) {
      return absl::DataLossError(absl::StrCat("the history lists ", listed, " jobs, and ",
                                              archived.size(), " were archived"));
    }
    for (const auto& [key, job] : archived) {
      WATTLE_RETURN_IF_ERROR(CheckArchived(key, job));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status CheckArchived(const std::string& key, const v1::Job& job) {
    WATTLE_ASSIGN_OR_RETURN(const std::optional<JobId> id, history_->JobOfKey(key));
    if (!id.has_value() || id->value() != job.job_id()) {
      return absl::DataLossError(
          absl::StrCat("the history does not find ", job.job_id(), " by the key ", key));
    }
    WATTLE_ASSIGN_OR_RETURN(v1::Job found, history_->Job(*id));
    if (found.SerializeAsString() != job.SerializeAsString()) {
      return absl::DataLossError(
          absl::StrCat("the history has another ", job.job_id(), " than its event"));
    }
    WATTLE_RETURN_IF_ERROR(history_->Explain(found));
    for (const v1::Attempt& attempt : found.attempts()) {
      const std::string& explained = attempt.placement().device_id();
      if (!explained.empty() && explained != attempt.device_id()) {
        return absl::DataLossError(absl::StrCat("the history explains ", attempt.attempt_id(),
                                                " on ", explained, ", which ran on ",
                                                attempt.device_id()));
      }
    }
    return absl::OkStatus();
  }

  SqliteMount& mount_;
  const Disk& disk_;
  std::unique_ptr<store::Journal> journal_;
  std::unique_ptr<store::History> history_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventLog>> OpenSqliteLog(SqliteMount& mount, const Disk& disk) {
  const std::string path = mount.root() + kJournalFile;
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<store::Journal> journal,
                          store::Journal::Open(path, kSqliteVfsName));
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<store::History> history,
                          store::History::Open(path, kSqliteVfsName));
  return std::make_unique<SqliteLog>(mount, disk, std::move(journal), std::move(history));
}

}  // namespace wattle::sim
