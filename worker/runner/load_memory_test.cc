// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory while a model is read, and of a runner that generates, against the estimate
// (models/memory_estimate.h): in every form of files. A separate program, because other tests would
// leave a heap with free room.
#include <malloc.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

#include "base/durable_file.h"
#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "models/memory_estimate.h"
#include "models/model_directory.h"
#include "proto/quantization_recipe.h"
#include "wattle/v1/runner.pb.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/testing/test_stored_model.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/examples.h"

namespace wattle::runner {
namespace {

using engine::ModelJob;
using formats::GgufType;

constexpr int64_t kMiB = 1 << 20;

// 63 million weights. The head is read last, when all others are in memory, so that a copy of it
// would show.
models::DecoderConfig Config() {
  v1::ModelShape shape;
  shape.set_architecture("llama");
  shape.set_layers(8);
  shape.set_width(512);
  shape.set_heads(8);
  shape.set_kv_heads(4);
  shape.set_mlp_width(2048);
  shape.set_vocabulary_size(32768);
  shape.set_untied_head(true);
  shape.set_context_length(256);
  auto config = models::FromShape(shape);
  EXPECT_THAT(config, IsOk());
  config->bos_token_id = 256;  // the byte tokenizer's
  config->eos_token_id = 256;
  return *std::move(config);
}

// The same model in each form; the files are large.
const std::string& ModelOf(GgufType type) {
  static auto& directories =
      *new std::map<GgufType, std::string>{{GgufType::kF32, engine::MakeModelOf(Config())}};
  std::string& directory = directories[type];
  if (directory.empty()) {
    directory = engine::NewTestDirectory(absl::StrCat("model_", static_cast<int>(type)));
    std::filesystem::copy(directories[GgufType::kF32], directory);
    engine::StoreAs(directory, type);
  }
  return directory;
}

const std::string& ModelOfOurInt8() {
  static const auto& directory = *new std::string([] {
    engine::QuantizeSettings settings;
    settings.model = {.directory = ModelOf(GgufType::kF32), .recipe = *RecipeOfIdentity("int8")};
    settings.output_directory = engine::NewTestDirectory("int8");
    engine::RecordingSink sink;
    EXPECT_THAT(engine::Quantize(settings, sink), IsOk());
    return settings.output_directory;
  }());
  return directory;
}

// A form of the files and a job's settings.
struct Form {
  const char* name;
  GgufType type;
  std::string recipe = {};  // empty: the form of the files
  bool frozen = false;      // with adapters, where NF4's scales are quantized too
  bool ours = false;        // quantized by a job of ours
};

std::ostream& operator<<(std::ostream& out, const Form& form) {
  return out << form.name;
}

class LoadMemoryTest : public testing::TestWithParam<Form> {
 protected:
  [[nodiscard]] const std::string& directory() const {
    return GetParam().ours ? ModelOfOurInt8() : ModelOf(GetParam().type);
  }

  [[nodiscard]] v1::QuantizationRecipe recipe() const {
    return GetParam().recipe.empty() ? models::InspectModelDirectory(directory())->stored_recipe
                                     : *RecipeOfIdentity(GetParam().recipe);
  }

  // For a job that generates kTokens tokens.
  [[nodiscard]] models::MemoryEstimate Estimate() const {
    MemoryWorkload workload{.task = MemoryTask::kGenerate, .sequence_tokens = kTokens};
    if (GetParam().frozen) {
      workload.task = MemoryTask::kFinetune;
      workload.adapter_rank = 1;
    }
    workload.recipe = recipe();
    const auto estimate = models::EstimateMemory(Config(), workload);
    EXPECT_THAT(estimate, IsOk());
    return *estimate;
  }

  static constexpr int64_t kTokens = 64;
};

int64_t ResidentBytes() {
  return ReadKibibyteLine("/proc/self/status", "VmRSS").value_or(0);
}

// Peak since LowerPeak().
int64_t PeakBytes() {
  return ReadKibibyteLine("/proc/self/status", "VmHWM").value_or(0);
}

void LowerPeak() {
  std::ofstream("/proc/self/clear_refs") << 5;  // proc(5)
}

// Neither a model nor its largest matrix is ever in memory twice.
TEST_P(LoadMemoryTest, AModelIsReadPieceByPieceIntoItsPlace) {
  engine::RecordingSink sink;
  ModelJob job{.directory = engine::MakeTinyModel("warm", 1)};
  const auto load = [&] {
    return GetParam().frozen ? LoadFrozen(job, false, sink) : LoadForInference(job, sink);
  };
  EXPECT_THAT(load(), IsOk());  // libtorch's own tables are allocated from now on
  job.directory = directory();
  if (!GetParam().recipe.empty()) {
    job.recipe = recipe();
  }
  mallopt(M_MMAP_THRESHOLD, 1 << 20);  // same as in the runner
  engine::GiveFreedBlocksBack();
  LowerPeak();
  const int64_t before = ResidentBytes();
  const auto model = load();
  ASSERT_THAT(model, IsOk());
  const int64_t taken = PeakBytes() - before;
  const models::MemoryEstimate estimate = Estimate();
  RecordProperty("taken_mib", absl::StrCat(taken / kMiB));
  EXPECT_LE(taken, estimate.weights_bytes + estimate.pass_bytes + 64 * kMiB);
  EXPECT_LE(taken, estimate.loading_bytes + 4 * kMiB);
  EXPECT_GE(taken, estimate.weights_bytes - 4 * kMiB) << "the test measures what it should";
}

INSTANTIATE_TEST_SUITE_P(
    Forms, LoadMemoryTest,
    testing::Values(Form{"fp32", GgufType::kF32}, Form{"fp16", GgufType::kF16},
                    Form{"bf16", GgufType::kBF16}, Form{"q8_0", GgufType::kQ8_0},
                    Form{"q4_0", GgufType::kQ4_0}, Form{"q6_k", GgufType::kQ6K},
                    Form{"fp32_as_int8", GgufType::kF32, "int8"},
                    Form{"bf16_as_int4", GgufType::kBF16, "int4"},
                    Form{"fp16_as_fp32", GgufType::kF16, "none"},
                    Form{.name = "our_int8", .type = GgufType::kF32, .ours = true},
                    Form{"fp32_as_nf4_frozen", GgufType::kF32, "nf4", true}),
    [](const auto& form) { return std::string(form.param.name); });

class RunnerMemoryTest : public LoadMemoryTest {};

// The peak that a runner reports for the task.
int64_t PeakOfRunner(const v1::RunnerTask& task, const std::string& name) {
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(task, &json).ok());
  const std::string path = absl::StrCat(engine::NewTestDirectory(name), "/task.json");
  EXPECT_THAT(WriteFileDurably(path, json), IsOk());
  const std::string command = absl::StrCat(WATTLE_BINARY_DIR, "/bin/wattle-runner --json --task ",
                                           path, " > ", path, ".frames 2> ", path, ".log");
  EXPECT_EQ(std::system(command.c_str()), 0) << engine::FileBytes(path + ".log");
  std::ifstream frames(path + ".frames");
  v1::RunnerFrame frame;
  for (std::string line; std::getline(frames, line);) {
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &frame).ok()) << line;
  }
  return frame.result().peak_memory_bytes();
}

// The estimate decides whether a job is refused, and limits a runner (docs/adr/0026).
TEST_P(RunnerMemoryTest, TheEstimateIsAtMostATenthAboveThePeakAndThreeHundredthsBelow) {
  v1::RunnerTask task;
  task.set_attempt_id("j1.1");
  task.set_model_directory(directory());
  task.set_work_directory(engine::NewTestDirectory("work"));
  task.set_output_directory(engine::NewTestDirectory("output"));
  task.set_threads(2);
  v1::GenerateSpec& spec = *task.mutable_spec()->mutable_generate();
  spec.add_prompts(std::string(kTokens / 2, 'a'));  // one byte per token
  spec.set_max_new_tokens(kTokens / 2);
  if (!GetParam().recipe.empty()) {
    *spec.mutable_recipe() = recipe();
  }
  const auto peak = static_cast<double>(PeakOfRunner(task, GetParam().name));
  const auto expected = static_cast<double>(Estimate().total_bytes());
  RecordProperty("expected_over_peak", absl::StrCat(expected / peak));
  EXPECT_LT(expected, 1.10 * peak) << peak / kMiB << " MiB";
  EXPECT_GT(expected, 0.97 * peak) << peak / kMiB << " MiB";
}

INSTANTIATE_TEST_SUITE_P(
    Forms, RunnerMemoryTest,
    testing::Values(Form{"fp32", GgufType::kF32}, Form{"fp16", GgufType::kF16},
                    Form{"bf16", GgufType::kBF16}, Form{"q8_0", GgufType::kQ8_0},
                    Form{"q4_0", GgufType::kQ4_0}, Form{"q6_k", GgufType::kQ6K},
                    Form{"fp32_as_int8", GgufType::kF32, "int8"},
                    Form{.name = "our_int8", .type = GgufType::kF32, .ours = true}),
    [](const auto& form) { return std::string(form.param.name); });

}  // namespace
}  // namespace wattle::runner
