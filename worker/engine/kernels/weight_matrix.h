// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A weight matrix in one of several storage formats, and the table of each format's operations.
// Callers depend on neither the bits nor the layout: MatMul (matmul.h) multiplies with the matrix,
// and OperationsOf has the other operations. A new format is one file (int8_format.cc is the
// shortest example), a line in kTable of weight_matrix.cc, a product per instruction set
// (isa/products_inl.h) and a row in weight_matrix_test.cc.
//
// Rows are output channels, columns are input channels: y = W x + bias. FP32, FP16 and BF16 are
// stored row by row, so that a tensor can be a view of the bytes. Every quantized format is stored
// in panels of 16 rows, all columns of the panel before the next panel. This layout reads memory in
// one stream when one token is decoded, and suits the matrix units when a prompt is read. The
// layout is the same on every processor, so a file can contain the packed bytes and be mapped.
//
// Stateless; thread-safe. Read next: matmul.h.
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

// How a weight is encoded. Files contain the numbers: the number of a removed scheme is never
// reused.
enum class WeightScheme : uint8_t {
  kFloat32 = 1,         // unchanged
  kInt8 = 2,            // scale * code, code in [-127, 127]; one FP32 scale for each row
  kInt4 = 3,            // scale * (code - 8), code in [0, 15]; one FP16 scale for each group
  kInt4Asymmetric = 4,  // scale * code + minimum, code in [0, 15]; both FP16, for each group
  kNf4 = 5,             // scale * level[code], 16 levels (nf4_format.cc); one FP16 scale per group
  // NF4 whose scales are quantized too (nf4_double_format.cc). Only for training, which dequantizes
  // it: no products and no files.
  kNf4DoubleQuantized = 6,
  kBf16 = 7,         // rounded to BF16 (bf16_format.cc)
  kInt8Grouped = 8,  // scale * code, code in [-128, 127]; one FP16 scale for each group
  kFloat16 = 9,      // rounded to FP16 (float_formats.cc)
  // GGUF's Q6_K (int6_format.cc): block scale * group scale * (code - 32), code in [0, 63]; an int8
  // scale for each group of 16, an FP16 one for each block of 256. Only read from files: a quantize
  // job does not round to it.
  kInt6 = 10,
};

// A storage format. Two formats are equal if both fields are.
struct WeightFormat {
  WeightScheme scheme = WeightScheme::kFloat32;
  int32_t group_size = 0;  // columns that share a scale (GroupSizes); 0 = the whole row

  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

// "fp32", "bf16", "fp16", "int8", "int8-g32", "int6-g16", "int4-g64", "int4a-g64" (asymmetric),
// "nf4-g64". ParseFormatName is the inverse; kInvalidArgument names the known formats.
[[nodiscard]] std::string FormatName(WeightFormat format);
absl::StatusOr<WeightFormat> ParseFormatName(absl::string_view name);

// Rows of one panel of a quantized matrix; the last panel is padded with zeros.
inline constexpr int64_t kPanelRows = 16;

[[nodiscard]] constexpr int64_t PanelCount(int64_t rows) {
  return (rows + kPanelRows - 1) / kPanelRows;
}

// The alignment of a packed buffer: a cache line.
inline constexpr int64_t kPackedAlignment = 64;

// A view of a matrix. All pointers must outlive its users.
struct WeightMatrix {
  WeightFormat format;
  int64_t rows = 0;                   // output channels
  int64_t columns = 0;                // input channels
  const std::byte* packed = nullptr;  // aligned to kPackedAlignment (FP32: to 4 bytes)
  const std::byte* scales = nullptr;  // aligned to kPackedAlignment; null if the format has none
  const float* bias = nullptr;        // [rows], or null
};

// Bytes of the two buffers of a matrix.
struct StoredBytes {
  int64_t packed = 0;
  int64_t scales = 0;
  [[nodiscard]] int64_t total() const { return packed + scales; }
};

// The two buffers to fill, of the sizes given by `stored_bytes`.
struct PackedBuffers {
  std::byte* packed = nullptr;
  std::byte* scales = nullptr;
};

// One group's stored mapping between codes and weights: scale and minimum are already rounded to
// the format's precision.
struct GroupScale {
  float scale = 0.0F;
  float minimum = 0.0F;  // only for asymmetric formats
};

// Codes of a matrix before packing. codes: [rows, columns] row-major; scales: [rows, columns /
// group]; a format without groups has one group per row. Int6: scales are integers in [-128, 127],
// and block_scales [rows, columns / 256] multiply them.
struct QuantizedRows {
  absl::Span<const int8_t> codes;
  absl::Span<const GroupScale> scales;
  absl::Span<const float> block_scales = {};
};

// The arithmetic of one group, shared by rounding to nearest and error compensation (gptq.h). Null
// in formats without codes.
struct GroupCodec {
  // The scale for rounding the group's weights. weights: finite.
  GroupScale (*choose_scale)(absl::Span<const float> weights);
  // The code nearest to a weight.
  int8_t (*encode)(float weight, GroupScale scale);
  // The weight of a code: exactly the value used by products.
  float (*decode)(int8_t code, GroupScale scale);
};

// The operations of a format. `shape.packed`, `.scales` and `.bias` are not read by functions that
// need only a shape.
struct FormatOperations {
  WeightScheme scheme = WeightScheme::kFloat32;
  const char* name = nullptr;             // without the group size
  int bits = 0;                           // bits of one code, excluding scales
  absl::Span<const int32_t> group_sizes;  // allowed WeightFormat::group_size; 0: no groups

  StoredBytes (*stored_bytes)(const WeightMatrix& shape) = nullptr;
  // Null for floating point, and for formats whose groups share more than a scale.
  const GroupCodec* codec = nullptr;

  // Codes and scales → buffers. Null for floating point.
  void (*pack)(const WeightMatrix& shape, const QuantizedRows& rows,
               const PackedBuffers& out) = nullptr;

  // weights: [rows, columns] row-major, finite → buffers, each weight rounded to the nearest.
  void (*quantize)(const WeightMatrix& shape, const float* weights,
                   const PackedBuffers& out) = nullptr;

  // Rows [first, end) as FP32, row-major, into out [end - first, columns].
  void (*dequantize)(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) = nullptr;

  int64_t column_multiple = 1;  // also required of a row, besides the group
};

// The operations of a scheme. Defined for every value of WeightScheme, including those that
// AllFormats omits.
const FormatOperations& OperationsOf(WeightScheme scheme);

// The rows of all formats that MatMul supports, in the order of WeightScheme.
absl::Span<const FormatOperations> AllFormats();

// Whether a matrix of this shape can have this format. kInvalidArgument names the wrong number and
// the remedy (a group that does not divide a row; rows or columns below 1).
absl::Status CheckShape(WeightFormat format, int64_t rows, int64_t columns);

// Rounding to nearest: weights [rows, columns] row-major → buffers. shape: passes CheckShape.
// kInvalidArgument for a non-finite weight, with its row and column; the buffers' contents are then
// unspecified.
absl::Status Quantize(const WeightMatrix& shape, const float* weights, const PackedBuffers& out);

// Codes and scales by rounding to nearest, for further processing. codes: [rows, columns]; scales:
// [rows, groups of a row]. shape.format must have a codec; weights are finite.
void RoundToNearest(const WeightMatrix& shape, const float* weights, absl::Span<int8_t> codes,
                    absl::Span<GroupScale> scales);

// Number of columns that share a scale (the whole row if the format has no groups), and the number
// of such groups in a row.
[[nodiscard]] int64_t GroupColumns(const WeightMatrix& shape);
[[nodiscard]] int64_t GroupsOfRow(const WeightMatrix& shape);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_WEIGHT_MATRIX_H_
