// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Walks spec.proto: the table has each kind, and its rows name existing fields. Walks the sources
// too: only the tables branch on a kind.
#include "proto/job_kind.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"

#include "proto/testing/job_kinds_for_test.h"
#include "wattle/v1/job.pb.h"

namespace wattle {
namespace {

using google::protobuf::FieldDescriptor;

const FieldDescriptor* SectionField(const JobKind& kind) {
  return v1::JobSpec::descriptor()->FindFieldByNumber(kind.kind_case);
}

TEST(JobKindTest, EachSectionOfASpecHasARow) {
  const auto* oneof = v1::JobSpec::descriptor()->FindOneofByName("kind");
  EXPECT_EQ(static_cast<int>(JobKinds().size()), oneof->field_count());
  std::string names;
  for (const JobKind& kind : JobKinds()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", kind.name);
    ASSERT_NE(SectionField(kind), nullptr);
    EXPECT_EQ(SectionField(kind)->containing_oneof(), oneof);
    EXPECT_EQ(SectionField(kind)->name(), kind.name);
    v1::JobSpec spec;
    spec.GetReflection()->MutableMessage(&spec, SectionField(kind));
    EXPECT_EQ(&KindOf(spec), &kind);
  }
  EXPECT_EQ(JobKindNames(), names);
  EXPECT_EQ(KindOf(v1::JobSpec()).name, "");
}

// An input is a text field whose name is a model or data; the table lists each of them.
TEST(JobKindTest, InputsAreTheFieldsThatNameArtifacts) {
  for (const JobKind& kind : JobKinds()) {
    std::set<std::string> fields;
    const auto* section = SectionField(kind)->message_type();
    for (int i = 0; i < section->field_count(); ++i) {
      const std::string& name = section->field(i)->name();
      const bool is_artifact =
          name.find("model") != std::string::npos || name.find("data") != std::string::npos;
      if (is_artifact && section->field(i)->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        fields.insert(name);
      }
    }
    std::set<std::string> inputs;
    for (const JobInput& input : kind.inputs) {
      inputs.emplace(input.field);
      EXPECT_EQ(input.is_model, input.field.find("model") != absl::string_view::npos);
    }
    EXPECT_EQ(inputs, fields) << kind.name;
  }
}

TEST(JobKindTest, KindsThatReadDataNameItsFormats) {
  for (const JobKind& kind : JobKinds()) {
    if (kind.wraps_workload) {
      continue;
    }
    EXPECT_FALSE(kind.data_formats.empty()) << kind.name;
    v1::JobSpec spec;
    spec.GetReflection()->MutableMessage(&spec, SectionField(kind));
    EXPECT_EQ(WantedDataOf(spec).asked_by, kind.name);
    EXPECT_EQ(WantedDataOf(spec).formats, kind.data_formats);
  }
  v1::JobSpec answers;
  answers.mutable_evaluate()->set_score_answers(true);
  EXPECT_EQ(WantedDataOf(answers).asked_by, "evaluate.score_answers");
  EXPECT_EQ(WantedDataOf(v1::JobSpec()).formats.size(), 0U);
}

TEST(JobKindTest, EachMethodBelongsToOneKindWithThePhaseOfThatName) {
  for (int number = v1::Method_MIN; number <= v1::Method_MAX; ++number) {
    if (number == v1::METHOD_UNSPECIFIED || !v1::Method_IsValid(number)) {
      continue;
    }
    const auto method = static_cast<v1::Method>(number);
    int kinds = 0;
    for (const JobKind& kind : JobKinds()) {
      kinds += static_cast<int>(std::count(kind.methods.begin(), kind.methods.end(), method));
    }
    EXPECT_EQ(kinds, 1) << v1::Method_Name(method);
    EXPECT_FALSE(KindOf(method).name.empty()) << v1::Method_Name(method);
  }
  EXPECT_EQ(KindOf(v1::METHOD_UNSPECIFIED).name, "");
  EXPECT_EQ(KindOf(v1::METHOD_FINETUNE_QLORA).name, "finetune");
}

TEST(JobKindTest, MainPhasesArePhasesOfAnAttempt) {
  for (const JobKind& kind : JobKinds()) {
    if (kind.wraps_workload) {
      continue;
    }
    std::string name = "ATTEMPT_PHASE_";
    for (const char c : kind.main_phase) {
      name += static_cast<char>(c - 'a' + 'A');
    }
    v1::AttemptPhase phase = v1::ATTEMPT_PHASE_UNSPECIFIED;
    EXPECT_TRUE(v1::AttemptPhase_Parse(name, &phase)) << name;
  }
}

TEST(JobKindTest, ReferencesAndDeclaredShapesAreReadByField) {
  v1::JobSpec spec;
  EXPECT_EQ(ReferenceIn(spec, "model"), "");
  EXPECT_EQ(DeclaredModel(spec), nullptr);
  spec.mutable_evaluate()->set_reference_model("gpt2");
  EXPECT_EQ(ReferenceIn(spec, "reference_model"), "gpt2");
  EXPECT_EQ(ReferenceIn(spec, "heldout_data"), "");
  EXPECT_EQ(ReferenceIn(spec, "batch_size"), "");
  EXPECT_EQ(DeclaredModel(spec), nullptr);
  EXPECT_EQ(DeclaredData(spec), nullptr);
  spec.mutable_evaluate()->mutable_model_shape();
  spec.mutable_evaluate()->mutable_data_shape();
  EXPECT_EQ(DeclaredModel(spec), &spec.evaluate().model_shape());
  EXPECT_EQ(DeclaredData(spec), &spec.evaluate().data_shape());
  spec.mutable_generate();
  EXPECT_EQ(DeclaredData(spec), nullptr);
}

TEST(JobKindTest, FieldsThatSeveralKindsHaveAreReadByName) {
  v1::JobSpec spec;
  EXPECT_EQ(IntegerIn(spec, "steps"), 0);
  EXPECT_FALSE(NamesQuantization(spec));
  spec.mutable_evaluate()->set_limit_examples(int64_t{1} << 40);
  spec.mutable_evaluate()->set_batch_size(4);
  EXPECT_EQ(IntegerIn(spec, "limit_examples"), int64_t{1} << 40);
  EXPECT_EQ(IntegerIn(spec, "batch_size"), 4);
  EXPECT_EQ(IntegerIn(spec, "model"), 0);
  EXPECT_EQ(IntegerIn(spec, "steps"), 0);
  EXPECT_EQ(QuantizationIn(spec), v1::QUANTIZATION_UNSPECIFIED);
  EXPECT_FALSE(NamesQuantization(spec));
  spec.mutable_evaluate()->set_quantization(v1::QUANTIZATION_NF4);
  EXPECT_EQ(QuantizationIn(spec), v1::QUANTIZATION_NF4);
  EXPECT_TRUE(NamesQuantization(spec));
  spec.mutable_generate();
  v1::QuantizationRecipe recipe;
  recipe.mutable_matrices()->set_bits(4);
  SetRecipe(recipe, spec);
  EXPECT_EQ(spec.generate().recipe().matrices().bits(), 4);
  EXPECT_EQ(RecipeIn(spec), &spec.generate().recipe());
  EXPECT_TRUE(NamesQuantization(spec));
  EXPECT_EQ(PrecisionIn(spec), v1::PRECISION_UNSPECIFIED);
  spec.mutable_finetune()->set_precision(v1::PRECISION_BF16);
  EXPECT_EQ(PrecisionIn(spec), v1::PRECISION_BF16);
}

// Each field of the oneof, so that no workload is forgotten in WorkloadOf.
TEST(JobKindTest, AProfileJobWrapsAJobOfEachKindThatCanBeShortened) {
  const auto* workloads = v1::ProfileSpec::descriptor()->FindOneofByName("workload");
  std::set<std::string> names;
  for (int i = 0; i < workloads->field_count(); ++i) {
    v1::JobSpec spec;
    spec.set_name("front");
    spec.add_required_labels("device=orin-1");
    v1::ProfileSpec& profile = *spec.mutable_profile();
    profile.set_runs_max(3);
    auto* section = profile.GetReflection()->MutableMessage(&profile, workloads->field(i));
    section->GetReflection()->SetString(section, section->GetDescriptor()->FindFieldByName("model"),
                                        "gpt2");
    const v1::JobSpec job = WorkloadOf(spec);
    names.emplace(KindOf(job).name);
    EXPECT_EQ(KindOf(job).name, workloads->field(i)->name());
    EXPECT_EQ(ReferenceIn(job, "model"), "gpt2");
    EXPECT_EQ(job.name(), "front");
    EXPECT_EQ(job.required_labels(0), "device=orin-1");
  }
  for (const JobKind& kind : JobKinds()) {
    EXPECT_EQ(kind.shorten != nullptr, names.contains(std::string(kind.name))) << kind.name;
  }
  v1::JobSpec other;
  other.mutable_quantize()->set_model("gpt2");
  EXPECT_EQ(WorkloadOf(other).SerializeAsString(), other.SerializeAsString());
  other.mutable_profile();
  EXPECT_EQ(KindOf(WorkloadOf(other)).name, "");
}

TEST(JobKindTest, ARunOfAProfileJobIsShortAndMeasuresNothingElse) {
  v1::ProfilePoint point;
  point.set_batch_size(4);
  point.set_steps(12);
  v1::JobSpec spec;
  v1::FinetuneSpec& finetune = *spec.mutable_profile()->mutable_finetune();
  finetune.set_epochs(3);
  finetune.set_batch_size(8);
  finetune.set_heldout_data("heldout");
  finetune.set_evaluate_every_steps(5);
  finetune.set_early_stop_evaluations(2);
  finetune.set_checkpoint_every_steps(2);
  finetune.set_warmup_steps(100);
  finetune.set_sequence_length(64);
  v1::FinetuneSpec wanted;
  wanted.set_batch_size(4);
  wanted.set_steps(12);
  wanted.set_sequence_length(64);
  EXPECT_EQ(ProfileRunOf(spec, point).finetune().SerializeAsString(), wanted.SerializeAsString());

  spec.mutable_profile()->mutable_evaluate()->set_limit_examples(1000);
  EXPECT_EQ(ProfileRunOf(spec, point).evaluate().batch_size(), 4);
  EXPECT_EQ(ProfileRunOf(spec, point).evaluate().limit_examples(), 48);
  spec.mutable_profile()->mutable_generate()->add_prompts("The mast is");
  EXPECT_EQ(ProfileRunOf(spec, point).generate().batch_size(), 4);
  EXPECT_EQ(ProfileRunOf(spec, point).generate().prompt_count(), 12);
}

struct Part {
  v1::JobSpec::KindCase kind_case;
};

TEST(JobKindTest, ALayerWithoutAPartOfAKindIsTold) {
  std::vector<Part> parts;
  for (const JobKind& kind : JobKinds()) {
    parts.push_back({kind.kind_case});
  }
  const absl::Span<const Part> all(parts);
  EXPECT_EQ(JobKindsWithout(all), "");
  EXPECT_EQ(JobKindsWithout(all.subspan(2)), "finetune, quantize");
  EXPECT_EQ(JobKindsWithout(all.first(4)), "") << "profile is work of the kind that it wraps";
  EXPECT_EQ(JobKindsWithout<Part>(all, JobKindsAndADummy()), "dummy");

  EXPECT_EQ(PartOfKind(v1::JobSpec::KIND_NOT_SET, all), nullptr);
  EXPECT_EQ(PartOfKind(v1::JobSpec::kQuantize, all), &parts[1]);
}

TEST(JobKindTest, EachKindHasItsBoundsAndItsEmulatedRun) {
  for (const JobKind& kind : JobKinds()) {
    EXPECT_EQ(kind.emulated_rate.empty(), kind.wraps_workload) << kind.name;
    for (const FieldBound& bound : kind.bounds) {
      EXPECT_EQ(bound.path.substr(0, bound.path.find('.')), kind.name) << bound.path;
    }
  }
}

// Code patterns that test for one kind: "has_finetune()", "JobSpec::kFinetune", its methods.
std::vector<std::string> QuestionsForOneKind() {
  std::vector<std::string> questions;
  for (const JobKind& kind : JobKinds()) {
    std::string constant(kind.name);
    constant[0] = static_cast<char>(std::toupper(constant[0]));
    questions.push_back(absl::StrCat("has_", kind.name, "()"));
    questions.push_back(absl::StrCat("JobSpec::k", constant));
    for (const v1::Method method : kind.methods) {
      questions.push_back(v1::Method_Name(method));
    }
  }
  return questions;
}

// Production code without a part or row of a kind. The file that writes the rows
// of published measurements names their methods too.
bool IsOtherCode(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  return (file.extension() == ".cc" || file.extension() == ".h") &&
         !absl::StrContains(name, "test") && !absl::StrContains(name, "fixture") &&
         !absl::StartsWith(name, "sample_") && !absl::StartsWith(name, "fake_") &&
         name != "job_kind.cc" && name != "job_kinds.cc" && name != "kind_commands.cc" &&
         name != "priors.cc";
}

TEST(JobKindTest, NoOtherCodeBranchesOnAKind) {
  const std::vector<std::string> questions = QuestionsForOneKind();
  int files = 0;
  for (const char* folder : {"base", "units", "proto", "policy", "formats", "models", "artifacts",
                             "telemetry", "scheduler", "sim", "coordinator", "worker", "cli"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             absl::StrCat(WATTLE_SOURCE_DIR, "/", folder))) {
      if (!IsOtherCode(entry.path())) {
        continue;
      }
      ++files;
      std::ifstream source(entry.path());
      std::string line;
      for (int number = 1; std::getline(source, line); ++number) {
        for (const std::string& question : questions) {
          EXPECT_FALSE(absl::StrContains(line.substr(0, line.find("//")), question))
              << entry.path() << ":" << number << ": belongs into a kind's row or part: "
              << "proto/job_kind.h";
        }
      }
    }
  }
  EXPECT_GT(files, 500) << "the folders were found";
}

}  // namespace
}  // namespace wattle
