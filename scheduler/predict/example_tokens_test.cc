// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/example_tokens.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::ChatTemplateTokens Template() {
  v1::ChatTemplateTokens tokens;
  tokens.set_per_conversation(10);
  tokens.set_per_message(5);
  tokens.set_before_answer(3);
  return tokens;
}

// Three quantiles: 40, 80 and 160 bytes.
v1::DatasetStatistics Data(const std::vector<double>& messages) {
  v1::DatasetStatistics data;
  for (const double bytes : {40.0, 80.0, 160.0}) {
    data.add_byte_length_quantiles(bytes);
  }
  for (const double count : messages) {
    data.add_message_count_quantiles(count);
  }
  return data;
}

std::vector<double> Tokens(const v1::DatasetStatistics& data, const TokenRates& rates) {
  const auto tokens = TokenQuantiles(data, rates);
  EXPECT_THAT(tokens, IsOk());
  return tokens.ok() ? *tokens : std::vector<double>();
}

TEST(ExampleTokensTest, TheTemplateAddsToTheContents) {
  const v1::ChatTemplateTokens written = Template();
  const v1::DatasetStatistics data = Data({2, 2, 4});
  EXPECT_THAT(Tokens(data, {.bytes_per_token = 4, .chat_template = &written}),
              ElementsAre(10 + 20, 20 + 20, 40 + 30));
  EXPECT_THAT(Tokens(data, {.bytes_per_token = 4, .chat_template = &written, .is_prompt = true}),
              ElementsAre(33, 43, 73));
  EXPECT_THAT(Tokens(data, {.bytes_per_token = 4}), ElementsAre(11, 21, 41))
      << "a template that is not known: an end token";
}

TEST(ExampleTokensTest, APromptThatIsATextIsAConversationWhereTheJobSaysSo) {
  const v1::ChatTemplateTokens written = Template();
  const v1::DatasetStatistics data = Data({0, 0, 1});
  TokenRates rates{.bytes_per_token = 4, .chat_template = &written, .is_prompt = true};
  EXPECT_THAT(Tokens(data, rates), ElementsAre(11, 21, 40 + 18));
  rates.chat = true;
  EXPECT_THAT(Tokens(data, rates), ElementsAre(10 + 18, 20 + 18, 40 + 18));
}

TEST(ExampleTokensTest, DataOfAnOlderPushTellNoMessages) {
  const v1::ChatTemplateTokens written = Template();
  EXPECT_THAT(Tokens(Data({}), {.bytes_per_token = 4, .chat_template = &written}),
              ElementsAre(11, 21, 41));
  v1::DatasetStatistics mean;
  mean.set_mean_byte_length(80);
  EXPECT_THAT(Tokens(mean, {.bytes_per_token = 4, .chat_template = &written}), ElementsAre(21));
}

TEST(ExampleTokensTest, NoExampleHasMore) {
  const v1::ChatTemplateTokens written = Template();
  EXPECT_DOUBLE_EQ(MostTokens(Data({2, 2, 4}), {.chat_template = &written}), 160 + 30);
  EXPECT_DOUBLE_EQ(MostTokens(v1::DatasetStatistics(), {.chat_template = &written}), 0);
}

TEST(ExampleTokensTest, BrokenStatisticsAreRefused) {
  EXPECT_THAT(TokenQuantiles(Data({2, -1, 4}), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("message_count_quantiles: -1; wanted counts")));
  v1::DatasetStatistics data = Data({});
  data.set_byte_length_quantiles(1, std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(TokenQuantiles(data, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 HasSubstr("byte_length_quantiles: nan")));
}

}  // namespace
}  // namespace wattle::scheduler
