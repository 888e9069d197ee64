// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where the simulated coordinator keeps its events: the real journal (coordinator/store, SQLite) on
// the simulated disk, or a plain log of the same promises, which takes a tenth of the time.
// Single-threaded.
#ifndef WATTLE_SIM_EVENT_LOG_H_
#define WATTLE_SIM_EVENT_LOG_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "coordinator/core/state.h"
#include "sim/disk.h"
#include "sim/sqlite_disk.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

class EventLog {
 public:
  virtual ~EventLog() = default;
  // All of `events` are durable when it returns OK, or none. kResourceExhausted: the disk is full.
  virtual absl::Status Append(const std::vector<v1::Event>& events) = 0;
  // The state after the last durable event. `seen` gets every event that is read.
  virtual absl::StatusOr<core::State> Recover(
      const std::function<void(const v1::Event&)>& seen) = 0;
  // Lets older events go: a start then reads the snapshot in their place.
  virtual absl::Status WriteSnapshot(const core::State& state) = 0;
  // The events are handed to the disk, and the machine stops before the disk confirms them.
  virtual void AppendUnconfirmed(const std::vector<v1::Event>& events) = 0;
};

// The journal file "journal" on the mounted disk. Errors: those of store::Journal::Open.
absl::StatusOr<std::unique_ptr<EventLog>> OpenSqliteLog(SqliteMount& mount);

// A record for each batch, with its length and a checksum: a torn batch is none.
std::unique_ptr<EventLog> OpenPlainLog(Disk& disk);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_EVENT_LOG_H_
