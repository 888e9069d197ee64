// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A weight matrix in one of several storage formats, and the one table that says what each format
// can do. Whoever holds a WeightMatrix needs to know neither the bits nor the layout: MatMul
// (matmul.h) multiplies with it, and OperationsOf gives the rest. A new format is one file
// (int8_format.cc is the shortest example), a line in kTable of weight_matrix.cc, a product per
// instruction set (isa/products_inl.h) and a row in weight_matrix_test.cc.
//
// Rows are output channels, columns are input channels: y = W x + bias. FP32, FP16 and BF16 are
// stored row by row, so that a tensor may view the bytes. Every quantized format is stored in
// panels of 16 rows, all columns of the panel before the next panel. Such a layout reads memory in
// one stream when one token is decoded, and is what the matrix units want when a prompt is read.
// The layout is the same on every processor, so a file may hold the packed bytes and map them.
//
// No state; thread-safe. Read next: matmul.h.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_WEIGHT_MATRIX_H_
#define WATTLE_WORKER_ENGINE_KERNELS_WEIGHT_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::kernels {

// How one weight is coded. The numbers stand in files: a removed one is never used again.
enum class WeightScheme : uint8_t {
  kFloat32 = 1,         // as it is
  kInt8 = 2,            // scale * code, code in [-127, 127]; one FP32 scale for each row
  kInt4 = 3,            // scale * (code - 8), code in [0, 15]; one FP16 scale for each group
  kInt4Asymmetric = 4,  // scale * code + minimum, code in [0, 15]; both FP16, for each group
  kNf4 = 5,             // scale * level[code], 16 levels (nf4_format.cc); one FP16 scale per group
  // NF4 whose scales are quantized too (nf4_double_format.cc). Training dequantizes it; there are
  // no products, and files do not hold it.
  kNf4DoubleQuantized = 6,
  kBf16 = 7,         // rounded to BF16 (bf16_format.cc)
  kInt8Grouped = 8,  // scale * code, code in [-128, 127]; one FP16 scale for each group
  kFloat16 = 9,      // rounded to FP16 (float_formats.cc)
  // GGUF's Q6_K (int6_format.cc): block scale * group scale * (code - 32), code in [0, 63]; an int8
  // scale for each group of 16, an FP16 one for each block of 256. Files alone have it: a quantize
  // job does not round to it.
  kInt6 = 10,
};

// A storage format. Two formats are the same when both fields are.
struct WeightFormat {
  WeightScheme scheme = WeightScheme::kFloat32;
  int32_t group_size = 0;  // columns that share a scale (GroupSizes); 0 = the whole row

  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

// "fp32", "bf16", "fp16", "int8", "int8-g32", "int6-g16", "int4-g64", "int4a-g64" (asymmetric),
// "nf4-g64". ParseFormatName is the inverse; kInvalidArgument names the known formats.
[[nodiscard]] std::string FormatName(WeightFormat format);
absl::StatusOr<WeightFormat> ParseFormatName(absl::string_view name);

// Rows of one panel of a quantized matrix; the last panel is filled up with zeros.
inline constexpr int64_t kPanelRows = 16;

[[nodiscard]] constexpr int64_t PanelCount(int64_t rows) {
  return (rows + kPanelRows - 1) / kPanelRows;
}

// Where a packed buffer has to begin: one line of the cache.
inline constexpr int64_t kPackedAlignment = 64;

// A matrix that somebody else owns. All pointers outlive the struct's users.
struct WeightMatrix {
  WeightFormat format;
  int64_t rows = 0;                   // output channels
  int64_t columns = 0;                // input channels
  const std::byte* packed = nullptr;  // aligned to kPackedAlignment (FP32: to 4 bytes)
  const std::byte* scales = nullptr;  // aligned to kPackedAlignment; null where there are none
  const float* bias = nullptr;        // [rows], or null
};

// Bytes of the two buffers of a matrix.
struct StoredBytes {
  int64_t packed = 0;
  int64_t scales = 0;
  [[nodiscard]] int64_t total() const { return packed + scales; }
};

// The two buffers to fill, of the sizes that `stored_bytes` gives.
struct PackedBuffers {
  std::byte* packed = nullptr;
  std::byte* scales = nullptr;
};

// One group's mapping between codes and weights, as it is stored: scale and minimum are already
// rounded to the format's precision.
struct GroupScale {
  float scale = 0.0F;
  float minimum = 0.0F;  // asymmetric formats only
};

// Codes of a matrix before they are packed. codes: [rows, columns] row-major; scales: [rows,
// columns / group], where a format without groups has one group per row. Int6: scales are whole
// numbers in [-128, 127], and block_scales [rows, columns / 256] multiply them.
struct QuantizedRows {
  absl::Span<const int8_t> codes;
  absl::Span<const GroupScale> scales;
  absl::Span<const float> block_scales = {};
};

// The arithmetic of one group, which rounding to nearest and error compensation (gptq.h) share.
// Null in formats without codes.
struct GroupCodec {
  // The scale under which the group's weights are rounded. weights: finite.
  GroupScale (*choose_scale)(absl::Span<const float> weights);
  // The code of a weight: the nearest that exists.
  int8_t (*encode)(float weight, GroupScale scale);
  // The weight of a code: exactly what products compute with.
  float (*decode)(int8_t code, GroupScale scale);
};

// What a format can do. `shape.packed`, `.scales` and `.bias` are not read where only a shape is
// asked for.
struct FormatOperations {
  WeightScheme scheme = WeightScheme::kFloat32;
  const char* name = nullptr;             // without the group
  int bits = 0;                           // of one code, scales apart
  absl::Span<const int32_t> group_sizes;  // that WeightFormat::group_size may have; 0: no groups

  StoredBytes (*stored_bytes)(const WeightMatrix& shape) = nullptr;
  // Null for floating point, and where groups share more than a scale.
  const GroupCodec* codec = nullptr;

  // Codes and scales → buffers. Null for floating point.
  void (*pack)(const WeightMatrix& shape, const QuantizedRows& rows,
               const PackedBuffers& out) = nullptr;

  // weights: [rows, columns] row-major, finite → buffers, each weight rounded to the nearest.
  void (*quantize)(const WeightMatrix& shape, const float* weights,
                   const PackedBuffers& out) = nullptr;

  // Rows [first, end) as FP32, row-major, into out [end - first, columns].
  void (*dequantize)(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) = nullptr;

  int64_t column_multiple = 1;  // of a row, beside the group's
};

// What a scheme does. Every value of WeightScheme has it, also those that AllFormats leaves out.
const FormatOperations& OperationsOf(WeightScheme scheme);

// The lines of all formats that MatMul multiplies with, in the order of WeightScheme.
absl::Span<const FormatOperations> AllFormats();

// Whether a matrix of this shape can have this format. kInvalidArgument says which number is wrong
// and what would do (a group that does not divide a row; rows or columns below 1).
absl::Status CheckShape(WeightFormat format, int64_t rows, int64_t columns);

// Rounding to nearest: weights [rows, columns] row-major → buffers. shape: passes CheckShape.
// kInvalidArgument where a weight is not finite, with its row and column; the buffers then hold
// nothing of use.
absl::Status Quantize(const WeightMatrix& shape, const float* weights, const PackedBuffers& out);

// Codes and scales by rounding to nearest, for those who go on with them. codes: [rows, columns];
// scales: [rows, groups of a row]. shape.format has a codec; weights are finite.
void RoundToNearest(const WeightMatrix& shape, const float* weights, absl::Span<int8_t> codes,
                    absl::Span<GroupScale> scales);

// Columns that share a scale (the whole row where the format has no groups), and how many such
// groups a row has.
[[nodiscard]] int64_t GroupColumns(const WeightMatrix& shape);
[[nodiscard]] int64_t GroupsOfRow(const WeightMatrix& shape);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_WEIGHT_MATRIX_H_
