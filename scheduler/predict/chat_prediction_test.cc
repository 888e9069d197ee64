// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokens of conversations as a plan predicts them (scheduler/predict), from what a push tells
// of the model's template and of the data, against the tokens that training and generation make
// (formats/chat_examples.h). The templates are those of tests/golden/chat.
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/testing/test_directory.h"
#include "formats/byte_pair_encoding.h"
#include "formats/chat_examples.h"
#include "formats/chat_template.h"
#include "formats/data_set.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/work_units.h"

namespace wattle::scheduler {
namespace {

constexpr int kContext = 4096;
// A turn of a user and one of the assistant differ by the bytes of their roles, of which the plan
// knows the mean.
constexpr double kTolerance = 0.02;

std::string Golden(const std::string& file) {
  const auto text = ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/chat/", file));
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

// One to four questions each, with answers of 5 to 60 words.
std::vector<std::vector<formats::ChatMessage>> Conversations() {
  std::vector<std::vector<formats::ChatMessage>> conversations;
  for (int i = 0; i < 40; ++i) {
    std::vector<formats::ChatMessage>& messages = conversations.emplace_back();
    for (int turn = 0; turn <= i % 4; ++turn) {
      messages.push_back({formats::kUserRole, "How much does the east roof give in winter?"});
      std::string answer = "About";
      for (int word = 0; word < 5 + (i * 7 + turn * 11) % 56; ++word) {
        answer += " half";
      }
      messages.push_back({formats::kAssistantRole, answer});
    }
  }
  return conversations;
}

std::string LineOf(const std::vector<formats::ChatMessage>& messages) {
  nlohmann::json list = nlohmann::json::array();
  for (const formats::ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return nlohmann::json({{"messages", list}}).dump() + "\n";
}

class ChatPredictionTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto tokenizer =
        formats::BytePairEncoding::ParseTokenizerJson(Golden("tokenizer.json"), "tokenizer.json");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_.emplace(*std::move(tokenizer));
    const nlohmann::json config = {
        {"chat_template", nlohmann::json::parse(Golden("expected.json"))[GetParam()]["template"]},
        {"bos_token", "<s>"},
        {"eos_token", "</s>"}};
    auto chat_template =
        formats::ChatTemplate::Parse(config.dump(), std::nullopt, "tokenizer_config.json");
    ASSERT_TRUE(chat_template.ok()) << chat_template.status();
    template_.emplace(*std::move(chat_template));
    const auto tokens = formats::MeasureChatTemplate(*template_, *tokenizer_);
    ASSERT_TRUE(tokens.ok()) << tokens.status();
    *model_.artifact.mutable_chat_template() = *tokens;
    v1::ModelShape& shape = *model_.artifact.mutable_model_shape();
    shape.set_architecture("llama");
    shape.set_layers(2);
    shape.set_width(16);
    shape.set_heads(4);
    shape.set_vocabulary_size(268);
    shape.set_context_length(kContext);
  }

  // The data as a push describes them.
  InputView Pushed(const std::string& file, const std::string& lines) {
    InputView input{"data", {}};
    const auto described = formats::DescribeDataSet(directory_.Write(file, lines));
    EXPECT_TRUE(described.ok()) << described.status();
    *input.artifact.mutable_dataset() = *described;
    return input;
  }

  // Bytes of contents in a token, as an earlier run has measured them.
  [[nodiscard]] ProfileTable Measured() const {
    double bytes = 0;
    double tokens = 0;
    for (const auto& conversation : Conversations()) {
      for (const formats::ChatMessage& message : conversation) {
        bytes += static_cast<double>(message.content.size());
        tokens += static_cast<double>(tokenizer_->Encode(message.content).size());
      }
    }
    v1::ProfileRow row;
    row.set_device_class("jetson-orin-nano");
    row.set_device_id("id");
    row.set_source(v1::PROFILE_SOURCE_MEASURED);
    row.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
    row.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
    *row.mutable_signature()->mutable_model() = model_.artifact.model_shape();
    row.mutable_seconds_per_unit()->set_mean(1e-3);
    row.mutable_seconds_per_unit()->set_count(1);
    row.set_bytes_per_token(bytes / tokens);
    ProfileTable table;
    EXPECT_TRUE(table.Put(row).ok());
    return table;
  }

  TestDirectory directory_;
  std::optional<formats::BytePairEncoding> tokenizer_;
  std::optional<formats::ChatTemplate> template_;
  InputView model_{"model", {}};
};

TEST_P(ChatPredictionTest, TokensOfATrainingAreThoseThatTheEngineTrainsOn) {
  std::string lines;
  for (const auto& conversation : Conversations()) {
    lines += LineOf(conversation);
  }
  const auto parsed = formats::ParseChat(lines, "chat.jsonl");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto packed =
      formats::PackChat(*parsed, *template_, *tokenizer_, {.max_length_tokens = kContext});
  ASSERT_TRUE(packed.ok()) << packed.status();
  double tokens = 0;
  for (size_t i = 0; i < packed->pool.size(); ++i) {
    tokens += static_cast<double>(packed->pool.TokenCount(i));
  }
  v1::JobSpec spec;
  spec.mutable_finetune()->set_model("m");
  spec.mutable_finetune()->set_data("d");
  spec.mutable_finetune()->set_packing(true);
  const InputView data = Pushed("chat.jsonl", lines);
  const auto work = WorkOf(spec, {model_, data}, Measured());
  ASSERT_TRUE(work.ok()) << work.status();
  EXPECT_NEAR(work->units, tokens, kTolerance * tokens);

  InputView without = model_;
  without.artifact.clear_chat_template();
  const auto contents = WorkOf(spec, {without, data}, Measured());
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_LT(contents->units, (1 - 2 * kTolerance) * tokens) << "the template writes much besides";

  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->set_model("m");
  evaluate.mutable_evaluate()->set_data("d");
  const auto evaluation = WorkOf(evaluate, {model_, data}, Measured());
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_NEAR(evaluation->units, tokens, kTolerance * tokens);
}

TEST_P(ChatPredictionTest, TokensOfPromptsAreThoseThatTheEngineReads) {
  std::string lines;
  double tokens = 0;
  double prompts = 0;
  for (auto conversation : Conversations()) {
    conversation.pop_back();
    lines += LineOf(conversation);
    const auto written = formats::WriteChatPrompt(conversation, *template_, *tokenizer_);
    ASSERT_TRUE(written.ok()) << written.status();
    tokens += static_cast<double>(
        tokenizer_->Encode(*written, formats::SpecialTokens::kRecognise).size());
    prompts += 1;
  }
  v1::JobSpec spec;
  spec.mutable_generate()->set_model("m");
  spec.mutable_generate()->set_data("d");
  spec.mutable_generate()->set_max_new_tokens(1);
  const auto work = WorkOf(spec, {model_, Pushed("prompts.jsonl", lines)}, Measured());
  ASSERT_TRUE(work.ok()) << work.status();
  const double wanted = GenerationUnits(tokens / prompts, 1);
  EXPECT_NEAR(work->tokens_per_example, wanted, kTolerance * wanted);

  // The prompts of the job file itself, asked as a user's messages.
  const std::string question = "How much does the east roof give in winter?";
  spec.mutable_generate()->clear_data();
  spec.mutable_generate()->add_prompts(question);
  spec.mutable_generate()->set_chat(true);
  const auto written =
      formats::WriteChatPrompt({{formats::kUserRole, question}}, *template_, *tokenizer_);
  ASSERT_TRUE(written.ok()) << written.status();
  const auto asked = WorkOf(spec, {model_}, Measured());
  ASSERT_TRUE(asked.ok()) << asked.status();
  const double one = GenerationUnits(
      static_cast<double>(tokenizer_->Encode(*written, formats::SpecialTokens::kRecognise).size()),
      1);
  EXPECT_NEAR(asked->tokens_per_example, one, kTolerance * one);
}

// The sixth template of the goldens ends after six messages, so only the interpreter's tests use
// it.
INSTANTIATE_TEST_SUITE_P(Families, ChatPredictionTest,
                         testing::Values("chatml", "qwen", "llama3", "gemma", "zephyr"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace wattle::scheduler
