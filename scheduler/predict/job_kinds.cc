// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/job_kinds.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "proto/job_kind.h"
#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_defaults.h"
#include "proto/training_signature.h"
#include "scheduler/predict/answer_length.h"
#include "scheduler/predict/example_tokens.h"
#include "scheduler/predict/job_examples.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/padding.h"
#include "scheduler/profiles/work_units.h"

namespace wattle::scheduler {
namespace {

// Quantization reads a weight, finds a scale and writes: a few dozen operations for each parameter
// on one core.
constexpr double kSecondsPerQuantizedParameter = 2e-8;
// Compensated rounding takes two passes over 16,384 calibration tokens and the statistics of their
// inputs: about 10^5 operations for each parameter.
constexpr double kSecondsPerCompensatedParameter = 5e-6;
// A search for an adaptive recipe takes three such quantizations, and for each matrix one pass over
// an eighth of the text.
constexpr double kSecondsPerAdaptiveParameter = 5 * kSecondsPerCompensatedParameter;

// The bytes of a trained weight and of its optimizer state: two moments of four bytes, or of one
// byte with a scale for each 256 numbers, or almost nothing.
double CheckpointBytesPerParameter(v1::Optimizer optimizer, double weight_bytes) {
  switch (optimizer) {
    case v1::OPTIMIZER_ADAMW_8BIT:
      return weight_bytes + 2 * (1 + 4.0 / 256);
    case v1::OPTIMIZER_ADAFACTOR:
    case v1::OPTIMIZER_MEZO:
      return weight_bytes;
    default:
      return weight_bytes + 8;
  }
}
// Bytes of a prompt whose text is unknown.
constexpr double kPromptBytesDefault = 64;

// How the job's model turns text into tokens.
TokenRates RatesOf(const ProfileTable& table, const v1::ModelShape& shape,
                   absl::Span<const InputView> inputs) {
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  return {.bytes_per_token = BytesPerToken(table, shape),
          .chat_template =
              model != nullptr && model->has_chat_template() ? &model->chat_template() : nullptr};
}

void SetSignature(v1::Method method, const v1::ModelShape& shape, WorkAmount* work) {
  work->signature.set_method(method);
  *work->signature.mutable_model() = shape;
  work->signature.set_precision("fp32");
  work->signature.set_quantization("none");
  work->signature.set_engine("wattle");
  work->unit = KindOf(method).unit;
  work->parameters = ParameterCount(shape);
}

// Sets the recipe that the job will run with: the spec's, else `otherwise`, of this model.
template <typename Spec>
absl::Status SetQuantization(const Spec& spec, const v1::ArtifactInfo* model,
                             const std::string& otherwise, WorkAmount* work) {
  v1::WorkloadSignature& signature = work->signature;
  WATTLE_ASSIGN_OR_RETURN(
      const std::string wanted,
      WantedQuantization(spec.quantization(), spec.has_recipe() ? &spec.recipe() : nullptr));
  if (!wanted.empty()) {
    signature.set_quantization(wanted);
    if (spec.recipe().exceptions_size() > 0) {  // the identity holds only their hash
      *signature.mutable_recipe() = spec.recipe();
    }
  } else if (model != nullptr && !otherwise.empty()) {
    signature.set_quantization(otherwise);
    if (model->recipe().exceptions_size() > 0 && otherwise == StoredForm(model)) {
      *signature.mutable_recipe() = model->recipe();
    }
  }
  return absl::OkStatus();
}

// In a dry run on declared shapes (as in the published tables) an omitted batch or length is
// unknown, so the smallest value is assumed: a job that does not fit with it never fits. Otherwise
// the default applies.
int64_t OrUnknown(int64_t value, bool declared, int64_t otherwise) {
  return value > 0 ? value : declared ? 1 : otherwise;
}

// The quantization recipe that the spec asks for; `otherwise` if it asks for none.
template <typename Spec>
v1::QuantizationRecipe RecipeOf(const Spec& spec, const char* otherwise) {
  if (spec.has_recipe()) {
    return spec.recipe();
  }
  const auto wanted = WantedQuantization(spec.quantization(), nullptr);
  const auto named = RecipeOfIdentity(wanted.ok() && !wanted->empty() ? *wanted : otherwise);
  return named.ok() ? *named : v1::QuantizationRecipe();
}

// The smaller of both, if the data's longest example is known.
int64_t AtMost(int64_t tokens, int64_t longest) {
  return longest > 0 ? std::min(tokens, longest) : tokens;
}

// Sets the trained parameters and the form of the other weights.
absl::Status SetFinetuneMethod(const v1::FinetuneSpec& spec, absl::Span<const InputView> inputs,
                               WorkAmount* work) {
  SetTrainingSettings(spec, work->signature);
  if (!spec.has_lora()) {
    return SetQuantization(spec, nullptr, "", work);  // Form of quantization-aware training; else
                                                      // FP32.
  }
  work->signature.set_adapter_rank(AdapterRankOf(spec.lora()));
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  WATTLE_RETURN_IF_ERROR(
      SetQuantization(spec, model, model == nullptr ? "" : model->quantization(), work));
  work->signature.set_method(work->signature.quantization() == kNoQuantization
                                 ? v1::METHOD_FINETUNE_LORA
                                 : v1::METHOD_FINETUNE_QLORA);
  return absl::OkStatus();
}

// Adds the evaluations of held-out data before, after and, if requested, during the run, as
// training tokens of equal cost.
absl::Status AddHeldout(const v1::FinetuneSpec& spec, absl::Span<const InputView> inputs,
                        const TokenRates& rates, WorkAmount* work) {
  const v1::ArtifactInfo* const heldout = FindInput(inputs, "heldout_data");
  if (heldout == nullptr || work->unit != v1::WORK_UNIT_TRAINING_TOKEN) {
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(const Examples examples,
                          ExamplesOf("finetune.heldout_data", heldout, rates));
  if (examples.token_quantiles.empty()) {
    return absl::OkStatus();
  }
  double evaluations = 2;
  if (spec.evaluate_every_steps() > 0) {
    evaluations += std::max(
        0.0, std::ceil(work->steps / static_cast<double>(spec.evaluate_every_steps())) - 1);
  }
  const double tokens = MeanTokens(examples, work->signature.sequence_length());
  const int directions = MezoDirections(work->signature);
  work->units_of_heldout = evaluations * examples.count * tokens *
                           (directions > 0 ? 1.0 / (2 * directions) : kHeldoutTokenWeight);
  return absl::OkStatus();
}

absl::StatusOr<WorkAmount> FinetuneWork(const v1::JobSpec& job, const v1::ModelShape& shape,
                                        absl::Span<const InputView> inputs,
                                        const ProfileTable& table) {
  const v1::FinetuneSpec& spec = job.finetune();
  WorkAmount work;
  SetSignature(v1::METHOD_FINETUNE_FULL, shape, &work);
  WATTLE_RETURN_IF_ERROR(SetFinetuneMethod(spec, inputs, &work));
  const TokenRates rates = RatesOf(table, shape, inputs);
  WATTLE_ASSIGN_OR_RETURN(
      Examples examples,
      ExamplesOf("finetune.data", Declared{spec.has_data_shape(), spec.data_shape()},
                 FindInput(inputs, "data"), rates));
  if (spec.limit_examples() > 0) {
    examples.count = std::min(examples.count, static_cast<double>(spec.limit_examples()));
  }
  // A job on declared data may omit batch and length, and then they are unknown. A job on real data
  // runs with the defaults.
  const bool real = !spec.has_data_shape();
  const int batch = spec.batch_size() > 0 ? spec.batch_size() : kBatchSizeDefault;
  const int length = spec.sequence_length() > 0
                         ? std::min(spec.sequence_length(), shape.context_length())
                         : shape.context_length();
  work.signature.set_batch_size(real || spec.batch_size() > 0 ? batch : 0);
  work.signature.set_sequence_length(real || spec.sequence_length() > 0 ? length : 0);

  const double per_step =
      static_cast<double>(batch) * std::max(1, spec.gradient_accumulation_steps());
  if (spec.steps() > 0) {
    work.steps = static_cast<double>(spec.steps());
    work.examples = work.steps * per_step;
  } else {
    const double epochs = std::max(1, spec.epochs());
    work.examples = examples.count * epochs;
    work.steps = std::ceil(work.examples / per_step);  // A batch may span two epochs.
  }
  if (examples.token_quantiles.empty()) {
    work.unit = v1::WORK_UNIT_EXAMPLE;
    work.units = work.examples;
  } else {
    work.tokens_per_example = spec.packing() ? PackedTokens(spec, examples, batch, length)
                                             : PaddedTokens(examples, batch, length);
    work.truncated_share = ShareAbove(examples.token_quantiles, length);
    work.units = work.examples * work.tokens_per_example;
  }
  WATTLE_RETURN_IF_ERROR(AddHeldout(spec, inputs, rates, &work));
  work.checkpoint_every_steps = static_cast<double>(spec.checkpoint_every_steps());
  const double trained =
      spec.has_lora()          ? AdapterParameterCount(shape, work.signature.adapter_rank())
      : spec.last_layers() > 0 ? LastLayersParameterCount(shape, spec.last_layers())
                               : work.parameters;
  // Adapters are FP32 beside weights of any form.
  const double weight_bytes =
      !spec.has_lora() && spec.weights_precision() == v1::WEIGHTS_PRECISION_BF16 ? 2 : 4;
  work.checkpoint_bytes = CheckpointBytesPerParameter(spec.optimizer(), weight_bytes) * trained;
  work.result_bytes =
      weight_bytes * (spec.has_lora() && !spec.lora().merge() ? trained : work.parameters);
  return work;
}

HeldExamples FinetuneExamples(const v1::JobSpec& spec) {
  return {.sequence_length = spec.finetune().sequence_length(),
          .limit_examples = spec.finetune().limit_examples()};
}

MemoryWorkload FinetuneMemory(const v1::JobSpec& spec, int64_t max_positions,
                              const DataMemory& data) {
  MemoryWorkload workload;
  const v1::FinetuneSpec& finetune = spec.finetune();
  const bool declared = finetune.has_model_shape();
  workload.task = MemoryTask::kFinetune;
  workload.batch = OrUnknown(finetune.batch_size(), declared, kBatchSizeDefault);
  const int64_t length = std::min<int64_t>(
      OrUnknown(finetune.sequence_length(), declared, max_positions), max_positions);
  workload.sequence_tokens = AtMost(length, data.longest_tokens);
  if (!finetune.heldout_data().empty()) {
    workload.heldout_tokens = AtMost(length, data.heldout_longest_tokens);
  }
  workload.activation_checkpointing = finetune.activation_checkpointing();
  workload.rounded_factors = RoundsFactors(finetune.precision());
  workload.bf16_matrices = finetune.weights_precision() == v1::WEIGHTS_PRECISION_BF16;
  workload.trained_layers = finetune.last_layers();
  workload.forward_only = finetune.optimizer() == v1::OPTIMIZER_MEZO;
  workload.optimizer = finetune.optimizer();
  workload.update_in_backward = finetune.update_in_backward();
  if (finetune.has_lora()) {
    workload.adapter_rank = AdapterRankOf(finetune.lora());
    workload.adapter_dropout = finetune.lora().dropout();
    workload.adapter_targets.assign(finetune.lora().targets().begin(),
                                    finetune.lora().targets().end());
  }
  // With adapters: the form of the frozen weights, or FP32, the largest, if the spec names none.
  // Without adapters: the form to which training rounds.
  workload.recipe = RecipeOf(finetune, kNoQuantization);
  return workload;
}

absl::StatusOr<WorkAmount> QuantizeWork(const v1::JobSpec& job, const v1::ModelShape& shape,
                                        absl::Span<const InputView> /*inputs*/,
                                        const ProfileTable& /*table*/) {
  const v1::QuantizeSpec& spec = job.quantize();
  WorkAmount work;
  SetSignature(spec.quantization() == v1::QUANTIZATION_ADAPTIVE ? v1::METHOD_QUANTIZE_ADAPTIVE
               : spec.rounding() == v1::ROUNDING_COMPENSATED    ? v1::METHOD_QUANTIZE_COMPENSATED
                                                                : v1::METHOD_QUANTIZE,
               shape, &work);
  work.signature.set_quantization(kInt8Quantization);
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, nullptr, "", &work));
  work.units = work.parameters;
  work.steps = shape.layers();
  work.result_bytes = WeightBytesPerToken(work.signature);
  return work;
}

MemoryWorkload QuantizeMemory(const v1::JobSpec& spec, int64_t /*max_positions*/,
                              const DataMemory& /*data*/) {
  const v1::QuantizeSpec& quantize = spec.quantize();
  return {
      .task = quantize.quantization() == v1::QUANTIZATION_ADAPTIVE ? MemoryTask::kQuantizeAdaptive
              : quantize.rounding() == v1::ROUNDING_COMPENSATED ? MemoryTask::kQuantizeCompensated
                                                                : MemoryTask::kQuantize,
      .calibration_tokens = quantize.calibration_tokens(),
      .recipe = RecipeOf(quantize, kInt8Quantization)};
}

absl::StatusOr<WorkAmount> GenerateWork(const v1::JobSpec& job, const v1::ModelShape& shape,
                                        absl::Span<const InputView> inputs,
                                        const ProfileTable& table) {
  const v1::GenerateSpec& spec = job.generate();
  WorkAmount work;
  SetSignature(v1::METHOD_GENERATE, shape, &work);
  work.signature.set_batch_size(std::max(1, spec.batch_size()));
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, model, StoredForm(model), &work));
  TokenRates rates = RatesOf(table, shape, inputs);
  rates.is_prompt = true;
  rates.chat = spec.chat();
  const double written =
      spec.chat() && rates.chat_template != nullptr ? TokensBesideText(1, rates) : 0;
  double prompt_tokens = kPromptBytesDefault / rates.bytes_per_token + written;
  if (spec.prompts_size() > 0) {
    work.examples = spec.prompts_size();
    double bytes = 0;
    for (const std::string& prompt : spec.prompts()) {
      bytes += static_cast<double>(prompt.size());
    }
    prompt_tokens = bytes / rates.bytes_per_token / work.examples + written;
  } else if (!spec.data().empty() || spec.prompt_count() == 0) {
    WATTLE_ASSIGN_OR_RETURN(const Examples prompts,
                            ExamplesOf("generate.data", FindInput(inputs, "data"), rates));
    work.examples = prompts.count;
    if (!prompts.token_quantiles.empty()) {
      prompt_tokens = PaddedTokens(prompts, 1, shape.context_length());
    }
  }
  if (spec.prompt_count() > 0) {  // Declared prompts, or the number of prompts in a profile job's
                                  // run.
    work.examples = static_cast<double>(spec.prompt_count());
  }
  const double most = spec.max_new_tokens() > 0 ? spec.max_new_tokens() : kNewTokensDefault;
  const AnswerLength answer = ExpectedAnswerLength(
      table, {shape, model == nullptr ? "" : model->artifact_id()}, work.examples, most);
  work.tokens_per_example = GenerationUnits(prompt_tokens, answer.tokens);
  work.units = work.examples * work.tokens_per_example;
  work.steps = work.examples * answer.tokens;
  if (answer.deviation > 0) {
    work.end_deviation = answer.deviation;
    work.units_at_most = work.examples * GenerationUnits(prompt_tokens, most);
  }
  return work;
}

int64_t LongestPrompt(const v1::JobSpec& job, const v1::ArtifactInfo* data,
                      const TokenRates& of_model) {
  const v1::GenerateSpec& spec = job.generate();
  TokenRates rates = of_model;
  rates.is_prompt = true;
  rates.chat = spec.chat();
  if (spec.chat() && rates.chat_template == nullptr) {
    return 0;
  }
  if (data != nullptr) {
    return data->dataset().byte_length_quantiles().empty()
               ? 0
               : static_cast<int64_t>(std::ceil(MostTokens(data->dataset(), rates)));
  }
  size_t bytes = 0;
  for (const std::string& prompt : spec.prompts()) {
    bytes = std::max(bytes, prompt.size());
  }
  // A token has at least one byte of text. Some tokenizers put a space before the text.
  return bytes == 0
             ? 0
             : static_cast<int64_t>(bytes) + 1 +
                   static_cast<int64_t>(std::ceil(TokensBesideText(spec.chat() ? 1 : 0, rates)));
}

// The runner keeps room for the longest prompt and its answer. If no prompt is known, the model's
// context counts.
MemoryWorkload GenerateMemory(const v1::JobSpec& job, int64_t max_positions,
                              const DataMemory& data) {
  const v1::GenerateSpec& spec = job.generate();
  const int64_t new_tokens = spec.max_new_tokens() > 0 ? spec.max_new_tokens() : kNewTokensDefault;
  return {.task = MemoryTask::kGenerate,
          .batch = std::max(1, spec.batch_size()),
          .sequence_tokens = data.longest_tokens > 0
                                 ? std::min(data.longest_tokens + new_tokens, max_positions)
                                 : max_positions,
          .recipe = RecipeOf(spec, kNoQuantization)};
}

// The method that determines an evaluation's cost. Answers are generated in addition to the rest.
v1::Method EvaluateMethod(const v1::EvaluateSpec& spec) {
  if (spec.score_answers()) {
    return v1::METHOD_EVALUATE_ANSWERS;
  }
  return spec.reference_model().empty() ? v1::METHOD_EVALUATE : v1::METHOD_EVALUATE_AGAINST;
}

absl::StatusOr<WorkAmount> EvaluateWork(const v1::JobSpec& job, const v1::ModelShape& shape,
                                        absl::Span<const InputView> inputs,
                                        const ProfileTable& table) {
  const v1::EvaluateSpec& spec = job.evaluate();
  WorkAmount work;
  SetSignature(EvaluateMethod(spec), shape, &work);
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, model, StoredForm(model), &work));
  const TokenRates rates = RatesOf(table, shape, inputs);
  const v1::ArtifactInfo* const data = FindInput(inputs, "data");
  const int batch = spec.batch_size() > 0 ? spec.batch_size() : kBatchSizeDefault;
  const double context = shape.context_length();
  work.signature.set_batch_size(batch);
  if (!spec.has_data_shape() && data != nullptr && data->dataset().format() == "text") {
    // Windows overlap by half, so each token is read about twice.
    const double window = std::min<double>(context, kTextWindowTokensMax);
    const double tokens =
        std::max(1.0, static_cast<double>(data->size_bytes()) / rates.bytes_per_token);
    work.examples = 1 + std::ceil(std::max(0.0, tokens - window) / (window / 2));
    work.tokens_per_example = std::min(window, tokens);
    work.signature.set_sequence_length(static_cast<int>(window));
  } else {
    WATTLE_ASSIGN_OR_RETURN(
        const Examples examples,
        ExamplesOf("evaluate.data", Declared{spec.has_data_shape(), spec.data_shape()}, data,
                   rates));
    const double length =
        spec.sequence_length() > 0 ? std::min<double>(spec.sequence_length(), context) : context;
    work.examples = examples.count;
    if (spec.limit_examples() > 0) {
      work.examples = std::min(work.examples, static_cast<double>(spec.limit_examples()));
    }
    work.signature.set_sequence_length(static_cast<int>(length));
    if (examples.token_quantiles.empty()) {
      work.unit = v1::WORK_UNIT_EXAMPLE;
    } else {
      work.tokens_per_example = MeanTokens(examples, length);
      work.truncated_share = ShareAbove(examples.token_quantiles, length);
    }
  }
  work.units =
      work.unit == v1::WORK_UNIT_EXAMPLE ? work.examples : work.examples * work.tokens_per_example;
  work.steps = std::ceil(work.examples / batch);
  if (spec.score_answers()) {
    const int tokens = spec.max_answer_tokens() > 0 ? spec.max_answer_tokens() : kNewTokensDefault;
    // The question is one pass. Answers end before their limit: half of the tokens are expected.
    work.answer_passes_per_example = 1 + tokens / 2.0;
  }
  return work;
}

HeldExamples EvaluateExamples(const v1::JobSpec& spec) {
  return {.sequence_length = spec.evaluate().sequence_length(),
          .limit_examples = spec.evaluate().limit_examples(),
          .half_windows = true,
          .questions = spec.evaluate().score_answers()};
}

MemoryWorkload EvaluateMemory(const v1::JobSpec& spec, int64_t max_positions,
                              const DataMemory& data) {
  MemoryWorkload workload;
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  const bool declared = evaluate.has_model_shape();
  workload.task = MemoryTask::kEvaluate;
  workload.batch = OrUnknown(evaluate.batch_size(), declared, kBatchSizeDefault);
  const int64_t asked = data.is_text ? 0 : evaluate.sequence_length();
  const bool known = data.longest_tokens > 0 && !data.is_text;
  workload.sequence_tokens = std::min<int64_t>(
      OrUnknown(asked, declared, known ? max_positions : kTextWindowTokensMax), max_positions);
  // Without quantization the model's recipe is unknown; FP32, the largest form, is assumed.
  workload.recipe = RecipeOf(evaluate, kNoQuantization);
  workload.beside_reference = !evaluate.reference_model().empty();
  workload.reference_recipe = data.reference_recipe;
  workload.answers = evaluate.score_answers();
  workload.questions_bytes = data.questions_bytes;
  workload.reading_questions_bytes = data.reading_questions_bytes;
  if (!workload.answers) {  // An answer adds tokens after an example's prompt.
    workload.sequence_tokens = AtMost(workload.sequence_tokens, data.longest_tokens);
  }
  return workload;
}

// An evaluation's cost depends on whether it generates answers or has a second model beside it.
std::string EvaluateProbe(const v1::JobSpec& spec) {
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  return absl::StrCat(" --kind evaluate --data ", evaluate.data(),
                      evaluate.score_answers() ? " --score-answers" : "",
                      evaluate.reference_model().empty()
                          ? ""
                          : absl::StrCat(" --reference-model ", evaluate.reference_model()));
}

constexpr MethodCost kFinetuneMethods[] = {{.method = v1::METHOD_FINETUNE_FULL, .steps_cost = true},
                                           {.method = v1::METHOD_FINETUNE_LORA},
                                           {.method = v1::METHOD_FINETUNE_QLORA}};
constexpr MethodCost kQuantizeMethods[] = {
    {.method = v1::METHOD_QUANTIZE,
     .currency = Currency::kParameters,
     .seconds_per_parameter = kSecondsPerQuantizedParameter},
    {.method = v1::METHOD_QUANTIZE_COMPENSATED,
     .currency = Currency::kParameters,
     .seconds_per_parameter = kSecondsPerCompensatedParameter},
    {.method = v1::METHOD_QUANTIZE_ADAPTIVE,
     .currency = Currency::kParameters,
     .seconds_per_parameter = kSecondsPerAdaptiveParameter}};
constexpr MethodCost kGenerateMethods[] = {
    {.method = v1::METHOD_GENERATE, .currency = Currency::kWeightBytes, .pass_per_unit = true}};
constexpr MethodCost kEvaluateMethods[] = {
    {.method = v1::METHOD_EVALUATE, .forward_passes = 1, .models_per_batch = 1},
    // Both models read each token.
    {.method = v1::METHOD_EVALUATE_AGAINST, .forward_passes = 2, .models_per_batch = 2},
    // A question is read for its loss and for its answer.
    {.method = v1::METHOD_EVALUATE_ANSWERS,
     .forward_passes = 2,
     .models_per_batch = 1,
     .passes_read_weights = true}};

constexpr KindPart kParts[] = {
    {.kind_case = v1::JobSpec::kFinetune,
     .work = FinetuneWork,
     .memory = FinetuneMemory,
     .methods = kFinetuneMethods,
     .examples = FinetuneExamples},
    {.kind_case = v1::JobSpec::kQuantize,
     .work = QuantizeWork,
     .memory = QuantizeMemory,
     .methods = kQuantizeMethods},
    {.kind_case = v1::JobSpec::kGenerate,
     .work = GenerateWork,
     .memory = GenerateMemory,
     .methods = kGenerateMethods,
     .longest_prompt = LongestPrompt},
    {.kind_case = v1::JobSpec::kEvaluate,
     .work = EvaluateWork,
     .memory = EvaluateMemory,
     .methods = kEvaluateMethods,
     .examples = EvaluateExamples,
     .probe_options = EvaluateProbe},
};

}  // namespace

std::string StoredForm(const v1::ArtifactInfo* model) {
  return model == nullptr      ? ""
         : model->has_recipe() ? RecipeIdentity(model->recipe())
                               : model->quantization();
}

absl::Span<const KindPart> KindParts() {
  return kParts;
}

const KindPart* KindPartOf(const v1::JobSpec& spec) {
  return PartOfKind(spec.kind_case(), KindParts());
}

const MethodCost& MethodCostOf(v1::Method method) {
  static constexpr MethodCost kUnknown = {};
  for (const KindPart& part : kParts) {
    for (const MethodCost& cost : part.methods) {
      if (cost.method == method) {
        return cost;
      }
    }
  }
  return kUnknown;
}

}  // namespace wattle::scheduler
