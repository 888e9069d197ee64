// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps samples of the worker's /metrics until Prometheus has them, for a device that Prometheus
// cannot reach. Scrapes are collected into batches. The latest batches are in memory and older ones
// in files, so that weeks without a link cost disk instead of memory. A power cut loses the batches
// in memory, at most kBatchesInMemory. The files have a maximum size. Beyond it two neighbouring
// batches become one with every second scrape, oldest first, so that a long silence gets coarser
// instead of shorter; dropped samples are counted. One thread owns a spool.
#ifndef WATTLE_WORKER_AGENT_STORAGE_METRIC_SPOOL_H_
#define WATTLE_WORKER_AGENT_STORAGE_METRIC_SPOOL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"

#include "wattle/v1/fleet.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

struct MetricSpoolLimits {
  int64_t size_bytes_max = int64_t{32} << 20;  // size of all files
  int scrapes_per_batch = 20;
};

class MetricSpool {
 public:
  static constexpr size_t kBatchesInMemory = 4;
  // Each level halves the scrapes. A batch of the last level, 64 times as coarse, is dropped
  // instead of thinned.
  static constexpr int kLevelMax = 6;

  // Continues with the batches that an earlier process left in the folder "metrics". disk: must
  // outlive the spool.
  MetricSpool(Disk* disk, const MetricSpoolLimits& limits);

  // Adds a scrape: the series of one time.
  void Add(const v1::MetricBatch& scrape);
  // Adds `difference` to the times of scrapes from before this moment, and marks their batches.
  // Without a difference, or if the disk refuses, these scrapes are dropped.
  void DateScrapesBefore(int64_t unix_milliseconds, std::optional<int64_t> difference_milliseconds);
  // The oldest batch with a number above `after`; nullopt: none. The batch stays until it is
  // acknowledged.
  std::optional<v1::MetricBatch> Next(int64_t after);
  // Removes a batch that Prometheus has or has refused for good.
  void Acknowledge(int64_t number);
  // Writes the batches in memory to the disk, before the process ends.
  void Save();

  [[nodiscard]] int64_t size_bytes() const { return size_bytes_; }  // size of the files
  // Samples that were thinned out, or refused by the disk, since the process started.
  [[nodiscard]] int64_t dropped_samples() const { return dropped_samples_; }

 private:
  struct Stored {
    int level = 0;
    int64_t size_bytes = 0;
  };
  using StoredBatches = std::map<int64_t, Stored>;

  [[nodiscard]] static std::string NameOf(int64_t number, int level);
  [[nodiscard]] std::optional<v1::MetricBatch> ReadStored(int64_t number, int level);
  void CloseOpen();
  void DateStored(StoredBatches::iterator batch, int64_t before, std::optional<int64_t> difference);
  void Store(const v1::MetricBatch& batch);
  void RemoveStored(StoredBatches::iterator batch);
  void KeepWithinBound();
  bool ThinPair(int level);
  void Drop(const v1::MetricBatch& batch);

  Disk& disk_;
  const MetricSpoolLimits limits_;
  int64_t last_number_ = 0;
  int64_t handed_out_ = 0;  // the highest number that Next gave
  v1::MetricBatch open_;
  std::deque<v1::MetricBatch> recent_;
  StoredBatches stored_;
  int64_t size_bytes_ = 0;
  int64_t dropped_samples_ = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_METRIC_SPOOL_H_
