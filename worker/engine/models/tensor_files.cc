// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/tensor_files.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using formats::DataType;
using formats::TensorEntry;
using formats::TensorSource;

// Rows that are dequantized at once to look at their values.
constexpr int64_t kCheckedRows = 64;
constexpr int8_t kInt8CodeMax = 127;

at::ScalarType ScalarTypeOf(DataType type) {
  switch (type) {
    case DataType::kF32:
      return at::kFloat;
    case DataType::kF16:
      return at::kHalf;
    case DataType::kBF16:
      return at::kBFloat16;
    case DataType::kI8:
      return at::kChar;
    case DataType::kI32:
      return at::kInt;
    case DataType::kI64:
      return at::kLong;
    case DataType::kU8:
      return at::kByte;
    case DataType::kBool:
      return at::kBool;
  }
  return at::kFloat;
}

absl::Status NotFinite(const TensorSource& file, const std::string& name) {
  return absl::DataLossError(absl::StrCat(file.path(), ": tensor ", name,
                                          " has values that are not finite; fetch or train the "
                                          "model again"));
}

// A tensor of the file in its own type.
absl::StatusOr<at::Tensor> ReadTensor(const TensorSource& file, const std::string& name,
                                      at::IntArrayRef shape) {
  const TensorEntry* entry = file.Find(name);
  if (entry == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": tensor ", name, " is missing; fetch or copy the model again"));
  }
  if (at::IntArrayRef(entry->shape) != shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        file.path(), ": tensor ", name, " has shape ", formats::FormatShape(entry->shape),
        ", wanted ", formats::FormatShape(absl::MakeConstSpan(shape.data(), shape.size())),
        "; use a matching config.json"));
  }
  at::Tensor tensor = at::empty(shape, ScalarTypeOf(entry->type));
  WATTLE_RETURN_IF_ERROR(
      file.Read(*entry, absl::MakeSpan(static_cast<std::byte*>(tensor.data_ptr()),
                                       static_cast<size_t>(entry->size_bytes()))));
  return tensor;
}

bool AllFinite(const at::Tensor& values) {
  // A sum is finite only if every addend is; the slow look is for sums that overflow.
  return at::isfinite(values.sum()).item<bool>() || at::isfinite(values).all().item<bool>();
}

bool AllFinite(const MatrixWeights& matrix) {
  const kernels::WeightMatrix& stored = matrix.matrix;
  const kernels::FormatOperations& format = kernels::OperationsOf(stored.format.scheme);
  at::Tensor rows = at::empty({kCheckedRows, stored.columns}, at::kFloat);
  for (int64_t first = 0; first < stored.rows; first += kCheckedRows) {
    const int64_t end = std::min(stored.rows, first + kCheckedRows);
    format.dequantize(stored, first, end, rows.data_ptr<float>());
    if (!AllFinite(rows.narrow(0, 0, end - first))) {
      return false;
    }
  }
  return true;
}

// Buffers of a format's size, and the matrix that points into them. arena: null for buffers of
// their own.
MatrixWeights EmptyMatrix(kernels::WeightFormat format, int64_t rows, int64_t columns,
                          PackedArena* arena) {
  MatrixWeights matrix;
  matrix.matrix = {.format = format, .rows = rows, .columns = columns};
  const kernels::StoredBytes bytes =
      kernels::OperationsOf(format.scheme).stored_bytes(matrix.matrix);
  PackedArena own;
  PackedArena& memory = arena == nullptr ? own : *arena;
  matrix.packed = memory.Take(bytes.packed);
  matrix.scales = memory.Take(bytes.scales);
  matrix.matrix.packed = static_cast<const std::byte*>(matrix.packed.data_ptr());
  matrix.matrix.scales = static_cast<const std::byte*>(matrix.scales.data_ptr());
  return matrix;
}

kernels::PackedBuffers BuffersOf(MatrixWeights& matrix) {
  return {.packed = static_cast<std::byte*>(matrix.packed.data_ptr()),
          .scales = static_cast<std::byte*>(matrix.scales.data_ptr())};
}

// Rows that stand head by head, query, key and value of each, to query of all heads, then key, then
// value. rows: [3 * heads * head_size] or [3 * heads * head_size, columns].
at::Tensor WithHeadsTogether(const at::Tensor& rows, int64_t heads) {
  return rows.view({heads, 3, rows.size(0) / (3 * heads), -1})
      .transpose(0, 1)
      .reshape(rows.sizes());
}

// The reverse.
at::Tensor WithHeadsInterleaved(const at::Tensor& rows, int64_t heads) {
  return rows.view({3, heads, rows.size(0) / (3 * heads), -1})
      .transpose(0, 1)
      .reshape(rows.sizes());
}

absl::Status ReadBytes(const TensorSource& file, const std::string& name, at::Tensor& place) {
  WATTLE_ASSIGN_OR_RETURN(const at::Tensor bytes, ReadTensor(file, name, place.sizes()));
  if (bytes.scalar_type() != at::kByte) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": tensor ", name, ": wants U8; quantize the model again"));
  }
  place.copy_(bytes);
  return absl::OkStatus();
}

// The rows of parts that stand one below the other, as codes: some at once.
class RowsOfParts {
 public:
  RowsOfParts(const TensorSource& file, const std::vector<models::FileTensor>& parts,
              const kernels::WeightMatrix& shape)
      : file_(file), parts_(parts), columns_(shape.columns), groups_(kernels::GroupsOfRow(shape)) {
    codes_.resize(static_cast<size_t>(kernels::kPanelRows * columns_));
    scales_.resize(static_cast<size_t>(kernels::kPanelRows * groups_));
    packed_scales_.resize(scales_.size());
  }

  // count: at most a panel's.
  absl::Status ReadNext(int64_t count) {
    for (int64_t row = 0; row < count;) {
      const models::FileTensor& part = parts_[part_];
      const TensorEntry* entry = file_.Find(part.name);
      const int64_t rows_of_part = entry->element_count() / columns_;
      const int64_t some = std::min(count - row, rows_of_part - next_);
      WATTLE_RETURN_IF_ERROR(file_.ReadCodes(
          *entry, next_,
          {.codes = Part(absl::MakeSpan(codes_), row * columns_, some * columns_),
           .scales = Part(absl::MakeSpan(scales_), row * groups_, some * groups_)}));
      for (const float scale : Part(absl::MakeSpan(scales_), row * groups_, some * groups_)) {
        if (!std::isfinite(scale)) {
          return NotFinite(file_, part.name);
        }
      }
      row += some;
      next_ += some;
      if (next_ == rows_of_part) {
        ++part_;
        next_ = 0;
      }
    }
    for (size_t i = 0; i < scales_.size(); ++i) {
      packed_scales_[i].scale = scales_[i];
    }
    return absl::OkStatus();
  }

  [[nodiscard]] kernels::QuantizedRows rows() const { return {codes_, packed_scales_}; }

 private:
  template <typename Number>
  static absl::Span<Number> Part(absl::Span<Number> all, int64_t first, int64_t count) {
    return all.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  }

  const TensorSource& file_;
  const std::vector<models::FileTensor>& parts_;
  int64_t columns_;
  int64_t groups_;
  size_t part_ = 0;   // the one that the next row is of
  int64_t next_ = 0;  // that row in it
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
  std::vector<kernels::GroupScale> packed_scales_;
};

int64_t RoomOf(int64_t bytes) {
  constexpr int64_t kAlignment = kernels::kPackedAlignment;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

PackedArena::PackedArena(const std::vector<kernels::WeightMatrix>& shapes) {
  int64_t room = 0;
  for (const kernels::WeightMatrix& shape : shapes) {
    const kernels::StoredBytes bytes =
        kernels::OperationsOf(shape.format.scheme).stored_bytes(shape);
    room += RoomOf(bytes.packed) + RoomOf(bytes.scales);
  }
  memory_ = at::empty({room}, at::kByte);
  kernels::PreferHugePages(memory_.data_ptr(), room);
}

at::Tensor PackedArena::Take(int64_t bytes) {
  if (!memory_.defined() || taken_ + RoomOf(bytes) > memory_.size(0)) {
    return at::zeros({bytes}, at::kByte);
  }
  taken_ += RoomOf(bytes);
  // Zeros come with the taking: pages that nobody has touched are no memory yet, and a model is at
  // its peak while the first of its matrices are read.
  return memory_.narrow(0, taken_ - RoomOf(bytes), bytes).zero_();
}

std::vector<models::FileTensor> NamesInFile(const models::ModelDirectory& files,
                                            const models::ModelTensor& tensor) {
  std::vector<models::FileTensor> parts = tensor.files;
  for (models::FileTensor& part : parts) {
    part.name = models::TensorNameInFile(files, part.name);
  }
  return parts;
}

void CopyThroughBuffer(const at::Tensor& rows, int64_t buffer_elements, at::Tensor& place) {
  const int64_t row_elements = std::max<int64_t>(rows.numel() / rows.size(0), 1);
  const int64_t together = std::clamp<int64_t>(buffer_elements / row_elements, 1, rows.size(0));
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = together;
  at::Tensor buffer = at::empty(shape, place.scalar_type());
  for (int64_t row = 0; row < rows.size(0); row += together) {
    const int64_t count = std::min(together, rows.size(0) - row);
    at::Tensor filled = buffer.narrow(0, 0, count);
    filled.copy_(rows.narrow(0, row, count));
    place.narrow(0, row, count).copy_(filled);
  }
}

absl::Status ReadFloats(const TensorSource& file, const std::vector<models::FileTensor>& parts,
                        const models::FileLayout& layout, at::Tensor& place) {
  int64_t row = 0;
  for (const models::FileTensor& part : parts) {
    WATTLE_ASSIGN_OR_RETURN(const at::Tensor stored, ReadTensor(file, part.name, part.shape));
    at::Tensor rows = layout.transposed ? stored.t() : stored;
    if (layout.interleaved_heads > 0) {
      rows = WithHeadsTogether(rows.contiguous(), layout.interleaved_heads);
    }
    at::Tensor target = place.narrow(0, row, rows.size(0));
    OperationsOn(target).CopyFromHost(rows, target);
    if (!AllFinite(target)) {
      return NotFinite(file, part.name);
    }
    row += rows.size(0);
  }
  return absl::OkStatus();
}

absl::StatusOr<MatrixWeights> ReadFloat16(const TensorSource& file,
                                          const std::vector<models::FileTensor>& parts,
                                          const models::FileLayout& layout,
                                          const std::vector<int64_t>& shape, PackedArena* arena) {
  MatrixWeights matrix =
      EmptyMatrix({.scheme = kernels::WeightScheme::kFloat16}, shape[0], shape[1], arena);
  at::Tensor place = matrix.packed.view(at::kHalf).view(shape);
  WATTLE_RETURN_IF_ERROR(ReadFloats(file, parts, layout, place));
  return matrix;
}

absl::StatusOr<MatrixWeights> ReadCodes(const TensorSource& file,
                                        const std::vector<models::FileTensor>& parts,
                                        const kernels::WeightMatrix& shape, PackedArena* arena) {
  MatrixWeights matrix = EmptyMatrix(shape.format, shape.rows, shape.columns, arena);
  const kernels::FormatOperations& format = kernels::OperationsOf(shape.format.scheme);
  kernels::PackedBuffers place = BuffersOf(matrix);
  RowsOfParts rows(file, parts, shape);
  kernels::WeightMatrix panel = shape;
  for (int64_t row = 0; row < shape.rows; row += kernels::kPanelRows) {
    panel.rows = std::min(kernels::kPanelRows, shape.rows - row);
    WATTLE_RETURN_IF_ERROR(rows.ReadNext(panel.rows));
    format.pack(panel, rows.rows(), place);
    const kernels::StoredBytes bytes = format.stored_bytes(panel);
    place.packed += bytes.packed;
    place.scales += bytes.scales;
  }
  return matrix;
}

absl::Status WriteFloats(const std::vector<models::FileTensor>& parts,
                         const models::FileLayout& layout, const at::Tensor& values,
                         formats::SafetensorsWriter& writer) {
  int64_t row = 0;
  for (const models::FileTensor& part : parts) {
    const int64_t rows = part.shape[layout.transposed ? 1 : 0];
    at::Tensor own = values.narrow(0, row, rows);
    if (layout.interleaved_heads > 0) {
      own = WithHeadsInterleaved(own.contiguous(), layout.interleaved_heads);
    }
    const at::Tensor stored = layout.transposed ? own.t().contiguous() : own.contiguous();
    WATTLE_RETURN_IF_ERROR(writer.Write(
        part.name, absl::MakeConstSpan(static_cast<const std::byte*>(stored.data_ptr()),
                                       static_cast<size_t>(stored.nbytes()))));
    row += rows;
  }
  return absl::OkStatus();
}

MatrixWeights MakeBf16Matrix(int64_t outputs, int64_t inputs, PackedArena* arena) {
  MatrixWeights matrix =
      EmptyMatrix({.scheme = kernels::WeightScheme::kBf16}, outputs, inputs, arena);
  matrix.packed = matrix.packed.view(at::kBFloat16).view({outputs, inputs});
  matrix.dequantized_products = true;
  return matrix;
}

absl::StatusOr<MatrixWeights> PackFloats(const std::string& name, kernels::WeightFormat format,
                                         const at::Tensor& values, PackedArena* arena) {
  const at::Tensor source = values.contiguous();
  MatrixWeights matrix = EmptyMatrix(format, source.size(0), source.size(1), arena);
  const absl::Status status =
      kernels::Quantize(matrix.matrix, source.data_ptr<float>(), BuffersOf(matrix));
  if (!status.ok()) {
    return absl::DataLossError(absl::StrCat(name, ": ", std::string(status.message()),
                                            "; train or fetch the model again"));
  }
  return matrix;
}

MatrixWeights CopyPacked(const MatrixWeights& matrix) {
  const kernels::WeightMatrix& form = matrix.matrix;
  MatrixWeights copy = EmptyMatrix(form.format, form.rows, form.columns, nullptr);
  copy.packed.copy_(matrix.packed);
  copy.scales.copy_(matrix.scales);
  return copy;
}

MatrixWeights PackCodes(kernels::WeightFormat format, int64_t outputs, int64_t inputs,
                        const kernels::QuantizedRows& rows) {
  MatrixWeights matrix = EmptyMatrix(format, outputs, inputs, nullptr);
  kernels::OperationsOf(format.scheme).pack(matrix.matrix, rows, BuffersOf(matrix));
  return matrix;
}

absl::StatusOr<MatrixWeights> ReadPacked(const TensorSource& file, const std::string& name,
                                         const std::vector<int64_t>& shape,
                                         kernels::WeightFormat format, PackedArena* arena) {
  MatrixWeights matrix = EmptyMatrix(format, shape[0], shape[1], arena);
  WATTLE_RETURN_IF_ERROR(ReadBytes(file, name, matrix.packed));
  WATTLE_RETURN_IF_ERROR(ReadBytes(file, name + models::kScaleSuffix, matrix.scales));
  if (!AllFinite(matrix)) {
    return NotFinite(file, name + models::kScaleSuffix);
  }
  return matrix;
}

absl::StatusOr<MatrixWeights> ReadInt8PerChannel(const TensorSource& file, const std::string& name,
                                                 const std::vector<int64_t>& shape, bool transposed,
                                                 PackedArena* arena) {
  const std::vector<int64_t> stored_shape =
      transposed ? std::vector<int64_t>{shape[1], shape[0]} : shape;
  WATTLE_ASSIGN_OR_RETURN(const at::Tensor stored, ReadTensor(file, name, stored_shape));
  WATTLE_ASSIGN_OR_RETURN(const at::Tensor scales,
                          ReadTensor(file, name + models::kScaleSuffix, {shape[0]}));
  if (stored.scalar_type() != at::kChar || scales.scalar_type() != at::kFloat) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": tensor ", name, ": wants I8 with F32 scales"));
  }
  if (!AllFinite(scales)) {
    return NotFinite(file, name + models::kScaleSuffix);
  }
  const at::Tensor codes = (transposed ? stored.t() : stored).contiguous();
  if (codes.min().item<int8_t>() < -kInt8CodeMax) {
    return absl::DataLossError(absl::StrCat(file.path(), ": tensor ", name,
                                            " has the code -128, which is never written; fetch the "
                                            "model again"));
  }
  MatrixWeights matrix =
      EmptyMatrix({.scheme = kernels::WeightScheme::kInt8}, shape[0], shape[1], arena);
  std::vector<kernels::GroupScale> groups(static_cast<size_t>(shape[0]));
  for (size_t row = 0; row < groups.size(); ++row) {
    groups[row].scale = scales.data_ptr<float>()[row];
  }
  kernels::OperationsOf(kernels::WeightScheme::kInt8)
      .pack(matrix.matrix,
            {.codes =
                 absl::MakeConstSpan(codes.data_ptr<int8_t>(), static_cast<size_t>(codes.numel())),
             .scales = groups},
            BuffersOf(matrix));
  return matrix;
}

}  // namespace wattle::engine
