// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/rounded_weights.h"

#include <algorithm>
#include <cstdint>

#include "base/status_macros.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/quant/recipe_formats.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kRowsTogether = 64;

// Each weight becomes the weight of its nearest code. values: float [rows, columns] of the host.
void RoundRows(kernels::WeightFormat format, const at::Tensor& source, at::Tensor& values) {
  const kernels::GroupCodec& codec = *kernels::OperationsOf(format.scheme).codec;
  const int64_t columns = source.size(1);
  const auto* weights = source.data_ptr<float>();
  auto* rounded = values.data_ptr<float>();
  const int64_t chunks = (source.size(0) + kRowsTogether - 1) / kRowsTogether;
  KernelThreads().ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    const int64_t first = chunk * kRowsTogether;
    const kernels::WeightMatrix piece{.format = format,
                                      .rows = std::min(kRowsTogether, source.size(0) - first),
                                      .columns = columns};
    std::vector<int8_t> codes(static_cast<size_t>(piece.rows * columns));
    std::vector<kernels::GroupScale> scales(
        static_cast<size_t>(piece.rows * kernels::GroupsOfRow(piece)));
    kernels::RoundToNearest(piece, weights + first * columns, absl::MakeSpan(codes),
                            absl::MakeSpan(scales));
    const auto group = static_cast<size_t>(kernels::GroupColumns(piece));
    for (size_t i = 0; i < codes.size(); ++i) {
      rounded[first * columns + static_cast<int64_t>(i)] =
          codec.decode(codes[i], scales[i / group]);
    }
  });
}

}  // namespace

absl::StatusOr<RoundedWeights> RoundedWeights::Make(const LoadedModel& model,
                                                    const v1::QuantizationRecipe& recipe) {
  const models::DecoderConfig& config = model.files.config;
  WATTLE_RETURN_IF_ERROR(CheckRecipeFits(recipe, config));
  RoundedWeights rounded;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    WATTLE_ASSIGN_OR_RETURN(const kernels::WeightFormat format,
                            FormatOfTensor(recipe, config, tensor));
    if (format.scheme != kernels::WeightScheme::kFloat32) {
      rounded.matrices_.push_back(
          {i, format, at::empty(tensor.shape, at::dtype(at::kFloat).device(model.decoder.device))});
    }
  }
  rounded.decoder_ = model.decoder;
  return rounded;
}

void RoundedWeights::Refresh(const LoadedModel& model) {
  DecoderWeights source = model.decoder.weights;  // shares the tensors
  decoder_ = model.decoder;
  for (Rounded& matrix : matrices_) {
    const models::ModelTensor& tensor = model.parameters[matrix.parameter].tensor;
    const at::Tensor weights = MatrixAt(source, tensor).value.cpu().contiguous();
    at::Tensor host = matrix.values.is_cpu() ? matrix.values : at::empty_like(weights);
    RoundRows(matrix.format, weights, host);
    if (!matrix.values.is_cpu()) {
      matrix.values.copy_(host);
    }
    MatrixAt(decoder_.weights, tensor).value = matrix.values;
  }
  TieHead(decoder_.config, decoder_.weights);
}

}  // namespace wattle::engine
