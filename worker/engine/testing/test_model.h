// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a tiny GPT-2 directory with a byte tokenizer, small data files, a recording sink. No
// libtorch.
#ifndef WATTLE_WORKER_ENGINE_TESTING_TEST_MODEL_H_
#define WATTLE_WORKER_ENGINE_TESTING_TEST_MODEL_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "formats/example_pool.h"
#include "models/decoder_config.h"
#include "wattle/v1/quantization.pb.h"
#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {

// The name of the test's device: "cpu", or WATTLE_TEST_DEVICE. test_device.h has the device.
std::string TestDeviceName();
// A job's model on that device.
ModelJob JobOn(std::string directory, std::optional<v1::QuantizationRecipe> recipe = std::nullopt);

// A new empty directory under GoogleTest's temporary one.
std::string NewTestDirectory(const std::string& name);

// GPT-2 with two layers of width 32, the 256 bytes and the end token as vocabulary, context of 64,
// dropout 0.1 everywhere.
models::DecoderConfig TinyConfig();
// The same sizes in another family; grouped KV heads if the family has them.
models::DecoderConfig TinyConfigOf(const char* family, int width = 32);

// A model directory of TinyConfig with random weights.
std::string MakeTinyModel(const std::string& name, uint64_t seed);

// A SQuAD file of `questions` short questions; a text; both generated from the seed.
std::string MakeTinySquad(const std::string& name, int questions);
std::string MakeTinyText(const std::string& name, int words);

// A finetune of 4 steps with accumulation, dropout, decay, clipping and a checkpoint at every step.
FinetuneSettings TinyFinetune(const std::string& name);
// Removes dropout from its model.
void TakeDropoutAway(const FinetuneSettings& settings);

// Records all calls; `decide` (may be empty) returns the decision for each step.
struct RecordingSink : public ProgressSink {
  void OnPhase(Phase phase, int64_t from_step, int64_t steps_total) override;
  StepDecision OnStep(const StepReport& report) override;
  bool TakeCheckpointOrder() override { return orders_checkpoint && orders_checkpoint(); }
  void OnCheckpoint(const CheckpointReport& report) override;
  void OnLog(const std::string& line) override;

  // Losses of the training steps, in order.
  [[nodiscard]] std::vector<double> TrainingLosses() const;

  std::function<StepDecision(const StepReport&)> decide;
  std::function<bool()> orders_checkpoint;  // may be empty: no checkpoint is ordered
  std::vector<Phase> phases;
  std::vector<StepReport> steps;
  std::vector<CheckpointReport> checkpoints;
  std::vector<std::string> log;
};

// Losses of the training steps of a whole run, which must succeed.
inline std::vector<double> LossesOf(const FinetuneSettings& settings) {
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  EXPECT_TRUE(result.ok()) << result.status();
  return sink.TrainingLosses();
}

// Adds an example whose tokens count where mask is 1.
void AddExample(formats::ExamplePool& pool, const std::vector<int64_t>& tokens,
                const std::vector<uint8_t>& mask);

// The bytes of a file; the test fails if it cannot be read.
std::string FileBytes(const std::string& path);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TESTING_TEST_MODEL_H_
