// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks the ranges of the fields that a plan depends on. The coordinator checks the fields of the
// engine alone (rates, seeds) at submit.
#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "proto/model_shape.h"
#include "scheduler/predict/spec_bounds.h"
#include "scheduler/predict/work.h"

namespace wattle::scheduler {
namespace {

struct Range {
  double min;
  double max;
};

absl::Status Check(absl::string_view field, double value, Range range) {
  if (std::isfinite(value) && value >= range.min && value <= range.max) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %g; wanted %g to %g", field, value, range.min, range.max));
}

struct Either {
  absl::string_view file_field;
  bool file = false;
  absl::string_view shape_field;
  bool shape = false;
};

absl::Status CheckEither(const Either& either) {
  if (either.file && either.shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(either.shape_field, ": given beside ", either.file_field, "; leave one out"));
  }
  if (!either.file && !either.shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        either.file_field, ": missing; name an artifact, or ", either.shape_field, " for a plan"));
  }
  return absl::OkStatus();
}

absl::Status CheckDataShape(absl::string_view field, const v1::DataShape& shape) {
  WATTLE_RETURN_IF_ERROR(Check(absl::StrCat(field, ".examples"),
                               static_cast<double>(shape.examples()), {1, kSpecCountMax}));
  return Check(absl::StrCat(field, ".mean_tokens_per_example"), shape.mean_tokens_per_example(),
               {0, kSpecMeanTokensMax});
}

absl::Status CheckFinetune(const v1::FinetuneSpec& spec) {
  WATTLE_RETURN_IF_ERROR(CheckEither(
      {"finetune.model", !spec.model().empty(), "finetune.model_shape", spec.has_model_shape()}));
  WATTLE_RETURN_IF_ERROR(CheckEither(
      {"finetune.data", !spec.data().empty(), "finetune.data_shape", spec.has_data_shape()}));
  if (spec.has_model_shape()) {
    WATTLE_RETURN_IF_ERROR(CheckModelShape(spec.model_shape(), "finetune.model_shape"));
  }
  if (spec.has_data_shape()) {
    WATTLE_RETURN_IF_ERROR(CheckDataShape("finetune.data_shape", spec.data_shape()));
  }
  WATTLE_RETURN_IF_ERROR(Check("finetune.epochs", spec.epochs(), {0, kSpecEpochsMax}));
  WATTLE_RETURN_IF_ERROR(
      Check("finetune.steps", static_cast<double>(spec.steps()), {0, kSpecCountMax}));
  WATTLE_RETURN_IF_ERROR(Check("finetune.limit_examples",
                               static_cast<double>(spec.limit_examples()), {0, kSpecCountMax}));
  WATTLE_RETURN_IF_ERROR(Check("finetune.batch_size", spec.batch_size(), {0, kSpecBatchMax}));
  WATTLE_RETURN_IF_ERROR(Check("finetune.gradient_accumulation_steps",
                               spec.gradient_accumulation_steps(), {0, kSpecBatchMax}));
  WATTLE_RETURN_IF_ERROR(
      Check("finetune.sequence_length", spec.sequence_length(), {0, kSpecTokensMax}));
  WATTLE_RETURN_IF_ERROR(Check("finetune.evaluate_every_steps",
                               static_cast<double>(spec.evaluate_every_steps()),
                               {0, kSpecCountMax}));
  WATTLE_RETURN_IF_ERROR(Check("finetune.lora.rank", spec.lora().rank(), {0, kSpecAdapterRankMax}));
  return Check("finetune.checkpoint_every_steps",
               static_cast<double>(spec.checkpoint_every_steps()), {0, kSpecCountMax});
}

absl::Status CheckModel(absl::string_view kind, const std::string& model, bool has_shape,
                        const v1::ModelShape& shape) {
  WATTLE_RETURN_IF_ERROR(CheckEither({absl::StrCat(kind, ".model"), !model.empty(),
                                      absl::StrCat(kind, ".model_shape"), has_shape}));
  return has_shape ? CheckModelShape(shape, absl::StrCat(kind, ".model_shape")) : absl::OkStatus();
}

absl::Status CheckGenerate(const v1::GenerateSpec& spec) {
  WATTLE_RETURN_IF_ERROR(
      CheckModel("generate", spec.model(), spec.has_model_shape(), spec.model_shape()));
  WATTLE_RETURN_IF_ERROR(
      Check("generate.max_new_tokens", spec.max_new_tokens(), {0, kSpecTokensMax}));
  WATTLE_RETURN_IF_ERROR(
      Check("generate.prompt_count", static_cast<double>(spec.prompt_count()), {0, kSpecCountMax}));
  if (spec.data().empty() && spec.prompts_size() == 0 && spec.prompt_count() == 0) {
    return absl::InvalidArgumentError(
        "generate.data: missing; name a data set of prompts, or give prompts, or prompt_count for "
        "a plan");
  }
  return absl::OkStatus();
}

absl::Status CheckEvaluate(const v1::EvaluateSpec& spec) {
  WATTLE_RETURN_IF_ERROR(
      CheckModel("evaluate", spec.model(), spec.has_model_shape(), spec.model_shape()));
  WATTLE_RETURN_IF_ERROR(CheckEither(
      {"evaluate.data", !spec.data().empty(), "evaluate.data_shape", spec.has_data_shape()}));
  if (spec.has_data_shape()) {
    WATTLE_RETURN_IF_ERROR(CheckDataShape("evaluate.data_shape", spec.data_shape()));
  }
  WATTLE_RETURN_IF_ERROR(Check("evaluate.limit_examples",
                               static_cast<double>(spec.limit_examples()), {0, kSpecCountMax}));
  WATTLE_RETURN_IF_ERROR(Check("evaluate.batch_size", spec.batch_size(), {0, kSpecBatchMax}));
  return Check("evaluate.sequence_length", spec.sequence_length(), {0, kSpecTokensMax});
}

absl::Status CheckKind(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return CheckFinetune(spec.finetune());
    case v1::JobSpec::kQuantize:
      return CheckModel("quantize", spec.quantize().model(), spec.quantize().has_model_shape(),
                        spec.quantize().model_shape());
    case v1::JobSpec::kGenerate:
      return CheckGenerate(spec.generate());
    case v1::JobSpec::kEvaluate:
      return CheckEvaluate(spec.evaluate());
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "kind: missing; wanted one of finetune, quantize, generate, evaluate");
}

}  // namespace

absl::Status ValidateSpec(const v1::JobSpec& spec) {
  if (!v1::Objective_IsValid(spec.objective())) {
    return absl::InvalidArgumentError(
        absl::StrCat("objective: ", static_cast<int>(spec.objective()),
                     " is not supported in this version; wanted energy, time or edp"));
  }
  WATTLE_RETURN_IF_ERROR(Check("deadline_seconds", spec.deadline_seconds(), {0, kSpecSecondsMax}));
  WATTLE_RETURN_IF_ERROR(Check("timeout_seconds", spec.timeout_seconds(), {0, kSpecSecondsMax}));
  WATTLE_RETURN_IF_ERROR(Check("lease_seconds", spec.lease_seconds(), {0, kSpecSecondsMax}));
  WATTLE_RETURN_IF_ERROR(Check("priority", spec.priority(), {-kSpecPriorityMax, kSpecPriorityMax}));
  return CheckKind(spec);
}

}  // namespace wattle::scheduler
