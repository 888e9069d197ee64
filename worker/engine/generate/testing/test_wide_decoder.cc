// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/testing/test_wide_decoder.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "worker/engine/device/device.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

MatrixWeights PackedMatrix(const Parameter& parameter, kernels::WeightFormat format,
                           const at::Tensor& value) {
  auto packed = PackFloats(parameter.tensor.name, format, value);
  EXPECT_TRUE(packed.ok()) << packed.status();
  packed->dequantized_products = packed->is_bf16();
  return *packed;
}

// The formats of recipes and files, and the one that only QLoRA has.
kernels::WeightFormat FormatNamed(const std::string& name) {
  if (name == "nf4dq-g32") {
    return {.scheme = kernels::WeightScheme::kNf4DoubleQuantized, .group_size = 32};
  }
  const auto format = kernels::ParseFormatName(name);
  EXPECT_TRUE(format.ok()) << format.status();
  return *format;
}

// Rows of int6 have blocks of 256 columns.
models::DecoderConfig WideConfig(const char* family, kernels::WeightFormat format) {
  models::DecoderConfig config =
      TinyConfigOf(family, format.scheme == kernels::WeightScheme::kInt6 ? 256 : 32);
  for (models::LayerDescription& layer : config.layers) {
    layer.heads = 2;
    layer.kv_heads = layer.kv_heads == 4 ? 2 : 1;
    layer.head_size = config.width / 2;
    if (layer.rotary.has_value()) {
      layer.rotary->dimensions *= 2;  // the same fraction of each head
    }
  }
  config.layers.back().window = 5;
  return config;
}

}  // namespace

const std::vector<WideDecoder>& WideForms() {
  static const auto& forms = *new std::vector<WideDecoder>{
      {"gpt2", "fp32"},       {"llama", "fp32"},     {"mistral", "fp32"},    {"qwen2", "fp32"},
      {"stablelm", "fp32"},   {"opt", "fp32"},       {"gpt2", "int8"},       {"llama", "bf16"},
      {"llama", "int8"},      {"llama", "int4-g32"}, {"llama", "int4a-g32"}, {"llama", "nf4-g32"},
      {"llama", "nf4dq-g32"}, {"llama", "int8-g32"}, {"llama", "fp16"},      {"llama", "int6-g16"}};
  return forms;
}

Decoder MakeWideDecoder(const WideDecoder& wanted) {
  const kernels::WeightFormat format = FormatNamed(wanted.format);
  models::DecoderConfig config = WideConfig(wanted.family, format);
  config.max_positions = wanted.max_positions;
  const std::vector<Parameter> parameters = ParametersOf(config);
  const ArenaLayout layout = ValueLayout(parameters);
  at::Tensor arena = at::zeros({layout.elements});
  FillRandom(config, parameters, layout, wanted.seed, arena);
  arena.mul_(10.0).add_(0.05);  // biases are not 0
  DecoderWeights host = WeightsOver(config, parameters, layout, arena);
  const bool packs = format.scheme != kernels::WeightScheme::kFloat32;
  if (packs && wanted.dequantized) {
    for (const Parameter& parameter : parameters) {
      if (parameter.tensor.is_multiplied(config)) {
        at::Tensor& value = MatrixAt(host, parameter.tensor).value;
        value.copy_(Dequantize(PackedMatrix(parameter, format, value)));
      }
    }
  }
  DecoderWeights weights = WeightsOver(config, parameters, layout, arena.to(wanted.device));
  if (packs && !wanted.dequantized) {
    for (const Parameter& parameter : parameters) {
      if (parameter.tensor.is_multiplied(config)) {
        MatrixAt(weights, parameter.tensor) =
            OperationsOn(wanted.device)
                .Stored(PackedMatrix(parameter, format, MatrixAt(host, parameter.tensor).value),
                        wanted.device);
      }
    }
    TieHead(config, weights);
  }
  Decoder decoder = MakeDecoder(config, weights, wanted.device);
  decoder.int8_keys_and_values = wanted.int8_keys_and_values;
  return decoder;
}

}  // namespace wattle::engine
