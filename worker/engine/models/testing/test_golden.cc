// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/testing/test_golden.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "models/family.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

double RelativeError(const at::Tensor& got, const at::Tensor& wanted) {
  const at::Tensor reference = wanted.cpu();
  return (got.cpu() - reference).abs().max().item<double>() / reference.abs().max().item<double>();
}

std::string GoldenFolder() {
  const char* const elsewhere = std::getenv("WATTLE_GOLDEN");  // NOLINT(concurrency-mt-unsafe)
  return elsewhere != nullptr ? elsewhere : WATTLE_SOURCE_DIR "/tests/golden";
}

std::string GoldenPath(const std::string& name) {
  return absl::StrCat(GoldenFolder(), "/engine/", name);
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
  model.arena = at::zeros({model.layout.elements}, TestDevice());
  model.gradients = at::zeros_like(model.arena);
  model.decoder = MakeDecoder(
      config, WeightsOver(config, model.parameters, model.layout, model.arena), TestDevice());
  model.gradient_views = WeightsOver(config, model.parameters, model.layout, model.gradients);
  return model;
}

Model RandomModel(const models::DecoderConfig& config, uint64_t seed) {
  Model model = MakeModel(config);
  at::Tensor drawn = at::zeros({model.layout.elements});
  FillRandom(config, model.parameters, model.layout, seed, drawn);
  model.arena.copy_(drawn);
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

double LogitsError(const Decoder& decoder, const std::map<std::string, at::Tensor>& golden) {
  const std::vector<Example> examples = GoldenExamples(golden);
  const at::Tensor wanted = golden.at("logits");
  const at::Tensor logits = AllLogits(decoder, BatchOf(examples)).view(wanted.sizes());
  double error = 0.0;
  for (size_t row = 0; row < examples.size(); ++row) {
    const auto index = static_cast<int64_t>(row);
    const auto length = static_cast<int64_t>(examples[row].tokens.size());
    error = std::max(error, RelativeError(logits[index].narrow(0, 0, length),
                                          wanted[index].narrow(0, 0, length)));
  }
  return error;
}

void ExpectTheSlopeOfLosses(Model& model, const TokenBatch& batch) {
  model.decoder.config.attention_dropout = 0.2;
  model.decoder.config.residual_dropout = 0.3;
  model.decoder.config.embedding_dropout = 0.1;
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  LossSumAndGradients(model.decoder, batch, dropout, 1.0, model.gradient_views);
  const at::Tensor direction = model.gradients / model.gradients.norm();
  const auto slope = model.gradients.dot(direction).item<double>();
  constexpr double kStep = 1e-4;
  DecoderWeights unwanted;
  unwanted.blocks.resize(model.decoder.config.layers.size());
  const auto loss_at = [&](double step) {
    model.arena.add_(direction, step);
    const double loss = LossSumAndGradients(model.decoder, batch, dropout, 1.0, unwanted);
    model.arena.add_(direction, -step);
    return loss;
  };
  EXPECT_NEAR((loss_at(kStep) - loss_at(-kStep)) / (2.0 * kStep), slope, 0.01 * slope);
}

}  // namespace wattle::engine
