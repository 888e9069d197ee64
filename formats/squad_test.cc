// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/squad.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/testing/small_model_internal.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kSquad[] =
    R"({"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": "Zoë took the mast.",
  "qas": [{"id": "q1", "question": "What?", "answers": [{"text": "the mast", "answer_start": 9}], "is_impossible": false},
          {"id": "q2", "question": "Why?", "answers": [], "is_impossible": true}]}]}]})";

absl::StatusOr<SquadDataSet> ParseWith(absl::string_view from, absl::string_view to) {
  return ParseSquad(absl::StrReplaceAll(kSquad, {{from, to}}), "s.json");
}

TEST(SquadTest, OffsetsCountCodePoints) {
  const auto data = ParseSquad(kSquad, "s.json");
  ASSERT_THAT(data, IsOk());
  ASSERT_EQ(data->questions.size(), 2U);
  EXPECT_EQ(data->questions[0].answers[0].start_code_points, 9);
  EXPECT_EQ(data->questions[0].answers[0].start_bytes, 10);  // "ë" has two bytes.
  EXPECT_TRUE(data->questions[1].is_impossible);
}

TEST(SquadTest, TemplateIsGolden) {
  const auto data = ParseSquad(kSquad, "s.json");
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(SquadPrompt(*data, data->questions[0]), "Zoë took the mast.\nQuestion: What?\nAnswer:");
  EXPECT_EQ(SquadAnswerText(data->questions[0]), " the mast");
  EXPECT_EQ(SquadAnswerText(data->questions[1]), " unanswerable");
}

struct BadSquad {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

class BadSquadTest : public testing::TestWithParam<BadSquad> {};

TEST_P(BadSquadTest, IsRefusedWithFileAndPath) {
  EXPECT_THAT(ParseWith(GetParam().from, GetParam().to),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, BadSquadTest,
    testing::Values(
        BadSquad{"NotJson", "]}]}]}", "", "s.json:3:"},
        BadSquad{"List", kSquad, "[]",
                 "s.json: the file: wants an object with a list \"data\" (SQuAD 2.0)"},
        BadSquad{"NoData", "\"data\"", "\"rows\"",
                 "s.json: data: missing; SQuAD 2.0 wants a list here"},
        BadSquad{"Empty", kSquad, R"({"data": []})", "s.json: has no question"},
        BadSquad{"NoContext", "\"context\"", "\"text\"",
                 "s.json: data[0].paragraphs[0].context: missing"},
        BadSquad{"ArticleIsText", "\"data\": [", "\"data\": [{\"paragraphs\": []}, \"a\", ",
                 "s.json: data[1]: wants an object with paragraphs, found text"},
        BadSquad{"ArticleIsAList", "\"data\": [", "\"data\": [[{\"context\": 1}], ",
                 "s.json: data[0]: wants an object with paragraphs, found a list"},
        BadSquad{"NoParagraphs", "\"paragraphs\"", "\"rows\"",
                 "s.json: data[0].paragraphs: missing; SQuAD 2.0 wants a list here"},
        BadSquad{"ParagraphsAreAnObject", "\"data\": [",
                 "\"data\": [{\"paragraphs\": {\"a\": {\"context\": 1}}}, ",
                 "s.json: data[0].paragraphs: wants a list, found an object"},
        BadSquad{
            "SecondParagraph", "\"paragraphs\": [",
            "\"paragraphs\": [{\"context\": \"\", \"qas\": []}, 7, ",
            "s.json: data[0].paragraphs[1]: wants an object with context and qas, found a number"},
        BadSquad{"SecondArticle", "\"data\": [", "\"data\": [{\"paragraphs\": []}, {}, ",
                 "s.json: data[1].paragraphs: missing"},
        BadSquad{"DataOfAnotherKind", kSquad, R"({"data": {"a": {"paragraphs": []}}})",
                 "s.json: data: wants a list, found an object"},
        BadSquad{"NumberId", "\"q2\"", "2",
                 "s.json: data[0].paragraphs[0].qas[1].id: wants text, found a number"},
        BadSquad{"ByteOffset", "\"answer_start\": 9", "\"answer_start\": 10",
                 "qas[0].answers[0].answer_start: the answer \"the mast\" does not stand there but "
                 "\"he mast.\""},
        BadSquad{"OffsetAtTheEnd", "\"answer_start\": 9", "\"answer_start\": 18",
                 "does not stand there but \"\""},
        BadSquad{"OffsetPastTheEnd", "\"answer_start\": 9", "\"answer_start\": 19",
                 "19 is outside the context of 18 characters"},
        BadSquad{"NegativeOffset", "\"answer_start\": 9", "\"answer_start\": -1", "-1 is outside"},
        BadSquad{"TextOffset", "\"answer_start\": 9", "\"answer_start\": \"9\"",
                 "wants a whole number, found text"},
        BadSquad{"NoAnswer", "\"is_impossible\": true", "\"is_impossible\": false",
                 "qas[1].answers: empty; give an answer or set is_impossible to true"},
        BadSquad{"ImpossibleWithAnswer", "\"is_impossible\": false", "\"is_impossible\": true",
                 "qas[0].answers: an impossible question has an answer"}),
    [](const auto& row) { return row.param.name; });

// Articles and paragraphs with fields that SQuAD does not have, which hold lists and objects.
TEST(SquadTest, WhatStandsBesideTheParagraphsIsSkipped) {
  const auto data = ParseWith(
      R"("data": [{)",
      R"("notes": [{"paragraphs": [{"context": 1}]}], "data": [{"sections": [[{"a": 1}], 2], )");
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->contexts.size(), 1U);
  EXPECT_EQ(data->questions.size(), 2U);
}

TEST(SquadTest, MissingFileIsNamed) {
  EXPECT_THAT(ReadSquad("/no/such.json"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such.json")));
}

// 261 is the small tokenizer's end of text; it spells every byte but its six merges.
PackOptions Options(int64_t length, LossOn loss_on = LossOn::kAnswer) {
  return {.max_length_tokens = length, .loss_on = loss_on, .eos_token_id = 261};
}

TEST(PackSquadTest, AnswerLossStartsAtTheAnswerAndIncludesTheEnd) {
  const auto data = ParseSquad(kSquad, "s.json");
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(data, IsOk());
  ASSERT_THAT(tokenizer, IsOk());
  const auto packed = PackSquad(*data, *tokenizer, Options(200));
  ASSERT_THAT(packed, IsOk());
  ASSERT_EQ(packed->pool.size(), 2U);
  EXPECT_EQ(packed->truncated, 0);
  EXPECT_EQ(packed->dropped, 0);
  std::vector<int64_t> prompt;
  std::vector<int64_t> scored;
  packed->pool.ForEachToken(
      0, [&](int64_t token, bool counts) { (counts ? scored : prompt).push_back(token); });
  EXPECT_EQ(scored.back(), 261);
  EXPECT_EQ(tokenizer->Decode(scored), " the mast<|endoftext|>");
  EXPECT_EQ(tokenizer->Decode(prompt), SquadPrompt(*data, data->questions[0]));
}

TEST(PackSquadTest, AParagraphIsStoredOnce) {
  const auto data = ParseSquad(kSquad, "s.json");
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(data, IsOk());
  ASSERT_THAT(tokenizer, IsOk());
  ASSERT_EQ(data->contexts.size(), 1U);
  const auto packed = PackSquad(*data, *tokenizer, Options(200));
  ASSERT_THAT(packed, IsOk());
  EXPECT_EQ(packed->pool.Ranges(0)[0].begin, packed->pool.Ranges(1)[0].begin);
}

TEST(PackSquadTest, LossOnAllCountsEveryTokenButTheFirst) {
  const auto data = ParseSquad(kSquad, "s.json");
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(data, IsOk());
  ASSERT_THAT(tokenizer, IsOk());
  const auto packed = PackSquad(*data, *tokenizer, Options(200, LossOn::kAll));
  ASSERT_THAT(packed, IsOk());
  EXPECT_EQ(packed->pool.TargetCount(0), packed->pool.TokenCount(0) - 1);
}

TEST(PackSquadTest, LengthIsExactAtItsBoundary) {
  const auto data = ParseSquad(kSquad, "s.json");
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(data, IsOk());
  ASSERT_THAT(tokenizer, IsOk());
  const auto whole = PackSquad(*data, *tokenizer, Options(200));
  ASSERT_THAT(whole, IsOk());
  const auto longest =
      static_cast<int64_t>(std::max(whole->pool.TokenCount(0), whole->pool.TokenCount(1)));
  const auto fits = PackSquad(*data, *tokenizer, Options(longest));
  ASSERT_THAT(fits, IsOk());
  EXPECT_EQ(fits->truncated, 0);
  const auto cut = PackSquad(*data, *tokenizer, Options(longest - 1));
  ASSERT_THAT(cut, IsOk());
  EXPECT_EQ(cut->truncated, 1);
}

TEST(PackSquadTest, CutContextKeepsTheAnswerInItsWindow) {
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(tokenizer, IsOk());
  for (const size_t before : {size_t{0}, size_t{3}, size_t{50}, size_t{97}, size_t{100}}) {
    SquadDataSet data;
    data.contexts.push_back(std::string(before, 'x') + "GOAL" + std::string(100 - before, 'y'));
    SquadQuestion question = {.id = "q", .question = "?"};
    question.answers.push_back({.text = "GOAL",
                                .start_code_points = static_cast<int64_t>(before),
                                .start_bytes = static_cast<int64_t>(before)});
    data.questions.push_back(question);
    const auto packed = PackSquad(data, *tokenizer, Options(50));
    ASSERT_THAT(packed, IsOk());
    ASSERT_EQ(packed->pool.size(), 1U);
    EXPECT_EQ(packed->truncated, 1);
    EXPECT_EQ(packed->pool.TokenCount(0), 50U);
    const std::string text = tokenizer->Decode(packed->pool.Tokens(0));
    EXPECT_TRUE(absl::EndsWith(text, "\nQuestion: ?\nAnswer: GOAL<|endoftext|>")) << text;
    EXPECT_NE(text.substr(0, text.find('\n')).find("GOAL"), std::string::npos) << text;
  }
}

TEST(PackSquadTest, WhatCannotFitIsDroppedAndCounted) {
  const auto data =
      ParseWith("Why?", "Why does this question have so many words that it does not fit?");
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(data, IsOk());
  ASSERT_THAT(tokenizer, IsOk());
  const auto packed = PackSquad(*data, *tokenizer, Options(45));
  ASSERT_THAT(packed, IsOk());
  EXPECT_EQ(packed->dropped, 1);
  EXPECT_EQ(packed->pool.size(), 1U);
  EXPECT_THAT(
      PackSquad(*data, *tokenizer, Options(10)),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          HasSubstr(
              "none of 2 questions fits into 10 tokens with its answer; raise sequence_length")));
  EXPECT_THAT(PackSquad(*data, *tokenizer, Options(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at least 2 tokens")));
}

TEST(PackSquadTest, PromptKeepsTheQuestionWhole) {
  const auto data = ParseSquad(kSquad, "s.json");
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(data, IsOk());
  ASSERT_THAT(tokenizer, IsOk());
  const auto prompt = PackSquadPrompt(*data, data->questions[0], *tokenizer, 28);
  ASSERT_THAT(prompt, IsOk());
  EXPECT_EQ(prompt->size(), 28U);
  EXPECT_TRUE(absl::EndsWith(tokenizer->Decode(*prompt), "\nQuestion: What?\nAnswer:"));
  EXPECT_THAT(PackSquadPrompt(*data, data->questions[0], *tokenizer, 10),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("question q1 alone")));
}

TEST(SquadTest, ReadsTheDemosData) {
  for (const char* file : {"fleet-qa-train.json", "fleet-qa-heldout.json"}) {
    const auto data = ReadSquad(std::string(WATTLE_SOURCE_DIR) + "/deploy/demo/" + file);
    ASSERT_THAT(data, IsOk());
    EXPECT_TRUE(std::any_of(data->questions.begin(), data->questions.end(),
                            [](const SquadQuestion& question) { return question.is_impossible; }))
        << file;
  }
}

TEST(SquadTest, ReadsTheOfficialDevelopmentSet) {
  const std::string path = TextPath("data/squad/squad-v2.0-dev-full.json");
  if (path.empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with data/";
  }
  const auto data = ReadSquad(path);
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->contexts.size(), 1204U);
  EXPECT_EQ(data->questions.size(), 11873U);
  EXPECT_EQ(std::count_if(data->questions.begin(), data->questions.end(),
                          [](const SquadQuestion& question) { return question.is_impossible; }),
            5945);
}

TEST(SquadTest, ReadsVersionOneAndTheOtherCopies) {
  const std::string directory = TextPath("data/squad");
  if (directory.empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with data/";
  }
  const auto first = ReadSquad(directory + "/squad-v1.1-dev-other-13-articles.json");
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->questions.size(), 4557U);
  const auto second = ReadSquad(directory + "/cs224n-dev-v2.0.json");
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->questions.size(), 6078U);
  EXPECT_THAT(ReadSquad(directory + "/split-by-article.json"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("data: missing")));
}

}  // namespace
}  // namespace wattle::formats
