// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/spec_revision.h"

#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

#include "proto/job_kind.h"
#include "proto/model_shape.h"

namespace wattle {
namespace {

namespace pb = google::protobuf;

constexpr SpecFeature kFeatures[] = {
    {SpecPart::kField, "finetune.lora", 1},
    {SpecPart::kField, "finetune.quantization", 1},
    {SpecPart::kField, "finetune.recipe", 1},
    {SpecPart::kField, "finetune.activation_checkpointing", 1},
    {SpecPart::kField, "finetune.last_layers", 1},
    {SpecPart::kField, "finetune.packing", 1},
    {SpecPart::kField, "finetune.early_stop_evaluations", 1},
    {SpecPart::kField, "finetune.precision", 1},
    {SpecPart::kField, "finetune.optimizer", 1},
    {SpecPart::kField, "finetune.update_in_backward", 1},
    {SpecPart::kField, "finetune.weights_precision", 1},
    {SpecPart::kField, "finetune.mezo", 1},

    {SpecPart::kField, "quantize.quantization: int4", 1},
    {SpecPart::kField, "quantize.quantization: nf4", 1},
    {SpecPart::kField, "quantize.quantization: adaptive", 1},
    {SpecPart::kField, "quantize.recipe", 1},
    {SpecPart::kField, "quantize.rounding", 1},
    {SpecPart::kField, "quantize.calibration_data", 1},
    {SpecPart::kField, "quantize.calibration_tokens", 1},
    {SpecPart::kField, "quantize.size_budget_bytes", 1},
    {SpecPart::kField, "quantize.perplexity_change_percent_max", 1},

    {SpecPart::kField, "generate.quantization: int4", 1},
    {SpecPart::kField, "generate.quantization: nf4", 1},
    {SpecPart::kField, "generate.quantization: adaptive", 1},
    {SpecPart::kField, "generate.recipe", 1},
    {SpecPart::kField, "generate.stop", 1},
    {SpecPart::kField, "generate.repetition_penalty", 1},
    {SpecPart::kField, "generate.batch_size", 1},
    {SpecPart::kField, "generate.chat", 1},

    {SpecPart::kField, "evaluate.quantization: int4", 1},
    {SpecPart::kField, "evaluate.quantization: nf4", 1},
    {SpecPart::kField, "evaluate.quantization: adaptive", 1},
    {SpecPart::kField, "evaluate.recipe", 1},
    {SpecPart::kField, "evaluate.reference_model", 1},
    {SpecPart::kField, "evaluate.score_answers", 1},
    {SpecPart::kField, "evaluate.max_answer_tokens", 1},

    {SpecPart::kDataFormat, "chat", 1},

    {SpecPart::kField, "finetune.precision: tf32", 2},
};

// Whether the field at `path`, or one of its elements, is set, or has `value`, which is the end of
// the enum name as in job files ("int4" for QUANTIZATION_INT4). path: relative to the message, such
// as "lora.rank".
bool IsSet(const pb::Message& message, absl::string_view path, absl::string_view value) {
  const std::pair<std::string, absl::string_view> parts =
      absl::StrSplit(path, absl::MaxSplits('.', 1));
  const pb::FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(parts.first);
  const pb::Reflection& reflection = *message.GetReflection();
  const int size = field->is_repeated()                  ? reflection.FieldSize(message, field)
                   : reflection.HasField(message, field) ? 1
                                                         : 0;
  if (parts.second.empty() && value.empty()) {
    return size > 0;
  }
  for (int i = 0; i < size; ++i) {
    if (!parts.second.empty()) {
      const pb::Message& inner = field->is_repeated()
                                     ? reflection.GetRepeatedMessage(message, field, i)
                                     : reflection.GetMessage(message, field);
      if (IsSet(inner, parts.second, value)) {
        return true;
      }
      continue;
    }
    const pb::EnumValueDescriptor* found = field->enum_type()->FindValueByNumber(
        field->is_repeated() ? reflection.GetRepeatedEnumValue(message, field, i)
                             : reflection.GetEnumValue(message, field));
    if (found != nullptr &&
        absl::EndsWith(absl::AsciiStrToLower(found->name()), absl::StrCat("_", value))) {
      return true;
    }
  }
  return false;
}

bool Needs(const v1::JobSpec& spec, absl::string_view name) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits(": ", 1));
  return IsSet(spec, parts.first, parts.second);
}

std::string InWords(const SpecFeature& feature) {
  switch (feature.part) {
    case SpecPart::kField:
      break;
    case SpecPart::kDataFormat:
      return feature.name == "chat" ? "conversations as data"
                                    : absl::StrCat("data of the format ", feature.name);
    case SpecPart::kModelFamily:
      return absl::StrCat("models of the family ", feature.name);
  }
  return std::string(feature.name);
}

}  // namespace

absl::Span<const SpecFeature> SpecFeatures() {
  static const auto& features = *new std::vector<SpecFeature>([] {
    std::vector<SpecFeature> all(std::begin(kFeatures), std::end(kFeatures));
    for (const JobKind& kind : JobKinds()) {
      if (kind.spec_revision > 0) {
        all.push_back({SpecPart::kField, kind.name, kind.spec_revision});
      }
    }
    for (const Architecture& family : Architectures()) {
      if (family.revision > 0) {
        all.push_back({SpecPart::kModelFamily, family.name, family.revision});
      }
    }
    return all;
  }());
  return features;
}

std::string UnknownToWorker(const v1::JobSpec& spec, int32_t revision) {
  for (const SpecFeature& feature : SpecFeatures()) {
    if (feature.revision > revision && feature.part == SpecPart::kField &&
        Needs(spec, feature.name)) {
      return InWords(feature);
    }
  }
  return "";
}

std::string UnknownToWorker(const v1::ArtifactInfo& input, int32_t revision) {
  for (const SpecFeature& feature : SpecFeatures()) {
    const bool needed =
        (feature.part == SpecPart::kDataFormat && input.dataset().format() == feature.name) ||
        (feature.part == SpecPart::kModelFamily &&
         input.model_shape().architecture() == feature.name);
    if (feature.revision > revision && needed) {
      return InWords(feature);
    }
  }
  return "";
}

}  // namespace wattle
