// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: cases for a device other than the host, shared by the guarded device and a GPU
// (guarded_device_test.cc, gpu_exam_test.cc).
#ifndef WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_DEVICE_CASES_H_
#define WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_DEVICE_CASES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/weight_matrix.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed);

struct StoredCase {
  const char* name;
  kernels::WeightFormat format;
};
// Every format that a device stores, except GGUF's.
const std::vector<StoredCase>& StoredCases();
// A matrix of the host in the format.
MatrixWeights StoredOnHost(kernels::WeightFormat format, int64_t rows, int64_t columns);

struct FamilyCase {
  const char* name;            // of tests/golden/engine/families
  int64_t operators_of_token;  // maximum for the tiny model: launches of kernels on a GPU
};
const std::vector<FamilyCase>& FamilyCases();
// The same model with its arenas on the device.
Model OnDevice(const Model& host, at::Device device);

// A way of training.
struct ModeCase {
  const char* name;
  std::function<void(FinetuneSettings&)> choose;
  int64_t waits;             // for a step of two micro-batches, by libtorch's operators
  double tolerance = 2e-4;   // of a loss, relative
  bool begins_ahead = true;  // per step, before the loss of the preceding one is read
};
const std::vector<ModeCase>& ModeCases();

// Settings of a run of five steps on the device, with directories of its own.
FinetuneSettings FiveSteps(const std::string& name, const std::string& device);
// Runs to the end of step 3 and writes a checkpoint of it.
void RunThreeSteps(const FinetuneSettings& settings);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_DEVICE_CASES_H_
