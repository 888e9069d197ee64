// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The documentation must agree with the program: the readers accept every file of deploy/examples,
// and the guide names every field of the protos and every exit code.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/exit_code.h"
#include "cli/job_override.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <google/protobuf/descriptor.h>

#include "base/testing/status_matchers.h"
#include "formats/job_file.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::cli {
namespace {

using ::testing::HasSubstr;

std::string SourcePath(const std::string& path) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/", path);
}

std::string ReadText(const std::string& path) {
  std::ifstream file(SourcePath(path));
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Reads a file; standard input is empty.
absl::StatusOr<v1::JobSpec> ReadJobAt(const std::string& path,
                                      const std::vector<std::string>& assignments) {
  std::istringstream none;
  return ReadJob(path, assignments, none);
}

TEST(ExamplesTest, EveryExampleIsRead) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(SourcePath("deploy/examples"))) {
    const std::string name = entry.path().filename().string();
    names.insert(name);
    if (name == "sensors.yaml") {
      continue;  // a file for wattle-worker --sensors; the worker's tests read it
    }
    if (name == "policy.yaml") {
      EXPECT_THAT(formats::ReadPolicyFile(entry.path().string()), IsOk()) << name;
    } else {
      std::istringstream none;
      EXPECT_THAT(ReadJobs(entry.path().string(), {}, none), IsOk()) << name;
    }
  }
  EXPECT_THAT(names, testing::IsSupersetOf({"evaluate.yaml", "finetune.yaml", "generate.yaml",
                                            "policy.yaml", "quantize.yaml", "squad-distilgpt2.yaml",
                                            "squad-gpt2.yaml"}));
}

TEST(ExamplesTest, PublishedWorkloadsAreDeclaredAsInThePapers) {
  const auto gpt2 = ReadJobAt(SourcePath("deploy/examples/squad-gpt2.yaml"), {});
  const auto distil = ReadJobAt(SourcePath("deploy/examples/squad-distilgpt2.yaml"), {});
  ASSERT_THAT(gpt2, IsOk());
  ASSERT_THAT(distil, IsOk());
  EXPECT_EQ(gpt2->finetune().model_shape().layers(), 12);
  EXPECT_EQ(distil->finetune().model_shape().layers(), 6);
  for (const v1::JobSpec& spec : {*gpt2, *distil}) {
    EXPECT_EQ(spec.objective(), v1::OBJECTIVE_ENERGY);
    EXPECT_EQ(spec.finetune().data_shape().examples(), 10000);
    EXPECT_EQ(spec.finetune().epochs(), 2);
    EXPECT_EQ(spec.finetune().batch_size(), 0);
    EXPECT_EQ(spec.finetune().sequence_length(), 0);
  }
}

TEST(OverrideTest, ZeroAndListsReplaceWhatTheFileSays) {
  const std::string file = SourcePath("deploy/examples/finetune.yaml");
  const auto spec = ReadJobAt(
      file, {"finetune.seed=0", "required_labels=[a=b, c]", "name=with: colon and \"quotes\""});
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->finetune().seed(), 0U);
  EXPECT_THAT(spec->required_labels(), testing::ElementsAre("a=b", "c"));
  EXPECT_EQ(spec->name(), "with: colon and \"quotes\"");
  EXPECT_EQ(spec->finetune().model(), "tiny");
}

// A row of the reference: "| `name` | type | …".
void ExpectRows(const std::string& reference, const google::protobuf::Descriptor* type) {
  const std::string heading = absl::StrCat("## ", type->name(), "\n");
  const size_t begin = reference.find(heading);
  ASSERT_NE(begin, std::string::npos) << heading << "is missing in docs/guide/job-file.md";
  const size_t end = reference.find("\n## ", begin + 1);
  const std::string section = reference.substr(begin, end - begin);
  for (int i = 0; i < type->field_count(); ++i) {
    const std::string row = absl::StrCat("\n| `", type->field(i)->name(), "` | ");
    EXPECT_THAT(section, HasSubstr(row)) << type->name();
  }
  for (size_t at = section.find("\n| `"); at != std::string::npos;
       at = section.find("\n| `", at + 1)) {
    const size_t from = at + 4;
    const std::string name = section.substr(from, section.find('`', from) - from);
    EXPECT_NE(type->FindFieldByName(name), nullptr)
        << type->name() << " has no field " << name << ", but docs/guide/job-file.md does";
  }
}

TEST(GuideTest, TheReferenceHasEveryFieldAndNoOther) {
  const std::string reference = ReadText("docs/guide/job-file.md");
  for (const google::protobuf::Descriptor* type :
       {v1::JobSpec::descriptor(), v1::LoraSpec::descriptor(), v1::MezoSpec::descriptor(),
        v1::ModelShape::descriptor(), v1::DataShape::descriptor(), v1::QualityFloor::descriptor(),
        v1::Policy::descriptor()}) {
    ExpectRows(reference, type);
  }
  const auto* kinds = v1::JobSpec::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kinds->field_count(); ++i) {
    ExpectRows(reference, kinds->field(i)->message_type());
  }
}

TEST(GuideTest, ShowsThePlanAndTheReceiptAsTheyArePrinted) {
  const std::string guide = ReadText("docs/guide/plans-and-receipts.md");
  EXPECT_THAT(guide, HasSubstr(ReadText("tests/golden/cli/plan.txt")));
  EXPECT_THAT(guide, HasSubstr(ReadText("tests/golden/cli/receipt_emulated.txt")));
}

TEST(GuideTest, TheExitCodesAreThoseOfTheProgram) {
  const std::string guide = ReadText("docs/guide/commands.md");
  for (const ExitCode code : {ExitCode::kOk, ExitCode::kJobFailed, ExitCode::kBadInput,
                              ExitCode::kNotFound, ExitCode::kUnreachable, ExitCode::kRefused,
                              ExitCode::kServerError, ExitCode::kInterrupted}) {
    EXPECT_THAT(guide, HasSubstr(absl::StrCat("\n| ", static_cast<int>(code), " | ")));
  }
}

}  // namespace
}  // namespace wattle::cli
