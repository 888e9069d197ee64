// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/testing/test_device_cases.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, tensor.numel(), tensor.data_ptr<float>());
  return tensor;
}

const std::vector<StoredCase>& StoredCases() {
  static const auto& cases = *new std::vector<StoredCase>{
      {"int8", {kernels::WeightScheme::kInt8, 0}},
      {"int4_g32", {kernels::WeightScheme::kInt4, 32}},
      {"int4a_g64", {kernels::WeightScheme::kInt4Asymmetric, 64}},
      {"nf4_g128", {kernels::WeightScheme::kNf4, 128}},
      {"nf4_double", {kernels::WeightScheme::kNf4DoubleQuantized, 64}},
      {"bf16", {kernels::WeightScheme::kBf16, 0}},
      {"int8_g32", {kernels::WeightScheme::kInt8Grouped, 32}},
      {"fp16", {kernels::WeightScheme::kFloat16, 0}},
      {"int6", {kernels::WeightScheme::kInt6, 16}},
  };
  return cases;
}

MatrixWeights StoredOnHost(kernels::WeightFormat format, int64_t rows, int64_t columns) {
  const at::Tensor values = Normal({rows, columns}, 9);
  auto packed = PackFloats("test", format, values);
  EXPECT_THAT(packed, IsOk());
  packed->dequantized_products = packed->is_bf16();
  return *packed;
}

const std::vector<FamilyCase>& FamilyCases() {
  static const auto& cases = *new std::vector<FamilyCase>{{"gemma", 98},
                                                          {"gemma2", 197},
                                                          {"gpt2", 41},
                                                          {"gpt_neox", 68},
                                                          {"gpt_neox_sequential", 68},
                                                          {"kosmos2_text", 50},
                                                          {"llama3", 92},
                                                          {"llama_linear", 92},
                                                          {"mistral", 94},
                                                          {"opt", 41},
                                                          {"phi", 66},
                                                          {"qwen2", 92},
                                                          {"qwen2_windows", 93},
                                                          {"smollm2", 92},
                                                          {"stablelm", 72}};
  return cases;
}

Model OnDevice(const Model& host, at::Device device) {
  Model model = host;
  model.arena = host.arena.to(device);
  model.gradients = at::zeros_like(model.arena);
  model.decoder = MakeDecoder(
      host.decoder.config,
      WeightsOver(host.decoder.config, host.parameters, host.layout, model.arena), device);
  model.gradient_views =
      WeightsOver(host.decoder.config, host.parameters, host.layout, model.gradients);
  return model;
}

const std::vector<ModeCase>& ModeCases() {
  static const auto& cases = *new std::vector<ModeCase>{
      {"Whole", [](FinetuneSettings&) {}, 1},
      {"LastLayers", [](FinetuneSettings& s) { s.last_layers = 1; }, 1},
      {"Packed", [](FinetuneSettings& s) { s.packing = true; }, 1},
      {"Checkpointing", [](FinetuneSettings& s) { s.activation_checkpointing = true; }, 1},
      {"QuantizationAware",
       [](FinetuneSettings& s) { s.model.recipe = *RecipeOfIdentity("int4-g32"); }, 1},
      // libtorch also rounds results to the type of the factors.
      {"Bf16Factors", [](FinetuneSettings& s) { s.precision = kernels::FactorType::kBf16; }, 1,
       1e-2},
      {"Fp16Factors", [](FinetuneSettings& s) { s.precision = kernels::FactorType::kFp16; }, 1,
       1e-2},
      {"Tf32Factors", [](FinetuneSettings& s) { s.tf32 = true; }, 1, 1e-2},
      {"AdamW8bit", [](FinetuneSettings& s) { s.optimizer = v1::OPTIMIZER_ADAMW_8BIT; }, 1},
      {"Adafactor", [](FinetuneSettings& s) { s.optimizer = v1::OPTIMIZER_ADAFACTOR; }, 1},
      {"Lora", [](FinetuneSettings& s) { s.lora = LoraSettings{.dropout = 0.2}; }, 1},
      {"Qlora",
       [](FinetuneSettings& s) {
         s.lora = LoraSettings{};
         s.model.recipe = *RecipeOfIdentity("nf4-g32");
       },
       1},
      {"QloraBf16Factors",
       [](FinetuneSettings& s) {
         s.lora = LoraSettings{};
         s.model.recipe = *RecipeOfIdentity("nf4-g32");
         s.precision = kernels::FactorType::kBf16;
       },
       1, 1e-2},
      {"QloraBf16",
       [](FinetuneSettings& s) {
         s.lora = LoraSettings{};
         s.bf16_weights = true;
       },
       1},
      {"Bf16Weights", [](FinetuneSettings& s) { s.bf16_weights = true; }, 1},
      {"Bf16WeightsAdamW8bit",
       [](FinetuneSettings& s) {
         s.bf16_weights = true;
         s.optimizer = v1::OPTIMIZER_ADAMW_8BIT;
       },
       1},
      {"Bf16WeightsAdafactor",
       [](FinetuneSettings& s) {
         s.bf16_weights = true;
         s.optimizer = v1::OPTIMIZER_ADAFACTOR;
       },
       1},
      // The loss, and the decisions for head, both blocks and tables. A pass changes weights.
      {"UpdateInBackward",
       [](FinetuneSettings& s) {
         s.update_in_backward = true;
         s.accumulation_steps = 1;
       },
       5, 2e-4, false},
      // The losses, which the log of moves needs.
      {"Mezo", [](FinetuneSettings& s) { s.mezo = MezoSettings{}; }, 1, 2e-4, false},
  };
  return cases;
}

FinetuneSettings FiveSteps(const std::string& name, const std::string& device) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.heldout_data.clear();
  settings.steps = 5;
  settings.model.device = device;
  return settings;
}

void RunThreeSteps(const FinetuneSettings& settings) {
  RecordingSink sink;
  sink.decide = [](const StepReport& report) {
    return report.step == 3 ? StepDecision::kStop : StepDecision::kGoOn;
  };
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kCancelled, testing::_));
}

}  // namespace wattle::engine
