// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The counters of a training run in the metadata of a checkpoint's file, kept to the last bit.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_COUNTERS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_COUNTERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "formats/safetensors.h"
#include "worker/engine/train/training_state.h"

namespace wattle::engine {

void AppendCounters(const TrainingCounters& counters, formats::SafetensorsMetadata& metadata);

// path: of the file. has_loss_scale: whether the run has a loss scale. Errors: kDataLoss for a
// counter that is missing or not a number.
absl::StatusOr<TrainingCounters> ReadCounters(const std::string& path,
                                              const formats::SafetensorsMetadata& metadata,
                                              bool has_loss_scale);

// Reads values by their keys. status(): kDataLoss for a key that is missing or has no number.
class MetadataReader {
 public:
  MetadataReader(const std::string& path, const formats::SafetensorsMetadata& metadata)
      : path_(path), metadata_(metadata) {}

  std::string Text(const std::string& key);
  void Read(const std::string& key, int64_t& number);
  void Read(const std::string& key, uint64_t& number);
  void Read(const std::string& key, double& number);
  void Read(const std::string& key, std::optional<double>& number);  // unchanged if missing
  void Read(const std::string& key, std::vector<double>& numbers);
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  void Fail(const std::string& key);

  std::string path_;
  const formats::SafetensorsMetadata& metadata_;
  absl::Status status_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_COUNTERS_H_
