// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/calibrate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "models/memory_estimate.h"
#include "models/model_directory.h"
#include "worker/engine/kernels/gptq.h"
#include "worker/engine/models/block.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/train/examples.h"

namespace wattle::engine {
namespace {

// A lower bound of an example's length, for reading enough examples to have the required tokens.
constexpr int64_t kLeastTokensOfAnExample = 8;

// Damping for a table whose rows are looked up as well as multiplied. The head's inputs span few
// directions, and error compensation moves the table's error into all others, where the looked-up
// rows carry it into the first layer. The damping penalizes errors in those directions, too.
constexpr double kLookedUpDamping = 0.3;

absl::Span<float> FloatsOf(at::Tensor& values) {
  return {values.data_ptr<float>(), static_cast<size_t>(values.numel())};
}

// Statistics of the inputs of a matrix.
class InputStatistics {
 public:
  explicit InputStatistics(int64_t columns)
      : hessian_(columns), peaks_(at::zeros({columns}, at::kFloat)) {}

  // inputs: float [rows, columns].
  void Add(const at::Tensor& inputs) {
    const at::Tensor rows = inputs.contiguous();
    const at::Tensor products = at::mm(rows.t(), rows);
    // The product in FP32 uses the fast kernels; only the sum over sequences needs doubles.
    hessian_.AddProducts(products.data_ptr<float>(), rows.size(0));
    peaks_ = at::maximum(peaks_, rows.abs().amax(0));
  }

  // Factors that even out inputs and weights. weights: float [outputs, columns]. Afterwards the
  // statistics are those of the inputs divided by the factors.
  at::Tensor EvenOut(const at::Tensor& weights) {
    at::Tensor factors = at::ones_like(peaks_);
    at::Tensor weight_peaks = weights.abs().amax(0);
    kernels::EvenOutColumns(FloatsOf(peaks_), FloatsOf(weight_peaks), FloatsOf(factors));
    // The statistics follow analytically, so the text need not be read again with rescaled inputs.
    hessian_.DivideColumns(FloatsOf(factors));
    peaks_.div_(factors);
    return factors;
  }

  [[nodiscard]] const kernels::InputHessian& hessian() const { return hessian_; }

 private:
  kernels::InputHessian hessian_;
  at::Tensor peaks_;  // float [columns], the largest magnitudes
};

class Calibration {
 public:
  Calibration(const formats::TensorSource& file, const CalibrationText& text,
              const std::function<bool(int64_t)>& on_quantized, LoadedModel& model,
              ParentPass* parent)
      : file_(file), text_(text), on_quantized_(on_quantized), model_(model), parent_(parent) {}

  absl::Status Run() {
    DecoderWeights& weights = model_.decoder.weights;
    const models::DecoderConfig& config = model_.files.config;
    const Parameter* tokens = nullptr;
    const Parameter* head = nullptr;
    for (const Parameter& parameter : model_.parameters) {
      tokens = parameter.tensor.slot == models::Slot::kTokens ? &parameter : tokens;
      const bool is_head = parameter.tensor.slot == models::Slot::kHead;
      head = is_head && parameter.tensor.is_matrix() ? &parameter : head;
    }
    WATTLE_RETURN_IF_ERROR(ReadFloatMatrix(*tokens));
    for (const std::vector<int64_t>& sequence : text_) {
      streams_.push_back(EmbedTokens(model_.decoder, sequence));
    }
    if (parent_ != nullptr) {
      parent_->outputs.clear();
      for (const std::vector<int64_t>& sequence : parent_->text) {
        parent_->outputs.push_back(EmbedTokens(model_.decoder, sequence));
      }
    }
    if (head != nullptr && !tokens->in_arena()) {
      // Its rows are looked up, not multiplied: it has no inputs to calibrate with.
      MatrixWeights& table = MatrixAt(weights, tokens->tensor);
      WATTLE_ASSIGN_OR_RETURN(table, PackFloats(tokens->tensor.name, tokens->format, table.value));
      WATTLE_RETURN_IF_ERROR(Tell(tokens->tensor.element_count()));
    }
    for (size_t layer = 0; layer < config.layers.size(); ++layer) {
      WATTLE_RETURN_IF_ERROR(RunLayer(layer));
    }
    WATTLE_RETURN_IF_ERROR(RoundHead(head == nullptr ? *tokens : *head, head == nullptr));
    TieHead(config, weights);
    return absl::OkStatus();
  }

 private:
  // Reads the matrix in FP32 to its place, unless the model already has it.
  absl::Status ReadFloatMatrix(const Parameter& parameter) {
    if (parameter.in_arena()) {
      return absl::OkStatus();
    }
    at::Tensor values = at::empty(parameter.tensor.shape, at::kFloat);
    WATTLE_RETURN_IF_ERROR(ReadFloats(file_, NamesInFile(model_.files, parameter.tensor),
                                      parameter.tensor.layout, values));
    MatrixAt(model_.decoder.weights, parameter.tensor).value = std::move(values);
    return absl::OkStatus();
  }

  // Multiplies columns by the factors, and divides the outputs of the norm before the matrix by
  // them.
  static void Rescale(const at::Tensor& factors, NormWeights& norm, MatrixWeights& matrix) {
    matrix.value.mul_(factors);
    norm.weight.div_(factors);
    if (norm.bias.defined()) {
      norm.bias.div_(factors);
    }
  }

  // Whether a norm's outputs are proportional to its weight, as Rescale requires.
  [[nodiscard]] bool CanRescale() const {
    return model_.files.config.norm != models::Norm::kRmsNormPlusOne;
  }

  // Replaces the FP32 matrix in its place by the rounded one.
  absl::Status Round(const Parameter& parameter, const kernels::InputHessian& hessian,
                     const kernels::GptqSettings& settings = {}) {
    MatrixWeights& matrix = MatrixAt(model_.decoder.weights, parameter.tensor);
    const at::Tensor values = matrix.value.contiguous();
    const kernels::WeightMatrix shape{
        .format = parameter.format, .rows = values.size(0), .columns = values.size(1)};
    std::vector<int8_t> codes(static_cast<size_t>(values.numel()));
    std::vector<kernels::GroupScale> scales(
        static_cast<size_t>(shape.rows * kernels::GroupsOfRow(shape)));
    const absl::Status rounded = kernels::RoundWithCompensation(
        shape, values.data_ptr<float>(), hessian, settings, KernelThreads(), absl::MakeSpan(codes),
        absl::MakeSpan(scales));
    if (!rounded.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(parameter.tensor.name, ": ", std::string(rounded.message())));
    }
    matrix = PackCodes(parameter.format, shape.rows, shape.columns, {codes, scales});
    return Tell(values.numel());
  }

  absl::Status Tell(int64_t weights) const {
    const bool go_on = !on_quantized_ || on_quantized_(weights);
    return go_on ? absl::OkStatus() : absl::CancelledError("stopped while quantizing");
  }

  // A matrix of one layer, the activation that is its input, and the norm that produces this input
  // (null: not a norm, or the norm must not be rescaled).
  struct LayerMatrix {
    const Parameter* parameter;
    at::Tensor BlockActivations::*input;
    NormWeights* norm;
  };

  std::vector<LayerMatrix> MatricesOf(size_t layer) {
    BlockWeights& block = model_.decoder.weights.blocks[layer];
    // If one norm feeds two matrices, each would need its own factors.
    const bool evened = CanRescale() && model_.files.config.layers[layer].residual !=
                                            models::Residual::kParallelOneNorm;
    std::vector<LayerMatrix> matrices;
    for (const Parameter& parameter : model_.parameters) {
      const models::ModelTensor& tensor = parameter.tensor;
      if (tensor.layer != static_cast<int64_t>(layer) || !tensor.is_matrix() ||
          parameter.in_arena()) {
        continue;
      }
      switch (tensor.slot) {
        case models::Slot::kQkv:
          matrices.push_back({&parameter, &BlockActivations::attention_input,
                              evened ? &block.attention_norm : nullptr});
          break;
        case models::Slot::kAttentionOutput:
          matrices.push_back({&parameter, &BlockActivations::merged, nullptr});
          break;
        case models::Slot::kUp:
          matrices.push_back(
              {&parameter, &BlockActivations::mlp_input, evened ? &block.mlp_norm : nullptr});
          break;
        case models::Slot::kDown:
          matrices.push_back({&parameter, &BlockActivations::activated, nullptr});
          break;
        default:
          break;
      }
    }
    return matrices;
  }

  absl::Status RunLayer(size_t layer) {
    const std::vector<LayerMatrix> matrices = MatricesOf(layer);
    std::vector<InputStatistics> statistics;
    for (const LayerMatrix& matrix : matrices) {
      WATTLE_RETURN_IF_ERROR(ReadFloatMatrix(*matrix.parameter));
      statistics.emplace_back(matrix.parameter->tensor.shape[1]);
    }
    const BlockWeights& block = model_.decoder.weights.blocks[layer];
    if (parent_ != nullptr) {
      // Before the matrices are rounded: these are the unquantized model's results.
      for (at::Tensor& stream : parent_->outputs) {
        BlockContext context = ContextOf(model_.decoder, layer, {{1, stream.size(0)}});
        // The parent is the reference, so it keeps FP32 keys and values.
        context.int8_keys_and_values = false;
        stream = BlockForward(context, block, stream, nullptr);
      }
    }
    // The inputs of all four matrices come from one pass, so errors are compensated from layer to
    // layer, not within a layer.
    for (const at::Tensor& stream : streams_) {
      BlockActivations activations;
      BlockForward(ContextOf(model_.decoder, layer, {{1, stream.size(0)}}), block, stream,
                   &activations);
      for (size_t i = 0; i < matrices.size(); ++i) {
        statistics[i].Add(activations.*matrices[i].input);
      }
    }
    for (size_t i = 0; i < matrices.size(); ++i) {
      const Parameter& parameter = *matrices[i].parameter;
      MatrixWeights& matrix = MatrixAt(model_.decoder.weights, parameter.tensor);
      if (matrices[i].norm != nullptr) {
        Rescale(statistics[i].EvenOut(matrix.value), *matrices[i].norm, matrix);
      }
      WATTLE_RETURN_IF_ERROR(Round(parameter, statistics[i].hessian()));
    }
    // The next layer must see, and can compensate, the error of this rounded layer.
    for (at::Tensor& stream : streams_) {
      stream = BlockForward(ContextOf(model_.decoder, layer, {{1, stream.size(0)}}), block, stream,
                            nullptr);
    }
    return absl::OkStatus();
  }

  // tied: the matrix is also the token embedding, so its columns are not rescaled.
  absl::Status RoundHead(const Parameter& head, bool tied) {
    WATTLE_RETURN_IF_ERROR(tied ? absl::OkStatus() : ReadFloatMatrix(head));
    if (parent_ != nullptr) {
      for (at::Tensor& stream : parent_->outputs) {
        stream = HeadInput(model_.decoder, stream);
      }
      // An untied head's columns will be rescaled in place, so copy it.
      const at::Tensor& values = MatrixAt(model_.decoder.weights, head.tensor).value;
      parent_->head = tied ? values : values.clone();
    }
    if (head.in_arena()) {
      return absl::OkStatus();
    }
    InputStatistics statistics(head.tensor.shape[1]);
    for (const at::Tensor& stream : streams_) {
      statistics.Add(HeadInput(model_.decoder, stream));
    }
    DecoderWeights& weights = model_.decoder.weights;
    MatrixWeights& matrix = MatrixAt(weights, head.tensor);
    if (!tied && CanRescale()) {
      Rescale(statistics.EvenOut(matrix.value), weights.final_norm, matrix);
    }
    return Round(
        head, statistics.hessian(),
        // A tied matrix is also looked up, see kLookedUpDamping.
        tied ? kernels::GptqSettings{.damping = kLookedUpDamping} : kernels::GptqSettings{});
  }

  const formats::TensorSource& file_;
  const CalibrationText& text_;
  const std::function<bool(int64_t)>& on_quantized_;
  LoadedModel& model_;
  ParentPass* parent_;               // may be null
  std::vector<at::Tensor> streams_;  // per sequence, float [tokens, width]: the next layer's input
};

}  // namespace

absl::StatusOr<CalibrationText> ReadCalibrationText(const std::string& path,
                                                    const formats::BytePairEncoding& tokenizer,
                                                    const models::DecoderConfig& config,
                                                    int64_t tokens) {
  const int64_t wanted = tokens == 0 ? models::kCalibrationTokens : tokens;
  WATTLE_ASSIGN_OR_RETURN(const formats::PackedExamples examples,
                          LoadExamples(path, /*model_directory=*/"", tokenizer, config,
                                       {.limit_examples = wanted / kLeastTokensOfAnExample + 1,
                                        .sequence_length = std::min(
                                            config.max_positions, models::kCalibrationWindowTokens),
                                        .loss_on = formats::LossOn::kAll}));
  CalibrationText text;
  int64_t read = 0;
  for (size_t i = 0; i < examples.pool.size() && read < wanted; ++i) {
    std::vector<int64_t> sequence = examples.pool.Tokens(i);
    sequence.resize(std::min(sequence.size(), static_cast<size_t>(wanted - read)));
    read += static_cast<int64_t>(sequence.size());
    text.push_back(std::move(sequence));
  }
  if (read < config.width) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", read, " tokens of calibration text; this model wants at least ",
                     config.width, ", give a longer file or more calibration_tokens"));
  }
  return text;
}

absl::Status QuantizeCalibrated(const CalibrationText& text,
                                const std::function<bool(int64_t weights)>& on_quantized,
                                LoadedModel& model, ParentPass* parent) {
  WATTLE_ASSIGN_OR_RETURN(const auto weights,
                          models::OpenWeights(model.directory, model.files.config));
  return Calibration(*weights, text, on_quantized, model, parent).Run();
}

}  // namespace wattle::engine
