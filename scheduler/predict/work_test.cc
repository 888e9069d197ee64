// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the amount of work of each kind of job, and specs that have none.
#include "scheduler/predict/work.h"

#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"
#include "proto/testing/job_kinds_for_test.h"
#include "scheduler/predict/job_kinds.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

v1::ModelShape SmallShape() {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(6);
  shape.set_width(384);
  shape.set_heads(6);
  shape.set_vocabulary_size(4096);
  shape.set_context_length(512);
  return shape;
}

InputView Model() {
  InputView input{"model", {}};
  *input.artifact.mutable_model_shape() = SmallShape();
  return input;
}

// A data set with examples of `low` to `high` bytes, evenly spread.
InputView Data(absl::string_view field, int64_t examples, double low, double high) {
  InputView input{std::string(field), {}};
  v1::DatasetStatistics& statistics = *input.artifact.mutable_dataset();
  statistics.set_format("squad");
  statistics.set_examples(examples);
  for (int i = 0; i <= 32; ++i) {
    statistics.add_byte_length_quantiles(low + (high - low) * i / 32);
  }
  return input;
}

v1::JobSpec Finetune() {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_model("m");
  spec.mutable_finetune()->set_data("d");
  return spec;
}

TEST(WorkTest, FinetuneCountsPaddedTokensOfEveryEpoch) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_epochs(3);
  spec.mutable_finetune()->set_batch_size(4);
  // 400 to 800 bytes are 100 to 200 tokens and an end token. The expected longest of 4 lies at four
  // fifths.
  const auto work = WorkOf(spec, {Model(), Data("data", 100, 400, 800)}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_EQ(work->unit, v1::WORK_UNIT_TRAINING_TOKEN);
  EXPECT_DOUBLE_EQ(work->examples, 300);
  EXPECT_DOUBLE_EQ(work->steps, 75);
  EXPECT_NEAR(work->tokens_per_example, 181, 1e-9);
  EXPECT_NEAR(work->units, 300 * 181, 1e-6);
  EXPECT_EQ(work->signature.batch_size(), 4);
  EXPECT_EQ(work->signature.sequence_length(), 512);
  EXPECT_DOUBLE_EQ(work->checkpoint_bytes, 12 * ParameterCount(SmallShape()));
  EXPECT_DOUBLE_EQ(work->checkpoint_every_steps, 0);  // The worker decides by time.
}

// 100 questions of 25 paragraphs: an example shares its paragraph with the next one three times of
// four, and a batch of 5 has four neighbours for its five examples.
TEST(WorkTest, PackedTrainingComputesAParagraphOnceForTheQuestionsOfABatch) {
  InputView data = Data("data", 100, 500, 700);  // 126 to 176 tokens
  data.artifact.mutable_dataset()->set_contexts(25);
  data.artifact.mutable_dataset()->set_mean_context_byte_length(400);  // 100 tokens
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_batch_size(5);
  const auto tokens = [&] {
    const auto work = WorkOf(spec, {Model(), data}, ProfileTable());
    EXPECT_THAT(work, IsOk());
    return work->tokens_per_example;
  };
  EXPECT_GT(tokens(), 151);
  spec.mutable_finetune()->set_packing(true);
  EXPECT_NEAR(tokens(), 151 - 0.8 * 0.75 * 100, 1e-9);
  spec.mutable_finetune()->set_sequence_length(151);  // half of the examples are cut
  const double cut = tokens();
  EXPECT_GT(cut, 151 - 0.8 * 0.75 * 100);
  EXPECT_LT(cut, 151);
  spec.mutable_finetune()->clear_sequence_length();
  spec.mutable_finetune()->set_loss_on(v1::LOSS_ON_ALL);
  EXPECT_NEAR(tokens(), 151, 1e-9);
  spec.mutable_finetune()->clear_loss_on();
  data.artifact.mutable_dataset()->clear_contexts();
  EXPECT_NEAR(tokens(), 151, 1e-9);
}

// The form of a GGUF model's files is kept; a measurement of one form never serves another.
TEST(WorkTest, InferenceKeepsTheFormOfTheFilesAndTrainingReadsFloats) {
  InputView model = Model();
  model.artifact.set_quantization("none");
  *model.artifact.mutable_recipe() = *RecipeOfIdentity("int8-g32+embedding=int8-g32");
  const std::vector<InputView> inputs = {model, Data("data", 100, 400, 800)};
  const auto quantization_of = [&](const v1::JobSpec& spec) {
    const auto work = WorkOf(spec, inputs, ProfileTable());
    EXPECT_THAT(work, IsOk());
    return work->signature.quantization();
  };
  v1::JobSpec generate;
  generate.mutable_generate()->set_model("m");
  generate.mutable_generate()->add_prompts("The mast is");
  EXPECT_EQ(quantization_of(generate), "int8-g32+embedding=int8-g32");
  generate.mutable_generate()->set_quantization(v1::QUANTIZATION_NONE);
  EXPECT_EQ(quantization_of(generate), "none");
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->set_model("m");
  evaluate.mutable_evaluate()->set_data("d");
  EXPECT_EQ(quantization_of(evaluate), "int8-g32+embedding=int8-g32");
  v1::JobSpec lora = Finetune();
  lora.mutable_finetune()->mutable_lora();
  EXPECT_EQ(quantization_of(lora), "none");
  EXPECT_EQ(WorkOf(lora, inputs, ProfileTable())->signature.method(), v1::METHOD_FINETUNE_LORA);
}

// Measured time and energy of one method never serve another.
TEST(WorkTest, FinetuneSignatureTellsTheMethod) {
  const ProfileTable table;
  const std::vector<InputView> inputs = {Model(), Data("data", 100, 400, 800)};
  const auto work_of = [&](const v1::JobSpec& spec) {
    const auto work = WorkOf(spec, inputs, table);
    EXPECT_THAT(work, IsOk());
    return *work;
  };
  v1::JobSpec full = Finetune();
  v1::JobSpec lora = Finetune();
  lora.mutable_finetune()->mutable_lora();
  v1::JobSpec qlora = lora;
  qlora.mutable_finetune()->set_quantization(v1::QUANTIZATION_NF4);
  v1::JobSpec wider = lora;
  wider.mutable_finetune()->mutable_lora()->set_rank(64);
  v1::JobSpec recomputed = full;
  recomputed.mutable_finetune()->set_activation_checkpointing(true);
  EXPECT_EQ(work_of(full).signature.method(), v1::METHOD_FINETUNE_FULL);
  EXPECT_EQ(work_of(lora).signature.method(), v1::METHOD_FINETUNE_LORA);
  EXPECT_EQ(work_of(lora).signature.adapter_rank(), 8);
  EXPECT_EQ(work_of(qlora).signature.method(), v1::METHOD_FINETUNE_QLORA);
  EXPECT_EQ(work_of(qlora).signature.quantization(), "nf4-g64");
  v1::JobSpec aware = full;
  aware.mutable_finetune()->set_quantization(v1::QUANTIZATION_INT4);
  EXPECT_EQ(work_of(aware).signature.method(), v1::METHOD_FINETUNE_FULL);
  v1::JobSpec last = full;
  last.mutable_finetune()->set_last_layers(2);
  v1::JobSpec fewer = full;
  fewer.mutable_finetune()->set_last_layers(1);
  v1::JobSpec packed = full;
  packed.mutable_finetune()->set_packing(true);
  v1::JobSpec rounded = full;
  rounded.mutable_finetune()->set_precision(v1::PRECISION_BF16);
  EXPECT_EQ(work_of(rounded).signature.precision(), "bf16");
  rounded.mutable_finetune()->set_precision(v1::PRECISION_FP16);
  EXPECT_EQ(work_of(rounded).signature.precision(), "fp16");
  rounded.mutable_finetune()->set_precision(v1::PRECISION_TF32);
  EXPECT_EQ(work_of(rounded).signature.precision(), "tf32");
  rounded.mutable_finetune()->set_precision(v1::PRECISION_BF16);
  rounded.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
  EXPECT_EQ(work_of(rounded).signature.precision(), "bf16+bf16-weights");
  v1::JobSpec mezo = full;
  mezo.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
  v1::JobSpec more_directions = mezo;
  more_directions.mutable_finetune()->mutable_mezo()->set_samples(4);
  v1::JobSpec lean = full;
  lean.mutable_finetune()->set_update_in_backward(true);
  v1::JobSpec in_8_bits = full;
  in_8_bits.mutable_finetune()->set_optimizer(v1::OPTIMIZER_ADAMW_8BIT);
  v1::JobSpec factored = full;
  factored.mutable_finetune()->set_optimizer(v1::OPTIMIZER_ADAFACTOR);
  EXPECT_EQ(work_of(full).signature.optimizer(), "");
  EXPECT_EQ(work_of(in_8_bits).signature.optimizer(), "adamw-8bit");
  EXPECT_EQ(work_of(factored).signature.optimizer(), "adafactor");
  const std::vector<v1::JobSpec> specs = {full,      lora,     qlora,   wider,  recomputed,
                                          aware,     last,     fewer,   packed, lean,
                                          in_8_bits, factored, rounded, mezo,   more_directions};
  for (size_t a = 0; a < specs.size(); ++a) {
    for (size_t b = 0; b < specs.size(); ++b) {
      EXPECT_EQ(SameWorkload(work_of(specs[a]).signature, work_of(specs[b]).signature), a == b)
          << a << " and " << b;
    }
  }
  // Adapters of rank 8 beside six layers of 16 widths; a merged result is the whole model.
  EXPECT_DOUBLE_EQ(work_of(lora).result_bytes, 4.0 * 8 * 6 * 16 * 384);
  EXPECT_DOUBLE_EQ(work_of(lora).checkpoint_bytes, 3 * work_of(lora).result_bytes);
  lora.mutable_finetune()->mutable_lora()->set_merge(true);
  EXPECT_DOUBLE_EQ(work_of(lora).result_bytes, work_of(full).result_bytes);
  // Two layers of 12 widths squared, their norms and biases, and the final norm; the result is
  // whole.
  EXPECT_DOUBLE_EQ(work_of(last).checkpoint_bytes,
                   12.0 * (2 * (12.0 * 384 * 384 + 13 * 384) + 2 * 384));
  EXPECT_DOUBLE_EQ(work_of(last).result_bytes, work_of(full).result_bytes);
  // Two forward passes for each direction, while forward and backward cost three; no moments.
  EXPECT_EQ(work_of(mezo).signature.optimizer(), "mezo");
  EXPECT_DOUBLE_EQ(CostPerToken(work_of(mezo).signature),
                   CostPerToken(work_of(full).signature) * 2 / 3);
  EXPECT_DOUBLE_EQ(CostPerToken(work_of(more_directions).signature),
                   4 * CostPerToken(work_of(mezo).signature));
  EXPECT_DOUBLE_EQ(work_of(mezo).checkpoint_bytes, work_of(full).checkpoint_bytes / 3);
  // Checkpoint: weights, and one-byte moments with a scale for 256 numbers. Result: only the
  // weights.
  EXPECT_DOUBLE_EQ(work_of(in_8_bits).checkpoint_bytes,
                   (4 + 2 + 2 * 4.0 / 256) * ParameterCount(SmallShape()));
  EXPECT_DOUBLE_EQ(work_of(factored).checkpoint_bytes, 4 * ParameterCount(SmallShape()));
  // 100 to 200 tokens and an end token: packed, each example has its own.
  EXPECT_NEAR(work_of(packed).tokens_per_example, 151, 1e-9);
  EXPECT_GT(work_of(full).tokens_per_example, 180);
}

TEST(WorkTest, StepsOverrideEpochsAndLimitExamplesCuts) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_epochs(3);
  spec.mutable_finetune()->set_limit_examples(40);
  const std::vector<InputView> inputs = {Model(), Data("data", 100, 400, 400)};
  auto work = WorkOf(spec, inputs, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_DOUBLE_EQ(work->examples, 120);
  spec.mutable_finetune()->set_steps(10);
  spec.mutable_finetune()->set_gradient_accumulation_steps(2);
  work = WorkOf(spec, inputs, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_DOUBLE_EQ(work->steps, 10);
  EXPECT_DOUBLE_EQ(work->examples, 160);  // 10 steps of two batches of the default 8.
}

TEST(WorkTest, SequenceLengthTruncates) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_sequence_length(64);
  const auto work = WorkOf(spec, {Model(), Data("data", 100, 400, 800)}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_NEAR(work->tokens_per_example, 64, 1e-9);
  EXPECT_DOUBLE_EQ(work->truncated_share, 1);
}

TEST(WorkTest, MeasuredBytesPerTokenAreUsedOfThisModelThenOfItsVocabulary) {
  ProfileTable table;
  v1::ProfileRow row;
  row.set_device_class("c");
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  row.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  row.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  *row.mutable_signature()->mutable_model() = SmallShape();
  row.mutable_signature()->mutable_model()->set_layers(12);
  row.mutable_seconds_per_unit()->set_mean(1e-3);
  row.mutable_seconds_per_unit()->set_count(1);
  row.set_bytes_per_token(4.4);
  EXPECT_DOUBLE_EQ(BytesPerToken(table, SmallShape()), 4.0);
  ASSERT_THAT(table.Put(row), IsOk());
  EXPECT_DOUBLE_EQ(BytesPerToken(table, SmallShape()), 4.4);
  row.mutable_signature()->mutable_model()->set_layers(6);
  row.set_bytes_per_token(4.6);
  ASSERT_THAT(table.Put(row), IsOk());
  EXPECT_DOUBLE_EQ(BytesPerToken(table, SmallShape()), 4.6);
  v1::ModelShape other = SmallShape();
  other.set_vocabulary_size(50257);
  EXPECT_DOUBLE_EQ(BytesPerToken(table, other), 4.5);
}

TEST(WorkTest, BytesPerTokenAreFoundFromRealTokens) {
  v1::WorkDone done;
  *done.mutable_signature()->mutable_model() = SmallShape();
  done.set_examples(1000);
  const v1::DatasetStatistics data = Data("data", 100, 400, 1200).artifact.dataset();
  done.set_real_tokens(static_cast<int64_t>(1000 * (800 / 4.4 + 1)));
  EXPECT_NEAR(BytesPerTokenOf(done, data, nullptr), 4.4, 0.01);
  // Cut at 200 tokens: at 4.4 bytes per token a third of the examples is cut, because 1200 bytes
  // would make 273 tokens.
  done.mutable_signature()->set_sequence_length(200);
  const double at_limit = 199 * 4.4;
  const double below = (at_limit - 400) / 800;
  const double mean = below * ((400 + at_limit) / 2 / 4.4 + 1) + (1 - below) * 200;
  done.set_real_tokens(static_cast<int64_t>(1000 * mean));
  EXPECT_NEAR(BytesPerTokenOf(done, data, nullptr), 4.4, 0.02);
  done.set_real_tokens(1000 * 200);
  EXPECT_EQ(BytesPerTokenOf(done, data, nullptr), 0) << "all were cut";
  EXPECT_EQ(BytesPerTokenOf(v1::WorkDone(), data, nullptr), 0);
}

// Otherwise the tokens of a template would count as short tokens of text.
TEST(WorkTest, BytesPerTokenAreThoseOfTheContents) {
  v1::WorkDone done;
  *done.mutable_signature()->mutable_model() = SmallShape();
  done.set_examples(1000);
  v1::DatasetStatistics data = Data("data", 100, 400, 400).artifact.dataset();
  for (int i = 0; i <= 32; ++i) {
    data.add_message_count_quantiles(4);
  }
  v1::ChatTemplateTokens written;
  written.set_per_conversation(2);
  written.set_per_message(6);
  done.set_real_tokens(1000 * (100 + 26));
  EXPECT_NEAR(BytesPerTokenOf(done, data, &written), 4, 0.01);
}

TEST(WorkTest, HeldoutDataCountAThirdBeforeAndAfter) {
  const std::vector<InputView> inputs = {Model(), Data("data", 100, 400, 400),
                                         Data("heldout_data", 30, 400, 400)};
  const auto work = WorkOf(Finetune(), inputs, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_NEAR(work->units_of_heldout, 2 * 30 * 101 / 3.0, 1e-6);
  EXPECT_NEAR(work->units, 100 * 101, 1e-6);
}

TEST(WorkTest, DeclaredJobWithoutBatchAndLengthLeavesThemOpen) {
  v1::JobSpec spec;
  *spec.mutable_finetune()->mutable_model_shape() = SmallShape();
  spec.mutable_finetune()->mutable_data_shape()->set_examples(1000);
  auto work = WorkOf(spec, {}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_EQ(work->unit, v1::WORK_UNIT_EXAMPLE);
  EXPECT_DOUBLE_EQ(work->units, 1000);
  EXPECT_EQ(work->signature.batch_size(), 0);
  EXPECT_EQ(work->signature.sequence_length(), 0);
  spec.mutable_finetune()->mutable_data_shape()->set_mean_tokens_per_example(150);
  work = WorkOf(spec, {}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_EQ(work->unit, v1::WORK_UNIT_TRAINING_TOKEN);
  EXPECT_DOUBLE_EQ(work->units, 150000);
}

TEST(WorkTest, OtherKindsCountTheirOwnUnits) {
  v1::JobSpec generate;
  generate.mutable_generate()->set_model("m");
  generate.mutable_generate()->add_prompts(std::string(40, 'x'));
  generate.mutable_generate()->set_max_new_tokens(20);
  auto work = WorkOf(generate, {Model()}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_EQ(work->unit, v1::WORK_UNIT_GENERATED_TOKEN);
  EXPECT_NEAR(work->units, 20 + 0.05 * 10, 1e-9);

  v1::JobSpec quantize;
  quantize.mutable_quantize()->set_model("m");
  work = WorkOf(quantize, {Model()}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_EQ(work->unit, v1::WORK_UNIT_PARAMETER);
  EXPECT_DOUBLE_EQ(work->units, ParameterCount(SmallShape()));

  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->set_model("m");
  evaluate.mutable_evaluate()->set_data("d");
  InputView text{"data", {}};
  text.artifact.mutable_dataset()->set_format("text");
  text.artifact.mutable_dataset()->set_examples(1);
  text.artifact.set_size_bytes(4 * 5120);
  work = WorkOf(evaluate, {Model(), text}, ProfileTable());
  ASSERT_THAT(work, IsOk());
  EXPECT_EQ(work->unit, v1::WORK_UNIT_EVALUATED_TOKEN);
  EXPECT_DOUBLE_EQ(work->units,
                   19 * 512);  // The first window, and 4608 more tokens in steps of 256.
}

TEST(WorkTest, SpecsWithoutWorkAreRefusedByField) {
  struct Case {
    std::function<void(v1::JobSpec*)> change;
    const char* message;
  };
  const Case kCases[] = {
      {[](v1::JobSpec* s) { s->clear_finetune(); }, "kind: missing"},
      {[](v1::JobSpec* s) {
         s->mutable_finetune()->clear_model();
         s->mutable_finetune()->mutable_model_shape()->set_architecture("gpt2");
       },
       "finetune.model_shape.layers"},
      {[](v1::JobSpec* s) {
         s->mutable_finetune()->clear_data();
         s->mutable_finetune()->mutable_data_shape()->set_examples(0);
       },
       "finetune.data_shape.examples"},
      {[](v1::JobSpec* s) { s->mutable_finetune()->set_epochs(-1); }, "finetune.epochs"},
      {[](v1::JobSpec* s) { s->mutable_finetune()->set_batch_size(-8); }, "finetune.batch_size"},
      {[](v1::JobSpec* s) { s->mutable_finetune()->set_steps(-1); }, "finetune.steps"},
      {[](v1::JobSpec* s) { s->set_deadline_seconds(-1); }, "deadline_seconds"},
      {[](v1::JobSpec* s) { s->set_priority(101); }, "priority"},
  };
  for (const Case& test : kCases) {
    v1::JobSpec spec = Finetune();
    test.change(&spec);
    EXPECT_THAT(WorkOf(spec, {Model(), Data("data", 10, 100, 100)}, ProfileTable()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.message)));
  }
  EXPECT_THAT(WorkOf(Finetune(), {Model()}, ProfileTable()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("finetune.data: names no")));
  EXPECT_THAT(WorkOf(Finetune(), {Model(), Data("data", 0, 0, 0)}, ProfileTable()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds no examples")));
}

TEST(SchedulerJobKindsTest, EachKindHasAPartAndEachMethodACost) {
  EXPECT_EQ(JobKindsWithout(KindParts()), "");
  EXPECT_EQ(JobKindsWithout(KindParts(), JobKindsAndADummy()), "dummy");
  for (const JobKind& kind : JobKinds()) {
    for (const v1::Method method : kind.methods) {
      EXPECT_EQ(MethodCostOf(method).method, method) << v1::Method_Name(method);
    }
  }
  for (const KindPart& part : KindParts()) {
    EXPECT_NE(part.work, nullptr) << part.kind_case;
    EXPECT_NE(part.memory, nullptr) << part.kind_case;
  }
}

}  // namespace
}  // namespace wattle::scheduler
