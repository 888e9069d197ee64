// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The reports that the coordinator must receive. Reports are numbered from 1 without gaps within an
// incarnation, stored on disk before they are sent, and kept until they are acknowledged. The file
// has a header (magic, incarnation, number of the last report that was dropped from the front,
// CRC-32C of the two numbers), then records (length, CRC-32C, report).
//
// A damaged file, or one that ends within a record, may have lost reports whose numbers the
// coordinator knows. The numbers therefore begin anew: all readable reports, also those after the
// damage, get new numbers under a new incarnation, and repair() describes the damage. The old file
// is kept as spool.damaged. One thread owns a spool.
#ifndef WATTLE_WORKER_AGENT_STORAGE_SPOOL_H_
#define WATTLE_WORKER_AGENT_STORAGE_SPOOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/fleet.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

class Spool {
 public:
  // Opens or makes the file "spool". disk: must outlive the spool. Errors: those of the disk.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(Disk* disk);

  // The random incarnation, which distinguishes this numbering from one before the disk was wiped,
  // damaged or restored.
  [[nodiscard]] int64_t incarnation() const { return incarnation_; }
  // The reports that are not acknowledged, in order.
  [[nodiscard]] const std::deque<v1::Report>& pending() const { return pending_; }
  // The number of this incarnation's last report; 0: none yet.
  [[nodiscard]] int64_t last_sequence() const {
    return dropped_ + static_cast<int64_t>(pending_.size());
  }
  // The damage that was found when the file was opened, in one line; empty: none.
  [[nodiscard]] const std::string& repair() const { return repair_; }

  // Numbers the report, makes it durable and returns the number. Errors: kResourceExhausted if the
  // disk is full; nothing was added, and the caller may try again.
  absl::StatusOr<int64_t> Append(v1::Report report);
  // Drops all reports up to `sequence`, which the coordinator has. A smaller number than before
  // changes nothing.
  absl::Status Acknowledge(int64_t sequence);
  // Changes the pending reports, whose numbers must stay. Errors: those of the disk; the reports
  // are then unchanged.
  absl::Status Change(const std::function<void(v1::Report&)>& change);
  // Draws a new incarnation and numbers the pending reports from 1. Errors: those of the disk; the
  // old numbering then stays.
  absl::Status BeginIncarnation();

 private:
  explicit Spool(Disk* disk) : disk_(disk) {}
  absl::Status Load();
  size_t ReadHeader(absl::string_view content);
  void ReadRecords(absl::string_view records);
  absl::Status Rewrite();

  Disk* disk_;
  int64_t size_bytes_ = 0;
  int64_t incarnation_ = 0;
  int64_t dropped_ = 0;  // number of the last report before pending_
  std::deque<v1::Report> pending_;
  std::string repair_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_SPOOL_H_
