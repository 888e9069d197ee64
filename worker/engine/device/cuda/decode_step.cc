// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/decode_step.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "worker/engine/device/cuda/stored_product.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::cuda {
namespace {

using kernels::DecodeLayer;
using kernels::DecodeModel;
using kernels::WeightMatrix;
using kernels::WeightScheme;

constexpr int kMaxHeadSize = 256;
constexpr int kAlignmentBytes = 16;

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

// Elements of the keys, or of the values, of one layer.
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

std::array<const WeightMatrix*, 4> MatricesOf(const DecodeLayer& layer) {
  return {&layer.qkv, &layer.attention_output, &layer.up, &layer.down};
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
  for (const WeightMatrix* matrix : MatricesOf(layer)) {
    WATTLE_RETURN_IF_ERROR(CheckMatrix(*matrix));
  }
  return absl::OkStatus();
}

template <typename Arguments>
KernelLaunch LaunchOf(const std::string& source, const std::string& kernel, int blocks,
                      const Arguments& arguments) {
  return {.source = source, .kernel = kernel, .blocks = blocks, .arguments = &arguments};
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

int64_t ScratchFloats(const DecodeModel& model, int rows) {
  return int64_t{rows} * 2 * (WidthStride(model) + InnerStride(model));
}

DecodeStep::DecodeStep(const DecodeModel& model, const DecodeCache& cache, const StepMeans& means,
                       KernelLauncher& launcher)
    : model_(model),
      cache_(cache),
      means_(means),
      launcher_(launcher),
      width_stride_(WidthStride(model)),
      inner_stride_(InnerStride(model)),
      x_(means.scratch),
      normed_(x_ + int64_t{means.rows} * width_stride_),
      inner_(normed_ + int64_t{means.rows} * width_stride_),
      merged_(inner_ + int64_t{means.rows} * inner_stride_) {
  WATTLE_CHECK(means.rows >= kMaxProductRows && (means.rows == kMaxProductRows || means.many),
               "who has more rows has products of them");
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

absl::Status DecodeStep::Multiply(StoredProduct product) {
  product.nf4_tables = means_.nf4_tables;
  product.bias = product.matrix.bias;
  // Beyond so many rows the sums no longer fit in registers, and tensor cores are faster.
  return product.count > kMaxProductRows ? means_.many->Multiply(product, launcher_)
                                         : wattle::cuda::Launch(product, launcher_);
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
  KernelLaunch launch = LaunchOf("norm", "norm_rows", rows, arguments);
  launch.threads = kWideThreads;
  return launcher_.Launch(launch);
}

absl::Status DecodeStep::ReadStream(const kernels::Norm& norm, StoredProduct product) {
  WATTLE_RETURN_IF_ERROR(Normalize(norm, x_, product.count));
  product.inputs = normed_;
  product.input_stride = width_stride_;
  product.out = inner_;
  product.out_stride = inner_stride_;
  return Multiply(product);
}

absl::Status DecodeStep::AddToStream(const WeightMatrix& matrix, const float* inputs, int rows) {
  return Multiply({.matrix = matrix,
                   .inputs = inputs,
                   .input_stride = inner_stride_,
                   .out = x_,
                   .out_stride = width_stride_,
                   .count = rows,
                   .accumulate = true});
}

absl::Status DecodeStep::Embed(const StepRows& rows) {
  const char* format = FormatOf(model_.tokens.format.scheme);
  const EmbedArguments arguments = {.matrix = StoredOf(model_.tokens, means_.nf4_tables),
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
  WATTLE_RETURN_IF_ERROR(
      ReadStream(layer.attention_norm, {.matrix = layer.qkv, .count = rows.count}));
  // The rotation follows the product of qkv, whose queries it overwrites in place.
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
  // One warp per head: a launch has many heads, each with little work.
  turn.threads = kWarpThreads;
  WATTLE_RETURN_IF_ERROR(launcher_.Launch(turn));
  const AttentionArguments attention = {.cache = cache,
                                        .qkv = inner_,
                                        .stride = inner_stride_,
                                        .window = static_cast<int>(layer.window),
                                        .out = merged_,
                                        .out_stride = inner_stride_};
  // An instance by head size, because its channels are held in registers.
  const char* kernel = layer.head_size <= 64    ? "attention_64"
                       : layer.head_size <= 128 ? "attention_128"
                                                : "attention_256";
  KernelLaunch attend =
      LaunchOf("attention", kernel, rows.count * static_cast<int>(layer.heads), attention);
  attend.threads = layer.head_size <= 64 ? kWideThreads : kAttentionThreads;
  WATTLE_RETURN_IF_ERROR(launcher_.Launch(attend));
  return AddToStream(layer.attention_output, merged_, rows.count);
}

absl::Status DecodeStep::Mlp(const StepRows& rows, size_t index) {
  const DecodeLayer& layer = model_.layers[index];
  // Gate, nonlinearity and residual addition are part of the products, which saves launches and
  // passes over memory.
  WATTLE_RETURN_IF_ERROR(ReadStream(layer.mlp_norm, {.matrix = layer.up,
                                                     .count = rows.count,
                                                     .nonlinearity = layer.activation,
                                                     .gated = layer.gated}));
  return AddToStream(layer.down, inner_, rows.count);
}

absl::Status DecodeStep::Run(const StepRows& rows, float* logits) {
  WATTLE_CHECK(rows.count >= 1 && rows.count <= means_.rows && rows.first_logits >= 0 &&
                   rows.first_logits <= rows.count &&
                   rows.count - rows.first_logits <= kMaxProductRows,
               "a step has rows that there is room for, few of them with logits");
  WATTLE_RETURN_IF_ERROR(Embed(rows));
  for (size_t layer = 0; layer < model_.layers.size(); ++layer) {
    WATTLE_RETURN_IF_ERROR(Attention(rows, layer));
    WATTLE_RETURN_IF_ERROR(Mlp(rows, layer));
  }
  // A prompt needs the logits of its last token only, and the head is the largest matrix.
  const int wanted = rows.count - rows.first_logits;
  if (wanted == 0) {
    return absl::OkStatus();
  }
  WATTLE_RETURN_IF_ERROR(
      Normalize(model_.final_norm, x_ + int64_t{rows.first_logits} * width_stride_, wanted));
  return Multiply({.matrix = model_.head,
                   .inputs = normed_,
                   .input_stride = width_stride_,
                   .out = logits,
                   .out_stride = static_cast<int>(model_.head.rows),
                   .count = wanted});
}

absl::Status DecodeStep::Choose(const ChosenRows& rows) {
  const auto vocabulary = static_cast<int>(model_.head.rows);
  const ChooseArguments most_likely = {
      .logits = rows.logits, .vocabulary = vocabulary, .stride = vocabulary, .chosen = rows.chosen};
  // Drawing needs the most likely token, too: its logit normalizes the weights of all others.
  KernelLaunch choose = LaunchOf("choose", "choose", rows.count, most_likely);
  choose.threads = kWideThreads;
  WATTLE_RETURN_IF_ERROR(launcher_.Launch(choose));
  if (!rows.choice.draws()) {
    return absl::OkStatus();
  }
  const DrawArguments draw = {
      .logits = rows.logits,
      .amounts = rows.amounts,
      .units = rows.units,
      .vocabulary = vocabulary,
      .temperature = rows.choice.temperature,
      .top_k = static_cast<int>(std::min<int64_t>(rows.choice.top_k, vocabulary)),
      .top_p = rows.choice.top_p,
      .chosen = rows.chosen};
  // Weighing is spread over many blocks; the draw itself searches with one block per row.
  const int parts = static_cast<int>(RoundUp(vocabulary, kWeighedTokens) / kWeighedTokens);
  WATTLE_RETURN_IF_ERROR(launcher_.Launch(LaunchOf("draw", "weigh", rows.count * parts, draw)));
  return launcher_.Launch(LaunchOf("draw", "draw", rows.count, draw));
}

absl::Status DecodeStep::Prepare() {
  // Compiled before the first token, so that no step waits for the compiler and missing support
  // shows at once.
  std::set<std::string> sources = {"attention", "choose", "draw", "norm", "rotary"};
  if (means_.many != nullptr) {
    sources.insert("finish");
  }
  const auto add = [&](const WeightMatrix& matrix) {
    sources.insert(absl::StrCat("product_", FormatOf(matrix.format.scheme)));
  };
  add(model_.tokens);
  add(model_.head);
  for (const DecodeLayer& layer : model_.layers) {
    for (const WeightMatrix* matrix : MatricesOf(layer)) {
      add(*matrix);
    }
  }
  for (const std::string& source : sources) {
    WATTLE_RETURN_IF_ERROR(launcher_.Prepare(source));
  }
  return absl::OkStatus();
}

}  // namespace wattle::cuda
