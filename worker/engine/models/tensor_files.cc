// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/tensor_files.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "models/stored_weights.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using formats::DataType;
using formats::TensorEntry;
using formats::TensorSource;

// Rows that are dequantized together to check their values.
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

// The entry of a tensor that must be in the file.
absl::StatusOr<const TensorEntry*> FindTensor(const TensorSource& file, const std::string& name,
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
  return entry;
}

absl::Span<std::byte> BytesAt(const at::Tensor& contiguous) {
  return absl::MakeSpan(static_cast<std::byte*>(contiguous.data_ptr()),
                        static_cast<size_t>(contiguous.nbytes()));
}

// A tensor of the file in its own type.
absl::StatusOr<at::Tensor> ReadTensor(const TensorSource& file, const std::string& name,
                                      at::IntArrayRef shape) {
  WATTLE_ASSIGN_OR_RETURN(const TensorEntry* entry, FindTensor(file, name, shape));
  at::Tensor tensor = at::empty(shape, ScalarTypeOf(entry->type));
  WATTLE_RETURN_IF_ERROR(file.Read(*entry, BytesAt(tensor)));
  return tensor;
}

bool AllFinite(const at::Tensor& values) {
  // A sum is finite only if every addend is; the slow check is only needed for sums that overflow.
  return at::isfinite(values.sum()).item<bool>() || at::isfinite(values).all().item<bool>();
}

bool AllFinite(const kernels::WeightMatrix& stored) {
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

kernels::PackedBuffers BuffersOf(MatrixWeights& matrix) {
  return {.packed = static_cast<std::byte*>(matrix.packed.data_ptr()),
          .scales = static_cast<std::byte*>(matrix.scales.data_ptr())};
}

// Reorders rows from query of all heads, then key, then value, to query, key and value of each
// head. rows: [3 * heads * head_size] or [3 * heads * head_size, columns].
at::Tensor WithHeadsInterleaved(const at::Tensor& rows, int64_t heads) {
  return rows.view({3, heads, rows.size(0) / (3 * heads), -1})
      .transpose(0, 1)
      .reshape(rows.sizes());
}

// Number of rows in a piece of kLoadingPieceBytes; whole units.
int64_t RowsOfPiece(int64_t row_bytes, int64_t unit) {
  return std::max<int64_t>(1, models::kLoadingPieceBytes / std::max<int64_t>(row_bytes * unit, 1)) *
         unit;
}

// Rows in the file's layout, and their destination in the engine's form.
struct PlacedRows {
  at::Tensor rows;
  at::Tensor place;
};

// rows: [count, …], from row `first` on; all: the destination of the whole part.
PlacedRows Placed(const models::FileLayout& layout, const at::Tensor& rows, int64_t first,
                  const at::Tensor& all) {
  const int64_t count = rows.size(0);
  if (layout.interleaved_heads > 0) {
    const int64_t of_head = all.size(0) / layout.interleaved_heads;  // query, key and value
    return {rows.view({count / of_head, 3, of_head / 3, -1}).transpose(0, 1),
            all.view({3, layout.interleaved_heads, of_head / 3, -1})
                .narrow(1, first / of_head, count / of_head)};
  }
  return layout.transposed ? PlacedRows{rows.t(), all.narrow(1, first, count)}
                           : PlacedRows{rows, all.narrow(0, first, count)};
}

// Reads outputs that are rows in the file into `all`, piece by piece.
absl::Status ReadOutputsInto(const TensorSource& file, const TensorEntry& entry,
                             const at::Tensor& all) {
  const DeviceOperations& operations = OperationsOn(all);
  const int64_t together = RowsOfPiece(all.size(1) * models::kFloatBytes, /*unit=*/1);
  for (int64_t first = 0; first < all.size(0); first += together) {
    const int64_t count = std::min(together, all.size(0) - first);
    const at::Tensor rows = at::empty({count, all.size(1)}, at::kFloat);
    WATTLE_RETURN_IF_ERROR(file.ReadOutputRows(
        entry, first, absl::MakeSpan(rows.data_ptr<float>(), static_cast<size_t>(rows.numel()))));
    at::Tensor place = all.narrow(0, first, count);
    operations.CopyFromHost(rows, place);
    if (!AllFinite(place)) {
      return NotFinite(file, entry.name);
    }
  }
  return absl::OkStatus();
}

// Reads one part into `all`, its destination in the engine's form, piece by piece.
absl::Status ReadPartInto(const TensorSource& file, const models::FileTensor& part,
                          const models::FileLayout& layout, const at::Tensor& all) {
  WATTLE_ASSIGN_OR_RETURN(const TensorEntry* entry, FindTensor(file, part.name, part.shape));
  if (layout.transposed && file.HasOutputRows(*entry)) {
    return ReadOutputsInto(file, *entry, all);
  }
  const at::ScalarType type = ScalarTypeOf(entry->type);
  const DeviceOperations& operations = OperationsOn(all);
  const bool as_it_is = operations.in_host_memory() && type == all.scalar_type() &&
                        !layout.transposed && layout.interleaved_heads == 0;
  const int64_t rows = part.shape[0];
  const int64_t unit = layout.interleaved_heads > 0 ? rows / layout.interleaved_heads : 1;
  const int64_t together = RowsOfPiece(entry->size_bytes() / rows, unit);
  formats::TensorStream stream(file, *entry);
  std::vector<int64_t> shape = part.shape;
  for (int64_t first = 0; first < rows; first += together) {
    shape[0] = std::min(together, rows - first);
    const at::Tensor piece = as_it_is ? all.narrow(0, first, shape[0]) : at::empty(shape, type);
    WATTLE_RETURN_IF_ERROR(stream.Next(BytesAt(piece)));
    at::Tensor finite = piece;
    if (!as_it_is) {
      PlacedRows placed = Placed(layout, piece, first, all);
      operations.CopyFromHost(placed.rows, placed.place);
      finite = placed.place;
    }
    if (!AllFinite(finite)) {
      return NotFinite(file, part.name);
    }
  }
  return absl::OkStatus();
}

// Fills a matrix some panels at a time, so that only one piece is also in memory. fill: writes the
// rows of `piece`, which follow those of the preceding call, into buffers of the host.
absl::StatusOr<MatrixWeights> FilledMatrix(
    const kernels::WeightMatrix& shape, PackedArena* arena,
    absl::FunctionRef<absl::Status(const kernels::WeightMatrix& piece,
                                   const kernels::PackedBuffers& out)>
        fill) {
  MatrixWeights matrix = EmptyMatrix(shape.format, shape.rows, shape.columns, arena);
  const DeviceOperations& operations = OperationsOn(matrix.packed);
  const kernels::FormatOperations& format = kernels::OperationsOf(shape.format.scheme);
  WATTLE_CHECK(shape.format.scheme != kernels::WeightScheme::kNf4DoubleQuantized,
               "the scales of a piece are those of its rows");
  const int64_t together = RowsOfPiece(shape.columns * models::kFloatBytes, kernels::kPanelRows);
  kernels::WeightMatrix piece = shape;
  kernels::StoredBytes done;
  for (int64_t row = 0; row < shape.rows; row += together) {
    piece.rows = std::min(together, shape.rows - row);
    const kernels::StoredBytes bytes = format.stored_bytes(piece);
    at::Tensor packed = matrix.packed.narrow(0, done.packed, bytes.packed);
    at::Tensor scales = matrix.scales.narrow(0, done.scales, bytes.scales);
    if (operations.in_host_memory()) {
      WATTLE_RETURN_IF_ERROR(fill(piece, {BytesAt(packed).data(), BytesAt(scales).data()}));
    } else {
      const at::Tensor codes = at::empty({bytes.packed}, at::kByte);
      const at::Tensor of_codes = at::empty({bytes.scales}, at::kByte);
      WATTLE_RETURN_IF_ERROR(fill(piece, {BytesAt(codes).data(), BytesAt(of_codes).data()}));
      operations.CopyFromHost(codes, packed);
      operations.CopyFromHost(of_codes, scales);
    }
    done.packed += bytes.packed;
    done.scales += bytes.scales;
  }
  return matrix;
}

// The rows of stacked parts, as codes, some at a time.
class RowsOfParts {
 public:
  RowsOfParts(const TensorSource& file, const std::vector<models::FileTensor>& parts,
              const kernels::WeightMatrix& shape)
      : file_(file), parts_(parts), columns_(shape.columns), groups_(kernels::GroupsOfRow(shape)) {
    codes_.resize(static_cast<size_t>(kernels::kPanelRows * columns_));
    scales_.resize(static_cast<size_t>(kernels::kPanelRows * groups_));
    packed_scales_.resize(scales_.size());
    if (shape.format.scheme == kernels::WeightScheme::kInt6) {
      blocks_ = columns_ / formats::kBlockColumns;
      block_scales_.resize(static_cast<size_t>(kernels::kPanelRows * blocks_));
    }
  }

  // count: at most the rows of a panel.
  absl::Status ReadNext(int64_t count) {
    for (int64_t row = 0; row < count;) {
      const models::FileTensor& part = parts_[part_];
      const TensorEntry* entry = file_.Find(part.name);
      const int64_t rows_of_part = entry->element_count() / columns_;
      const int64_t some = std::min(count - row, rows_of_part - next_);
      const formats::CodedRows read = {
          .codes = Part(codes_, row * columns_, some * columns_),
          .scales = Part(scales_, row * groups_, some * groups_),
          .block_scales = Part(block_scales_, row * blocks_, some * blocks_)};
      WATTLE_RETURN_IF_ERROR(file_.ReadCodes(*entry, next_, read));
      const auto is_finite = [](float scale) { return std::isfinite(scale); };
      if (!std::all_of(read.scales.begin(), read.scales.end(), is_finite) ||
          !std::all_of(read.block_scales.begin(), read.block_scales.end(), is_finite)) {
        return NotFinite(file_, part.name);
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

  [[nodiscard]] kernels::QuantizedRows rows() const {
    return {.codes = codes_, .scales = packed_scales_, .block_scales = block_scales_};
  }

 private:
  template <typename Number>
  static absl::Span<Number> Part(std::vector<Number>& all, int64_t first, int64_t count) {
    return absl::MakeSpan(all).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  }

  const TensorSource& file_;
  const std::vector<models::FileTensor>& parts_;
  int64_t columns_;
  int64_t groups_;
  int64_t blocks_ = 0;  // in a row, each with a further scale
  size_t part_ = 0;     // the part of the next row
  int64_t next_ = 0;    // the next row within the part
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
  std::vector<float> block_scales_;
  std::vector<kernels::GroupScale> packed_scales_;
};

// The rows of stacked parts, in FP32, some at a time.
class FloatRowsOfParts {
 public:
  FloatRowsOfParts(const TensorSource& file, const std::vector<models::FileTensor>& parts,
                   const models::FileLayout& layout, const kernels::WeightMatrix& shape)
      : file_(file), parts_(parts), layout_(layout), shape_(shape) {}

  // float [count, columns].
  absl::StatusOr<at::Tensor> Next(int64_t count) {
    if (layout_.transposed || layout_.interleaved_heads > 0) {  // no outputs as rows
      return NextOfWhole(count);
    }
    at::Tensor rows = at::empty({count, shape_.columns}, at::kFloat);
    for (int64_t row = 0; row < count;) {
      if (!stream_.has_value()) {
        const models::FileTensor& part = parts_[part_];
        WATTLE_ASSIGN_OR_RETURN(entry_, FindTensor(file_, part.name, part.shape));
        stream_.emplace(file_, *entry_);
        left_ = part.shape[0];
      }
      const int64_t some = std::min(
          {count - row, left_, RowsOfPiece(shape_.columns * models::kFloatBytes, /*unit=*/1)});
      at::Tensor place = rows.narrow(0, row, some);
      const at::ScalarType type = ScalarTypeOf(entry_->type);
      const at::Tensor stored = type == at::kFloat ? place : at::empty(place.sizes(), type);
      WATTLE_RETURN_IF_ERROR(stream_->Next(BytesAt(stored)));
      if (!AllFinite(place.copy_(stored))) {
        return NotFinite(file_, parts_[part_].name);
      }
      row += some;
      left_ -= some;
      if (left_ == 0) {
        ++part_;
        stream_.reset();
      }
    }
    return rows;
  }

 private:
  absl::StatusOr<at::Tensor> NextOfWhole(int64_t count) {
    if (!whole_.defined()) {
      whole_ = at::empty({shape_.rows, shape_.columns}, at::kFloat);
      WATTLE_RETURN_IF_ERROR(ReadFloats(file_, parts_, layout_, whole_));
    }
    next_ += count;
    return whole_.narrow(0, next_ - count, count);
  }

  const TensorSource& file_;
  const std::vector<models::FileTensor>& parts_;
  const models::FileLayout& layout_;
  const kernels::WeightMatrix& shape_;
  size_t part_ = 0;  // the part of the next row
  const TensorEntry* entry_ = nullptr;
  std::optional<formats::TensorStream> stream_;  // of that part
  int64_t left_ = 0;                             // its unread rows
  at::Tensor whole_;
  int64_t next_ = 0;
};

// Bytes [first, first + count) of `place`, which may be on any device: `fill` writes them into host
// memory.
template <typename Fill>
void FillBytes(const at::Tensor& place, int64_t first, int64_t count, Fill fill) {
  at::Tensor part = place.narrow(0, first, count);
  const DeviceOperations& operations = OperationsOn(place);
  if (operations.in_host_memory()) {
    fill(BytesAt(part).data());
    return;
  }
  const at::Tensor bytes = at::empty({count}, at::kByte);
  fill(BytesAt(bytes).data());
  operations.CopyFromHost(bytes, part);
}

// A matrix in NF4 with double quantization: the scales of all rows share one mean, so they are
// written last.
absl::StatusOr<MatrixWeights> QuantizedTwice(FloatRowsOfParts& rows,
                                             const kernels::WeightMatrix& shape,
                                             PackedArena* arena) {
  MatrixWeights matrix = EmptyMatrix(shape.format, shape.rows, shape.columns, arena);
  kernels::Nf4DoubleQuantizer quantizer(shape);
  const int64_t together = RowsOfPiece(shape.columns * models::kFloatBytes, /*unit=*/1);
  const int64_t row_bytes = matrix.packed.size(0) / shape.rows;
  for (int64_t row = 0; row < shape.rows; row += together) {
    const int64_t count = std::min(together, shape.rows - row);
    WATTLE_ASSIGN_OR_RETURN(const at::Tensor values, rows.Next(count));
    FillBytes(matrix.packed, row * row_bytes, count * row_bytes,
              [&](std::byte* out) { quantizer.Add(values.data_ptr<float>(), count, out); });
  }
  FillBytes(matrix.scales, 0, matrix.scales.size(0),
            [&](std::byte* out) { quantizer.Finish(out); });
  return matrix;
}

}  // namespace

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
                        const models::FileLayout& layout, const at::Tensor& place) {
  int64_t row = 0;
  for (const models::FileTensor& part : parts) {
    const int64_t rows = part.shape[layout.transposed ? 1 : 0];
    WATTLE_RETURN_IF_ERROR(ReadPartInto(file, part, layout, place.narrow(0, row, rows)));
    row += rows;
  }
  return absl::OkStatus();
}

absl::StatusOr<MatrixWeights> ReadAndQuantize(const TensorSource& file,
                                              const std::vector<models::FileTensor>& parts,
                                              const models::FileLayout& layout,
                                              const kernels::WeightMatrix& shape,
                                              PackedArena* arena) {
  FloatRowsOfParts rows(file, parts, layout, shape);
  if (shape.format.scheme == kernels::WeightScheme::kNf4DoubleQuantized) {
    return QuantizedTwice(rows, shape, arena);
  }
  return FilledMatrix(
      shape, arena,
      [&](const kernels::WeightMatrix& piece, const kernels::PackedBuffers& out) -> absl::Status {
        WATTLE_ASSIGN_OR_RETURN(const at::Tensor values, rows.Next(piece.rows));
        return kernels::Quantize(piece, values.data_ptr<float>(), out);
      });
}

absl::StatusOr<MatrixWeights> ReadCodes(const TensorSource& file,
                                        const std::vector<models::FileTensor>& parts,
                                        const kernels::WeightMatrix& shape, PackedArena* arena) {
  const kernels::FormatOperations& format = kernels::OperationsOf(shape.format.scheme);
  RowsOfParts rows(file, parts, shape);
  return FilledMatrix(shape, arena,
                      [&](const kernels::WeightMatrix& piece, const kernels::PackedBuffers& out) {
                        kernels::PackedBuffers place = out;
                        kernels::WeightMatrix panel = piece;
                        for (int64_t row = 0; row < piece.rows; row += kernels::kPanelRows) {
                          panel.rows = std::min(kernels::kPanelRows, piece.rows - row);
                          WATTLE_RETURN_IF_ERROR(rows.ReadNext(panel.rows));
                          format.pack(panel, rows.rows(), place);
                          const kernels::StoredBytes bytes = format.stored_bytes(panel);
                          place.packed += bytes.packed;
                          place.scales += bytes.scales;
                        }
                        return absl::OkStatus();
                      });
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
  if (format.scheme == kernels::WeightScheme::kFloat16) {
    matrix.packed = matrix.packed.view(at::kHalf).view({rows, columns});
  } else if (format.scheme == kernels::WeightScheme::kBf16) {
    matrix.packed = matrix.packed.view(at::kBFloat16).view({rows, columns});
  }
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
                                         const kernels::WeightMatrix& shape, PackedArena* arena) {
  const std::string scales = name + models::kScaleSuffix;
  const kernels::FormatOperations& format = kernels::OperationsOf(shape.format.scheme);
  const kernels::StoredBytes wanted = format.stored_bytes(shape);
  WATTLE_ASSIGN_OR_RETURN(const TensorEntry* of_codes, FindTensor(file, name, {wanted.packed}));
  WATTLE_ASSIGN_OR_RETURN(const TensorEntry* of_scales, FindTensor(file, scales, {wanted.scales}));
  for (const TensorEntry* entry : {of_codes, of_scales}) {
    if (entry->type != DataType::kU8) {
      return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor ", entry->name,
                                                     ": wants U8; quantize the model again"));
    }
  }
  formats::TensorStream packed_bytes(file, *of_codes);
  formats::TensorStream scale_bytes(file, *of_scales);
  return FilledMatrix(
      shape, arena,
      [&](const kernels::WeightMatrix& piece, const kernels::PackedBuffers& out) -> absl::Status {
        const kernels::StoredBytes bytes = format.stored_bytes(piece);
        WATTLE_RETURN_IF_ERROR(
            packed_bytes.Next(absl::MakeSpan(out.packed, static_cast<size_t>(bytes.packed))));
        WATTLE_RETURN_IF_ERROR(
            scale_bytes.Next(absl::MakeSpan(out.scales, static_cast<size_t>(bytes.scales))));
        kernels::WeightMatrix stored = piece;
        stored.packed = out.packed;
        stored.scales = out.scales;
        return AllFinite(stored) ? absl::OkStatus() : NotFinite(file, scales);
      });
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
  std::vector<kernels::GroupScale> groups(static_cast<size_t>(shape[0]));
  for (size_t row = 0; row < groups.size(); ++row) {
    groups[row].scale = scales.data_ptr<float>()[row];
  }
  int64_t row = 0;
  return FilledMatrix(
      {.format = {.scheme = kernels::WeightScheme::kInt8}, .rows = shape[0], .columns = shape[1]},
      arena, [&](const kernels::WeightMatrix& piece, const kernels::PackedBuffers& out) {
        kernels::OperationsOf(kernels::WeightScheme::kInt8)
            .pack(piece,
                  {.codes = absl::MakeConstSpan(codes.data_ptr<int8_t>() + row * piece.columns,
                                                static_cast<size_t>(piece.rows * piece.columns)),
                   .scales = absl::MakeConstSpan(groups).subspan(static_cast<size_t>(row),
                                                                 static_cast<size_t>(piece.rows))},
                  out);
        row += piece.rows;
        return absl::OkStatus();
      });
}

}  // namespace wattle::engine
