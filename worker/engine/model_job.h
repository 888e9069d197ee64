// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What every kind of job has in common: which model, where it runs, and the figures of the model
// that a result carries. Plain values, no libtorch.
#ifndef WATTLE_WORKER_ENGINE_MODEL_JOB_H_
#define WATTLE_WORKER_ENGINE_MODEL_JOB_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"

#include "models/decoder_config.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::engine {

struct ModelJob {
  std::string directory;
  std::string device = "cpu";
  // In which form the weights are held; nothing: as the files are.
  std::optional<v1::QuantizationRecipe> recipe = std::nullopt;
};

struct ModelFigures {
  models::DecoderConfig config;
  int64_t parameter_count = 0;
  v1::QuantizationRecipe recipe;
};

// How many threads libtorch and our kernels use. Call once before any other function: the number
// is fixed for the process.
absl::Status SetThreads(int threads);

// Can jobs run on the device ("cpu", "cuda", "cuda:1")? kUnavailable, with the remedy.
absl::Status CheckDevice(const std::string& name);

// Of the device's memory; all 0 for "cpu", and where its driver does not tell it.
struct DeviceMemory {
  int64_t total_bytes = 0;
  bool shares_host = false;  // it is the host's
};
[[nodiscard]] DeviceMemory MemoryOfDevice(const std::string& name);

// Writes random weights into `directory`, which has config.json and no weights yet: the start of a
// pretraining run. The weights are a pure function of config and seed. Errors: kAlreadyExists where
// there are weights; kNotFound.
absl::Status InitializeModelDirectory(const std::string& directory, uint64_t seed);

// "wattle-0.1.0/libtorch-1.13.1".
[[nodiscard]] std::string EngineVersion();

// How libtorch and its BLAS were built, and the instruction sets that they chose on this processor.
[[nodiscard]] std::string LibraryConfiguration();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODEL_JOB_H_
