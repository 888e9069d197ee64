// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/testing/test_model.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/file.h"
#include "models/model_directory.h"
#include "wattle/v1/profile.pb.h"
#include "worker/engine/kernels/random.h"

namespace wattle::engine {
namespace {

constexpr int kBytes = 256;

void Write(const std::string& path, const std::string& content) {
  const absl::Status status = WriteFileDurably(path, content);
  ASSERT_TRUE(status.ok()) << status;
}

std::string Utf8(int code_point) {
  if (code_point < 0x80) {
    return std::string(1, static_cast<char>(code_point));
  }
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

// GPT-2's byte alphabet: printable bytes are themselves, the others follow from 256 on.
std::string ByteVocabulary() {
  nlohmann::json vocabulary;
  int next = kBytes;
  for (int byte = 0; byte < kBytes; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    vocabulary[Utf8(printable ? byte : next++)] = byte;
  }
  vocabulary["<|endoftext|>"] = kBytes;
  return vocabulary.dump();
}

std::string Word(uint64_t draw) {
  static const std::vector<std::string> words = {"mast", "board", "sun",  "cell", "farm",
                                                 "node", "watt",  "rain", "lab",  "van"};
  return words[draw % words.size()];
}

std::string Sentence(uint64_t seed, int words) {
  std::string text;
  for (int i = 0; i < words; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : " ", Word(kernels::RandomBelow({.seed = seed}, i, 1000)));
  }
  return text;
}

}  // namespace

std::string TestDeviceName() {
  const char* const device = std::getenv("WATTLE_TEST_DEVICE");  // NOLINT(concurrency-mt-unsafe)
  return device != nullptr ? device : "cpu";
}

ModelJob JobOn(std::string directory, std::optional<v1::QuantizationRecipe> recipe) {
  return {
      .directory = std::move(directory), .device = TestDeviceName(), .recipe = std::move(recipe)};
}

std::string NewTestDirectory(const std::string& name) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string path = absl::StrCat(testing::TempDir(), "/wattle_", test->test_suite_name(),
                                        "_", test->name(), "_", name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

models::DecoderConfig TinyConfig() {
  return TinyConfigOf("gpt2");
}

models::DecoderConfig TinyConfigOf(const char* family, int width) {
  v1::ModelShape shape;
  shape.set_architecture(family);
  shape.set_layers(2);
  shape.set_width(width);
  shape.set_heads(4);
  shape.set_kv_heads(family == std::string("gpt2") ? 0 : 2);
  shape.set_vocabulary_size(kBytes + 1);
  shape.set_context_length(64);
  auto config = models::FromShape(shape);
  EXPECT_TRUE(config.ok()) << config.status();
  config->bos_token_id = kBytes;
  config->eos_token_id = kBytes;
  return *std::move(config);
}

std::string MakeTinyModel(const std::string& name, uint64_t seed) {
  const std::string path = NewTestDirectory(name);
  Write(absl::StrCat(path, "/", models::kConfigFile), models::FormatDecoderConfig(TinyConfig()));
  Write(absl::StrCat(path, "/", models::kVocabularyFile), ByteVocabulary());
  Write(absl::StrCat(path, "/", models::kMergesFile), "#version: 0.2\n");
  const absl::Status status = InitializeModelDirectory(path, seed);
  EXPECT_TRUE(status.ok()) << status;
  return path;
}

std::string MakeTinySquad(const std::string& name, int questions) {
  nlohmann::json paragraphs = nlohmann::json::array();
  for (int i = 0; i < questions; ++i) {
    const std::string context = Sentence(static_cast<uint64_t>(i), 3 + i % 3);
    const std::string answer = context.substr(0, context.find(' '));
    paragraphs.push_back({{"context", context},
                          {"qas",
                           {{{"id", absl::StrCat("q", i)},
                             {"question", "what?"},
                             {"is_impossible", false},
                             {"answers", {{{"text", answer}, {"answer_start", 0}}}}}}}});
  }
  const nlohmann::json data = {{"version", "v2.0"},
                               {"data", {{{"title", "t"}, {"paragraphs", std::move(paragraphs)}}}}};
  const std::string path = absl::StrCat(NewTestDirectory(name), "/data.json");
  Write(path, data.dump());
  return path;
}

std::string MakeTinyText(const std::string& name, int words) {
  const std::string path = absl::StrCat(NewTestDirectory(name), "/data.txt");
  Write(path, Sentence(77, words));
  return path;
}

FinetuneSettings TinyFinetune(const std::string& name) {
  FinetuneSettings settings;
  settings.model = JobOn(MakeTinyModel(name + "_model", 3));
  settings.data = MakeTinySquad(name + "_data", 7);
  settings.heldout_data = MakeTinySquad(name + "_heldout", 3);
  settings.work_directory = NewTestDirectory(name + "_work");
  settings.output_directory = NewTestDirectory(name + "_output");
  settings.epochs = 2;  // 14 examples in steps of 4: the last step is a smaller one
  settings.batch_size = 2;
  settings.accumulation_steps = 2;
  settings.learning_rate = 1e-2;
  settings.warmup_steps = 1;
  settings.adamw.weight_decay = 0.1;
  settings.adamw.clip_norm = 0.5;
  settings.seed = 11;
  settings.checkpoint_every_steps = 1;
  return settings;
}

void TakeDropoutAway(const FinetuneSettings& settings) {
  models::DecoderConfig config = TinyConfig();
  config.attention_dropout = config.residual_dropout = config.embedding_dropout = 0.0;
  Write(absl::StrCat(settings.model.directory, "/", models::kConfigFile),
        models::FormatDecoderConfig(config));
}

void RecordingSink::OnPhase(Phase phase, int64_t /*from_step*/, int64_t /*steps_total*/) {
  phases.push_back(phase);
}

StepDecision RecordingSink::OnStep(const StepReport& report) {
  steps.push_back(report);
  return decide ? decide(report) : StepDecision::kGoOn;
}

void RecordingSink::OnCheckpoint(const CheckpointReport& report) {
  checkpoints.push_back(report);
}

void RecordingSink::OnLog(const std::string& line) {
  log.push_back(line);
}

std::vector<double> RecordingSink::TrainingLosses() const {
  std::vector<double> losses;
  for (const StepReport& step : steps) {
    if (step.phase == Phase::kTrain) {
      losses.push_back(step.loss);
    }
  }
  return losses;
}

void AddExample(formats::ExamplePool& pool, const std::vector<int64_t>& tokens,
                const std::vector<uint8_t>& mask) {
  const size_t begin = pool.AddTokens(tokens);
  std::vector<formats::TokenRange> ranges;
  for (size_t i = 0; i < tokens.size(); ++i) {
    ranges.push_back({.begin = begin + i, .size = 1, .counts = mask[i] != 0});
  }
  pool.AddExample(ranges);
}

std::string FileBytes(const std::string& path) {
  const auto bytes = ReadWholeFile(path, int64_t{1} << 30);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : std::string();
}

}  // namespace wattle::engine
