// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/decode_step.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "base/check.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kScoreRows = 4;  // HeadAttention::scores

int64_t QkvRows(const DecodeLayer& layer) {
  return (layer.heads + 2 * layer.kv_heads) * layer.head_size;
}

absl::Status WantShape(const WeightMatrix& matrix, const char* name, int64_t rows,
                       int64_t columns) {
  if (matrix.rows != rows || matrix.columns != columns) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": got ", matrix.rows, " x ", matrix.columns, ", wanted ", rows, " x ", columns));
  }
  return absl::OkStatus();
}

absl::Status CheckLayer(const DecodeModel& model, const DecodeLayer& layer) {
  if (layer.head_size % 16 != 0 || layer.head_size > kMaxHeadSize) {
    return absl::UnimplementedError(absl::StrCat("decode step: a head size of ", layer.head_size,
                                                 "; wanted a multiple of 16 up to ", kMaxHeadSize));
  }
  if (layer.kv_heads < 1 || layer.heads % layer.kv_heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("decode step: ", layer.heads, " heads over ", layer.kv_heads, " KV heads"));
  }
  const int64_t up_rows = layer.gated ? layer.up.rows / 2 : layer.up.rows;
  for (const absl::Status& status : {WantShape(layer.qkv, "qkv", QkvRows(layer), model.width),
                                     WantShape(layer.attention_output, "attention output",
                                               model.width, layer.heads * layer.head_size),
                                     WantShape(layer.up, "up", layer.up.rows, model.width),
                                     WantShape(layer.down, "down", model.width, up_rows)}) {
    if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// Rotates one head by the angles of a position.
void Rotate(const RotaryTables& rotary, int64_t position, float* head) {
  const int64_t half = rotary.dimensions / 2;
  const float* cosines = rotary.cosines + position * half;
  const float* sines = rotary.sines + position * half;
  for (int64_t i = 0; i < half; ++i) {
    const float a = head[i];
    const float b = head[i + half];
    head[i] = a * cosines[i] - b * sines[i];
    head[i + half] = b * cosines[i] + a * sines[i];
  }
}

}  // namespace

absl::Status CheckDecodeModel(const DecodeModel& model) {
  for (const DecodeLayer& layer : model.layers) {
    if (absl::Status status = CheckLayer(model, layer); !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = WantShape(model.tokens, "tokens", model.tokens.rows, model.width);
      !status.ok()) {
    return status;
  }
  return WantShape(model.head, "head", model.tokens.rows, model.width);
}

std::vector<KvLayerShape> KvShapesOf(const DecodeModel& model) {
  std::vector<KvLayerShape> shapes;
  for (const DecodeLayer& layer : model.layers) {
    shapes.push_back({.kv_heads = layer.kv_heads, .head_size = layer.head_size});
  }
  return shapes;
}

DecodeStep::DecodeStep(const DecodeModel& model, KvCache& cache, ThreadPool& pool,
                       int64_t max_tokens, const KernelTable& kernels,
                       std::pmr::memory_resource& memory)
    : model_(model), cache_(cache), pool_(pool), kernels_(kernels), codes_(memory) {
  int64_t qkv_or_up = 0;
  std::vector<const WeightMatrix*> matrices = {&model.head};
  for (const DecodeLayer& layer : model.layers) {
    merged_stride_ = std::max(merged_stride_, layer.heads * layer.head_size);
    qkv_or_up = std::max({qkv_or_up, QkvRows(layer), layer.up.rows});
    matrices.insert(matrices.end(), {&layer.qkv, &layer.attention_output, &layer.up, &layer.down});
  }
  // Buffers take the maximum over all matrices, so that no step allocates.
  std::vector<const WeightMatrix*> of_codes;
  for (const WeightMatrix* matrix : matrices) {
    scratch_bytes_ = std::max(scratch_bytes_, ProductScratchBytes(*matrix));
    if (WantsCodes(matrix->format.scheme)) {
      of_codes.push_back(matrix);
    }
  }
  const auto rows_of = [&](int64_t columns) {
    return AlignedBuffer(max_tokens * columns * kFloatBytes, memory);
  };
  x_ = rows_of(model.width);
  normed_or_merged_ = rows_of(std::max(model.width, merged_stride_));
  qkv_or_up_ = rows_of(qkv_or_up);
  scores_ = AlignedBuffer(pool.threads() * kScoreRows * cache.capacity() * kFloatBytes, memory);
  scratch_ = AlignedBuffer(pool.threads() * scratch_bytes_, memory);
  codes_.Reserve(of_codes, max_tokens);
  places_.reserve(static_cast<size_t>(cache.slots()));
}

bool DecodeStep::BeginCodes(const WeightMatrix& matrix) {
  const bool codes = WantsCodes(matrix.format.scheme);
  if (codes) {
    codes_.Begin(matrix);
  }
  return codes;
}

template <typename Prepare>
void DecodeStep::OverRows(int64_t rows, const Prepare& prepare) {
  // A few rows are finished before other threads could start.
  const int64_t chunks = rows < 4 * pool_.threads() ? 1 : pool_.threads() * 4;
  pool_.ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    for (int64_t row = rows * chunk / chunks; row < rows * (chunk + 1) / chunks; ++row) {
      prepare(row);
    }
  });
}

void DecodeStep::Multiply(const WeightMatrix& matrix, const float* inputs, int64_t stride,
                          const Epilogue& epilogue, float* out, int64_t rows) {
  InputRows view = {.count = rows, .values = inputs, .value_stride = stride};
  if (WantsCodes(matrix.format.scheme)) {
    view = codes_.View(rows);
  }
  // Threads share the rows of the matrix, so that each weight is read from memory once for all
  // tokens of the step.
  const int64_t chunks = PanelChunks(matrix, pool_.threads());
  const int64_t out_stride = epilogue.accumulate ? model_.width : matrix.rows;
  pool_.ParallelFor(chunks, [&](int64_t chunk, int thread) {
    MultiplyPanels(kernels_, matrix, view, epilogue, PanelsOfChunk(matrix, chunk, chunks),
                   {.values = out, .stride = out_stride},
                   scratch_.data() + thread * scratch_bytes_);
  });
}

void DecodeStep::Embed(absl::Span<const SequenceTokens> sequences) {
  places_.clear();
  rows_ = 0;
  const FormatOperations& format = OperationsOf(model_.tokens.format.scheme);
  for (const SequenceTokens& sequence : sequences) {
    const auto count = static_cast<int64_t>(sequence.tokens.size());
    const int64_t first = cache_.length(sequence.slot);
    WATTLE_CHECK(count > 0 && first + count <= std::min(cache_.capacity(), model_.max_positions),
                 "the caller keeps within the cache and the model's context");
    places_.push_back(
        {.slot = sequence.slot, .first_row = rows_, .count = count, .first_position = first});
    for (const int64_t token : sequence.tokens) {
      WATTLE_CHECK(token >= 0 && token < model_.tokens.rows, "tokens are in the vocabulary");
      float* x = x_.as<float>() + rows_ * model_.width;
      // One row per token: the table is never dequantized as a whole.
      format.dequantize(model_.tokens, token, token + 1, x);
      if (model_.positions != nullptr) {
        const int64_t position = first + rows_ - places_.back().first_row;
        const float* added = model_.positions + position * model_.width;
        for (int64_t i = 0; i < model_.width; ++i) {
          x[i] += added[i];
        }
      }
      ++rows_;
    }
  }
}

void DecodeStep::AttendHead(const DecodeLayer& layer, int64_t index, const SequencePlace& sequence,
                            int64_t kv_head, int thread) {
  const int64_t size = layer.head_size;
  const int64_t group = layer.heads / layer.kv_heads;
  const float query_scale = 1.0F / std::sqrt(static_cast<float>(size));
  KvHead head = cache_.Head(index, sequence.slot, kv_head);
  for (int64_t i = 0; i < sequence.count; ++i) {
    const int64_t position = sequence.first_position + i;
    float* row = qkv_or_up_.as<float>() + (sequence.first_row + i) * layer.qkv.rows;
    float* key = row + (layer.heads + kv_head) * size;
    const float* value = row + (layer.heads + layer.kv_heads + kv_head) * size;
    float* queries = row + kv_head * group * size;
    // Keys are stored already rotated, so that each is rotated once and not again for every later
    // token.
    if (layer.rotary.dimensions > 0) {
      Rotate(layer.rotary, position, key);
      for (int64_t q = 0; q < group; ++q) {
        Rotate(layer.rotary, position, queries + q * size);
      }
    }
    // Scaling the queries replaces scaling each score.
    for (int64_t d = 0; d < group * size; ++d) {
      queries[d] *= query_scale;
    }
    head.Write(kernels_, position, key, value);
  }
  const float* qkv = qkv_or_up_.as<float>() + sequence.first_row * layer.qkv.rows;
  float* merged = normed_or_merged_.as<float>() + sequence.first_row * merged_stride_;
  // All query heads of this KV head run on one thread, so that its keys and values stay in the
  // thread's cache.
  for (int64_t q = kv_head * group; q < (kv_head + 1) * group; ++q) {
    kernels_.attend({.queries = qkv + q * size,
                     .query_stride = layer.qkv.rows,
                     .count = sequence.count,
                     .first_position = sequence.first_position,
                     .window = layer.window,
                     .head_size = size,
                     .int8 = head.format == KvFormat::kInt8,
                     .keys = head.keys,
                     .values = head.values,
                     .key_scales = head.key_scales,
                     .value_scales = head.value_scales,
                     .scores = scores_.as<float>() + thread * kScoreRows * cache_.capacity(),
                     .score_stride = cache_.capacity(),
                     .out = merged + q * size,
                     .out_stride = merged_stride_});
  }
}

void DecodeStep::Attention(const DecodeLayer& layer, int64_t index) {
  // Norm and quantization are one phase: a row is quantized while it is in the processor's cache,
  // and the threads synchronize once less.
  const bool codes = BeginCodes(layer.qkv);
  OverRows(rows_, [&](int64_t row) {
    float* normed = normed_or_merged_.as<float>() + row * model_.width;
    kernels_.normalize(layer.attention_norm, x_.as<float>() + row * model_.width, normed);
    if (codes) {
      codes_.Fill(kernels_, row, normed);
    }
  });
  Multiply(layer.qkv, normed_or_merged_.as<float>(), model_.width, {}, qkv_or_up_.as<float>(),
           rows_);
  // Different sequences and KV heads write different parts of the cache, so they need no locks.
  const auto sequences = static_cast<int64_t>(places_.size());
  pool_.ParallelFor(sequences * layer.kv_heads, [&](int64_t chunk, int thread) {
    AttendHead(layer, index, places_[static_cast<size_t>(chunk / layer.kv_heads)],
               chunk % layer.kv_heads, thread);
  });
  if (BeginCodes(layer.attention_output)) {
    OverRows(rows_, [&](int64_t row) {
      codes_.Fill(kernels_, row, normed_or_merged_.as<float>() + row * merged_stride_);
    });
  }
  Multiply(layer.attention_output, normed_or_merged_.as<float>(), merged_stride_,
           {.accumulate = true}, x_.as<float>(), rows_);
}

void DecodeStep::Mlp(const DecodeLayer& layer) {
  const bool up_codes = BeginCodes(layer.up);
  OverRows(rows_, [&](int64_t row) {
    float* normed = normed_or_merged_.as<float>() + row * model_.width;
    kernels_.normalize(layer.mlp_norm, x_.as<float>() + row * model_.width, normed);
    if (up_codes) {
      codes_.Fill(kernels_, row, normed);
    }
  });
  // A gated MLP needs gate and up together, so its nonlinearity runs after the product.
  const Epilogue up{.nonlinearity = layer.gated ? Nonlinearity::kNone : layer.activation};
  Multiply(layer.up, normed_or_merged_.as<float>(), model_.width, up, qkv_or_up_.as<float>(),
           rows_);
  const int64_t inner = layer.down.columns;
  const bool down_codes = BeginCodes(layer.down);
  if (layer.gated || down_codes) {
    OverRows(rows_, [&](int64_t row) {
      float* values = qkv_or_up_.as<float>() + row * layer.up.rows;
      if (layer.gated) {
        kernels_.activate(layer.activation, inner, values + inner, values);
      }
      if (down_codes) {
        codes_.Fill(kernels_, row, values);
      }
    });
  }
  Multiply(layer.down, qkv_or_up_.as<float>(), layer.up.rows, {.accumulate = true}, x_.as<float>(),
           rows_);
}

void DecodeStep::Logits(float* logits) {
  const auto sequences = static_cast<int64_t>(places_.size());
  const bool codes = BeginCodes(model_.head);
  // Only the last token of each sequence needs logits; the head is the largest matrix.
  for (int64_t i = 0; i < sequences; ++i) {
    const SequencePlace& place = places_[static_cast<size_t>(i)];
    float* normed = normed_or_merged_.as<float>() + i * model_.width;
    kernels_.normalize(model_.final_norm,
                       x_.as<float>() + (place.first_row + place.count - 1) * model_.width, normed);
    if (codes) {
      codes_.Fill(kernels_, i, normed);
    }
  }
  Multiply(model_.head, normed_or_merged_.as<float>(), model_.width, {}, logits, sequences);
}

void DecodeStep::Run(absl::Span<const SequenceTokens> sequences, float* logits) {
  Embed(sequences);
  for (size_t i = 0; i < model_.layers.size(); ++i) {
    Attention(model_.layers[i], static_cast<int64_t>(i));
    Mlp(model_.layers[i]);
  }
  Logits(logits);
  for (const SequencePlace& place : places_) {
    // Last, so that a slot's length only counts tokens that all layers have stored.
    cache_.set_length(place.slot, place.first_position + place.count);
  }
}

int64_t DecodeStep::ArgMax(const float* logits) const {
  return kernels_.arg_max(logits, model_.head.rows);
}

}  // namespace wattle::kernels
