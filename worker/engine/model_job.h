// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What every kind of job has in common: which model, where it runs, and what is told of it
// afterwards. Plain values, no libtorch.
#ifndef WATTLE_WORKER_ENGINE_MODEL_JOB_H_
#define WATTLE_WORKER_ENGINE_MODEL_JOB_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "formats/decoder_config.h"

namespace wattle::engine {

enum class LoadQuantization {
  kAsStored,  // FP32, or int8 if the files are
  kNone,      // FP32; an int8 model is refused
  kInt8,      // quantized when loaded, unless the files are int8 already
};

struct ModelJob {
  std::string directory;
  std::string device = "cpu";
  LoadQuantization quantization = LoadQuantization::kAsStored;
};

struct ModelFigures {
  formats::DecoderConfig config;
  int64_t parameter_count = 0;
  bool int8 = false;
};

// Call once before any other function: libtorch's number of threads is fixed for the process.
absl::Status SetThreads(int threads);

// Writes random weights into `directory`, which has config.json and no weights yet: the start of a
// pretraining run. The weights are a pure function of config and seed. Errors: kAlreadyExists where
// there are weights; kNotFound.
absl::Status InitializeModelDirectory(const std::string& directory, uint64_t seed);

// "wattle-0.1.0/libtorch-1.13.1".
[[nodiscard]] std::string EngineVersion();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODEL_JOB_H_
