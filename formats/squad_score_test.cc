// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/squad_score.h"

#include <fstream>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::formats {
namespace {

SquadQuestion QuestionWith(const std::vector<std::string>& answers) {
  SquadQuestion question;
  for (const std::string& answer : answers) {
    question.answers.push_back({.text = answer});
  }
  return question;
}

TEST(SquadScoreTest, TextIsNormalizedAsTheOfficialScriptDoes) {
  EXPECT_EQ(NormalizeSquadAnswer("The  U.S. Army's\tan answer."), "us armys answer");
  EXPECT_EQ(NormalizeSquadAnswer("THEATRE, a than another"), "theatre than another");
  EXPECT_EQ(NormalizeSquadAnswer("ÉCOLE ΑΒΓ"), "école αβγ");
  EXPECT_EQ(NormalizeSquadAnswer("$3\u2013$5"), "3\u20135");  // an en dash is not ASCII
  EXPECT_EQ(NormalizeSquadAnswer("one\u00a0two"), "one two");
  EXPECT_EQ(NormalizeSquadAnswer("The a."), "");
  EXPECT_EQ(NormalizeSquadAnswer("a\xffmast"), "amast");
}

TEST(SquadScoreTest, TheBestOfTheGivenAnswersCounts) {
  const SquadQuestion question = QuestionWith({"north mast", "the mast of the north"});
  EXPECT_EQ(ScoreSquadAnswer(question, "Mast of North").exact_match, 1.0);
  const SquadScore part = ScoreSquadAnswer(question, "mast mast");
  EXPECT_EQ(part.exact_match, 0.0);
  EXPECT_DOUBLE_EQ(part.f1, 0.5);  // one of two tokens, of two: the second "mast" has no match
}

TEST(SquadScoreTest, AnUnanswerableQuestionWantsNoAnswer) {
  EXPECT_EQ(ScoreSquadAnswer(QuestionWith({}), "").f1, 1.0);
  EXPECT_EQ(ScoreSquadAnswer(QuestionWith({}), "the").exact_match, 1.0);
  EXPECT_EQ(ScoreSquadAnswer(QuestionWith({}), "mast").f1, 0.0);
  EXPECT_EQ(ScoreSquadAnswer(QuestionWith({"mast"}), "").f1, 0.0);
  EXPECT_EQ(ScoreSquadAnswer(QuestionWith({"the"}), "").exact_match, 1.0);
}

TEST(SquadScoreTest, AnAnswerEndsWithItsLine) {
  EXPECT_EQ(SquadAnswerOf(" the mast\nQuestion: what"), "the mast");
  EXPECT_EQ(SquadAnswerOf(" Unanswerable."), "");
  EXPECT_EQ(SquadAnswerOf(""), "");
}

// Whole predictions of another model; the expected scores follow the official script's definition.
TEST(SquadScoreTest, PublishedPredictionsHaveTheirPublishedScores) {
  const std::string directory = TextPath("data/squad/");
  if (directory.empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with data/squad";
  }
  const auto json = [&](const char* name) {
    std::ifstream file(directory + name);
    return nlohmann::json::parse(file);
  };
  const auto data = ReadSquad(directory + "squad-v2.0-dev-full.json");
  ASSERT_THAT(data, IsOk());
  const auto predictions = json("predictions_bert_single_v2.0_dev.json");
  const auto scores = json("predictions_bert_single_v2.0_dev.scores.json");
  double exact[2] = {};
  double f1[2] = {};
  double count[2] = {};
  for (const SquadQuestion& question : data->questions) {
    const SquadScore score =
        ScoreSquadAnswer(question, predictions.at(question.id).get<std::string>());
    const int answerable = question.answers.empty() ? 0 : 1;
    exact[answerable] += score.exact_match;
    f1[answerable] += score.f1;
    ++count[answerable];
  }
  const double all = count[0] + count[1];
  EXPECT_EQ(all, scores.at("total").get<double>());
  EXPECT_NEAR(100.0 * (exact[0] + exact[1]) / all, scores.at("exact").get<double>(), 1e-9);
  EXPECT_NEAR(100.0 * (f1[0] + f1[1]) / all, scores.at("f1").get<double>(), 1e-9);
  EXPECT_NEAR(100.0 * exact[1] / count[1], scores.at("HasAns_exact").get<double>(), 1e-9);
  EXPECT_NEAR(100.0 * f1[1] / count[1], scores.at("HasAns_f1").get<double>(), 1e-9);
  EXPECT_NEAR(100.0 * exact[0] / count[0], scores.at("NoAns_exact").get<double>(), 1e-9);
}

}  // namespace
}  // namespace wattle::formats
