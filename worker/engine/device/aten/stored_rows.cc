// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/aten/stored_rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/kernels/nf4_levels.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::WeightMatrix;
using kernels::WeightScheme;

constexpr int64_t kPanelRows = kernels::kPanelRows;
constexpr int64_t kNibbleLevels = 16;
constexpr int64_t kInt6Block = 256;      // columns that share a further scale
constexpr int64_t kScalesOfBlock = 256;  // groups of double-quantized NF4 that share a scale

// A selection of a matrix's rows: a range, or the row numbers in a tensor.
struct RowChoice {
  int64_t first = 0;
  int64_t count = 0;
  at::Tensor numbers = {};  // int64 [count]; undefined: the range

  // For x whose first dimension is the matrix's rows.
  [[nodiscard]] at::Tensor Of(const at::Tensor& x) const {
    return numbers.defined() ? x.index_select(0, numbers) : x.narrow(0, first, count);
  }

  // For x of shape [panels, …, row of the panel, …], that dimension being `lane` → [count, …].
  [[nodiscard]] at::Tensor OfPanels(const at::Tensor& x, int64_t lane) const {
    if (!numbers.defined()) {
      const int64_t panels = kernels::PanelCount(count);
      return x.narrow(0, first / kPanelRows, panels)
          .movedim(lane, 1)
          .flatten(0, 1)
          .narrow(0, 0, count);
    }
    std::vector<int64_t> shape = x.sizes().vec();
    shape[0] = count;
    shape[static_cast<size_t>(lane)] = 1;
    std::vector<int64_t> of_row(shape.size(), 1);
    of_row[0] = count;
    const at::Tensor in_panel = numbers.remainder(kPanelRows).view(of_row).expand(shape);
    return x.index_select(0, numbers.floor_divide(kPanelRows)).gather(lane, in_panel).squeeze(lane);
  }

  // The numbers of the rows, int64 [count, 1].
  [[nodiscard]] at::Tensor Numbers(at::Device device) const {
    const at::Tensor rows =
        numbers.defined() ? numbers
                          : at::arange(first, first + count, at::dtype(at::kLong).device(device));
    return rows.unsqueeze(1);
  }
};

// Bytes reinterpreted as numbers of another type.
at::Tensor As(at::ScalarType type, const at::Tensor& bytes) {
  return bytes.view(type);
}

// One scale for each row, or for each group of the row.
at::Tensor Int8Rows(const MatrixWeights& matrix, const RowChoice& rows) {
  const WeightMatrix& stored = matrix.matrix;
  const int64_t panels = kernels::PanelCount(stored.rows);
  const at::Tensor codes = rows.OfPanels(
      As(at::kChar, matrix.packed).view({panels, -1, kPanelRows, 4}), 2);  // [count, quads, 4]
  at::Tensor values = codes.flatten(1).narrow(1, 0, stored.columns).to(at::kFloat);
  if (stored.format.scheme == WeightScheme::kInt8) {
    return values.mul_(rows.Of(As(at::kFloat, matrix.scales)).unsqueeze(1));
  }
  const int64_t groups = kernels::GroupsOfRow(stored);
  const at::Tensor scales =  // [count, groups]
      rows.OfPanels(As(at::kHalf, matrix.scales).view({panels, groups, kPanelRows}), 2);
  return values.reshape({rows.count, groups, -1})
      .mul_(scales.to(at::kFloat).unsqueeze(2))
      .view({rows.count, stored.columns});
}

// The two codes of each byte [count, …, n], all low halves before all high halves: [count, …, 2,
// n].
at::Tensor Halves(const at::Tensor& bytes, bool low_first) {
  const at::Tensor low = bytes.bitwise_and(0xF);
  const at::Tensor high = bytes.bitwise_right_shift(4);
  return low_first ? at::stack({low, high}, -2) : at::stack({high, low}, -1);
}

// One byte for each of 16 rows, after 16 FP16 numbers: int6's scales of groups and of blocks.
at::Tensor Int6Scales(const MatrixWeights& matrix, const RowChoice& rows) {
  const int64_t panels = kernels::PanelCount(matrix.matrix.rows);
  const int64_t blocks = matrix.matrix.columns / kInt6Block;
  const at::Tensor bytes = matrix.scales.view({panels, blocks, -1});
  const at::Tensor of_blocks =  // [count, blocks]
      rows.OfPanels(As(at::kHalf, bytes.narrow(2, 0, kPanelRows * 2)), 2);
  const at::Tensor of_groups =  // [count, blocks, groups of a block]
      rows.OfPanels(As(at::kChar, bytes.narrow(2, kPanelRows * 2, bytes.size(2) - kPanelRows * 2))
                        .view({panels, blocks, -1, kPanelRows}),
                    3);
  return of_groups.to(at::kFloat).mul_(of_blocks.to(at::kFloat).unsqueeze(2));
}

// Three lines have sixteen columns (kernels/formats_internal.h).
at::Tensor Int6Rows(const MatrixWeights& matrix, const RowChoice& rows) {
  const WeightMatrix& stored = matrix.matrix;
  const int64_t panels = kernels::PanelCount(stored.rows);
  const int64_t groups = kernels::GroupsOfRow(stored);
  const at::Tensor bytes =  // [count, groups, lines, 4]
      rows.OfPanels(matrix.packed.view({panels, groups, 3, kPanelRows, 4}), 3);
  const at::Tensor lower =  // [count, groups, quads, 4]
      Halves(bytes.narrow(2, 0, 2), /*low_first=*/true).reshape({rows.count, groups, 4, 4});
  const at::Tensor upper = bytes.select(2, 2);
  const at::Tensor upper_bits =
      at::stack({upper, upper.bitwise_right_shift(2), upper.bitwise_right_shift(4),
                 upper.bitwise_right_shift(6)},
                2)
          .bitwise_and(0x3);
  return lower.to(at::kFloat)
      .add_(upper_bits.to(at::kFloat), 16.0)
      .sub_(32.0)
      .view({rows.count, groups, -1})
      .mul_(Int6Scales(matrix, rows).view({rows.count, groups, 1}))
      .view({rows.count, stored.columns});
}

// int4, int4 asymmetric and NF4: groups with FP16 scales, codes in panels.
at::Tensor NibbleRows(const MatrixWeights& matrix, const RowChoice& rows) {
  const WeightMatrix& stored = matrix.matrix;
  const WeightScheme scheme = stored.format.scheme;
  const int64_t panels = kernels::PanelCount(stored.rows);
  const int64_t groups = kernels::GroupsOfRow(stored);
  const at::Tensor bytes =
      rows.OfPanels(matrix.packed.view({panels, stored.columns / 8, kPanelRows, 4}), 2);
  const at::Tensor codes = Halves(bytes, /*low_first=*/true).reshape({rows.count, groups, -1});
  // [count, groups, scale and minimum]
  const at::Tensor scales =
      rows.OfPanels(As(at::kHalf, matrix.scales).view({panels, groups, -1, kPanelRows}), 3)
          .to(at::kFloat);
  at::Tensor values =
      scheme == WeightScheme::kNf4
          ? matrix.tables.index_select(0, codes.flatten().to(at::kInt)).view(codes.sizes())
          : codes.to(at::kFloat);
  if (scheme == WeightScheme::kInt4) {
    values.sub_(8.0);
  }
  values.mul_(scales.narrow(2, 0, 1));
  if (scheme == WeightScheme::kInt4Asymmetric) {
    values.add_(scales.narrow(2, 1, 1));
  }
  return values.view({rows.count, stored.columns});
}

// NF4 with double quantization: row by row, with one numbering of groups for the whole matrix.
at::Tensor Nf4DoubleRows(const MatrixWeights& matrix, const RowChoice& rows) {
  const WeightMatrix& stored = matrix.matrix;
  const int64_t of_row = kernels::GroupsOfRow(stored);
  const int64_t groups = stored.rows * of_row;
  const int64_t blocks = (groups + kScalesOfBlock - 1) / kScalesOfBlock;
  const at::Tensor floats =
      As(at::kFloat,
         matrix.scales.narrow(0, matrix.scales.size(0) - (blocks + 1) * 4, (blocks + 1) * 4));
  const at::Tensor numbers =
      rows.Numbers(matrix.packed.device())
          .mul(of_row)
          .add(at::arange(of_row, at::dtype(at::kLong).device(matrix.packed.device())));
  const at::Tensor block_scales =
      floats.index_select(0, numbers.flatten().floor_divide(kScalesOfBlock)).view(numbers.sizes());
  const at::Tensor codes_of_scales =
      rows.Of(matrix.scales.narrow(0, 0, groups).view({stored.rows, of_row}));
  const at::Tensor scales =
      matrix.tables.index_select(0, codes_of_scales.flatten().to(at::kInt).add(kNibbleLevels))
          .view(numbers.sizes())
          .mul_(block_scales)
          .add_(floats.narrow(0, blocks, 1))
          .unsqueeze(2);
  const at::Tensor codes =
      Halves(rows.Of(matrix.packed.view({stored.rows, -1})), /*low_first=*/false);
  return matrix.tables.index_select(0, codes.flatten().to(at::kInt))
      .view({rows.count, of_row, -1})
      .mul_(scales)
      .view({rows.count, stored.columns});
}

at::Tensor Rows(const MatrixWeights& matrix, const RowChoice& rows) {
  switch (matrix.matrix.format.scheme) {
    case WeightScheme::kFloat32:
      return rows.Of(matrix.value);
    case WeightScheme::kBf16:
      return rows.Of(matrix.packed).to(at::kFloat);
    case WeightScheme::kFloat16:
      return rows.Of(As(at::kHalf, matrix.packed).view({matrix.matrix.rows, -1})).to(at::kFloat);
    case WeightScheme::kInt8:
    case WeightScheme::kInt8Grouped:
      return Int8Rows(matrix, rows);
    case WeightScheme::kInt4:
    case WeightScheme::kInt4Asymmetric:
    case WeightScheme::kNf4:
      return NibbleRows(matrix, rows);
    case WeightScheme::kInt6:
      return Int6Rows(matrix, rows);
    case WeightScheme::kNf4DoubleQuantized:
      break;
  }
  return Nf4DoubleRows(matrix, rows);
}

template <typename Values>
void AppendFloats(const Values& values, std::vector<float>& table) {
  for (const auto value : values) {
    table.push_back(static_cast<float>(value));
  }
}

// The values of the format's codes; undefined if a code is its own value.
at::Tensor TablesOf(WeightScheme scheme) {
  std::vector<float> table;
  if (scheme == WeightScheme::kNf4) {
    AppendFloats(kernels::kNf4Levels, table);
  } else if (scheme == WeightScheme::kNf4DoubleQuantized) {
    AppendFloats(kernels::Nf4Values(), table);
    AppendFloats(kernels::DynamicMap(), table);
  }
  if (table.empty()) {
    return {};
  }
  at::Tensor tensor = at::empty({static_cast<int64_t>(table.size())}, at::kFloat);
  std::copy(table.begin(), table.end(), tensor.data_ptr<float>());
  return tensor;
}

}  // namespace

MatrixWeights StoredOn(MatrixWeights matrix, at::Device device) {
  matrix.packed = matrix.packed.to(device);
  matrix.scales = matrix.scales.to(device);
  matrix.matrix.packed = nullptr;
  matrix.matrix.scales = nullptr;
  if (const at::Tensor tables = TablesOf(matrix.matrix.format.scheme); tables.defined()) {
    matrix.tables = tables.to(device);
  }
  return matrix;
}

at::Tensor StoredRows(const MatrixWeights& matrix, int64_t first, int64_t count) {
  WATTLE_CHECK(first % kPanelRows == 0, "pieces of a matrix begin with a panel");
  return Rows(matrix, {.first = first, .count = count});
}

at::Tensor StoredRowsAt(const MatrixWeights& matrix, const at::Tensor& rows) {
  return Rows(matrix, {.count = rows.size(0), .numbers = rows});
}

}  // namespace wattle::engine
