// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reports that the coordinator must get: numbered from 1 without gaps, on disk before they are
// sent, kept until acknowledged. One log file: a header (magic, incarnation, number of the last
// report ever dropped from the front), then records (length, CRC-32, report). A torn tail, left by
// a power cut, was never promised to anybody and is cut off. One thread owns a spool.
#ifndef WATTLE_WORKER_AGENT_STORAGE_SPOOL_H_
#define WATTLE_WORKER_AGENT_STORAGE_SPOOL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "wattle/v1/fleet.pb.h"

namespace wattle::agent {

class Spool {
 public:
  // Opens or makes the file. A file whose header is not one is set aside as PATH.damaged, and a new
  // incarnation begins.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(const std::string& path);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // Random, made with the file: tells this numbering from one before the disk was wiped.
  [[nodiscard]] int64_t incarnation() const { return incarnation_; }
  // Not yet acknowledged, in order.
  [[nodiscard]] const std::deque<v1::Report>& pending() const { return pending_; }

  // Numbers the report and makes it durable; returns the number. kResourceExhausted: the disk is
  // full; nothing was added, try again.
  absl::StatusOr<int64_t> Append(v1::Report report);
  // Everything up to `sequence` is safe at the coordinator. Less than already known: no change.
  absl::Status Acknowledge(int64_t sequence);

 private:
  explicit Spool(std::string path) : path_(std::move(path)) {}
  absl::Status Load();
  absl::Status Rewrite();

  std::string path_;
  int file_ = -1;
  int64_t size_bytes_ = 0;
  int64_t incarnation_ = 0;
  int64_t dropped_ = 0;  // number of the last report before pending_
  std::deque<v1::Report> pending_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_SPOOL_H_
