// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shared by the formats and the products: the rows of the format table, the constants of the packed
// layouts, and quantization panel by panel.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_FORMATS_INTERNAL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_FORMATS_INTERNAL_H_

#include <cstdint>

#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

const FormatOperations& Float32Operations();
const FormatOperations& Int8Operations();
const FormatOperations& Int4Operations();
const FormatOperations& Int4AsymmetricOperations();
const FormatOperations& Nf4Operations();
const FormatOperations& Nf4DoubleOperations();
const FormatOperations& Bf16Operations();
const FormatOperations& Int8GroupedOperations();
const FormatOperations& Float16Operations();
const FormatOperations& Int6Operations();

// FormatOperations::group_sizes of most formats.
inline constexpr int32_t kNoGroups[] = {0};
inline constexpr int32_t kGroupSizes[] = {32, 64, 128};

// FormatOperations::quantize of every format with a codec: rounds and packs one panel after the
// other, so that only the codes of one panel are in memory.
void QuantizeByCodec(const WeightMatrix& shape, const float* weights, const PackedBuffers& out);

// FormatOperations::pack, ::stored_bytes and ::dequantize of the 4-bit formats. Layout of `packed`:
// [panel][columns / 8][row of the panel][4] bytes; byte j of a row holds the code of column 8 c + j
// in its low half and that of column 8 c + 4 + j in its high half. Layout of `scales`: FP16
// [panel][group][row of the panel], or [panel][group][2][row of the panel] with the minimums second
// if the format has them.
void PackNibbles(const WeightMatrix& shape, const QuantizedRows& rows, const PackedBuffers& out);
StoredBytes NibbleBytes(const WeightMatrix& shape);
void DequantizeNibbles(const WeightMatrix& matrix, int64_t first, int64_t end, float* out);

// The finite FP16 value nearest to `value`.
float RoundToHalf(float value);
// Writes a value that must be an FP16 number, and reads such a number, at any address.
inline constexpr int64_t kHalfBytes = 2;
void StoreHalf(float value, std::byte* place);
float LoadHalf(const std::byte* place);

// Layout of int8: packed [panel][columns, filled up with zeros to this multiple, / 4][row of the
// panel][4] codes; scales FP32 [panels * 16], or FP16 [panel][group][row of the panel] if the
// format has groups. 64 columns are one tile of a matrix unit.
inline constexpr int64_t kInt8ColumnMultiple = 64;

// Layout of int6: packed [panel][columns / 16][3 lines][row of the panel][4] bytes. The first two
// lines have the lower four bits of eight columns each, as in the 4-bit formats; byte j of the
// third has the upper two bits of columns j, 4 + j, 8 + j and 12 + j, the first in its lowest bits.
// Layout of `scales`: [panel][columns / 256] of FP16 [row of the panel] and int8 [16 groups][row of
// the panel].
inline constexpr int64_t kInt6BlockColumns = 256;
inline constexpr int64_t kInt6GroupColumns = 16;

// Columns of the inputs that share a scale if the weights have no groups.
inline constexpr int64_t kInt8InputGroup = 128;

[[nodiscard]] constexpr int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_FORMATS_INTERNAL_H_
