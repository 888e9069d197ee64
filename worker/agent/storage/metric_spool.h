// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Samples of the worker's /metrics that Prometheus does not have yet, for a device that nobody can
// reach. Scrapes are gathered into batches. The latest few batches are in memory, older ones are
// files, so that weeks without a link cost disk and not memory; a power cut costs what was in
// memory, at most kBatchesInMemory batches. The files have a bound. Beyond it two neighbours become
// one batch with every second scrape, oldest first, so that a long silence is told coarser and not
// cut off; what goes is counted. One thread owns a spool.
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
  int64_t size_bytes_max = int64_t{32} << 20;  // of all files
  int scrapes_per_batch = 20;
};

class MetricSpool {
 public:
  static constexpr size_t kBatchesInMemory = 4;
  // Each level halves the scrapes; 64 times as coarse, a batch is dropped rather than thinned.
  static constexpr int kLevelMax = 6;

  // Takes up what an earlier process left in the folder "metrics". disk: outlives the spool.
  MetricSpool(Disk* disk, const MetricSpoolLimits& limits);

  // scrape: one time and the series of that time.
  void Add(const v1::MetricBatch& scrape);
  // The oldest batch with a number above `after`; nullopt: there is none. The batch stays until
  // acknowledged.
  std::optional<v1::MetricBatch> Next(int64_t after);
  // Prometheus has the batch, or refused it for good.
  void Acknowledge(int64_t number);
  // Writes what is in memory, before the process ends.
  void Save();

  [[nodiscard]] int64_t size_bytes() const { return size_bytes_; }  // of the files
  // Samples that were thinned out or that the disk refused, since the process started.
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
