// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which data sets each kind of job takes, and the texts of refusals.
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/inputs_internal.h"

namespace wattle::core {
namespace {

using testing::StrEq;

absl::Status Check(const v1::JobSpec& spec, const std::string& field, const std::string& format) {
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_DATASET);
  info.mutable_dataset()->set_format(format);
  return CheckInputKind(spec, {.field = field, .reference = "mine"}, info);
}

TEST(InputKindTest, EachKindTakesTheFormatsThatItReads) {
  v1::JobSpec finetune;
  finetune.mutable_finetune();
  v1::JobSpec quantize;
  quantize.mutable_quantize();
  v1::JobSpec generate;
  generate.mutable_generate();
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate();
  v1::JobSpec answers;
  answers.mutable_evaluate()->set_score_answers(true);
  const struct {
    const v1::JobSpec& spec;
    const char* field;
    const char* formats;  // that are taken
    const char* wants;    // in the refusal of any other
  } kRows[] = {
      {finetune, "data", "squad chat",
       "finetune wants a SQuAD file or conversations to learn from"},
      {finetune, "heldout_data", "squad chat",
       "finetune wants a SQuAD file or conversations to learn from"},
      {quantize, "calibration_data", "text squad", "quantize wants a text or a SQuAD file"},
      {generate, "data", "prompts", "generate wants prompts to answer"},
      {evaluate, "data", "text squad chat",
       "evaluate wants a text or a SQuAD file or conversations to learn from"},
      {answers, "data", "squad", "evaluate.score_answers wants a SQuAD file"},
  };
  const std::pair<const char*, const char*> kFormats[] = {{"squad", "a SQuAD file"},
                                                          {"text", "a text"},
                                                          {"chat", "conversations to learn from"},
                                                          {"prompts", "prompts to answer"}};
  for (const auto& row : kRows) {
    for (const auto& [format, words] : kFormats) {
      SCOPED_TRACE(absl::StrCat(row.wants, ", given ", format));
      const absl::Status status = Check(row.spec, row.field, format);
      if (absl::StrContains(row.formats, format)) {
        EXPECT_THAT(status, IsOk());
        continue;
      }
      EXPECT_THAT(
          status,
          StatusIs(absl::StatusCode::kInvalidArgument,
                   StrEq(absl::StrCat(FieldName(row.spec, {.field = row.field, .reference = ""}),
                                      ": mine holds ", words, "; ", row.wants))));
    }
  }
  EXPECT_THAT(Check(finetune, "data", "parquet"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("mine holds data of format \"parquet\"")));
  EXPECT_THAT(Check(finetune, "data", ""), IsOk()) << "nothing is known of the data set";
}

}  // namespace
}  // namespace wattle::core
