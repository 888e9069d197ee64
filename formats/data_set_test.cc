// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/data_set.h"

#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::formats {
namespace {

using testing::HasSubstr;

constexpr absl::StatusCode kInvalidData = absl::StatusCode::kInvalidArgument;

TEST(DataSetTest, KindFollowsTheEnding) {
  EXPECT_EQ(*DataSetKindOf("a/train.json"), DataSetKind::kSquad);
  EXPECT_EQ(*DataSetKindOf("a.jsonl"), DataSetKind::kPrompts);
  EXPECT_EQ(*DataSetKindOf("a.txt"), DataSetKind::kText);
  EXPECT_THAT(
      DataSetKindOf("a.csv"),
      StatusIs(kInvalidData,
               HasSubstr("wants .json (SQuAD 2.0), .jsonl (prompts or conversations) or .txt")));
}

TEST(DataSetTest, StatisticsOfTextCountNonEmptyLines) {
  const TestDirectory directory;
  std::string text = "\n  \n";
  for (int length = 1; length <= 33; ++length) {
    text += std::string(static_cast<size_t>(length - 1), 'x') + (length == 1 ? "" : "\n");
  }
  const auto statistics = DescribeDataSet(directory.Write("a.txt", text));
  ASSERT_THAT(statistics, IsOk());
  EXPECT_EQ(statistics->format(), "text");
  EXPECT_EQ(statistics->examples(), 32);
  EXPECT_EQ(statistics->byte_length_quantiles_size(), 33);
  EXPECT_EQ(statistics->byte_length_quantiles(0), 2);
  EXPECT_EQ(statistics->byte_length_quantiles(32), 33);
  EXPECT_DOUBLE_EQ(statistics->mean_byte_length(), 17.5);
}

TEST(DataSetTest, StatisticsOfSquadMeasureTheTemplate) {
  SquadDataSet data;
  data.contexts = {"abc"};
  data.questions.push_back({.id = "1", .question = "q", .is_impossible = true});
  data.questions.push_back({.id = "2", .question = "q", .answers = {{.text = "a"}}});
  const v1::DatasetStatistics statistics = DescribeSquad(data);
  EXPECT_EQ(statistics.format(), "squad");
  EXPECT_EQ(statistics.examples(), 2);
  EXPECT_EQ(statistics.answerable(), 1);
  // "abc\nQuestion: q\nAnswer:" has 23 bytes.
  EXPECT_EQ(statistics.byte_length_quantiles(0), 23 + 2);
  EXPECT_EQ(statistics.byte_length_quantiles(32), 23 + 13);
}

TEST(DataSetTest, StatisticsOfSquadCountTheParagraphsOfQuestions) {
  SquadDataSet data;
  data.contexts = {"abc", "without a question", "abcdef"};
  for (const size_t paragraph : {0, 0, 2}) {
    data.questions.push_back(
        {.id = "q", .question = "q", .is_impossible = true, .paragraph = paragraph});
  }
  const v1::DatasetStatistics statistics = DescribeSquad(data);
  EXPECT_EQ(statistics.contexts(), 2);
  EXPECT_DOUBLE_EQ(statistics.mean_context_byte_length(), 4.0);
}

TEST(DataSetTest, EmptyAndBadFilesAreRefused) {
  const TestDirectory directory;
  EXPECT_THAT(DescribeDataSet(directory.Write("a.txt", " \n")),
              StatusIs(kInvalidData, HasSubstr("is empty")));
  EXPECT_THAT(DescribeDataSet(directory.Write("e.txt", "x")),
              StatusIs(kInvalidData, HasSubstr("one character; a text wants two tokens")));
  EXPECT_THAT(DescribeDataSet(directory.Write("b.txt", "abc\xff")),
              StatusIs(kInvalidData, HasSubstr("not UTF-8 at byte 3; convert")));
  EXPECT_THAT(DescribeDataSet(directory.Write("c.jsonl", "\n")),
              StatusIs(kInvalidData, HasSubstr("has no prompt")));
  EXPECT_THAT(DescribeDataSet(directory.File("d.json")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("check the path")));
}

TEST(PromptsTest, ReadsPromptsWithAndWithoutId) {
  const auto prompts = ParsePrompts(
      "{\"prompt\": \"a\"}\r\n\n{\"id\": 7, \"prompt\": \"b\"}\n"
      "{\"id\": \"x\", \"prompt\": \"c\"}",
      "p.jsonl");
  ASSERT_THAT(prompts, IsOk());
  ASSERT_EQ(prompts->size(), 3U);
  EXPECT_EQ((*prompts)[0].id, "1");
  EXPECT_EQ((*prompts)[1].id, "7");
  EXPECT_EQ((*prompts)[2].id, "x");
  EXPECT_EQ((*prompts)[2].text, "c");
}

TEST(PromptsTest, AConversationIsAnsweredAfterItsLastTurn) {
  auto prompts = ParsePrompts(
      R"({"id": "x", "messages": [{"role": "system", "content": "short"}, {"role": "user", "content": "why?"}]})"
      "\n{\"prompt\": \"a\"}",
      "p.jsonl");
  ASSERT_THAT(prompts, IsOk());
  ASSERT_EQ(prompts->size(), 2U);
  EXPECT_EQ(prompts->at(0).id, "x");
  EXPECT_EQ(prompts->at(0).text, "why?");
  ASSERT_EQ(prompts->at(0).messages.size(), 2U);
  EXPECT_EQ(prompts->at(0).messages[0].role, "system");
  EXPECT_TRUE(prompts->at(1).messages.empty());
  AsConversations(*prompts);
  EXPECT_EQ(prompts->at(0).messages.size(), 2U) << "stays as it is";
  ASSERT_EQ(prompts->at(1).messages.size(), 1U);
  EXPECT_EQ(prompts->at(1).messages[0].role, "user");
  EXPECT_EQ(prompts->at(1).messages[0].content, "a");
}

TEST(PromptsTest, BadLinesAreNamed) {
  EXPECT_THAT(ParsePrompts("{\"prompt\": \"a\"}\nhello", "p"),
              StatusIs(kInvalidData, HasSubstr("p:2: not a JSON object")));
  EXPECT_THAT(ParsePrompts("{\"promt\": \"a\"}", "p"),
              StatusIs(kInvalidData, HasSubstr("p:1: promt: unknown field")));
  EXPECT_THAT(ParsePrompts("{\"prompt\": 3}", "p"),
              StatusIs(kInvalidData, HasSubstr("prompt: wants text, found a number")));
  EXPECT_THAT(ParsePrompts("{\"prompt\": \"\"}", "p"),
              StatusIs(kInvalidData, HasSubstr("prompt: empty")));
  EXPECT_THAT(ParsePrompts("{\"id\": 1}", "p"),
              StatusIs(kInvalidData, HasSubstr("prompt: missing")));
  EXPECT_THAT(ParsePrompts("[1]", "p"), StatusIs(kInvalidData, HasSubstr("wants an object")));
  EXPECT_THAT(ParsePrompts(R"({"messages": []})", "p"),
              StatusIs(kInvalidData, HasSubstr("p:1: messages: wants a list")));
  EXPECT_THAT(
      ParsePrompts(R"({"messages": [{"role": "user"}]})", "p"),
      StatusIs(kInvalidData, HasSubstr("p:1: messages[0]: wants \"role\" and \"content\"")));
  EXPECT_THAT(
      ParsePrompts(R"({"prompt": "a", "messages": [{"role": "user", "content": "b"}]})", "p"),
      StatusIs(kInvalidData, HasSubstr("p:1: prompt: stands beside messages")));
  EXPECT_THAT(ParsePrompts(R"({"messages": [{"role": "assistant", "content": "b"}]})", "p"),
              StatusIs(kInvalidData, HasSubstr("p:1: messages: the last turn is the assistant's")));
}

struct WindowCase {
  int64_t tokens;
  int64_t window;
  int64_t stride;
  size_t windows;
  int64_t scored;
};

TEST(TextWindowsTest, EveryTokenIsScoredOnce) {
  for (const WindowCase& c :
       {WindowCase{10, 4, 2, 4, 9}, WindowCase{10, 4, 4, 3, 7}, WindowCase{9, 4, 4, 2, 6},
        WindowCase{4, 4, 2, 1, 3}, WindowCase{5, 4, 2, 2, 4}, WindowCase{2, 4, 2, 1, 1},
        WindowCase{1, 4, 2, 0, 0}, WindowCase{0, 4, 2, 0, 0}}) {
    std::vector<int64_t> tokens(static_cast<size_t>(c.tokens));
    std::iota(tokens.begin(), tokens.end(), 0);
    std::vector<int> times(tokens.size());
    const std::vector<TextWindow> windows = TextWindows(tokens, c.window, c.stride);
    for (const TextWindow& window : windows) {
      ASSERT_GE(window.first_scored, 1U);
      ASSERT_LE(static_cast<int64_t>(window.tokens.size()), c.window);
      for (size_t i = window.first_scored; i < window.tokens.size(); ++i) {
        ++times[static_cast<size_t>(window.tokens[i])];
      }
    }
    SCOPED_TRACE(testing::Message()
                 << c.tokens << " tokens, window " << c.window << ", stride " << c.stride);
    EXPECT_EQ(windows.size(), c.windows);
    EXPECT_EQ(std::accumulate(times.begin(), times.end(), 0), c.scored);
    EXPECT_TRUE(times.empty() || *std::max_element(times.begin(), times.end()) <= 1);
  }
}

}  // namespace
}  // namespace wattle::formats
