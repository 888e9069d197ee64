// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each refusal is one line that names the field, its value and the accepted values.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/job_kinds_internal.h"
#include "coordinator/core/message_checks_internal.h"
#include "coordinator/core/profiling.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_defaults.h"

namespace wattle::core {
namespace {

constexpr int kPromptsMax = 10'000;
constexpr int kStopsMax = 16;
constexpr int kTargetsMax = 64;
// Limit for inline prompts, because memory, journal and snapshots keep every spec; larger prompts
// go into an artifact.
constexpr size_t kPromptBytesMax = size_t{64} << 10;

// The identity of the recipe in the spec; empty if it asks for none.
template <typename Spec>
absl::StatusOr<std::string> QuantizationOf(absl::string_view prefix, const Spec& spec) {
  auto wanted =
      WantedQuantization(spec.quantization(), spec.has_recipe() ? &spec.recipe() : nullptr);
  const absl::Status asked = CheckAskedRecipe(spec.recipe());
  const absl::Status& status = wanted.ok() ? asked : wanted.status();
  return status.ok()
             ? std::move(wanted)
             : absl::InvalidArgumentError(absl::StrCat(prefix, std::string(status.message())));
}

// Checks the quantization in which a job runs a model: any recipe except an adaptive one, which
// only a quantize job can find.
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

// The model's name for people: its reference in the spec, else the declared model.
std::string NameOf(const v1::JobSpec& spec) {
  const std::string& model = ReferenceIn(spec, kModelInput);
  return model.empty() ? "the declared model" : absl::StrCat("model ", model);
}

std::string TooLong(const v1::JobSpec& spec, int64_t sequence_length, int64_t context_length) {
  if (sequence_length <= context_length || context_length <= 0) {
    return "";
  }
  return absl::StrCat(KindName(spec), ".sequence_length: ", sequence_length,
                      " tokens are more than the context of ", NameOf(spec), ", ", context_length,
                      "; write at most ", context_length, " or leave it out");
}

// The largest divisor of `batch` that is at most half of `now`; REQUIRES: now > 1.
int HalfOf(int now, int batch) {
  int half = now / 2;
  while (batch % half != 0) {
    --half;
  }
  return half;
}

template <typename Spec>
std::vector<ChangedSpec> SmallerBatches(const v1::JobSpec& spec, Spec* (v1::JobSpec::*of)(),
                                        int batch_size) {
  std::vector<ChangedSpec> forms;
  v1::JobSpec form = spec;
  for (int size = batch_size / 2; size > 0; size /= 2) {
    (form.*of)()->set_batch_size(size);
    forms.push_back({form, absl::StrCat("batch_size: ", size)});
  }
  return forms;
}

// Largest batches considered, as a multiple of the job's own.
constexpr int kLargerBatchMax = 8;

template <typename Spec>
std::vector<ChangedSpec> OtherBatchSizes(const v1::JobSpec& spec, Spec* (v1::JobSpec::*of)(),
                                         int batch_size) {
  std::vector<ChangedSpec> forms = SmallerBatches(spec, of, batch_size);
  v1::JobSpec form = spec;
  for (int times = 2; times <= kLargerBatchMax; times *= 2) {
    (form.*of)()->set_batch_size(times * batch_size);
    forms.push_back({form, absl::StrCat("batch_size: ", times * batch_size)});
  }
  return forms;
}

template <typename Spec>
std::vector<ChangedSpec> QuantizedBothWays(const v1::JobSpec& spec, Spec* (v1::JobSpec::*of)()) {
  v1::JobSpec form = spec;
  Spec& run = *(form.*of)();
  if (run.has_recipe() || (run.quantization() != v1::QUANTIZATION_UNSPECIFIED &&
                           run.quantization() != v1::QUANTIZATION_NONE)) {
    return {};
  }
  run.set_quantization(v1::QUANTIZATION_INT8);
  std::vector<ChangedSpec> forms = {{form, "quantization: int8"}};
  run.set_quantization(v1::QUANTIZATION_INT4);
  forms.push_back({form, "quantization: int4"});
  return forms;
}

// Checks adapters, and the form of the weights beside them, or the one to which training rounds.
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

// A field that is incompatible with a setting.
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

// Refuses settings of a backward pass, gradients or moments for training by forward passes.
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

// Adafactor's moments decay by their own rule.
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

// FP16 training skips steps whose gradient overflows.
absl::Status CheckFp16(const v1::FinetuneSpec& finetune) {
  const Beside beside[] = {
      {finetune.update_in_backward(), "update_in_backward",
       "whether a gradient overflowed is known only when all of it is complete"},
  };
  return RefuseBeside("precision: fp16", beside);
}

// Checks settings of training that exclude each other.
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

std::string TooManyLayers(const v1::JobSpec& spec, int last_layers, int layers) {
  if (last_layers <= layers || layers <= 0) {
    return "";
  }
  return absl::StrCat("finetune.last_layers: ", last_layers, ": ", NameOf(spec), " has ", layers,
                      " layers; write at most ", layers, ", or leave it out to train every weight");
}

std::string FinetuneFails(const v1::JobSpec& spec, const JobModel& model,
                          const std::vector<scheduler::InputView>& /*inputs*/) {
  const v1::FinetuneSpec& finetune = spec.finetune();
  // Adapters may accompany weights of any form.
  if (model.artifact != nullptr && IsQuantized(*model.artifact) && !finetune.has_lora()) {
    return absl::StrCat("finetune.model: ", NameOf(spec), " is ", model.artifact->quantization(),
                        ", and training wants its FP32 weights; name the model that it was "
                        "quantized from");
  }
  if (model.artifact != nullptr && IsQuantized(*model.artifact) && finetune.lora().merge()) {
    return absl::StrCat("finetune.lora.merge: ", NameOf(spec), " is ",
                        model.artifact->quantization(),
                        " and cannot take the adapters in; leave merge out, or name the model "
                        "that it was quantized from");
  }
  std::string sentence = TooManyLayers(spec, finetune.last_layers(), model.shape.layers());
  return sentence.empty() ? TooLong(spec, finetune.sequence_length(), model.shape.context_length())
                          : sentence;
}

std::vector<ChangedSpec> LeanerFinetune(const v1::JobSpec& spec) {
  std::vector<ChangedSpec> forms;
  v1::JobSpec form = spec;
  v1::FinetuneSpec& finetune = *form.mutable_finetune();
  std::string change;
  // MeZO has no backward pass that could recompute.
  if (!finetune.activation_checkpointing() && finetune.optimizer() != v1::OPTIMIZER_MEZO) {
    finetune.set_activation_checkpointing(true);
    change = "activation_checkpointing: true";
    forms.push_back({form, change});
    absl::StrAppend(&change, ", ");
  }
  const int batch = finetune.batch_size() > 0 ? finetune.batch_size() : kBatchSizeDefault;
  const int passes = std::max(1, finetune.gradient_accumulation_steps());
  for (int size = batch; size > 1;) {
    if (finetune.update_in_backward()) {
      size /= 2;
      finetune.set_batch_size(size);
      forms.push_back({form, absl::StrCat(change, "batch_size: ", size)});
      continue;
    }
    size = HalfOf(size, batch);
    const int accumulated = passes * (batch / size);
    finetune.set_batch_size(size);
    finetune.set_gradient_accumulation_steps(accumulated);
    forms.push_back({form, absl::StrCat(change, "batch_size: ", size,
                                        ", gradient_accumulation_steps: ", accumulated)});
  }
  return forms;
}

std::vector<ChangedSpec> OtherFinetuneBatches(const v1::JobSpec& spec) {
  std::vector<ChangedSpec> forms;
  v1::JobSpec form = spec;
  v1::FinetuneSpec& finetune = *form.mutable_finetune();
  const int batch = finetune.batch_size() > 0 ? finetune.batch_size() : kBatchSizeDefault;
  const int passes = std::max(1, finetune.gradient_accumulation_steps());
  const auto add = [&](int size, int accumulated) {
    finetune.set_batch_size(size);
    finetune.set_gradient_accumulation_steps(accumulated);
    forms.push_back(
        {form, absl::StrCat("batch_size: ", size, ", gradient_accumulation_steps: ", accumulated)});
  };
  for (int size = batch; size > 1;) {
    size = HalfOf(size, batch);
    add(size, passes * (batch / size));
  }
  for (int times = 2; times <= kLargerBatchMax && passes % times == 0; times *= 2) {
    add(times * batch, passes / times);
  }
  return forms;
}

// Without adapters, training rounds the weights to the quantized form, which saves no memory.
std::vector<ChangedSpec> QuantizedFinetune(const v1::JobSpec& spec) {
  return spec.finetune().has_lora() ? QuantizedBothWays(spec, &v1::JobSpec::mutable_finetune)
                                    : std::vector<ChangedSpec>();
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

std::string QuantizeFails(const v1::JobSpec& spec, const JobModel& model,
                          const std::vector<scheduler::InputView>& /*inputs*/) {
  return model.artifact != nullptr && IsQuantized(*model.artifact)
             ? absl::StrCat("quantize.model: ", NameOf(spec), " is ",
                            model.artifact->quantization(),
                            " already; name the model that it was quantized from")
             : "";
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

std::vector<ChangedSpec> LeanerGenerate(const v1::JobSpec& spec) {
  return SmallerBatches(spec, &v1::JobSpec::mutable_generate, spec.generate().batch_size());
}

std::vector<ChangedSpec> OtherGenerateBatches(const v1::JobSpec& spec) {
  return OtherBatchSizes(spec, &v1::JobSpec::mutable_generate,
                         std::max(1, spec.generate().batch_size()));
}

std::vector<ChangedSpec> QuantizedGenerate(const v1::JobSpec& spec) {
  return QuantizedBothWays(spec, &v1::JobSpec::mutable_generate);
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

// An answer is generated after its question, in one sequence.
std::string AnswersTooLong(const v1::EvaluateSpec& spec, int64_t context_length) {
  const int64_t length = spec.sequence_length() > 0 ? spec.sequence_length() : context_length;
  const int answer = spec.max_answer_tokens() > 0 ? spec.max_answer_tokens() : kNewTokensDefault;
  if (!spec.score_answers() || length <= 0 || answer < length) {
    return "";
  }
  return absl::StrCat("evaluate.max_answer_tokens: ", answer,
                      " tokens of answer leave no room for a question in a sequence of ", length,
                      length > 1 ? absl::StrCat("; write at most ", length - 1) : "",
                      spec.sequence_length() > 0 ? "; or raise sequence_length" : "");
}

// The engine compares the two models token by token (worker/engine/evaluate).
std::string ReferenceDoesNotFit(const v1::EvaluateSpec& spec, const v1::ArtifactInfo* model,
                                const v1::ArtifactInfo* reference) {
  if (model == nullptr || reference == nullptr || !model->has_model_shape() ||
      !reference->has_model_shape()) {
    return "";
  }
  const v1::ModelShape& own = model->model_shape();
  const v1::ModelShape& other = reference->model_shape();
  if (own.vocabulary_size() == other.vocabulary_size() &&
      own.context_length() <= other.context_length()) {
    return "";
  }
  return absl::StrCat("evaluate.reference_model: ", spec.reference_model(), " has a vocabulary of ",
                      other.vocabulary_size(), " tokens and a context of ", other.context_length(),
                      ", and model ", spec.model(), " has ", own.vocabulary_size(), " and ",
                      own.context_length(), "; name the model that it was made from");
}

std::string EvaluateFails(const v1::JobSpec& spec, const JobModel& model,
                          const std::vector<scheduler::InputView>& inputs) {
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  const int64_t context_length = model.shape.context_length();
  if (std::string sentence = TooLong(spec, evaluate.sequence_length(), context_length);
      !sentence.empty()) {
    return sentence;
  }
  if (std::string sentence = AnswersTooLong(evaluate, context_length); !sentence.empty()) {
    return sentence;
  }
  return ReferenceDoesNotFit(evaluate, model.artifact,
                             scheduler::FindInput(inputs, "reference_model"));
}

std::vector<ChangedSpec> LeanerEvaluate(const v1::JobSpec& spec) {
  const int batch = spec.evaluate().batch_size();
  return SmallerBatches(spec, &v1::JobSpec::mutable_evaluate,
                        batch > 0 ? batch : kBatchSizeDefault);
}

std::vector<ChangedSpec> OtherEvaluateBatches(const v1::JobSpec& spec) {
  const int batch = spec.evaluate().batch_size();
  return OtherBatchSizes(spec, &v1::JobSpec::mutable_evaluate,
                         batch > 0 ? batch : kBatchSizeDefault);
}

std::vector<ChangedSpec> QuantizedEvaluate(const v1::JobSpec& spec) {
  return QuantizedBothWays(spec, &v1::JobSpec::mutable_evaluate);
}

constexpr KindPart kParts[] = {
    {.kind_case = v1::JobSpec::kFinetune,
     .check = CheckFinetune,
     .certain_failure = FinetuneFails,
     .leaner_forms = LeanerFinetune,
     .other_batches = OtherFinetuneBatches,
     .quantized_forms = QuantizedFinetune},
    {.kind_case = v1::JobSpec::kQuantize, .check = CheckQuantize, .certain_failure = QuantizeFails},
    {.kind_case = v1::JobSpec::kGenerate,
     .check = CheckGenerate,
     .leaner_forms = LeanerGenerate,
     .other_batches = OtherGenerateBatches,
     .quantized_forms = QuantizedGenerate},
    {.kind_case = v1::JobSpec::kEvaluate,
     .check = CheckEvaluate,
     .certain_failure = EvaluateFails,
     .leaner_forms = LeanerEvaluate,
     .other_batches = OtherEvaluateBatches,
     .quantized_forms = QuantizedEvaluate},
    {.kind_case = v1::JobSpec::kProfile, .check = CheckProfile},
};

}  // namespace

absl::Span<const KindPart> KindParts() {
  return kParts;
}

const KindPart* KindPartOf(const v1::JobSpec& spec) {
  return PartOfKind(spec.kind_case(), KindParts());
}

}  // namespace wattle::core
