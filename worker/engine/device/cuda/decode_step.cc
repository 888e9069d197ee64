// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/decode_step.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::cuda {
namespace {

using kernels::DecodeLayer;
using kernels::DecodeModel;
using kernels::WeightMatrix;
using kernels::WeightScheme;

constexpr int kMaxHeadSize = 256;
constexpr int kAlignmentBytes = 16;

const char* FormatOf(WeightScheme scheme) {
  switch (scheme) {
    case WeightScheme::kFloat32:
      return "fp32";
    case WeightScheme::kInt8:
      return "int8";
    case WeightScheme::kInt4:
      return "int4";
    case WeightScheme::kInt4Asymmetric:
      return "int4a";
    case WeightScheme::kNf4:
      return "nf4";
    case WeightScheme::kNf4DoubleQuantized:
      return "nf4dq";
    case WeightScheme::kBf16:
      return "bf16";
  }
  return "";
}

bool InPanels(WeightScheme scheme) {
  return scheme == WeightScheme::kInt8 || scheme == WeightScheme::kInt4 ||
         scheme == WeightScheme::kInt4Asymmetric || scheme == WeightScheme::kNf4;
}

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int QkvRows(const DecodeLayer& layer) {
  return static_cast<int>((layer.heads + 2 * layer.kv_heads) * layer.head_size);
}

int WidthStride(const DecodeModel& model) {
  return static_cast<int>(RoundUp(model.width, 4));
}

int InnerStride(const DecodeModel& model) {
  int64_t inner = 0;
  for (const DecodeLayer& layer : model.layers) {
    inner = std::max<int64_t>({inner, QkvRows(layer), layer.down.columns});
  }
  return static_cast<int>(RoundUp(inner, 4));
}

// Of the keys, or the values, of one layer.
int64_t CachedElements(const DecodeLayer& layer, const DecodeCache& cache) {
  return int64_t{cache.slots} * layer.kv_heads * cache.capacity * layer.head_size;
}

int64_t CachedBytes(const DecodeLayer& layer, const DecodeCache& cache) {
  return RoundUp(CachedElements(layer, cache) * (cache.int8 ? 1 : 2), kAlignmentBytes);
}

int64_t ScaleBytes(const DecodeLayer& layer, const DecodeCache& cache) {
  return cache.int8 ? RoundUp(CachedElements(layer, cache) / layer.head_size * 4, kAlignmentBytes)
                    : 0;
}

absl::Status CheckMatrix(const WeightMatrix& matrix) {
  if (reinterpret_cast<uintptr_t>(matrix.packed) % kAlignmentBytes != 0 ||
      reinterpret_cast<uintptr_t>(matrix.scales) % kAlignmentBytes != 0) {
    return absl::UnimplementedError("cuda: a matrix that does not begin at a multiple of 16 bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckLayer(const DecodeLayer& layer) {
  if (layer.head_size > kMaxHeadSize) {
    return absl::UnimplementedError(
        absl::StrCat("cuda: a head size of ", layer.head_size, "; wanted at most ", kMaxHeadSize));
  }
  if (layer.gated && InPanels(layer.up.format.scheme) &&
      layer.up.rows % (2 * kernels::kPanelRows) != 0) {
    return absl::UnimplementedError(absl::StrCat("cuda: a gated MLP of width ", layer.up.rows / 2,
                                                 "; wanted a multiple of ", kernels::kPanelRows));
  }
  for (const WeightMatrix* matrix : {&layer.qkv, &layer.attention_output, &layer.up, &layer.down}) {
    WATTLE_RETURN_IF_ERROR(CheckMatrix(*matrix));
  }
  return absl::OkStatus();
}

template <typename Arguments>
KernelLaunch LaunchOf(std::string source, std::string kernel, int blocks,
                      const Arguments& arguments) {
  return {.source = std::move(source),
          .kernel = std::move(kernel),
          .blocks = blocks,
          .arguments = &arguments};
}

}  // namespace

absl::Status CheckModel(const DecodeModel& model) {
  for (const DecodeLayer& layer : model.layers) {
    WATTLE_RETURN_IF_ERROR(CheckLayer(layer));
  }
  WATTLE_RETURN_IF_ERROR(CheckMatrix(model.tokens));
  return CheckMatrix(model.head);
}

int64_t CacheBytes(const DecodeModel& model, const DecodeCache& cache) {
  int64_t bytes = 0;
  for (const DecodeLayer& layer : model.layers) {
    bytes += 2 * (CachedBytes(layer, cache) + ScaleBytes(layer, cache));
  }
  return bytes;
}

int64_t ScratchFloats(const DecodeModel& model) {
  return int64_t{kMaxProductRows} * 2 * (WidthStride(model) + InnerStride(model));
}

// out = f(W inputs + bias), gated or added as ProductArguments has it.
struct DecodeStep::Product {
  const WeightMatrix& matrix;
  const float* inputs;
  int input_stride;
  float* out;
  int out_stride;
  int rows;
  kernels::Nonlinearity nonlinearity = kernels::Nonlinearity::kNone;
  bool accumulate = false;
  bool gated = false;
};

DecodeStep::DecodeStep(const DecodeModel& model, const DecodeCache& cache, float* scratch,
                       const float* nf4_tables, KernelLauncher& launcher)
    : model_(model),
      cache_(cache),
      nf4_tables_(nf4_tables),
      launcher_(launcher),
      width_stride_(WidthStride(model)),
      inner_stride_(InnerStride(model)),
      x_(scratch),
      normed_(x_ + int64_t{kMaxProductRows} * width_stride_),
      inner_(normed_ + int64_t{kMaxProductRows} * width_stride_),
      merged_(inner_ + int64_t{kMaxProductRows} * inner_stride_) {}

StoredMatrix DecodeStep::StoredOf(const WeightMatrix& matrix) const {
  return {.packed = reinterpret_cast<const unsigned char*>(matrix.packed),
          .scales = reinterpret_cast<const unsigned char*>(matrix.scales),
          .tables = nf4_tables_,
          .rows = static_cast<int>(matrix.rows),
          .columns = static_cast<int>(matrix.columns),
          .group = static_cast<int>(matrix.format.group_size)};
}

CacheArguments DecodeStep::CacheOf(const StepRows& rows, size_t layer) const {
  std::byte* place = cache_.memory;
  for (size_t i = 0; i < layer; ++i) {
    place += 2 * (CachedBytes(model_.layers[i], cache_) + ScaleBytes(model_.layers[i], cache_));
  }
  const DecodeLayer& of = model_.layers[layer];
  std::byte* const values = place + CachedBytes(of, cache_);
  std::byte* const key_scales = values + CachedBytes(of, cache_);
  std::byte* const value_scales = key_scales + ScaleBytes(of, cache_);
  return {.keys = place,
          .values = values,
          .key_scales = reinterpret_cast<float*>(key_scales),
          .value_scales = reinterpret_cast<float*>(value_scales),
          .int8 = cache_.int8 ? 1 : 0,
          .capacity = cache_.capacity,
          .heads = static_cast<int>(of.heads),
          .kv_heads = static_cast<int>(of.kv_heads),
          .head_size = static_cast<int>(of.head_size),
          .slot_of = rows.slots,
          .position_of = rows.positions};
}

absl::Status DecodeStep::Multiply(const Product& product) {
  const WeightMatrix& matrix = product.matrix;
  const ProductArguments arguments = {.matrix = StoredOf(matrix),
                                      .bias = matrix.bias,
                                      .inputs = product.inputs,
                                      .out = product.out,
                                      .count = product.rows,
                                      .input_stride = product.input_stride,
                                      .out_stride = product.out_stride,
                                      .nonlinearity = static_cast<int>(product.nonlinearity),
                                      .accumulate = product.accumulate ? 1 : 0,
                                      .gated = product.gated ? 1 : 0};
  int kernel_rows = 1;
  while (kernel_rows < product.rows) {
    kernel_rows *= 2;
  }
  const std::string source = absl::StrCat("product_", FormatOf(matrix.format.scheme));
  const int64_t rows = product.gated ? matrix.rows / 2 : matrix.rows;
  const int of_block = InPanels(matrix.format.scheme) ? kPanelRows : kRowsOfBlock;
  return launcher_.Launch(LaunchOf(source, absl::StrCat(source, "_rows", kernel_rows),
                                   static_cast<int>((rows + of_block - 1) / of_block), arguments));
}

absl::Status DecodeStep::Normalize(const kernels::Norm& norm, const float* x, int rows) {
  const NormArguments arguments = {.x = x,
                                   .gain = norm.gain,
                                   .bias = norm.bias,
                                   .out = normed_,
                                   .width = static_cast<int>(norm.width),
                                   .x_stride = width_stride_,
                                   .out_stride = width_stride_,
                                   .subtract_mean = norm.subtract_mean ? 1 : 0,
                                   .gain_offset = norm.gain_offset,
                                   .epsilon = norm.epsilon};
  return launcher_.Launch(LaunchOf("norm", "norm_rows", rows, arguments));
}

absl::Status DecodeStep::Embed(const StepRows& rows) {
  const char* format = FormatOf(model_.tokens.format.scheme);
  const EmbedArguments arguments = {.matrix = StoredOf(model_.tokens),
                                    .tokens = rows.tokens,
                                    .positions = model_.positions,
                                    .position_of = rows.positions,
                                    .out = x_,
                                    .out_stride = width_stride_};
  return launcher_.Launch(LaunchOf(absl::StrCat("product_", format), absl::StrCat("embed_", format),
                                   rows.count, arguments));
}

absl::Status DecodeStep::Attention(const StepRows& rows, size_t index) {
  const DecodeLayer& layer = model_.layers[index];
  WATTLE_RETURN_IF_ERROR(Normalize(layer.attention_norm, x_, rows.count));
  WATTLE_RETURN_IF_ERROR(Multiply({.matrix = layer.qkv,
                                   .inputs = normed_,
                                   .input_stride = width_stride_,
                                   .out = inner_,
                                   .out_stride = inner_stride_,
                                   .rows = rows.count}));
  const CacheArguments cache = CacheOf(rows, index);
  const RotaryArguments rotary = {
      .cache = cache,
      .qkv = inner_,
      .stride = inner_stride_,
      .dimensions = static_cast<int>(layer.rotary.dimensions),
      .cosines = layer.rotary.cosines,
      .sines = layer.rotary.sines,
      .query_scale = 1.0F / std::sqrt(static_cast<float>(layer.head_size))};
  KernelLaunch turn = LaunchOf(
      "rotary", "rotary", rows.count * static_cast<int>(layer.heads + 2 * layer.kv_heads), rotary);
  turn.threads = kWarpThreads;
  WATTLE_RETURN_IF_ERROR(launcher_.Launch(turn));
  const AttentionArguments attention = {.cache = cache,
                                        .qkv = inner_,
                                        .stride = inner_stride_,
                                        .window = static_cast<int>(layer.window),
                                        .out = merged_,
                                        .out_stride = inner_stride_};
  const char* kernel = layer.head_size <= 64    ? "attention_64"
                       : layer.head_size <= 128 ? "attention_128"
                                                : "attention_256";
  WATTLE_RETURN_IF_ERROR(launcher_.Launch(
      LaunchOf("attention", kernel, rows.count * static_cast<int>(layer.heads), attention)));
  return Multiply({.matrix = layer.attention_output,
                   .inputs = merged_,
                   .input_stride = inner_stride_,
                   .out = x_,
                   .out_stride = width_stride_,
                   .rows = rows.count,
                   .accumulate = true});
}

absl::Status DecodeStep::Mlp(const StepRows& rows, size_t index) {
  const DecodeLayer& layer = model_.layers[index];
  WATTLE_RETURN_IF_ERROR(Normalize(layer.mlp_norm, x_, rows.count));
  WATTLE_RETURN_IF_ERROR(Multiply({.matrix = layer.up,
                                   .inputs = normed_,
                                   .input_stride = width_stride_,
                                   .out = inner_,
                                   .out_stride = inner_stride_,
                                   .rows = rows.count,
                                   .nonlinearity = layer.activation,
                                   .gated = layer.gated}));
  return Multiply({.matrix = layer.down,
                   .inputs = inner_,
                   .input_stride = inner_stride_,
                   .out = x_,
                   .out_stride = width_stride_,
                   .rows = rows.count,
                   .accumulate = true});
}

absl::Status DecodeStep::Run(const StepRows& rows, float* logits) {
  WATTLE_CHECK(rows.count >= 1 && rows.count <= kMaxProductRows && rows.first_logits >= 0 &&
                   rows.first_logits < rows.count,
               "a step has one to kMaxProductRows rows");
  WATTLE_RETURN_IF_ERROR(Embed(rows));
  for (size_t layer = 0; layer < model_.layers.size(); ++layer) {
    WATTLE_RETURN_IF_ERROR(Attention(rows, layer));
    WATTLE_RETURN_IF_ERROR(Mlp(rows, layer));
  }
  const int wanted = rows.count - rows.first_logits;
  WATTLE_RETURN_IF_ERROR(
      Normalize(model_.final_norm, x_ + int64_t{rows.first_logits} * width_stride_, wanted));
  return Multiply({.matrix = model_.head,
                   .inputs = normed_,
                   .input_stride = width_stride_,
                   .out = logits,
                   .out_stride = static_cast<int>(model_.head.rows),
                   .rows = wanted});
}

absl::Status DecodeStep::Choose(const float* logits, int count, long long* chosen) {
  const ChooseArguments arguments = {.logits = logits,
                                     .vocabulary = static_cast<int>(model_.head.rows),
                                     .stride = static_cast<int>(model_.head.rows),
                                     .chosen = chosen};
  return launcher_.Launch(LaunchOf("choose", "choose", count, arguments));
}

}  // namespace wattle::cuda
