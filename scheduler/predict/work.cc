// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Computes the amount of work from a spec and its inputs, with one function for each kind of job.
#include "scheduler/predict/work.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "proto/job_kind.h"
#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_bounds.h"
#include "proto/spec_defaults.h"
#include "proto/training_signature.h"
#include "scheduler/predict/example_tokens.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/padding.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/work_units.h"

namespace wattle::scheduler {
namespace {

// The bytes of a trained weight, and what its optimizer keeps: two moments of four bytes, or of
// one with a scale for 256 numbers, or almost nothing.
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

// The declared shape, else the model artifact's shape.
absl::StatusOr<v1::ModelShape> ShapeOf(const v1::JobSpec& spec,
                                       absl::Span<const InputView> inputs) {
  const absl::string_view kind = KindOf(spec).name;
  if (const v1::ModelShape* declared = DeclaredModel(spec); declared != nullptr) {
    WATTLE_RETURN_IF_ERROR(CheckModelShape(*declared, absl::StrCat(kind, ".model_shape")));
    return *declared;
  }
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  if (model == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        kind,
        ".model: names no known artifact; push the model, or declare model_shape for a plan"));
  }
  WATTLE_RETURN_IF_ERROR(CheckModelShape(
      model->model_shape(), absl::StrCat(kind, ".model: artifact ", model->artifact_id())));
  return model->model_shape();
}

// How the job's model turns text into tokens.
TokenRates RatesOf(const ProfileTable& table, const v1::ModelShape& shape,
                   absl::Span<const InputView> inputs) {
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  return {.bytes_per_token = BytesPerToken(table, shape),
          .chat_template =
              model != nullptr && model->has_chat_template() ? &model->chat_template() : nullptr};
}

struct Examples {
  double count = 0;
  std::vector<double> token_quantiles = {};  // Tokens of one example; empty: unknown.
  // Of an example: tokens of its context, and the chance that the next example in the file has the
  // same one. 0: none is shared, or unknown.
  double context_tokens = 0;
  double shared_with_next = 0;
};

absl::StatusOr<Examples> ExamplesOf(absl::string_view field, const v1::ArtifactInfo* data,
                                    const TokenRates& rates) {
  if (data == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": names no known artifact; push the data set, or declare data_shape for a plan"));
  }
  const v1::DatasetStatistics& statistics = data->dataset();
  if (statistics.examples() < 1) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": artifact ", data->artifact_id(),
                                                   " holds no examples; push a data set"));
  }
  Examples examples{.count = static_cast<double>(statistics.examples())};
  if (statistics.contexts() > 0 && statistics.contexts() <= statistics.examples()) {
    examples.context_tokens = statistics.mean_context_byte_length() / rates.bytes_per_token;
    examples.shared_with_next = 1.0 - static_cast<double>(statistics.contexts()) / examples.count;
  }
  auto quantiles = TokenQuantiles(statistics, rates);
  if (!quantiles.ok()) {
    return WithContext(field, quantiles.status());
  }
  examples.token_quantiles = *std::move(quantiles);
  return examples;
}

struct Declared {
  bool present;
  const v1::DataShape& shape;
};

// Examples of real data from their statistics, of declared data from their mean length.
absl::StatusOr<Examples> ExamplesOf(absl::string_view field, Declared declared,
                                    const v1::ArtifactInfo* data, const TokenRates& rates) {
  if (!declared.present) {
    return ExamplesOf(field, data, rates);
  }
  Examples examples{.count = static_cast<double>(declared.shape.examples())};
  if (declared.shape.mean_tokens_per_example() > 0) {
    examples.token_quantiles.push_back(declared.shape.mean_tokens_per_example());
  }
  return examples;
}

double PaddedTokens(const Examples& examples, double batch, double limit) {
  return ExpectedMaximum(examples.token_quantiles, std::min(batch, examples.count), limit);
}

// Tokens of an example without padding, as in packed training. An evaluation sorts its examples by
// length, which leaves almost no padding.
double MeanTokens(const Examples& examples, double limit) {
  return PaddedTokens(examples, 1, limit);
}

// Tokens of an example in packed training, where neighbours of one forward pass with the same
// context share its tokens. Cut examples keep different parts of their context and share none.
double PackedTokens(const v1::FinetuneSpec& spec, const Examples& examples, double batch,
                    double limit) {
  const double mean = MeanTokens(examples, limit);
  if (spec.loss_on() == v1::LOSS_ON_ALL) {
    return mean;
  }
  const double pairs = (batch - 1.0) / batch * (1.0 - ShareAbove(examples.token_quantiles, limit));
  return std::max(1.0, mean - pairs * examples.shared_with_next * examples.context_tokens);
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

// Sets the recipe that the job will run with: the spec's, else the model files'.
template <typename Spec>
absl::Status SetQuantization(const Spec& spec, absl::Span<const InputView> inputs,
                             WorkAmount* work) {
  v1::WorkloadSignature& signature = work->signature;
  WATTLE_ASSIGN_OR_RETURN(
      const std::string wanted,
      WantedQuantization(spec.quantization(), spec.has_recipe() ? &spec.recipe() : nullptr));
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  if (!wanted.empty()) {
    signature.set_quantization(wanted);
    if (spec.recipe().exceptions_size() > 0) {  // the identity holds their hash alone
      *signature.mutable_recipe() = spec.recipe();
    }
  } else if (model != nullptr && !model->quantization().empty()) {
    signature.set_quantization(model->quantization());
    if (model->recipe().exceptions_size() > 0) {
      *signature.mutable_recipe() = model->recipe();
    }
  }
  return absl::OkStatus();
}

// What is trained, and beside which form of the weights.
absl::Status SetFinetuneMethod(const v1::FinetuneSpec& spec, absl::Span<const InputView> inputs,
                               WorkAmount* work) {
  SetTrainingSettings(spec, work->signature);
  if (!spec.has_lora()) {
    return SetQuantization(spec, {}, work);  // Of quantization-aware training; else FP32.
  }
  work->signature.set_adapter_rank(AdapterRankOf(spec.lora()));
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, inputs, work));
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

absl::StatusOr<WorkAmount> FinetuneWork(const v1::FinetuneSpec& spec, const v1::ModelShape& shape,
                                        absl::Span<const InputView> inputs,
                                        const ProfileTable& table) {
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
  const double every = spec.checkpoint_every_steps() > 0
                           ? static_cast<double>(spec.checkpoint_every_steps())
                           : kCheckpointEveryStepsDefault;
  work.checkpoints = std::floor(work.steps / every);
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

absl::StatusOr<WorkAmount> QuantizeWork(const v1::QuantizeSpec& spec, const v1::ModelShape& shape) {
  WorkAmount work;
  SetSignature(spec.quantization() == v1::QUANTIZATION_ADAPTIVE ? v1::METHOD_QUANTIZE_ADAPTIVE
               : spec.rounding() == v1::ROUNDING_COMPENSATED    ? v1::METHOD_QUANTIZE_COMPENSATED
                                                                : v1::METHOD_QUANTIZE,
               shape, &work);
  work.signature.set_quantization(kInt8Quantization);
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, {}, &work));
  work.units = work.parameters;
  work.steps = shape.layers();
  work.result_bytes = WeightBytesPerToken(work.signature);
  return work;
}

absl::StatusOr<WorkAmount> GenerateWork(const v1::GenerateSpec& spec, const v1::ModelShape& shape,
                                        absl::Span<const InputView> inputs,
                                        const ProfileTable& table) {
  WorkAmount work;
  SetSignature(v1::METHOD_GENERATE, shape, &work);
  work.signature.set_batch_size(std::max(1, spec.batch_size()));
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, inputs, &work));
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
  } else if (spec.prompt_count() > 0) {
    work.examples = static_cast<double>(spec.prompt_count());
  } else {
    WATTLE_ASSIGN_OR_RETURN(const Examples prompts,
                            ExamplesOf("generate.data", FindInput(inputs, "data"), rates));
    work.examples = prompts.count;
    if (!prompts.token_quantiles.empty()) {
      prompt_tokens = PaddedTokens(prompts, 1, shape.context_length());
    }
  }
  const double new_tokens = spec.max_new_tokens() > 0 ? spec.max_new_tokens() : kNewTokensDefault;
  work.tokens_per_example = GenerationUnits(prompt_tokens, new_tokens);
  work.units = work.examples * work.tokens_per_example;
  work.steps = work.examples * new_tokens;
  return work;
}

// The method that determines an evaluation's cost. Answers are generated in addition to the rest.
v1::Method EvaluateMethod(const v1::EvaluateSpec& spec) {
  if (spec.score_answers()) {
    return v1::METHOD_EVALUATE_ANSWERS;
  }
  return spec.reference_model().empty() ? v1::METHOD_EVALUATE : v1::METHOD_EVALUATE_AGAINST;
}

absl::StatusOr<WorkAmount> EvaluateWork(const v1::EvaluateSpec& spec, const v1::ModelShape& shape,
                                        absl::Span<const InputView> inputs,
                                        const ProfileTable& table) {
  WorkAmount work;
  SetSignature(EvaluateMethod(spec), shape, &work);
  WATTLE_RETURN_IF_ERROR(SetQuantization(spec, inputs, &work));
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

}  // namespace

const v1::ArtifactInfo* FindInput(absl::Span<const InputView> inputs, absl::string_view field) {
  for (const InputView& input : inputs) {
    if (input.field == field) {
      return &input.artifact;
    }
  }
  return nullptr;
}

absl::StatusOr<WorkAmount> WorkOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                                  const ProfileTable& table) {
  WATTLE_RETURN_IF_ERROR(CheckSpecBounds(spec));
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat("kind: missing; want one of ", JobKindNames()));
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::ModelShape shape, ShapeOf(spec, inputs));
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return FinetuneWork(spec.finetune(), shape, inputs, table);
    case v1::JobSpec::kQuantize:
      return QuantizeWork(spec.quantize(), shape);
    case v1::JobSpec::kGenerate:
      return GenerateWork(spec.generate(), shape, inputs, table);
    case v1::JobSpec::kEvaluate:
      return EvaluateWork(spec.evaluate(), shape, inputs, table);
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return absl::UnimplementedError(absl::StrCat(KindOf(spec).name, ": no amount of work"));
}

}  // namespace wattle::scheduler
