// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Walks spec.proto. tests/golden/spec/revision_N.txt lists what revision N has: fields, values,
// data formats, model families. WATTLE_UPDATE_GOLDEN=1 rewrites the list of kSpecRevision, and no
// other.
#include "proto/spec_revision.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"

#include "proto/job_kind.h"
#include "proto/model_shape.h"

namespace wattle {
namespace {

namespace pb = google::protobuf;

// Fields that workers do not read: they are for plans, and a run of a profile job is a job of the
// wrapped kind.
constexpr absl::string_view kNotForWorkers[] = {"quality_floor", "model_shape", "data_shape",
                                                "profile", "apart"};

std::string ListPath(int32_t revision) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/spec/revision_", revision, ".txt");
}

std::set<std::string> ReadList(int32_t revision) {
  std::ifstream file(ListPath(revision));
  EXPECT_TRUE(file.is_open()) << ListPath(revision);
  std::set<std::string> list;
  for (std::string line; std::getline(file, line);) {
    list.insert(line);
  }
  return list;
}

void ListFields(const pb::Descriptor& message, const std::string& prefix,
                std::set<std::string>& list) {
  for (int i = 0; i < message.field_count(); ++i) {
    const pb::FieldDescriptor& field = *message.field(i);
    const std::string path = prefix + field.name();
    const bool not_for_workers = std::find(std::begin(kNotForWorkers), std::end(kNotForWorkers),
                                           field.name()) != std::end(kNotForWorkers);
    if (field.message_type() != nullptr && !not_for_workers) {
      ListFields(*field.message_type(), path + ".", list);
      continue;
    }
    list.insert(path);
    for (int j = 1; field.enum_type() != nullptr && j < field.enum_type()->value_count(); ++j) {
      const std::string unset = field.enum_type()->value(0)->name();
      const size_t prefix_size = unset.size() - std::string("UNSPECIFIED").size();
      list.insert(absl::StrCat(
          path, ": ",
          absl::AsciiStrToLower(field.enum_type()->value(j)->name().substr(prefix_size))));
    }
  }
}

std::set<std::string> ListNow() {
  std::set<std::string> list;
  ListFields(*v1::JobSpec::descriptor(), "", list);
  for (const JobKind& kind : JobKinds()) {
    for (const absl::string_view format : kind.data_formats) {
      list.insert(absl::StrCat("data format: ", format));
    }
  }
  for (const absl::string_view family : absl::StrSplit(ArchitectureNames(), ", ")) {
    list.insert(absl::StrCat("model family: ", family));
  }
  return list;
}

// Whether the table has the line, or what the line is a part of, from this revision on.
bool HasRow(const std::string& line, int32_t revision) {
  return std::any_of(SpecFeatures().begin(), SpecFeatures().end(), [&](const SpecFeature& feature) {
    const std::string name =
        absl::StrCat(feature.part == SpecPart::kDataFormat    ? "data format: "
                     : feature.part == SpecPart::kModelFamily ? "model family: "
                                                              : "",
                     feature.name);
    absl::string_view rest = line;
    return feature.revision == revision && absl::ConsumePrefix(&rest, name) &&
           (rest.empty() || rest[0] == '.' || rest[0] == ':');
  });
}

TEST(SpecRevisionTest, TheListOfThisRevisionIsTheSpec) {
  const std::set<std::string> now = ListNow();
  if (std::getenv("WATTLE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream file(ListPath(kSpecRevision));
    for (const std::string& line : now) {
      file << line << "\n";
    }
    return;
  }
  EXPECT_EQ(now, ReadList(kSpecRevision)) << "read proto/spec_revision.h on how to add to a spec";
}

TEST(SpecRevisionTest, WhatARevisionAddsHasARow) {
  for (int32_t revision = 1; revision <= kSpecRevision; ++revision) {
    const std::set<std::string> before = ReadList(revision - 1);
    for (const std::string& line : ReadList(revision)) {
      // Only the coordinator uses these fields. A worker computes on its cores only if it offered
      // to.
      const bool of_coordinator = line == "quality_floor" || line == "energy_budget_wh" ||
                                  line == "project" || line == "apart" ||
                                  absl::StartsWith(line, "accelerator");
      if (!before.contains(line) && !of_coordinator) {
        EXPECT_TRUE(HasRow(line, revision)) << line << " came with revision " << revision;
      }
    }
  }
}

TEST(SpecRevisionTest, EachRowNamesWhatItsRevisionAdded) {
  for (const SpecFeature& feature : SpecFeatures()) {
    ASSERT_GE(feature.revision, 1) << feature.name;
    ASSERT_LE(feature.revision, kSpecRevision) << feature.name;
    int lines = 0;
    for (const std::string& line : ReadList(feature.revision)) {
      lines += HasRow(line, feature.revision) ? 1 : 0;
    }
    EXPECT_GT(lines, 0) << feature.name;
  }
}

TEST(SpecRevisionTest, TellsWhatAWorkerWouldSkip) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_epochs(2);
  EXPECT_EQ(UnknownToWorker(spec, 0), "");
  spec.mutable_finetune()->mutable_lora();
  EXPECT_EQ(UnknownToWorker(spec, 0), "finetune.lora");
  EXPECT_EQ(UnknownToWorker(spec, 1), "");
  spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
  EXPECT_EQ(UnknownToWorker(spec, 0), "") << "another value of the field was there already";
  spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT4);
  EXPECT_EQ(UnknownToWorker(spec, 0), "quantize.quantization: int4");
  spec.mutable_generate()->add_stop("\n");
  EXPECT_EQ(UnknownToWorker(spec, 0), "generate.stop") << "a list";
}

TEST(SpecRevisionTest, TellsWhichInputsAWorkerCannotRead) {
  v1::ArtifactInfo input;
  input.mutable_dataset()->set_format("squad");
  EXPECT_EQ(UnknownToWorker(input, 0), "");
  input.mutable_dataset()->set_format("chat");
  EXPECT_EQ(UnknownToWorker(input, 0), "conversations as data");
  EXPECT_EQ(UnknownToWorker(input, 1), "");
  v1::ArtifactInfo model;
  model.mutable_model_shape()->set_architecture("gpt2");
  EXPECT_EQ(UnknownToWorker(model, 0), "");
  model.mutable_model_shape()->set_architecture("llama");
  EXPECT_EQ(UnknownToWorker(model, 0), "models of the family llama");
}

}  // namespace
}  // namespace wattle
