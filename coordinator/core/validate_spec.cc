// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Validates a job's spec before it enters the core. Each refusal is one line that names the field,
// its value and the accepted values. Pure.
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/message_checks_internal.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_bounds.h"
#include "scheduler/place/quality_floor.h"

namespace wattle::core {
namespace {

constexpr int kPromptsMax = 10'000;
constexpr int kStopsMax = 16;
constexpr int kTargetsMax = 64;
// Limit for inline prompts. The memory, the journal and the snapshots keep every spec; larger
// prompts go into an artifact.
constexpr size_t kPromptBytesMax = size_t{64} << 10;

// Exactly one of two fields must be set: a reference to files, or a shape that replaces the files
// in a dry run.
struct FilesOrShape {
  std::string prefix;  // "finetune."
  absl::string_view field;
  absl::string_view shape_field;
  bool has_files = false;
  bool has_shape = false;
  absl::string_view list_command;
};

absl::Status CheckFilesOrShape(const FilesOrShape& input, bool files_needed) {
  if (input.has_files && input.has_shape) {
    return absl::InvalidArgumentError(absl::StrCat(input.prefix, input.shape_field,
                                                   ": give either ", input.field, " or ",
                                                   input.shape_field, ", not both"));
  }
  if (files_needed && input.has_shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        input.prefix, input.shape_field, ": files are needed to run: name an artifact in ",
        input.prefix, input.field, "; to predict without files use 'wattle plan'"));
  }
  if (!input.has_files && !input.has_shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(input.prefix, input.field, ": missing; want an artifact's name or id ('",
                     input.list_command, "' lists them) or job:ID/output"));
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const v1::JobSpec& spec, bool files_needed) {
  const std::string prefix = absl::StrCat(KindName(spec), ".");
  const v1::ModelShape* shape = DeclaredModel(spec);
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = prefix,
                                            .field = kModelInput,
                                            .shape_field = "model_shape",
                                            .has_files = !ReferenceIn(spec, kModelInput).empty(),
                                            .has_shape = shape != nullptr,
                                            .list_command = "wattle model ls"},
                                           files_needed));
  return shape == nullptr ? absl::OkStatus() : CheckModelShape(*shape, prefix + "model_shape");
}

// The identity of the recipe that the spec asks for; empty if it asks for none.
template <typename Spec>
absl::StatusOr<std::string> QuantizationOf(absl::string_view prefix, const Spec& spec) {
  auto wanted =
      WantedQuantization(spec.quantization(), spec.has_recipe() ? &spec.recipe() : nullptr);
  return wanted.ok() ? std::move(wanted)
                     : absl::InvalidArgumentError(
                           absl::StrCat(prefix, std::string(wanted.status().message())));
}

// Checks the quantization that a job runs a model in: any recipe but an adaptive one, which only a
// quantize job can find.
template <typename Spec>
absl::Status CheckRunQuantization(absl::string_view prefix, const Spec& spec) {
  WATTLE_RETURN_IF_ERROR(QuantizationOf(prefix, spec).status());
  return spec.quantization() == v1::QUANTIZATION_ADAPTIVE
             ? absl::InvalidArgumentError(absl::StrCat(
                   prefix,
                   "quantization: adaptive: a quantize job finds this recipe; name that job's "
                   "output as model, and leave quantization out"))
             : absl::OkStatus();
}

// Adapters, and the form of the weights beside them, or the one that training rounds to.
absl::Status CheckAdapters(const v1::FinetuneSpec& finetune) {
  WATTLE_RETURN_IF_ERROR(CheckRunQuantization("finetune.", finetune));
  WATTLE_ASSIGN_OR_RETURN(const std::string quantization, QuantizationOf("finetune.", finetune));
  if (!finetune.has_lora()) {
    return absl::OkStatus();
  }
  if (finetune.last_layers() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("finetune.last_layers: ", finetune.last_layers(),
                     ": adapters stand beside every layer; leave last_layers out, or lora"));
  }
  const v1::LoraSpec& lora = finetune.lora();
  if (lora.targets_size() > kTargetsMax) {
    return absl::InvalidArgumentError(absl::StrCat("finetune.lora.targets: ", lora.targets_size(),
                                                   " names; want at most ", kTargetsMax));
  }
  for (const std::string& target : lora.targets()) {
    if (target.empty()) {
      return absl::InvalidArgumentError(
          "finetune.lora.targets: one of the names is empty; want names such as q_proj or c_attn, "
          "or all-linear");
    }
  }
  if (lora.merge() && !quantization.empty() && quantization != kNoQuantization) {
    return absl::InvalidArgumentError(
        absl::StrCat("finetune.lora.merge: weights that are ", quantization,
                     " cannot take the adapters in; leave merge out, or quantization"));
  }
  return absl::OkStatus();
}

// A field that does not go with a setting.
struct Beside {
  bool is_set;
  const char* field;
  const char* why;
};

absl::Status RefuseBeside(absl::string_view setting, absl::Span<const Beside> fields) {
  for (const auto& [is_set, field, why] : fields) {
    if (is_set) {
      return absl::InvalidArgumentError(absl::StrCat("finetune.", field, ": does not go with ",
                                                     setting, ": ", why, "; leave ", field,
                                                     " out"));
    }
  }
  return absl::OkStatus();
}

// Training by forward passes has no backward pass, no gradient to clip and no moments.
absl::Status CheckMezo(const v1::FinetuneSpec& finetune) {
  if (finetune.optimizer() != v1::OPTIMIZER_MEZO) {
    return finetune.has_mezo() ? absl::InvalidArgumentError(
                                     "finetune.mezo: only optimizer: mezo has it; write optimizer: "
                                     "mezo, or leave mezo out")
                               : absl::OkStatus();
  }
  const bool is_lora = finetune.has_lora();
  const Beside beside[] = {
      {finetune.update_in_backward(), "update_in_backward", "there is no backward pass"},
      {finetune.activation_checkpointing(), "activation_checkpointing",
       "there is no backward pass, and no activations are kept"},
      {finetune.clip_norm() != 0, "clip_norm", "there is no gradient whose norm could be clipped"},
      {finetune.adam_beta1() != 0, "adam_beta1", "there are no moments"},
      {finetune.adam_beta2() != 0, "adam_beta2", "there are no moments"},
      {finetune.adam_epsilon() != 0, "adam_epsilon", "there are no moments"},
      {is_lora && finetune.lora().dropout() > 0, "lora.dropout",
       "the two losses of a slope are taken without dropout"},
      {!is_lora && finetune.quantization() > v1::QUANTIZATION_NONE, "quantization",
       "rounding hides moves that are smaller than its steps"},
      {!is_lora && finetune.has_recipe(), "recipe",
       "rounding hides moves that are smaller than its steps"},
  };
  return RefuseBeside("optimizer: mezo", beside);
}

// Adafactor's moments decay by a rule of its own.
absl::Status CheckAdafactor(const v1::FinetuneSpec& finetune) {
  const char* const why = "Adafactor has no such number";
  const Beside beside[] = {{finetune.adam_beta1() != 0, "adam_beta1", why},
                           {finetune.adam_beta2() != 0, "adam_beta2", why},
                           {finetune.adam_epsilon() != 0, "adam_epsilon", why}};
  return RefuseBeside("optimizer: adafactor", beside);
}

// Weights in BF16 have no FP32 copy.
absl::Status CheckBf16Weights(const v1::FinetuneSpec& finetune) {
  const bool is_lora = finetune.has_lora();
  const Beside beside[] = {
      {!is_lora && finetune.optimizer() == v1::OPTIMIZER_MEZO, "optimizer",
       "the moves of a step are smaller than BF16's steps"},
      {!is_lora && finetune.quantization() > v1::QUANTIZATION_NONE, "quantization",
       "what is trained and rounded to another form is FP32"},
      {!is_lora && finetune.has_recipe(), "recipe",
       "what is trained and rounded to another form is FP32"},
      {is_lora && finetune.lora().merge(), "lora.merge",
       "adapters are added to FP32 weights alone"},
  };
  return RefuseBeside("weights_precision: bf16", beside);
}

// A step whose gradient overflows is skipped.
absl::Status CheckFp16(const v1::FinetuneSpec& finetune) {
  const Beside beside[] = {
      {finetune.update_in_backward(), "update_in_backward",
       "whether a gradient overflowed is known only when all of it is complete"},
  };
  return RefuseBeside("precision: fp16", beside);
}

// Settings of training that do not go together.
absl::Status CheckTrainingForm(const v1::FinetuneSpec& finetune) {
  if (finetune.update_in_backward() && finetune.gradient_accumulation_steps() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("finetune.update_in_backward: keeps no gradients that ",
                     finetune.gradient_accumulation_steps(),
                     " forward passes could add to; leave gradient_accumulation_steps out"));
  }
  if (finetune.update_in_backward() && finetune.has_lora()) {
    return absl::InvalidArgumentError(
        "finetune.update_in_backward: the gradients of adapters are small; leave it out, or lora");
  }
  if (finetune.has_recipe() && KeysAndValuesAreInt8(finetune.recipe())) {
    return absl::InvalidArgumentError(
        "finetune.recipe.kv_cache: bits: 8: training keeps keys and values in FP32; leave kv_cache "
        "out");
  }
  if (finetune.precision() == v1::PRECISION_FP16) {
    WATTLE_RETURN_IF_ERROR(CheckFp16(finetune));
  }
  if (finetune.weights_precision() == v1::WEIGHTS_PRECISION_BF16) {
    WATTLE_RETURN_IF_ERROR(CheckBf16Weights(finetune));
  }
  if (finetune.optimizer() == v1::OPTIMIZER_ADAFACTOR) {
    WATTLE_RETURN_IF_ERROR(CheckAdafactor(finetune));
  }
  return CheckMezo(finetune);
}

absl::Status CheckFinetune(const v1::JobSpec& spec, bool files_needed) {
  const v1::FinetuneSpec& finetune = spec.finetune();
  WATTLE_RETURN_IF_ERROR(CheckTrainingForm(finetune));
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = "finetune.",
                                            .field = "data",
                                            .shape_field = "data_shape",
                                            .has_files = !finetune.data().empty(),
                                            .has_shape = finetune.has_data_shape(),
                                            .list_command = "wattle data ls"},
                                           files_needed));
  if (finetune.early_stop_evaluations() > 0 &&
      (finetune.heldout_data().empty() || finetune.evaluate_every_steps() == 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "finetune.early_stop_evaluations: ", finetune.early_stop_evaluations(), ": wants ",
        finetune.heldout_data().empty() ? "heldout_data" : "evaluate_every_steps",
        ", whose losses tell when to stop"));
  }
  return CheckAdapters(finetune);
}

absl::Status CheckQuantize(const v1::JobSpec& spec, bool files_needed) {
  WATTLE_ASSIGN_OR_RETURN(const std::string wanted, QuantizationOf("quantize.", spec.quantize()));
  if (wanted == kNoQuantization) {
    return absl::InvalidArgumentError(
        "quantize.quantization: none leaves nothing to do; want int8, int4, nf4 or a recipe");
  }
  const v1::QuantizeSpec& quantize = spec.quantize();
  const bool adaptive = quantize.quantization() == v1::QUANTIZATION_ADAPTIVE;
  if (adaptive && quantize.rounding() == v1::ROUNDING_NEAREST) {
    return absl::InvalidArgumentError(
        "quantize.rounding: adaptive quantization rounds with compensation; leave rounding out");
  }
  if (!adaptive &&
      (quantize.size_budget_bytes() != 0 || quantize.perplexity_change_percent_max() != 0)) {
    return absl::InvalidArgumentError(
        "quantize.size_budget_bytes, perplexity_change_percent_max: only adaptive quantization "
        "has them; write quantization: adaptive, or leave them out");
  }
  if (quantize.size_budget_bytes() != 0 && quantize.perplexity_change_percent_max() != 0) {
    return absl::InvalidArgumentError(
        "quantize.size_budget_bytes: stands beside perplexity_change_percent_max; leave one of the "
        "two out");
  }
  const bool compensated = adaptive || quantize.rounding() == v1::ROUNDING_COMPENSATED;
  if (compensated && quantize.calibration_data().empty() && files_needed) {
    return absl::InvalidArgumentError(
        absl::StrCat("quantize.calibration_data: missing; ",
                     adaptive ? "adaptive quantization" : "compensated rounding",
                     " wants a text or SQuAD data set ('wattle data ls' lists them)"));
  }
  if (!compensated && (!quantize.calibration_data().empty() || quantize.calibration_tokens() > 0)) {
    return absl::InvalidArgumentError(
        "quantize.calibration_data: only compensated rounding reads it; write rounding: "
        "compensated, or leave it out");
  }
  return absl::OkStatus();
}

absl::Status CheckGenerate(const v1::JobSpec& spec, bool files_needed) {
  const v1::GenerateSpec& generate = spec.generate();
  WATTLE_RETURN_IF_ERROR(CheckRunQuantization("generate.", generate));
  if (generate.data().empty() && generate.prompts_size() == 0 && generate.prompt_count() == 0) {
    return absl::InvalidArgumentError(
        "generate.prompts: missing; give prompts, or name a data set of prompts in generate.data "
        "('wattle data ls' lists them)");
  }
  if (!generate.data().empty() && generate.prompts_size() > 0) {
    return absl::InvalidArgumentError("generate.prompts: give either data or prompts, not both");
  }
  WATTLE_RETURN_IF_ERROR(
      CheckFilesOrShape({.prefix = "generate.",
                         .field = "data",
                         .shape_field = "prompt_count",
                         .has_files = !generate.data().empty() || generate.prompts_size() > 0,
                         .has_shape = generate.prompt_count() != 0,
                         .list_command = "wattle data ls"},
                        files_needed));
  size_t prompt_bytes = 0;
  for (const std::string& prompt : generate.prompts()) {
    if (prompt.empty()) {
      return absl::InvalidArgumentError("generate.prompts: one of them is empty");
    }
    prompt_bytes += prompt.size();
  }
  if (generate.stop_size() > kStopsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("generate.stop: ", generate.stop_size(), " texts; wants at most ", kStopsMax));
  }
  for (const std::string& stop : generate.stop()) {
    if (stop.empty()) {
      return absl::InvalidArgumentError("generate.stop: one of the texts is empty");
    }
  }
  if (generate.prompts_size() > kPromptsMax || prompt_bytes > kPromptBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("generate.prompts: ", generate.prompts_size(), " prompts of ", prompt_bytes,
                     " bytes: want at most ", kPromptsMax, " and ", kPromptBytesMax,
                     " bytes; push a file with 'wattle data push' and name it in generate.data"));
  }
  return absl::OkStatus();
}

absl::Status CheckEvaluate(const v1::JobSpec& spec, bool files_needed) {
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  WATTLE_RETURN_IF_ERROR(CheckRunQuantization("evaluate.", evaluate));
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = "evaluate.",
                                            .field = "data",
                                            .shape_field = "data_shape",
                                            .has_files = !evaluate.data().empty(),
                                            .has_shape = evaluate.has_data_shape(),
                                            .list_command = "wattle data ls"},
                                           files_needed));
  if (evaluate.max_answer_tokens() > 0 && !evaluate.score_answers()) {
    return absl::InvalidArgumentError(
        "evaluate.max_answer_tokens: no answers are generated; write score_answers: true");
  }
  return absl::OkStatus();
}

absl::Status CheckKind(const v1::JobSpec& spec, bool files_needed) {
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat("spec: no kind; want one of ", JobKindNames()));
  }
  WATTLE_RETURN_IF_ERROR(CheckModel(spec, files_needed));
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return CheckFinetune(spec, files_needed);
    case v1::JobSpec::kQuantize:
      return CheckQuantize(spec, files_needed);
    case v1::JobSpec::kGenerate:
      return CheckGenerate(spec, files_needed);
    case v1::JobSpec::kEvaluate:
      return CheckEvaluate(spec, files_needed);
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateSpec(const v1::JobSpec& spec, bool files_needed) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknown(spec, ""));
  if (spec.name().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: ", spec.name().size(), " characters: want at most ", kNameCharactersMax));
  }
  if (spec.owner().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "owner: ", spec.owner().size(), " characters: want at most ", kNameCharactersMax));
  }
  WATTLE_RETURN_IF_ERROR(CheckTexts(spec, ""));
  WATTLE_RETURN_IF_ERROR(scheduler::ValidateQualityFloor(spec));
  if (spec.required_labels_size() > kLabelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("required_labels: ", spec.required_labels_size(),
                                                   " entries: want at most ", kLabelsMax));
  }
  for (const std::string& label : spec.required_labels()) {
    if (label.empty() || label.front() == '=') {
      return absl::InvalidArgumentError(
          absl::StrCat("required_labels: \"", label, "\": want key=value or key"));
    }
  }
  WATTLE_RETURN_IF_ERROR(CheckSpecBounds(spec));
  return CheckKind(spec, files_needed);
}

}  // namespace wattle::core
