// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The simulated coordinator's log of events: the real journal (coordinator/store, SQLite) on the
// simulated disk, or a plain log with the same guarantees, which takes a tenth of the time.
// Single-threaded.
#ifndef WATTLE_SIM_EVENT_LOG_H_
#define WATTLE_SIM_EVENT_LOG_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "coordinator/core/state.h"
#include "sim/disk.h"
#include "sim/sqlite_disk.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

class EventLog {
 public:
  virtual ~EventLog() = default;
  // Appends all of `events` durably, or none. Errors: kResourceExhausted: the disk is full.
  virtual absl::Status Append(const std::vector<v1::Event>& events) = 0;
  // The state after the last durable event. Calls `seen` with every event that it reads.
  virtual absl::StatusOr<core::State> Recover(
      const std::function<void(const v1::Event&)>& seen) = 0;
  // Stores the state and drops older events; a later start reads the snapshot instead.
  virtual absl::Status WriteSnapshot(const core::State& state) = 0;
  // Writes the events to the disk; the machine stops before the disk confirms them.
  virtual void AppendUnconfirmed(const std::vector<v1::Event>& events) = 0;
  // Copies the log while it is in use. Returns the durable files of a disk that has only the copy.
  virtual absl::StatusOr<Disk::Image> Backup() = 0;
  // Whether the log is such a copy, and no event has opened it yet.
  [[nodiscard]] virtual bool is_copy() const = 0;
  // Compares the history with the jobs that events moved there, by idempotency key. The plain log
  // has no history.
  virtual absl::Status CheckHistory(const std::map<std::string, v1::Job>& archived) = 0;
};

// Opens the file "journal" on the mounted disk `disk`. Errors: those of store::Journal::Open.
absl::StatusOr<std::unique_ptr<EventLog>> OpenSqliteLog(SqliteMount& mount, const Disk& disk);

// Writes one record per batch, with its length and a checksum. A torn record counts as no batch.
std::unique_ptr<EventLog> OpenPlainLog(Disk& disk);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_EVENT_LOG_H_
