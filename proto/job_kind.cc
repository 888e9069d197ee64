// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/job_kind.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace wattle {
namespace {

namespace pb = google::protobuf;

constexpr JobInput kFinetuneInputs[] = {
    {kModelInput, /*is_model=*/true}, {"data"}, {"heldout_data"}};
constexpr JobInput kQuantizeInputs[] = {{kModelInput, /*is_model=*/true}, {"calibration_data"}};
constexpr JobInput kGenerateInputs[] = {{kModelInput, /*is_model=*/true}, {"data"}};
constexpr JobInput kEvaluateInputs[] = {
    {kModelInput, /*is_model=*/true}, {"data"}, {"reference_model", /*is_model=*/true}};

constexpr absl::string_view kFinetuneData[] = {"squad", "chat"};
constexpr absl::string_view kQuantizeData[] = {"text", "squad"};
constexpr absl::string_view kGenerateData[] = {"prompts"};
constexpr absl::string_view kEvaluateData[] = {"text", "squad", "chat"};
constexpr absl::string_view kAnswerData[] = {"squad"};

constexpr v1::Method kFinetuneMethods[] = {v1::METHOD_FINETUNE_FULL, v1::METHOD_FINETUNE_LORA,
                                           v1::METHOD_FINETUNE_QLORA};
constexpr v1::Method kQuantizeMethods[] = {v1::METHOD_QUANTIZE, v1::METHOD_QUANTIZE_COMPENSATED,
                                           v1::METHOD_QUANTIZE_ADAPTIVE};
constexpr v1::Method kGenerateMethods[] = {v1::METHOD_GENERATE};
constexpr v1::Method kEvaluateMethods[] = {v1::METHOD_EVALUATE, v1::METHOD_EVALUATE_AGAINST,
                                           v1::METHOD_EVALUATE_ANSWERS};

constexpr JobKind kNoKind = {};

// The section of the spec's kind; null: the spec has none.
const pb::Message* SectionOf(const v1::JobSpec& spec) {
  const pb::FieldDescriptor* field = spec.GetReflection()->GetOneofFieldDescriptor(
      spec, v1::JobSpec::descriptor()->FindOneofByName("kind"));
  return field == nullptr ? nullptr : &spec.GetReflection()->GetMessage(spec, field);
}

// The message in the field of the section; null: it is not set, or the section has no such field.
template <typename Shape>
const Shape* Declared(const v1::JobSpec& spec, const std::string& name) {
  const pb::Message* section = SectionOf(spec);
  const pb::FieldDescriptor* field =
      section == nullptr ? nullptr : section->GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || !section->GetReflection()->HasField(*section, field)) {
    return nullptr;
  }
  return pb::DynamicCastToGenerated<Shape>(&section->GetReflection()->GetMessage(*section, field));
}

}  // namespace

absl::Span<const JobKind> JobKinds() {
  static const JobKind kKinds[] = {
      {.kind_case = v1::JobSpec::kFinetune,
       .name = "finetune",
       .main_phase = "train",
       .makes_model = true,
       .keeps_checkpoints = true,
       .data_formats = kFinetuneData,
       .unit = v1::WORK_UNIT_TRAINING_TOKEN,
       .inputs = kFinetuneInputs,
       .methods = kFinetuneMethods},
      {.kind_case = v1::JobSpec::kQuantize,
       .name = "quantize",
       .main_phase = "quantize",
       .makes_model = true,
       .data_formats = kQuantizeData,
       .unit = v1::WORK_UNIT_PARAMETER,
       .inputs = kQuantizeInputs,
       .methods = kQuantizeMethods},
      {.kind_case = v1::JobSpec::kGenerate,
       .name = "generate",
       .main_phase = "generate",
       .takes_quality_floor = true,
       .data_formats = kGenerateData,
       .unit = v1::WORK_UNIT_GENERATED_TOKEN,
       .inputs = kGenerateInputs,
       .methods = kGenerateMethods},
      {.kind_case = v1::JobSpec::kEvaluate,
       .name = "evaluate",
       .main_phase = "evaluate",
       .takes_quality_floor = true,
       .data_formats = kEvaluateData,
       .unit = v1::WORK_UNIT_EVALUATED_TOKEN,
       .inputs = kEvaluateInputs,
       .methods = kEvaluateMethods},
  };
  return kKinds;
}

const JobKind& KindOf(const v1::JobSpec& spec) {
  for (const JobKind& kind : JobKinds()) {
    if (kind.kind_case == spec.kind_case()) {
      return kind;
    }
  }
  return kNoKind;
}

const JobKind& KindOf(v1::Method method) {
  for (const JobKind& kind : JobKinds()) {
    if (std::find(kind.methods.begin(), kind.methods.end(), method) != kind.methods.end()) {
      return kind;
    }
  }
  return kNoKind;
}

WantedData WantedDataOf(const v1::JobSpec& spec) {
  if (spec.evaluate().score_answers()) {
    return {.asked_by = "evaluate.score_answers", .formats = kAnswerData};
  }
  const JobKind& kind = KindOf(spec);
  return {.asked_by = kind.name, .formats = kind.data_formats};
}

bool IsModelInput(absl::string_view field) {
  for (const JobKind& kind : JobKinds()) {
    for (const JobInput& input : kind.inputs) {
      if (input.field == field) {
        return input.is_model;
      }
    }
  }
  return false;
}

std::string JobKindNames() {
  return absl::StrJoin(JobKinds(), ", ", [](std::string* out, const JobKind& kind) {
    out->append(kind.name.data(), kind.name.size());
  });
}

const std::string& ReferenceIn(const v1::JobSpec& spec, absl::string_view field) {
  static const auto* const kNone = new std::string();
  const pb::Message* section = SectionOf(spec);
  const pb::FieldDescriptor* found =
      section == nullptr ? nullptr : section->GetDescriptor()->FindFieldByName(std::string(field));
  if (found == nullptr || found->is_repeated() ||
      found->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING) {
    return *kNone;
  }
  // A field of a generated message is returned as it is; the scratch string stays unused.
  static thread_local std::string scratch;
  return section->GetReflection()->GetStringReference(*section, found, &scratch);
}

const v1::ModelShape* DeclaredModel(const v1::JobSpec& spec) {
  return Declared<v1::ModelShape>(spec, "model_shape");
}

const v1::DataShape* DeclaredData(const v1::JobSpec& spec) {
  return Declared<v1::DataShape>(spec, "data_shape");
}

}  // namespace wattle
