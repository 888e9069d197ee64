// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/job_file.h"

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/field_names_internal.h"
#include "formats/job_sweep.h"
#include "formats/testing/mutation_internal.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::StatusCode kInvalidJob = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnsupported = absl::StatusCode::kUnimplemented;

constexpr char kJob[] = R"(# A job with every kind of value.
name: squad
objective: time
deadline_seconds: 7200.5
required_labels: [site=mast, gpu]
priority: -3
finetune:
  model: base
  data_shape: {examples: 10000, mean_tokens_per_example: 1.5e2}
  epochs: 2
  batch_size: 8
  loss_on: all
  learning_rate: 5e-5
  learning_rate_schedule: cosine
  seed: 18446744073709551615
)";

TEST(JobFileTest, AdaptersAreASection) {
  const auto spec = ParseJobFile(
      "finetune:\n  model: base\n  data: squad\n  quantization: nf4\n"
      "  lora: {rank: 16, alpha: 32, dropout: 0.05, targets: [q_proj, v_proj], merge: false}\n",
      "job.yaml");
  ASSERT_THAT(spec, IsOk());
  const v1::LoraSpec& lora = spec->finetune().lora();
  EXPECT_EQ(lora.rank(), 16);
  EXPECT_DOUBLE_EQ(lora.alpha(), 32.0);
  EXPECT_DOUBLE_EQ(lora.dropout(), 0.05);
  EXPECT_THAT(lora.targets(), ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(spec->finetune().quantization(), v1::QUANTIZATION_NF4);
  const auto defaults = ParseJobFile("finetune: {model: m, data: d, lora: {}}\n", "job.yaml");
  ASSERT_THAT(defaults, IsOk());
  EXPECT_TRUE(defaults->finetune().has_lora());
}

TEST(JobFileTest, AGroupThatRunsApartHasAShortForm) {
  const auto whole =
      ParseJobFile("apart: {group: folds, by: site}\nfinetune: {model: m, data: d}\n", "job.yaml");
  ASSERT_THAT(whole, IsOk());
  EXPECT_EQ(whole->apart().group(), "folds");
  EXPECT_EQ(whole->apart().by(), "site");
  const auto brief = ParseJobFile("apart: folds\nfinetune: {model: m, data: d}\n", "job.yaml");
  ASSERT_THAT(brief, IsOk());
  EXPECT_EQ(brief->apart().group(), "folds");
  EXPECT_EQ(brief->apart().by(), "");
}

TEST(JobFileTest, EveryKindOfValueIsRead) {
  const auto spec = ParseJobFile(kJob, "job.yaml");
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->name(), "squad");
  EXPECT_EQ(spec->objective(), v1::OBJECTIVE_TIME);
  EXPECT_DOUBLE_EQ(spec->deadline_seconds(), 7200.5);
  EXPECT_THAT(spec->required_labels(), ElementsAre("site=mast", "gpu"));
  EXPECT_EQ(spec->priority(), -3);
  ASSERT_TRUE(spec->has_finetune());
  EXPECT_EQ(spec->finetune().data_shape().examples(), 10000);
  EXPECT_DOUBLE_EQ(spec->finetune().data_shape().mean_tokens_per_example(), 150.0);
  EXPECT_EQ(spec->finetune().loss_on(), v1::LOSS_ON_ALL);
  EXPECT_EQ(spec->finetune().learning_rate_schedule(), v1::LEARNING_RATE_SCHEDULE_COSINE);
  EXPECT_EQ(spec->finetune().seed(), 18446744073709551615ULL);
}

TEST(JobFileTest, JsonIsReadAsWell) {
  const auto spec = ParseJobFile(
      "{\n\t\"name\": \"g\\u00e9n\",\n\t\"generate\": {\"model\": \"job:j1/output\", \"prompts\": "
      "[\"a\", \"b\\n\"],\n"
      "\t\t\"quantization\": \"int8\", \"temperature\": 0.5}\n}\n",
      "job.json");
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->name(), "gén");
  EXPECT_THAT(spec->generate().prompts(), ElementsAre("a", "b\n"));
  EXPECT_EQ(spec->generate().quantization(), v1::QUANTIZATION_INT8);
}

struct BadFile {
  const char* name;
  const char* text;
  absl::StatusCode code;
  const char* message;  // the whole of it
};

class BadJobFileTest : public testing::TestWithParam<BadFile> {};

TEST_P(BadJobFileTest, IsOneLineThatSaysWhatToDo) {
  EXPECT_THAT(ParseJobFile(GetParam().text, "job.yaml"),
              StatusIs(GetParam().code, GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, BadJobFileTest,
    testing::Values(
        BadFile{"TypingError", "name: a\nobjectiv: energy\n", kInvalidJob,
                "job.yaml:2: objectiv: unknown field; did you mean \"objective\"?"},
        BadFile{"TypingErrorInASection", "finetune:\n  modle: base\n", kInvalidJob,
                "job.yaml:2: modle: unknown field; did you mean \"model\"?"},
        BadFile{"TypingErrorOfASweep", "\n\n\n\n\n\nswep: 3\n", kInvalidJob,
                "job.yaml:7: swep: unknown field; did you mean \"sweep\"?"},
        BadFile{"ComingField", "name: a\nmatrix: 3\n", kUnsupported,
                "job.yaml:2: matrix: not supported in this version; remove the line"},
        BadFile{
            "ANameOfOtherSchedulers", "anti_affinity: 3\n", kInvalidJob,
            "job.yaml:1: anti_affinity: unknown field; write apart: GROUP; jobs of one group run "
            "on boards of their own"},
        BadFile{"ApartOfAList", "apart: [a, b]\n", kInvalidJob,
                "job.yaml:1: apart: wants fields (name: value), found a list"},
        BadFile{"Sweep", "name: a\nsweep: 3\n", kInvalidJob,
                "job.yaml:2: sweep: makes several jobs, and one is wanted here; wattle submit and "
                "wattle plan take such a file"},
        BadFile{"SweepInASection", "finetune:\n  sweep: {seed: [1, 2]}\n", kInvalidJob,
                "job.yaml:2: sweep: unknown field; it belongs at the top level"},
        BadFile{"ComingFieldInASection", "finetune:\n  qlora: {rank: 8}\n", kUnsupported,
                "job.yaml:2: qlora: not supported in this version; remove the line"},
        BadFile{"TwoWorkloads", "profile:\n  finetune: {model: m}\n  generate: {model: m}\n",
                kInvalidJob,
                "job.yaml:3: generate: stands beside finetune; a file has one workload, remove "
                "one"},
        BadFile{"UnknownQuantization", "quantize: {model: m, quantization: int3}\n", kInvalidJob,
                "job.yaml:1: quantization: \"int3\" is unknown; write one of: none, int8, int4, "
                "nf4, adaptive"},
        BadFile{"UnknownPrecision", "finetune: {model: m, data: d, precision: fp8}\n", kInvalidJob,
                "job.yaml:1: precision: \"fp8\" is unknown; write one of: fp32, bf16, fp16, tf32"},
        BadFile{"WeightsInFp16", "finetune: {model: m, data: d, weights_precision: fp16}\n",
                kInvalidJob,
                "job.yaml:1: weights_precision: \"fp16\" is unknown; write one of: fp32, bf16"},
        BadFile{"FieldWithoutUnit", "deadline: 2h\n", kInvalidJob,
                "job.yaml:1: deadline: unknown field; write deadline_seconds, a plain number of "
                "seconds"},
        BadFile{"FieldWithOtherUnit", "deadline_minutes: 5\n", kInvalidJob,
                "job.yaml:1: deadline_minutes: unknown field; write deadline_seconds, a plain "
                "number of seconds"},
        BadFile{"ValueWithUnit", "deadline_seconds: 2h\n", kInvalidJob,
                "job.yaml:1: deadline_seconds: \"2h\" has a unit; write a plain number of seconds"},
        BadFile{
            "ValueWithUnitAfterSpace", "deadline_seconds: 10 Wh\n", kInvalidJob,
            "job.yaml:1: deadline_seconds: \"10 Wh\" has a unit; write a plain number of seconds"},
        BadFile{"QuotedNumber", "deadline_seconds: \"10\"\n", kInvalidJob,
                "job.yaml:1: deadline_seconds: wants a plain number of seconds, found text; remove "
                "the quotes around 10"},
        BadFile{"Words", "priority: high\n", kInvalidJob,
                "job.yaml:1: priority: wants a whole number, found \"high\""},
        BadFile{"FractionForWhole", "priority: 1.5\n", kInvalidJob,
                "job.yaml:1: priority: wants a whole number in range, found 1.5"},
        BadFile{"OutOfRange", "priority: 2147483648\n", kInvalidJob,
                "job.yaml:1: priority: wants a whole number in range, found 2147483648"},
        BadFile{"NegativeForUnsigned", "finetune:\n  seed: -1\n", kInvalidJob,
                "job.yaml:2: seed: wants a whole number in range, found -1"},
        BadFile{
            "NotANumber", "deadline_seconds: .nan\n", kInvalidJob,
            "job.yaml:1: deadline_seconds: \".nan\" is no finite number; write a plain number of "
            "seconds"},
        BadFile{"Infinity", "deadline_seconds: -.inf\n", kInvalidJob,
                "job.yaml:1: deadline_seconds: \"-.inf\" is no finite number; write a plain number "
                "of seconds"},
        BadFile{"UnknownValue", "objective: fastest\n", kInvalidJob,
                "job.yaml:1: objective: \"fastest\" is unknown; write one of: energy, time, edp"},
        BadFile{"ValueAsInProto", "objective: OBJECTIVE_TIME\n", kInvalidJob,
                "job.yaml:1: objective: \"OBJECTIVE_TIME\" is unknown; write one of: energy, time, "
                "edp"},
        BadFile{"Twice", "name: a\nname: b\n", kInvalidJob,
                "job.yaml:2: name: stands twice; remove one"},
        BadFile{"TwoKinds", "evaluate: {model: m}\ngenerate: {model: m}\n", kInvalidJob,
                "job.yaml:2: generate: stands beside evaluate; a file has one kind, remove one"},
        BadFile{"NoKind", "name: a\n", kInvalidJob,
                "job.yaml: kind of job missing; add one of these sections: finetune, quantize, "
                "generate, evaluate, profile"},
        BadFile{"NoValue", "name:\n", kInvalidJob,
                "job.yaml:1: name: has no value; give one or remove the line"},
        BadFile{"ListForText", "name: [a]\n", kInvalidJob,
                "job.yaml:1: name: wants a single value, found a list"},
        BadFile{"TextForList", "required_labels: gpu\n", kInvalidJob,
                "job.yaml:1: required_labels: wants a list, found a single value; write [...]"},
        BadFile{"TextForSection", "finetune: base\n", kInvalidJob,
                "job.yaml:1: finetune: wants fields (name: value), found a single value"},
        BadFile{
            "WrongPlace", "epochs: 2\n", kInvalidJob,
            "job.yaml:1: epochs: unknown field; it belongs inside finetune or profile.finetune"},
        BadFile{"WrongPlaceInside", "finetune:\n  objective: time\n", kInvalidJob,
                "job.yaml:2: objective: unknown field; it belongs at the top level"},
        BadFile{"ListDocument", "- a\n", kInvalidJob,
                "job.yaml:1: wants fields (name: value), found a list"},
        BadFile{"Empty", "# nothing\n", kInvalidJob,
                "job.yaml: is empty; see the examples in deploy/examples"},
        BadFile{"TwoDocuments", "name: a\n---\nname: b\n", kInvalidJob,
                "job.yaml: has 2 documents; a job file has one, split it at \"---\""},
        BadFile{"NotYaml", "name: [a\n", kInvalidJob,
                "job.yaml:2:1: not valid YAML: end of sequence flow not found"},
        BadFile{"NotUtf8", "name: \xff\n", kInvalidJob,
                "job.yaml: not UTF-8 at byte 6; save the file as UTF-8"}),
    [](const auto& row) { return row.param.name; });

TEST(JobFileTest, FieldLikeNothingListsWhatThereIs) {
  EXPECT_THAT(
      ParseJobFile("quantize:\n  xyzzyxyzzy: 1\n", "j"),
      StatusIs(
          kInvalidJob,
          "j:2: xyzzyxyzzy: unknown field; fields here: model, model_shape, quantization, recipe, "
          "rounding, calibration_data, calibration_tokens, size_budget_bytes, "
          "perplexity_change_percent_max"));
}

TEST(JobFileTest, MissingFileIsNamed) {
  EXPECT_THAT(ReadJobFile("/no/such.yaml"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such.yaml")));
}

TEST(PolicyFileTest, EachDocumentIsAPolicy) {
  const auto policies = ParsePolicyFile(
      "name: masts\nselector: [site=mast]\nreserve_state_of_charge_ratio: 0.3\n---\nname: "
      "hot\nmax_temperature_celsius: 80\n",
      "p.yaml");
  ASSERT_THAT(policies, IsOk());
  ASSERT_EQ(policies->size(), 2U);
  EXPECT_DOUBLE_EQ((*policies)[0].reserve_state_of_charge_ratio(), 0.3);
  EXPECT_DOUBLE_EQ((*policies)[1].max_temperature_celsius(), 80.0);
}

TEST(PolicyFileTest, BudgetWindowsAndStayAliveAreRead) {
  const auto policies = ParsePolicyFile(
      "name: mast\ndaily_energy_budget_wh: 40\nwork_windows: ['06:00-18:00', '22:00-02:00']\n"
      "stay_alive_until: '07:00'\nutc_offset_minutes: 120\n",
      "p.yaml");
  ASSERT_THAT(policies, IsOk());
  const v1::Policy& policy = policies->front();
  EXPECT_DOUBLE_EQ(policy.daily_energy_budget_wh(), 40);
  EXPECT_THAT(policy.work_windows(), testing::ElementsAre("06:00-18:00", "22:00-02:00"));
  EXPECT_EQ(policy.stay_alive_until(), "07:00");
  EXPECT_EQ(policy.utc_offset_minutes(), 120);
}

TEST(PolicyFileTest, MistakesAreNamed) {
  EXPECT_THAT(
      ParsePolicyFile("name: a\nreserve_percent: 30\n", "p.yaml"),
      StatusIs(
          kInvalidJob,
          "p.yaml:2: reserve_percent: unknown field; write reserve_state_of_charge_ratio, a plain "
          "number from 0 to 1 (a ratio)"));
  EXPECT_THAT(
      ParsePolicyFile("name: a\nreserve_state_of_charge_ratio: 30%\n", "p.yaml"),
      StatusIs(kInvalidJob,
               HasSubstr("\"30%\" has a unit; write a plain number from 0 to 1 (a ratio)")));
  EXPECT_THAT(
      ParsePolicyFile("name: a\nmax_temperature_celsius: 80\nwork_windows: []\n", "p.yaml"),
      StatusIs(kInvalidJob,
               "p.yaml:3: work_windows: is an empty list; give a window or remove the line"));
  EXPECT_THAT(
      ParsePolicyFile("name: a\nmax_temperature: 80\n", "p.yaml"),
      StatusIs(kInvalidJob,
               HasSubstr("write max_temperature_celsius, a plain number of degrees Celsius")));
  EXPECT_THAT(
      ParsePolicyFile("name: a\nallowed_power_modes: [10W]\n", "p.yaml"),
      StatusIs(kUnsupported,
               "p.yaml:2: allowed_power_modes: not supported in this version; remove the line"));
  EXPECT_THAT(ParsePolicyFile("max_temperature_celsius: 80\n", "p.yaml"),
              StatusIs(kInvalidJob, HasSubstr("p.yaml:1: name: missing")));
  EXPECT_THAT(ParsePolicyFile("name: a\n---\nname: a\n", "p.yaml"),
              StatusIs(kInvalidJob, HasSubstr("p.yaml:3: name: a names two policies")));
}

TEST(JobFileTest, EveryExampleIsValid) {
  const std::string directory = std::string(WATTLE_SOURCE_DIR) + "/deploy/examples";
  int jobs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string path = entry.path().string();
    if (entry.path().filename() == "sensors.yaml") {
      continue;  // A worker's file (--sensors), which its own tests read.
    }
    if (entry.path().filename() == "policy.yaml") {
      EXPECT_THAT(ReadPolicyFile(path), IsOk());
    } else if (entry.path().extension() == ".yaml") {
      const auto text = ReadWholeFile(path, 1 << 20);
      ASSERT_THAT(text, IsOk());
      EXPECT_THAT(ParseJobs(*text, path), IsOk());
      ++jobs;
    }
  }
  EXPECT_GE(jobs, 6);
}

TEST(FieldNamesTest, ComingFieldsAreFoundAndNoneIsAlreadyThere) {
  for (const char* name : {"matrix", "energy_budget_joules", "qlora", "upload", "power_modes"}) {
    EXPECT_TRUE(IsComingField(name)) << name;
  }
  EXPECT_FALSE(IsComingField("model"));
  for (const google::protobuf::Descriptor* descriptor :
       {v1::JobSpec::descriptor(), v1::FinetuneSpec::descriptor(), v1::GenerateSpec::descriptor(),
        v1::QuantizeSpec::descriptor(), v1::EvaluateSpec::descriptor(),
        v1::ProfileSpec::descriptor(), v1::Policy::descriptor()}) {
    for (int i = 0; i < descriptor->field_count(); ++i) {
      EXPECT_FALSE(IsComingField(descriptor->field(i)->name()))
          << descriptor->field(i)->full_name();
    }
  }
}

TEST(JobFileTest, DamagedFilesNeverCrash) {
  ForEachMutation(kJob, {.seed = 20241003, .rounds = 10000}, [](const std::string& mutant) {
    return ParseJobFile(mutant, "job.yaml").status();
  });
  ForEachMutation("{\"name\": \"a\", \"generate\": {\"prompts\": [\"a\", \"b\"], \"top_p\": 0.5}}",
                  {.seed = 20241004, .rounds = 10000}, [](const std::string& mutant) {
                    return ParseJobFile(mutant, "job.json").status();
                  });
  ForEachMutation("name: a\nselector: &x [a, b]\n---\nname: b\nselector: *x\n",
                  {.seed = 20241005, .rounds = 10000}, [](const std::string& mutant) {
                    return ParsePolicyFile(mutant, "p.yaml").status();
                  });
}

TEST(JobFileTest, StrayCommaIsAnErrorNotAnEndlessFile) {
  EXPECT_THAT(
      ParseJobFile("{\"name\": \"a\"}, {}", "j"),
      StatusIs(kInvalidJob, HasSubstr("j:1:14: not valid YAML: text that belongs to nothing")));
}

TEST(JobFileTest, DeepNestingIsAnErrorNotAStackOverflow) {
  for (const char* opening : {"[", "{a: ", "- "}) {
    std::string deep = "name: ";
    for (int i = 0; i < 20000; ++i) {
      deep += opening;
    }
    EXPECT_THAT(ParseJobFile(deep, "j"), StatusIs(kInvalidJob, HasSubstr("j:"))) << opening;
  }
}

}  // namespace
}  // namespace wattle::formats
