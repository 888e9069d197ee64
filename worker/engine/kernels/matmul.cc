// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/matmul.h"

#include <algorithm>

#include "base/check.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

// A product of many inputs reads whole tiles of this many rows; the rows after the last may have
// any content, but must be allocated.
constexpr int64_t kTileRows = 32;

// The least that a chunk reads of the weights.
constexpr int64_t kChunkBytes = 64 << 10;
constexpr int64_t kChunksOfThread = 64;

ProductFunction FunctionOf(const KernelTable& kernels, WeightScheme scheme) {
  switch (scheme) {
    case WeightScheme::kFloat32:
      return kernels.float32;
    case WeightScheme::kInt8:
      return kernels.int8;
    case WeightScheme::kInt4:
      return kernels.int4;
    case WeightScheme::kInt4Asymmetric:
      return kernels.int4_asymmetric;
    case WeightScheme::kNf4:
      return kernels.nf4;
    case WeightScheme::kInt8Grouped:
      return kernels.int8_grouped;
    case WeightScheme::kFloat16:
      return kernels.float16;
    case WeightScheme::kBf16:
      return kernels.bfloat16;
    case WeightScheme::kInt6:
      return kernels.int6;
    case WeightScheme::kNf4DoubleQuantized:
      WATTLE_CHECK(false, "a format of training; no product of inference reads it");
  }
  return nullptr;
}

// Memory of the calling thread that a product may use until it returns.
void* ThreadScratch(int64_t bytes) {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  thread_local std::vector<Line> scratch;
  const auto lines = static_cast<size_t>(bytes / 64 + 1);
  if (scratch.size() < lines) {
    scratch.resize(lines);
  }
  return scratch.data();
}

// The layout of one row of inputs in QuantizedInputs.
struct CodedRow {
  explicit CodedRow(const WeightMatrix& matrix)
      : group(matrix.format.group_size == 0 ? kInt8InputGroup : matrix.format.group_size),
        groups((matrix.columns + group - 1) / group),
        code_stride(RoundUp(matrix.columns, kInt8ColumnMultiple)) {}

  int64_t group;
  int64_t groups;
  int64_t code_stride;
};

}  // namespace

bool WantsCodes(WeightScheme scheme) {
  return scheme != WeightScheme::kFloat32 && scheme != WeightScheme::kFloat16 &&
         scheme != WeightScheme::kBf16;
}

void QuantizedInputs::Reserve(absl::Span<const WeightMatrix* const> matrices, int64_t count) {
  int64_t codes = 0;
  int64_t groups = 0;
  for (const WeightMatrix* matrix : matrices) {
    const CodedRow row(*matrix);
    codes = std::max(codes, (count + kTileRows) * row.code_stride);
    groups = std::max(groups, count * row.groups);
  }
  const auto grow = [&](AlignedBuffer& buffer, int64_t bytes) {
    if (buffer.size() < bytes) {
      buffer = AlignedBuffer(bytes, memory_);
    }
  };
  grow(codes_, codes);
  grow(scales_, groups * static_cast<int64_t>(sizeof(float)));
  grow(sums_, groups * static_cast<int64_t>(sizeof(int32_t)));
}

void QuantizedInputs::Begin(const WeightMatrix& matrix) {
  const CodedRow row(matrix);
  columns_ = matrix.columns;
  group_ = row.group;
  groups_ = row.groups;
  code_stride_ = row.code_stride;
}

void QuantizedInputs::Fill(const KernelTable& kernels, int64_t row, const float* values) {
  kernels.quantize_input({.values = values,
                          .columns = columns_,
                          .group = group_,
                          .codes = codes_.as<int8_t>() + row * code_stride_,
                          .code_stride = code_stride_,
                          .scales = scales_.as<float>() + row * groups_,
                          .sums = sums_.as<int32_t>() + row * groups_});
}

InputRows QuantizedInputs::View(int64_t count) {
  return {.count = count,
          .codes = codes_.as<int8_t>(),
          .code_stride = code_stride_,
          .scales = scales_.as<float>(),
          .sums = sums_.as<int32_t>(),
          .groups = groups_,
          .group = group_};
}

int64_t ProductScratchBytes(const WeightMatrix& matrix) {
  return matrix.columns * kProductScratchBytesOfColumn;
}

void MultiplyPanels(const KernelTable& kernels, const WeightMatrix& matrix, const InputRows& inputs,
                    const Epilogue& epilogue, PanelRange panels, const ProductOutput& out,
                    void* scratch) {
  const Product product = {.packed = matrix.packed,
                           .scales = matrix.scales,
                           .bias = matrix.bias,
                           .rows = matrix.rows,
                           .columns = matrix.columns,
                           .group = GroupColumns(matrix),
                           .inputs = inputs,
                           .nonlinearity = epilogue.nonlinearity,
                           .accumulate = epilogue.accumulate,
                           .out = out.values,
                           .out_stride = out.stride,
                           .scratch = scratch};
  FunctionOf(kernels, matrix.format.scheme)(product, panels.first, panels.end);
}

int64_t PanelChunks(const WeightMatrix& matrix, int threads) {
  const int64_t panels = PanelCount(matrix.rows);
  const int64_t bytes = OperationsOf(matrix.format.scheme).stored_bytes(matrix).total();
  const int64_t by_bytes = std::max<int64_t>(threads, bytes / kChunkBytes);
  // Pairs of panels, because the products of many inputs take two at a time.
  const int64_t chunks =
      std::max<int64_t>(1, std::min({(panels + 1) / 2, by_bytes, threads * kChunksOfThread}));
  return chunks > threads ? chunks / threads * threads : chunks;
}

PanelRange PanelsOfChunk(const WeightMatrix& matrix, int64_t chunk, int64_t chunks) {
  const int64_t panels = PanelCount(matrix.rows);
  const int64_t pairs = (panels + 1) / 2;
  return {.first = pairs * chunk / chunks * 2,
          .end = std::min(panels, pairs * (chunk + 1) / chunks * 2)};
}

void MatMul(const WeightMatrix& matrix, const float* inputs, int64_t count,
            const Epilogue& epilogue, float* out, ThreadPool& pool, const KernelTable& kernels) {
  thread_local QuantizedInputs quantized_of_thread;
  QuantizedInputs& quantized = quantized_of_thread;
  InputRows rows = {.count = count, .values = inputs, .value_stride = matrix.columns};
  if (WantsCodes(matrix.format.scheme)) {
    quantized.Reserve({&matrix}, count);
    quantized.Begin(matrix);
    const int64_t row_chunks = count < pool.threads() ? 1 : pool.threads();
    pool.ParallelFor(row_chunks, [&](int64_t chunk, int /*thread*/) {
      for (int64_t row = count * chunk / row_chunks; row < count * (chunk + 1) / row_chunks;
           ++row) {
        quantized.Fill(kernels, row, inputs + row * matrix.columns);
      }
    });
    rows = quantized.View(count);
  }
  const int64_t chunks = PanelChunks(matrix, pool.threads());
  pool.ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    MultiplyPanels(kernels, matrix, rows, epilogue, PanelsOfChunk(matrix, chunk, chunks),
                   {.values = out, .stride = matrix.rows},
                   ThreadScratch(ProductScratchBytes(matrix)));
  });
}

}  // namespace wattle::kernels
