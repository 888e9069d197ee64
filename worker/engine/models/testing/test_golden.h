// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: the goldens under tests/golden/engine, and a decoder with its arenas.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TESTING_TEST_GOLDEN_H_
#define WATTLE_WORKER_ENGINE_MODELS_TESTING_TEST_GOLDEN_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/safetensors.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/parameters.h"

namespace wattle::engine {

// max |Δ| / max |reference| of a tensor. Single precision over two layers; the reference sums in
// another order.
inline constexpr double kLogitsTolerance = 1e-4;
inline constexpr double kGradientTolerance = 1e-3;
// Both may be on any device.
double RelativeError(const at::Tensor& got, const at::Tensor& wanted);

// tests/golden, or WATTLE_GOLDEN for a program that runs on another machine than it was built on.
std::string GoldenFolder();
// The path of a file under its folder `engine`.
std::string GoldenPath(const std::string& name);
// Reads such a file as tensors on the host: integers, bytes or floats.
std::map<std::string, at::Tensor> ReadTensors(const std::string& name);
// The bytes of a tensor in any file.
std::vector<std::byte> BytesOf(const formats::SafetensorsFile& file,
                               const formats::TensorEntry& tensor);

// A decoder with its arenas, on the device of the test.
struct Model {
  std::vector<Parameter> parameters;
  ArenaLayout layout;
  at::Tensor arena;
  at::Tensor gradients;
  Decoder decoder;
  DecoderWeights gradient_views;

  [[nodiscard]] at::Tensor Value(size_t parameter) const {
    return ArenaView(arena, layout, parameters, parameter);
  }
  [[nodiscard]] at::Tensor Gradient(size_t parameter) const {
    return ArenaView(gradients, layout, parameters, parameter);
  }
};
// All zero.
Model MakeModel(const models::DecoderConfig& config);
// With weights drawn by FillRandom.
Model RandomModel(const models::DecoderConfig& config, uint64_t seed = 9);

// config.json of a directory under tests/golden/engine, and the tensor names of its files.
models::ModelDirectory GoldenFiles(const std::string& directory);
// Weights or gradients of such a model, in the order of `parameters`, on the host.
at::Tensor ReadGoldenArena(const std::string& name, const models::ModelDirectory& files,
                           const std::vector<Parameter>& parameters);
Model ReadGoldenModel(const std::string& directory, const models::ModelDirectory& files);

struct Example {
  std::vector<int64_t> tokens;
  std::vector<uint8_t> mask;
};
TokenBatch BatchOf(const std::vector<Example>& examples, BatchForm form = BatchForm::kPadded);
// The examples of a golden: tokens [batch, longest], lengths [batch], mask [batch, longest].
std::vector<Example> GoldenExamples(const std::map<std::string, at::Tensor>& golden);
// The largest error of any logits, excluding padding.
double LogitsError(const Decoder& decoder, const std::map<std::string, at::Tensor>& golden);

// Dropout draws the same masks forward and backward: the gradient agrees with a difference of
// losses along a random direction. Sets the model's dropout.
void ExpectTheSlopeOfLosses(Model& model, const TokenBatch& batch);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TESTING_TEST_GOLDEN_H_
