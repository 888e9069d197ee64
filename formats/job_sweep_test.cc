// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/job_sweep.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "formats/job_file.h"
#include "formats/testing/mutation_internal.h"

namespace wattle::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kBadSweep = absl::StatusCode::kInvalidArgument;

std::vector<std::string> NamesOf(const JobsOfFile& file) {
  std::vector<std::string> names;
  for (const v1::JobSpec& job : file.jobs) {
    names.push_back(job.name());
  }
  return names;
}

TEST(JobSweepTest, AFileWithoutASweepIsOneJob) {
  const auto file = ParseJobs("name: a\nfinetune: {model: m, epochs: 2}\n", "job.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->swept, IsEmpty());
  ASSERT_THAT(file->jobs, SizeIs(1));
  EXPECT_EQ(file->jobs[0].finetune().epochs(), 2);
  EXPECT_EQ(file->jobs[0].name(), "a");
}

TEST(JobSweepTest, TheJobsOfASweepCanRunApart) {
  const auto file =
      ParseJobs("name: a\napart: seeds\nsweep: {seed: [1, 2, 3]}\nfinetune: {model: m, data: d}\n",
                "job.yaml");
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(file->jobs, SizeIs(3));
  for (const v1::JobSpec& job : file->jobs) {
    EXPECT_EQ(job.apart().group(), "seeds");
  }
}

TEST(JobSweepTest, EveryCombinationIsAJobNamedByItsValues) {
  const auto file = ParseJobs(
      "name: qa\nsweep: {learning_rate: [1e-4, 2e-4], rank: [4, 8]}\n"
      "finetune: {model: m, data: d, epochs: 3, lora: {alpha: 16}}\n",
      "job.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->swept, ElementsAre("finetune.learning_rate", "finetune.lora.rank"));
  EXPECT_THAT(NamesOf(*file),
              ElementsAre("qa learning_rate=1e-4 rank=4", "qa learning_rate=1e-4 rank=8",
                          "qa learning_rate=2e-4 rank=4", "qa learning_rate=2e-4 rank=8"));
  // Each job is the file's job with the combination's values.
  const auto third = ParseJobFile(
      "name: qa learning_rate=2e-4 rank=4\n"
      "finetune: {model: m, data: d, epochs: 3, learning_rate: 2e-4, lora: {alpha: 16, rank: 4}}\n",
      "job.yaml");
  ASSERT_THAT(third, IsOk());
  EXPECT_EQ(file->jobs[2].DebugString(), third->DebugString());
}

TEST(JobSweepTest, ListedJobsHaveTheirOwnFields) {
  const auto file = ParseJobs(
      "sweep:\n- {finetune.lora.rank: 4, objective: time}\n- {priority: 7}\n"
      "finetune: {model: m}\n",
      "job.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(NamesOf(*file),
              ElementsAre("finetune finetune.lora.rank=4 objective=time", "finetune priority=7"));
  EXPECT_EQ(file->jobs[0].finetune().lora().rank(), 4);
  EXPECT_EQ(file->jobs[0].objective(), v1::OBJECTIVE_TIME);
  EXPECT_EQ(file->jobs[1].priority(), 7);
  EXPECT_FALSE(file->jobs[1].finetune().has_lora());
}

TEST(JobSweepTest, AWordIsTheFieldNearestToTheTop) {
  // data_shape has a batch_size too.
  const auto file = ParseJobs("sweep: {batch_size: [0, 4]}\nfinetune: {model: m}\n", "job.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->swept, ElementsAre("finetune.batch_size"));
  EXPECT_EQ(file->jobs[0].finetune().batch_size(), 0);
  EXPECT_EQ(file->jobs[1].finetune().batch_size(), 4);
  const auto profile = ParseJobs(
      "sweep: {quantization: [int8, int4]}\nprofile: {generate: {model: m}}\n", "job.yaml");
  ASSERT_THAT(profile, IsOk());
  EXPECT_THAT(profile->swept, ElementsAre("profile.generate.quantization"));
}

TEST(JobSweepTest, ALongNameKeepsTheValuesAlone) {
  const auto file = ParseJobs(
      "name: a-name-of-forty-characters-for-my-model-x\n"
      "sweep: {gradient_accumulation_steps: [1, 2], evaluate_every_steps: [10]}\n"
      "finetune: {model: m}\n",
      "job.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(NamesOf(*file), ElementsAre("a-name-of-forty-characters-for-my-model-x 1 10",
                                          "a-name-of-forty-characters-for-my-model-x 2 10"));
}

struct BadSweep {
  const char* name;
  const char* sweep;    // line 2 of the file, and more lines
  const char* message;  // the whole of it, without "job.yaml:"
};

class BadSweepTest : public testing::TestWithParam<BadSweep> {};

TEST_P(BadSweepTest, IsOneLineThatSaysWhatToDo) {
  const std::string text =
      absl::StrCat("name: a\n", GetParam().sweep,
                   "\nfinetune: {model: m, seed: 5, recipe: {matrices: {bits: 8}}}\n");
  EXPECT_THAT(ParseJobs(text, "job.yaml"),
              StatusIs(kBadSweep, absl::StrCat("job.yaml:", GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, BadSweepTest,
    testing::Values(
        BadSweep{"UnknownField", "sweep:\n  epocs: [1, 2]",
                 "3: sweep.epocs: no such field; did you mean \"epochs\"?"},
        BadSweep{"FieldLikeNothing", "sweep: {xyzzyxyzzy: [1]}",
                 "2: sweep.xyzzyxyzzy: no such field; wants a field of this kind of job by its "
                 "path in the file, such as priority"},
        BadSweep{"FieldOfAnotherKind", "sweep: {generate.max_new_tokens: [1]}",
                 "2: sweep.generate.max_new_tokens: no such field; wants a field of this kind of "
                 "job by its path in the file, such as priority"},
        BadSweep{"EmptyList", "sweep:\n  epochs: []",
                 "3: sweep.epochs: wants a list of at least one value; write [1, 2]"},
        BadSweep{"NoList", "sweep: {epochs: 3}",
                 "2: sweep.epochs: wants a list of at least one value; write [1, 2]"},
        BadSweep{"Nothing", "sweep: {}",
                 "2: sweep: wants fields with their values, such as {priority: [1, 2]}"},
        BadSweep{"Number", "sweep: 3",
                 "2: sweep: wants fields with their values, such as {priority: [1, 2]}"},
        BadSweep{"NoJobs", "sweep: []", "2: sweep: has 0 jobs; wants 1 to 64"},
        BadSweep{"TooMany",
                 "sweep:\n  epochs: [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
                 "  steps: [1, 2, 3, 4, 5, 6, 7, 8]",
                 "4: sweep.steps: makes 72 jobs with those above; wants at most 64"},
        BadSweep{"WrongType", "sweep:\n  epochs: [1,\n    two]",
                 "4: epochs: wants a whole number, found \"two\""},
        BadSweep{"WrongWord", "sweep: {objective: [energy, speed]}",
                 "2: objective: \"speed\" is unknown; write one of: energy, time, edp"},
        BadSweep{"ListAsValue", "sweep:\n  epochs:\n  - [1]",
                 "4: sweep.epochs: wants single values"},
        BadSweep{"NoValue", "sweep:\n  epochs: [~]", "3: sweep.epochs: wants single values"},
        BadSweep{"FieldOfTheFile", "sweep:\n  seed: [1, 2]",
                 "3: sweep.seed: the file has a value for finetune.seed too; remove one of them"},
        BadSweep{"SameFieldTwice", "sweep:\n  epochs: [1, 2]\n  finetune.epochs: [3, 4]",
                 "4: sweep.finetune.epochs: stands twice, also in line 3; remove one"},
        BadSweep{"SameJobTwice", "sweep: {learning_rate: [0.5, 0.25, 5e-1]}",
                 "2: sweep: jobs 1 and 3 are the same; wants values that differ"},
        BadSweep{"SweepTwice", "sweep: {epochs: [1]}\nsweep: {steps: [1]}",
                 "3: sweep: stands twice; remove one"},
        BadSweep{"ListField", "sweep: {required_labels: [a, b]}",
                 "2: sweep.required_labels: is a list; wants a field of a single value"},
        BadSweep{"Section", "sweep: {lora: [a, b]}",
                 "2: sweep.lora: has fields of its own; write one of them, such as lora.rank"},
        BadSweep{"SeveralPlaces", "sweep: {group_size: [32, 64]}",
                 "2: sweep.group_size: names several fields; write one of "
                 "finetune.recipe.matrices.group_size, finetune.recipe.head.group_size, "
                 "finetune.recipe.embedding.group_size, finetune.recipe.kv_cache.group_size"},
        BadSweep{"Name", "sweep: {name: [b, c]}",
                 "2: sweep.name: the jobs of a sweep are named by their values; write the name "
                 "alone above"},
        BadSweep{
            "LongName",
            "sweep: {data: "
            "[a-name-of-more-than-sixty-characters-so-that-it-is-cut-short-in-the-message-of-it-"
            "and-more]}",
            "2: sweep: the name \"a a-name-of-more-than-sixty-characters-so-that-it-is-cut-sho…\" "
            "has 92 characters; wants at most 80, so shorten name or the values"}),
    [](const auto& row) { return row.param.name; });

TEST(JobSweepTest, TheRestOfTheFileIsReadAsAlways) {
  EXPECT_THAT(ParseJobs("sweep: {epochs: [1]}\nfinetune: {epocs: 1}\n", "j"),
              StatusIs(kBadSweep, HasSubstr("j:2: epocs: unknown field")));
  EXPECT_THAT(ParseJobs("sweep: {epochs: [1]}\n", "j"),
              StatusIs(kBadSweep, HasSubstr("kind of job missing")));
}

TEST(JobSweepTest, DamagedFilesNeverCrash) {
  ForEachMutation(
      "name: a\nsweep: {learning_rate: [1e-4, 2e-4], &x lora.rank: [4, 8]}\n"
      "finetune: {model: m, lora: {alpha: 1}}\n",
      {.seed = 20261126, .rounds = 5000},
      [](const std::string& mutant) { return ParseJobs(mutant, "job.yaml").status(); });
  ForEachMutation("sweep:\n- {seed: 1}\n- {seed: 2, model: n}\nfinetune: {data: d}\n",
                  {.seed = 20261127, .rounds = 5000},
                  [](const std::string& mutant) { return ParseJobs(mutant, "job.yaml").status(); });
}

}  // namespace
}  // namespace wattle::formats
