// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Common to every kind of job: the model, the device, and the model's figures in a result. Plain
// values, no libtorch.
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
  // The form of the weights in memory; nullopt: that of the files.
  std::optional<v1::QuantizationRecipe> recipe = std::nullopt;
};

struct ModelFigures {
  models::DecoderConfig config;
  int64_t parameter_count = 0;
  v1::QuantizationRecipe recipe;
};

// Sets the number of threads of libtorch and of our kernels. Call once before any other function:
// the number is fixed for the process.
absl::Status SetThreads(int threads);

// Whether jobs can run on the device ("cpu", "cuda", "cuda:1"). kUnavailable, with the remedy.
absl::Status CheckDevice(const std::string& name);

// Facts about the device's memory; all 0 for "cpu", and if its driver does not report them.
struct DeviceMemory {
  int64_t total_bytes = 0;
  bool shares_host = false;  // the memory is the host's
};
[[nodiscard]] DeviceMemory MemoryOfDevice(const std::string& name);

// Writes random weights into `directory`, which must have config.json and no weights: the start of
// a pretraining run. The weights are a pure function of config and seed. Errors: kAlreadyExists if
// there are weights; kNotFound.
absl::Status InitializeModelDirectory(const std::string& directory, uint64_t seed);

// "wattle-0.1.0/libtorch-1.13.1".
[[nodiscard]] std::string EngineVersion();

// The build options of libtorch and its BLAS, and the instruction sets that they chose on this
// processor.
[[nodiscard]] std::string LibraryConfiguration();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODEL_JOB_H_
