// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Generations whose texts end at drawn lengths, learned under other bounds than those of the job.
#include "scheduler/predict/answer_length.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"

namespace wattle::scheduler {
namespace {

constexpr double kSecondsPerToken = 0.01;
constexpr int kPrompts = 68;

v1::Device Board(const std::string& device_id = "d1") {
  v1::Device device;
  device.mutable_info()->set_device_id(device_id);
  device.mutable_info()->set_device_class("board");
  return device;
}

WorkAmount Generation(int most, const ProfileTable& table = {}, const std::string& model = "") {
  v1::JobSpec spec;
  InputView input{.field = "model", .artifact = {}};
  if (model.empty()) {
    *spec.mutable_generate()->mutable_model_shape() = Gpt2Shape(6, 384);
  } else {
    spec.mutable_generate()->set_model(model);
    input.artifact.set_artifact_id(model);
    *input.artifact.mutable_model_shape() = Gpt2Shape(6, 384);
  }
  spec.mutable_generate()->set_prompt_count(kPrompts);
  spec.mutable_generate()->set_max_new_tokens(most);
  const absl::Span<const InputView> inputs(&input, model.empty() ? 0 : 1);
  return WorkOf(spec, inputs, table).value();
}

// Lengths of answers about `middle` tokens.
std::vector<double> DrawTexts(double middle, std::mt19937& random) {
  std::lognormal_distribution<double> length(std::log(middle), 0.5);
  std::vector<double> texts(kPrompts);
  std::generate(texts.begin(), texts.end(), [&] { return std::ceil(length(random)); });
  return texts;
}

v1::WorkDone Done(const std::vector<double>& texts, int most) {
  v1::WorkDone done;
  *done.mutable_signature() = Generation(most).signature;
  done.set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  done.set_examples(kPrompts);
  for (const double text : texts) {
    done.set_generated_tokens(done.generated_tokens() +
                              static_cast<int64_t>(std::min<double>(text, most)));
    done.set_truncated_examples(done.truncated_examples() + (text > most ? 1 : 0));
  }
  done.set_units(static_cast<double>(done.generated_tokens()));
  return done;
}

double SecondsOf(const v1::WorkDone& done) {
  return kSecondsPerToken * static_cast<double>(done.generated_tokens());
}

void Learn(const v1::WorkDone& done, ProfileTable* table, const std::string& model = "",
           const v1::Device& board = Board()) {
  v1::Receipt receipt = MeasuredReceipt(Generation(1), SecondsOf(done), /*watts=*/10);
  *receipt.mutable_work() = done;
  for (const v1::ProfileRow& row :
       LearnFromReceipt(*table, board.info(), receipt, absl::UnixEpoch(), model)) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

TEST(AnswerLengthTest, ATextThatNobodySawTakesAllItsTokens) {
  const v1::ModelShape shape = Gpt2Shape(6, 384);
  EXPECT_EQ(ExpectedAnswerLength(ProfileTable(), {shape, "m"}, kPrompts, 32).tokens, 32);
  EXPECT_EQ(Generation(32).end_deviation, 0);
}

TEST(AnswerLengthTest, SeenTextsTellHowLongARunTakes) {
  int covered = 0;
  double error = 0;
  double error_of_most = 0;  // Error of a prediction in which no text ends early.
  constexpr int kSeeds = 100;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> log_middle(std::log(10.0), std::log(200.0));
    const double middle = std::exp(log_middle(random));
    ProfileTable table;
    for (const int most : {16, 256, 64}) {
      Learn(Done(DrawTexts(middle, random), most), &table);
    }
    constexpr int kMost = 128;
    const v1::Interval seconds =
        Predict(table, Board(), Generation(kMost, table), {}).run_seconds();
    const double took = SecondsOf(Done(DrawTexts(middle, random), kMost));
    covered += seconds.low() <= took && took <= seconds.high() ? 1 : 0;
    error += std::abs(seconds.mean() / took - 1) / kSeeds;
    error_of_most += std::abs(kSecondsPerToken * kPrompts * kMost / took - 1) / kSeeds;
    EXPECT_LT(seconds.high() / seconds.low(), 3) << seed;
    EXPECT_LT(seconds.high(), 1.2 * kSecondsPerToken * kPrompts * kMost) << seed;
  }
  EXPECT_GE(covered, kSeeds * 85 / 100);
  EXPECT_LT(error, 0.3);
  EXPECT_GT(error_of_most, 5 * error);
}

TEST(AnswerLengthTest, TextsThatWereAllCutSayThatTheyAreLonger) {
  std::mt19937 random(1);
  ProfileTable table;
  Learn(Done(DrawTexts(400, random), 16), &table);
  EXPECT_NEAR(Generation(32, table).steps / (32 * kPrompts), 1, 0.05);
}

// A fine-tuned model answers in a few words, and its parent in long texts.
TEST(AnswerLengthTest, EachModelOfAShapeHasItsOwnAnswers) {
  std::mt19937 random(1);
  ProfileTable table;
  constexpr int kMost = 256;
  for (int run = 0; run < 4; ++run) {
    Learn(Done(DrawTexts(100, random), kMost), &table, "parent");
    Learn(Done(DrawTexts(8, random), kMost), &table, "tuned");
  }
  const auto tokens_of = [&](const std::string& model) {
    return Generation(kMost, table, model).steps / kPrompts;
  };
  EXPECT_NEAR(tokens_of("tuned") / 9, 1, 0.25);
  EXPECT_NEAR(tokens_of("parent") / 105, 1, 0.25);
  EXPECT_GT(tokens_of("another"), 1.5 * tokens_of("tuned")) << "the mean of both models' ends";
  EXPECT_LT(tokens_of("another"), tokens_of("parent"));
}

TEST(AnswerLengthTest, ARowTellsTheLatestTwentyModels) {
  std::mt19937 random(1);
  ProfileTable table;
  for (int model = 1; model <= 25; ++model) {
    Learn(Done(DrawTexts(4 * model, random), 256), &table, "m" + std::to_string(model));
  }
  Learn(Done(DrawTexts(24, random), 256), &table, "m6");
  for (const v1::ProfileRow& row : table.Rows()) {
    if (row.device_id().empty()) {
      EXPECT_EQ(row.answer_lengths_size(), 0) << "each device tells its own";
      continue;
    }
    ASSERT_EQ(row.answer_lengths_size(), 20);
    EXPECT_EQ(row.answer_lengths(0).model_artifact_id(), "m6");
    EXPECT_EQ(row.answer_lengths(0).runs(), 2);
    EXPECT_EQ(row.answer_lengths(19).model_artifact_id(), "m7");
  }
}

// Three boards report answers of 40 tokens. A compromised board reports in 200 runs that they are
// one token, or that no text ends.
TEST(AnswerLengthTest, OneBoardsWordMovesALengthByOnePlaceAtMost) {
  for (const int told : {1, 10'000}) {
    ProfileTable table;
    for (int run = 0; run < 3; ++run) {
      Learn(Done(std::vector<double>(kPrompts, 39), 256), &table, "m", Board("a"));
      Learn(Done(std::vector<double>(kPrompts, 40), 256), &table, "m", Board("b"));
      Learn(Done(std::vector<double>(kPrompts, 41), 256), &table, "m", Board("c"));
    }
    const double own = Generation(256, table, "m").steps;
    const double alike = Generation(256, table, "another").steps;
    EXPECT_NEAR(own / kPrompts, 40, 0.5);
    for (int run = 0; run < 200; ++run) {
      Learn(Done(std::vector<double>(kPrompts, told), 10'001), &table, "m", Board("taken over"));
    }
    EXPECT_NEAR(Generation(256, table, "m").steps / own, 1, 0.05) << told;
    EXPECT_NEAR(Generation(256, table, "another").steps / alike, 1, 0.05) << told;
  }
}

TEST(AnswerLengthTest, OfADeviceThatWasRemovedTheRowsOfItsClassTell) {
  ProfileTable table;
  Learn(Done(std::vector<double>(kPrompts, 40), 256), &table, "m");
  ProfileTable of_classes;
  for (const v1::ProfileRow& row : table.Rows()) {
    if (row.device_id().empty()) {
      ASSERT_THAT(of_classes.Put(row), IsOk());
    }
  }
  EXPECT_NEAR(Generation(256, of_classes, "m").steps / kPrompts, 40, 0.5);
}

TEST(AnswerLengthTest, ARunThatCountsNoTextsTellsNoLength) {
  ProfileTable table;
  v1::WorkDone done = Done(std::vector<double>(kPrompts, 5), 16);
  done.set_units(static_cast<double>(done.generated_tokens()));
  done.clear_generated_tokens();
  v1::Receipt receipt = MeasuredReceipt(Generation(1), 10, /*watts=*/10);
  *receipt.mutable_work() = done;
  for (const v1::ProfileRow& row :
       LearnFromReceipt(table, Board().info(), receipt, absl::UnixEpoch())) {
    ASSERT_THAT(table.Put(row), IsOk());
  }
  EXPECT_EQ(Generation(32, table).end_deviation, 0);
}

}  // namespace
}  // namespace wattle::scheduler
