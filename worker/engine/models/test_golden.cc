// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/test_golden.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/status_matchers.h"
#include "formats/safetensors.h"
#include "models/family.h"
#include "worker/engine/test_model.h"

namespace wattle::engine {

double RelativeError(const at::Tensor& got, const at::Tensor& wanted) {
  return (got - wanted).abs().max().item<double>() / wanted.abs().max().item<double>();
}

std::string GoldenPath(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/engine/", name);
}

std::map<std::string, at::Tensor> ReadTensors(const std::string& name) {
  std::map<std::string, at::Tensor> tensors;
  const auto file = formats::SafetensorsFile::Open(GoldenPath(name));
  EXPECT_THAT(file, IsOk());
  for (const formats::TensorEntry& entry : file->tensors()) {
    at::Tensor tensor = at::empty(entry.shape, entry.type == formats::DataType::kI64  ? at::kLong
                                               : entry.type == formats::DataType::kU8 ? at::kByte
                                                                                      : at::kFloat);
    const auto bytes = absl::MakeSpan(static_cast<std::byte*>(tensor.data_ptr()),
                                      static_cast<size_t>(entry.size_bytes()));
    EXPECT_THAT(file->Read(entry, bytes), IsOk()) << entry.name;
    tensors[entry.name] = tensor;
  }
  return tensors;
}

std::vector<std::byte> BytesOf(const formats::SafetensorsFile& file,
                               const formats::TensorEntry& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.size_bytes()));
  EXPECT_THAT(file.Read(tensor, absl::MakeSpan(bytes)), IsOk()) << tensor.name;
  return bytes;
}

Model MakeModel(const models::DecoderConfig& config) {
  Model model;
  model.parameters = ParametersOf(config);
  model.layout = ValueLayout(model.parameters);
  model.arena = at::zeros({model.layout.elements});
  model.gradients = at::zeros_like(model.arena);
  model.decoder =
      MakeDecoder(config, WeightsOver(config, model.parameters, model.layout, model.arena),
                  at::Device(at::kCPU));
  model.gradient_views = WeightsOver(config, model.parameters, model.layout, model.gradients);
  return model;
}

models::ModelDirectory GoldenFiles(const std::string& directory) {
  models::ModelDirectory files;
  auto config = models::ReadDecoderConfig(GoldenPath(directory + "/config.json"));
  EXPECT_THAT(config, IsOk());
  files.config = *std::move(config);
  files.tensor_prefix = models::FamilyOf(files.config).file_prefix;
  return files;
}

at::Tensor ReadGoldenArena(const std::string& name, const models::ModelDirectory& files,
                           const std::vector<Parameter>& parameters) {
  const ArenaLayout layout = ValueLayout(parameters);
  at::Tensor arena = at::zeros({layout.elements});
  EXPECT_THAT(ReadArena(GoldenPath(name), files, parameters, layout, arena), IsOk());
  return arena;
}

Model ReadGoldenModel(const std::string& directory, const models::ModelDirectory& files) {
  Model model = MakeModel(files.config);
  model.arena.copy_(ReadGoldenArena(directory + "/model.safetensors", files, model.parameters));
  return model;
}

TokenBatch BatchOf(const std::vector<Example>& examples, BatchForm form) {
  formats::ExamplePool pool;
  std::vector<size_t> numbers;
  for (const Example& example : examples) {
    numbers.push_back(pool.size());
    AddExample(pool, example.tokens, example.mask);
  }
  return MakeTokenBatch(pool, numbers, form);
}

std::vector<Example> GoldenExamples(const std::map<std::string, at::Tensor>& golden) {
  std::vector<Example> examples;
  const at::Tensor lengths = golden.at("lengths");
  for (int64_t row = 0; row < lengths.numel(); ++row) {
    Example example;
    for (int64_t t = 0; t < lengths[row].item<int64_t>(); ++t) {
      example.tokens.push_back(golden.at("tokens")[row][t].item<int64_t>());
      example.mask.push_back(static_cast<uint8_t>(golden.at("mask")[row][t].item<int64_t>()));
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace wattle::engine
