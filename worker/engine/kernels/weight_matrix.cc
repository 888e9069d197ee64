// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/weight_matrix.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

// The formats that products read, in the order of WeightScheme.
const FormatOperations kTable[] = {
    Float32Operations(),        Int8Operations(),    Int4Operations(),
    Int4AsymmetricOperations(), Nf4Operations(),     Bf16Operations(),
    Int8GroupedOperations(),    Float16Operations(), Int6Operations(),
};

std::vector<std::string> KnownNames() {
  std::vector<std::string> names;
  for (const FormatOperations& format : kTable) {
    for (const int32_t group : format.group_sizes) {
      names.push_back(FormatName({format.scheme, group}));
    }
  }
  return names;
}

}  // namespace

const FormatOperations& OperationsOf(WeightScheme scheme) {
  if (scheme == WeightScheme::kNf4DoubleQuantized) {
    return Nf4DoubleOperations();
  }
  for (const FormatOperations& format : kTable) {
    if (format.scheme == scheme) {
      return format;
    }
  }
  WATTLE_CHECK(false, "every scheme has a line in the table");
  return kTable[0];
}

absl::Span<const FormatOperations> AllFormats() {
  return kTable;
}

std::string FormatName(WeightFormat format) {
  const FormatOperations& operations = OperationsOf(format.scheme);
  return operations.group_sizes[0] == 0 ? std::string(operations.name)
                                        : absl::StrCat(operations.name, "-g", format.group_size);
}

absl::StatusOr<WeightFormat> ParseFormatName(absl::string_view name) {
  for (const FormatOperations& format : kTable) {
    for (const int32_t group : format.group_sizes) {
      const WeightFormat candidate{format.scheme, group};
      if (name == FormatName(candidate)) {
        return candidate;
      }
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "weight format \"", name, "\" is not known; use one of ", absl::StrJoin(KnownNames(), ", ")));
}

int64_t GroupColumns(const WeightMatrix& shape) {
  return shape.format.group_size == 0 ? shape.columns : shape.format.group_size;
}

int64_t GroupsOfRow(const WeightMatrix& shape) {
  return shape.columns / GroupColumns(shape);
}

absl::Status CheckShape(WeightFormat format, int64_t rows, int64_t columns) {
  if (rows < 1 || columns < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a weight matrix has at least one row and one column, not ", rows, " x ", columns));
  }
  const FormatOperations& operations = OperationsOf(format.scheme);
  const absl::Span<const int32_t> sizes = operations.group_sizes;
  if (sizes[0] == 0) {
    if (format.group_size != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          operations.name, " has no groups; got group size ", format.group_size, ", wanted 0"));
    }
    return absl::OkStatus();
  }
  if (std::find(sizes.begin(), sizes.end(), format.group_size) == sizes.end()) {
    return absl::InvalidArgumentError(absl::StrCat("group size ", format.group_size, " of ",
                                                   operations.name, ": wanted ",
                                                   absl::StrJoin(sizes, ", ")));
  }
  if (columns % operations.column_multiple != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a row of ", columns, " weights cannot be cut into blocks of ", operations.column_multiple,
        " (", operations.name, "); use int8, or convert the model again"));
  }
  if (columns % format.group_size != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a row of ", columns, " weights cannot be cut into groups of ", format.group_size,
        "; use a group size that divides it (", absl::StrJoin(sizes, ", "), ") or int8"));
  }
  return absl::OkStatus();
}

void RoundToNearest(const WeightMatrix& shape, const float* weights, absl::Span<int8_t> codes,
                    absl::Span<GroupScale> scales) {
  const GroupCodec* codec = OperationsOf(shape.format.scheme).codec;
  WATTLE_CHECK(codec != nullptr, "only formats with codes are rounded to codes");
  const auto group = static_cast<size_t>(GroupColumns(shape));
  const auto total = static_cast<size_t>(shape.rows * shape.columns);
  for (size_t start = 0; start < total; start += group) {
    const absl::Span<const float> values(weights + start, group);
    const GroupScale scale = codec->choose_scale(values);
    scales[start / group] = scale;
    for (size_t i = 0; i < group; ++i) {
      codes[start + i] = codec->encode(values[i], scale);
    }
  }
}

void QuantizeByCodec(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  const FormatOperations& operations = OperationsOf(shape.format.scheme);
  std::vector<int8_t> codes(static_cast<size_t>(kPanelRows * shape.columns));
  std::vector<GroupScale> scales(static_cast<size_t>(kPanelRows * GroupsOfRow(shape)));
  WeightMatrix panel = shape;
  PackedBuffers place = out;
  for (int64_t row = 0; row < shape.rows; row += kPanelRows) {
    panel.rows = std::min(kPanelRows, shape.rows - row);
    RoundToNearest(panel, weights + row * shape.columns, absl::MakeSpan(codes),
                   absl::MakeSpan(scales));
    operations.pack(panel, {codes, scales}, place);
    const StoredBytes bytes = operations.stored_bytes(panel);
    place.packed += bytes.packed;
    place.scales += bytes.scales;
  }
}

absl::Status Quantize(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  const int64_t total = shape.rows * shape.columns;
  for (int64_t i = 0; i < total; ++i) {
    if (!std::isfinite(weights[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the weight in row ", i / shape.columns, ", column ", i % shape.columns,
                       " is ", weights[i], "; only finite weights can be quantized"));
    }
  }
  OperationsOf(shape.format.scheme).quantize(shape, weights, out);
  return absl::OkStatus();
}

}  // namespace wattle::kernels
