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

constexpr double kCountMax = 1e12;      // Steps, examples, prompts, tokens to read.
constexpr double kBatchMax = 4096;      // Also gradient accumulation steps.
constexpr double kTokensMax = 1 << 24;  // In a sequence, or newly generated.
constexpr double kMeanTokensMax = 1e9;  // Tokens of a declared data set's examples.

constexpr FieldBound kFinetuneBounds[] = {
    {"finetune.data_shape.examples", 1, kCountMax},
    {"finetune.data_shape.mean_tokens_per_example", 0, kMeanTokensMax},
    {"finetune.epochs", 0, 100'000},
    {"finetune.steps", 0, kCountMax},
    {"finetune.limit_examples", 0, kCountMax},
    {"finetune.batch_size", 0, kBatchMax},
    {"finetune.gradient_accumulation_steps", 0, kBatchMax},
    {"finetune.sequence_length", 0, kTokensMax},
    {"finetune.learning_rate", 0, 10},
    {"finetune.warmup_steps", 0, kCountMax},
    {"finetune.weight_decay", 0, 10},
    {"finetune.clip_norm", -1e9, 1e9},
    {"finetune.adam_beta1", 0, 0.999999},
    {"finetune.adam_beta2", 0, 0.9999999},
    {"finetune.adam_epsilon", 0, 1},
    {"finetune.evaluate_every_steps", 0, kCountMax},
    {"finetune.checkpoint_every_steps", 0, kCountMax},
    {"finetune.last_layers", 0, 1000},
    {"finetune.early_stop_evaluations", 0, 10'000},
    {"finetune.mezo.perturbation", 0, 1},
    {"finetune.mezo.samples", 0, 64},
    {"finetune.lora.rank", 0, 1024},
    {"finetune.lora.alpha", 0, 1e6},
    {"finetune.lora.dropout", 0, 0.999},
};
constexpr FieldBound kQuantizeBounds[] = {
    {"quantize.calibration_tokens", 0, kCountMax},
    {"quantize.size_budget_bytes", 0, 1e15},
    {"quantize.perplexity_change_percent_max", 0, 1000},
};
constexpr FieldBound kGenerateBounds[] = {
    {"generate.prompt_count", 0, kCountMax},
    {"generate.max_new_tokens", 0, kTokensMax},
    {"generate.temperature", 0, 100},
    {"generate.top_k", 0, 1 << 24},
    {"generate.top_p", 0, 1},
    {"generate.repetition_penalty", 0, 100},
    {"generate.batch_size", 0, 1024},
};
constexpr FieldBound kEvaluateBounds[] = {
    {"evaluate.data_shape.examples", 1, kCountMax},
    {"evaluate.data_shape.mean_tokens_per_example", 0, kMeanTokensMax},
    {"evaluate.limit_examples", 0, kCountMax},
    {"evaluate.batch_size", 0, kBatchMax},
    {"evaluate.sequence_length", 0, kTokensMax},
    {"evaluate.max_answer_tokens", 0, 4096},
};

constexpr FieldBound kProfileBounds[] = {
    {"profile.run_seconds", 0, 600},
    {"profile.runs_max", 0, 100},
    {"profile.gain_percent_min", 0, 50},
};

void ShortenFinetune(const v1::ProfilePoint& point, v1::JobSpec& spec) {
  v1::FinetuneSpec& finetune = *spec.mutable_finetune();
  finetune.set_batch_size(point.batch_size());
  finetune.set_steps(point.steps());
  finetune.clear_epochs();
  finetune.clear_warmup_steps();
  finetune.clear_heldout_data();
  finetune.clear_evaluate_every_steps();
  finetune.clear_early_stop_evaluations();
  finetune.clear_checkpoint_every_steps();
}

void ShortenGenerate(const v1::ProfilePoint& point, v1::JobSpec& spec) {
  spec.mutable_generate()->set_batch_size(point.batch_size());
  spec.mutable_generate()->set_prompt_count(point.steps());
}

void ShortenEvaluate(const v1::ProfilePoint& point, v1::JobSpec& spec) {
  spec.mutable_evaluate()->set_batch_size(point.batch_size());
  spec.mutable_evaluate()->set_limit_examples(point.steps() * point.batch_size());
}

constexpr JobKind kNoKind = {};

// The section of the spec's kind; null: the spec has none.
const pb::Message* SectionOf(const v1::JobSpec& spec) {
  // Looked up once, because a plan of a large fleet calls this millions of times.
  static const pb::OneofDescriptor* const kinds =
      v1::JobSpec::descriptor()->FindOneofByName("kind");
  const pb::FieldDescriptor* field = spec.GetReflection()->GetOneofFieldDescriptor(spec, kinds);
  return field == nullptr ? nullptr : &spec.GetReflection()->GetMessage(spec, field);
}

// The field of the spec's section; null: the spec has no section, or the section no such field.
const pb::FieldDescriptor* FieldIn(const pb::Message* section, const std::string& name) {
  return section == nullptr ? nullptr : section->GetDescriptor()->FindFieldByName(name);
}

// 0: the section has no such field.
int EnumIn(const v1::JobSpec& spec, const std::string& name) {
  const pb::Message* section = SectionOf(spec);
  const pb::FieldDescriptor* field = FieldIn(section, name);
  return field == nullptr ? 0 : section->GetReflection()->GetEnumValue(*section, field);
}

// The message in the field of the section; null: it is not set, or the section has no such field.
template <typename Message>
const Message* MessageIn(const v1::JobSpec& spec, const std::string& name) {
  const pb::Message* section = SectionOf(spec);
  const pb::FieldDescriptor* field = FieldIn(section, name);
  if (field == nullptr || !section->GetReflection()->HasField(*section, field)) {
    return nullptr;
  }
  return pb::DynamicCastToGenerated<Message>(
      &section->GetReflection()->GetMessage(*section, field));
}

}  // namespace

absl::Span<const JobKind> JobKinds() {
  static const JobKind kKinds[] = {
      {.kind_case = v1::JobSpec::kFinetune,
       .name = "finetune",
       .main_phase = "train",
       .makes_model = true,
       .keeps_checkpoints = true,
       .shorten = ShortenFinetune,
       .data_formats = kFinetuneData,
       .unit = v1::WORK_UNIT_TRAINING_TOKEN,
       .inputs = kFinetuneInputs,
       .methods = kFinetuneMethods,
       .bounds = kFinetuneBounds,
       .emulated_rate = "finetune"},
      {.kind_case = v1::JobSpec::kQuantize,
       .name = "quantize",
       .main_phase = "quantize",
       .makes_model = true,
       .quantizes_model = true,
       .data_formats = kQuantizeData,
       .unit = v1::WORK_UNIT_PARAMETER,
       .inputs = kQuantizeInputs,
       .methods = kQuantizeMethods,
       .bounds = kQuantizeBounds,
       .emulated_rate = "quantize"},
      {.kind_case = v1::JobSpec::kGenerate,
       .name = "generate",
       .main_phase = "generate",
       .takes_quality_floor = true,
       .shorten = ShortenGenerate,
       .data_formats = kGenerateData,
       .unit = v1::WORK_UNIT_GENERATED_TOKEN,
       .inputs = kGenerateInputs,
       .methods = kGenerateMethods,
       .bounds = kGenerateBounds,
       .emulated_rate = "generate",
       .emulated_rate_int8 = "generate_int8"},
      {.kind_case = v1::JobSpec::kEvaluate,
       .name = "evaluate",
       .main_phase = "evaluate",
       .takes_quality_floor = true,
       .shorten = ShortenEvaluate,
       .data_formats = kEvaluateData,
       .unit = v1::WORK_UNIT_EVALUATED_TOKEN,
       .inputs = kEvaluateInputs,
       .methods = kEvaluateMethods,
       .bounds = kEvaluateBounds,
       .emulated_rate = "evaluate"},
      {.kind_case = v1::JobSpec::kProfile,
       .name = "profile",
       .wraps_workload = true,
       .bounds = kProfileBounds,
       .spec_revision = 1},
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

v1::JobSpec WorkloadOf(const v1::JobSpec& spec) {
  if (!KindOf(spec).wraps_workload) {
    return spec;
  }
  v1::JobSpec job = spec;
  job.clear_profile();
  const v1::ProfileSpec& profile = spec.profile();
  switch (profile.workload_case()) {
    case v1::ProfileSpec::kFinetune:
      *job.mutable_finetune() = profile.finetune();
      break;
    case v1::ProfileSpec::kGenerate:
      *job.mutable_generate() = profile.generate();
      break;
    case v1::ProfileSpec::kEvaluate:
      *job.mutable_evaluate() = profile.evaluate();
      break;
    case v1::ProfileSpec::WORKLOAD_NOT_SET:
      break;
  }
  return job;
}

v1::JobSpec ProfileRunOf(const v1::JobSpec& spec, const v1::ProfilePoint& point) {
  v1::JobSpec run = WorkloadOf(spec);
  if (const JobKind& kind = KindOf(run); kind.shorten != nullptr) {
    kind.shorten(point, run);
  }
  return run;
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
  const pb::FieldDescriptor* found = FieldIn(section, std::string(field));
  if (found == nullptr || found->is_repeated() ||
      found->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING) {
    return *kNone;
  }
  // A field of a generated message is returned as it is; the scratch string stays unused.
  static thread_local std::string scratch;
  return section->GetReflection()->GetStringReference(*section, found, &scratch);
}

const v1::ModelShape* DeclaredModel(const v1::JobSpec& spec) {
  return MessageIn<v1::ModelShape>(spec, "model_shape");
}

const v1::DataShape* DeclaredData(const v1::JobSpec& spec) {
  return MessageIn<v1::DataShape>(spec, "data_shape");
}

int64_t IntegerIn(const v1::JobSpec& spec, absl::string_view field) {
  const pb::Message* section = SectionOf(spec);
  const pb::FieldDescriptor* found = FieldIn(section, std::string(field));
  if (found == nullptr || found->is_repeated()) {
    return 0;
  }
  switch (found->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return section->GetReflection()->GetInt32(*section, found);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return section->GetReflection()->GetInt64(*section, found);
    default:
      return 0;
  }
}

v1::Precision PrecisionIn(const v1::JobSpec& spec) {
  return static_cast<v1::Precision>(EnumIn(spec, "precision"));
}

v1::Quantization QuantizationIn(const v1::JobSpec& spec) {
  return static_cast<v1::Quantization>(EnumIn(spec, "quantization"));
}

const v1::QuantizationRecipe* RecipeIn(const v1::JobSpec& spec) {
  return MessageIn<v1::QuantizationRecipe>(spec, "recipe");
}

bool NamesQuantization(const v1::JobSpec& spec) {
  return RecipeIn(spec) != nullptr || QuantizationIn(spec) != v1::QUANTIZATION_UNSPECIFIED;
}

void SetRecipe(const v1::QuantizationRecipe& recipe, v1::JobSpec& spec) {
  pb::Message* section = spec.GetReflection()->MutableMessage(
      &spec, v1::JobSpec::descriptor()->FindFieldByNumber(spec.kind_case()));
  const pb::FieldDescriptor* field = FieldIn(section, "recipe");
  section->GetReflection()->MutableMessage(section, field)->CopyFrom(recipe);
}

}  // namespace wattle
