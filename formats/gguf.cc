// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "formats/gguf_layout_internal.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

// A vocabulary of 256,000 tokens with its merges takes 13 MB.
constexpr int64_t kHeaderBytesMax = int64_t{1} << 29;
constexpr int64_t kFirstReadBytes = int64_t{1} << 20;
constexpr uint64_t kKeyBytesMax = (1 << 16) - 1;
constexpr uint32_t kDimensionsMax = 4;
constexpr int64_t kRowsBytesAtOnce = int64_t{1} << 20;

// Reads one header from its first byte. Only the first error is kept: every later read returns
// zeros.
class HeaderReader {
 public:
  HeaderReader(absl::string_view file, absl::Span<const std::byte> start, int64_t file_size_bytes)
      : file_(file), start_(start), file_size_bytes_(file_size_bytes) {}

  absl::StatusOr<GgufHeader> Read() {
    CheckMagic();
    const auto tensors = Number<uint64_t>("the number of tensors");
    const auto values = Number<uint64_t>("the number of metadata values");
    for (uint64_t i = 0; i < values && status_.ok(); ++i) {
      ReadPair(absl::StrCat("metadata value ", i));
    }
    for (uint64_t i = 0; i < tensors && status_.ok(); ++i) {
      ReadTensor(absl::StrCat("tensor ", i));
    }
    if (status_.ok()) {
      CheckLayout();
    }
    if (!status_.ok()) {
      return status_;
    }
    return std::move(header_);
  }

 private:
  void Fail(absl::Status status) {
    if (status_.ok()) {
      status_ = std::move(status);
    }
  }
  void Damaged(absl::string_view where, absl::string_view what) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat(file_, ": ", where, ": ", what, "; the file is damaged")));
  }

  // The next bytes; nullptr after an error.
  const std::byte* Take(absl::string_view where, uint64_t count) {
    if (!status_.ok()) {
      return nullptr;
    }
    // Unsigned comparison with the remaining bytes: an untrusted count cannot overflow a sum.
    if (count > static_cast<uint64_t>(file_size_bytes_ - position_)) {
      Fail(absl::DataLossError(absl::StrCat(
          file_, ": ", where, ": its ", count, " bytes from byte ", position_,
          " on leave the file of ", file_size_bytes_, " bytes; copy or download it again")));
      return nullptr;
    }
    // Not an error of the file: the caller reads a longer start and tries again.
    if (count > start_.size() - static_cast<size_t>(position_)) {
      Fail(absl::OutOfRangeError(absl::StrCat(file_, ": the header is longer than ", start_.size(),
                                              " bytes; this is no GGUF file of a language model")));
      return nullptr;
    }
    const std::byte* bytes = start_.data() + position_;
    position_ += static_cast<int64_t>(count);
    return bytes;
  }

  template <typename T>
  T Number(absl::string_view where) {
    T value = {};
    if (const std::byte* bytes = Take(where, sizeof(value)); bytes != nullptr) {
      std::memcpy(&value, bytes, sizeof(value));
    }
    return value;
  }

  std::string Text(absl::string_view where) {
    const auto size = Number<uint64_t>(where);
    const std::byte* bytes = Take(where, size);
    return bytes == nullptr ? std::string()
                            : std::string(reinterpret_cast<const char*>(bytes), size);
  }

  void CheckMagic() {
    const std::byte* magic = Take("the first bytes", sizeof(kGgufMagic) - 1);
    if (magic != nullptr && std::memcmp(magic, kGgufMagic, sizeof(kGgufMagic) - 1) != 0) {
      Fail(absl::InvalidArgumentError(absl::StrCat(
          file_, ": not a GGUF file: its first bytes are not \"GGUF\"; give the path of one")));
    }
    const auto version = Number<uint32_t>("the version");
    if (status_.ok() && version != 2 && version != 3) {
      // The version is a small number, so zero lower bytes show the other byte order.
      const bool big_endian = (version & 0xffffU) == 0;
      Fail(absl::UnimplementedError(absl::StrCat(
          file_, ": ", big_endian ? "a big-endian file" : absl::StrCat("GGUF version ", version),
          ": not supported in this version; convert the model again with a llama.cpp "
          "that writes little-endian files of version 3")));
    }
  }

  // A number of one of the metadata types; nullopt if the type is not a number.
  std::optional<GgufValue> Scalar(absl::string_view where, ValueType type) {
    switch (type) {
      case ValueType::kUint8:
        return int64_t{Number<uint8_t>(where)};
      case ValueType::kInt8:
        return int64_t{Number<int8_t>(where)};
      case ValueType::kUint16:
        return int64_t{Number<uint16_t>(where)};
      case ValueType::kInt16:
        return int64_t{Number<int16_t>(where)};
      case ValueType::kUint32:
        return int64_t{Number<uint32_t>(where)};
      case ValueType::kInt32:
        return int64_t{Number<int32_t>(where)};
      case ValueType::kInt64:
        return Number<int64_t>(where);
      case ValueType::kUint64: {
        const auto value = Number<uint64_t>(where);
        if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
          Damaged(where, absl::StrCat("the number ", value, " is too large"));
        }
        return static_cast<int64_t>(value);
      }
      case ValueType::kFloat32:
        return double{Number<float>(where)};
      case ValueType::kFloat64:
        return Number<double>(where);
      case ValueType::kFlag: {
        const auto value = Number<uint8_t>(where);
        if (value > 1) {
          Damaged(where, absl::StrCat("a flag has the value ", value));
        }
        return value != 0;
      }
      case ValueType::kText:
      case ValueType::kArray:
        return std::nullopt;
    }
    return std::nullopt;
  }

  template <typename T>
  GgufValue Elements(const std::string& where, ValueType type, uint64_t count) {
    std::vector<T> elements;
    // No reserve(count): the untrusted count could ask for any amount of memory, whereas reading
    // ends with the file.
    for (uint64_t i = 0; i < count && status_.ok(); ++i) {
      if constexpr (std::is_same_v<T, std::string>) {
        elements.push_back(Text(where));
      } else {
        std::visit(
            [&](const auto& value) {
              if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>) {
                elements.push_back(static_cast<T>(value));
              }
            },
            *Scalar(where, type));
      }
    }
    return elements;
  }

  GgufValue Array(const std::string& where) {
    const auto number = Number<uint32_t>(where);
    const auto count = Number<uint64_t>(where);
    // Nested arrays are valid GGUF but not supported, because recursion would need a limit.
    if (number > kValueTypeMax || number == static_cast<uint32_t>(ValueType::kArray)) {
      Damaged(where, absl::StrCat("an array of elements of type ", number));
      return {};
    }
    const auto type = static_cast<ValueType>(number);
    switch (type) {
      case ValueType::kText:
        return Elements<std::string>(where, type, count);
      case ValueType::kFloat32:
      case ValueType::kFloat64:
        return Elements<double>(where, type, count);
      default:
        return Elements<int64_t>(where, type, count);
    }
  }

  void ReadPair(const std::string& where) {
    std::string key = Text(where);
    if (status_.ok() && (key.empty() || key.size() > kKeyBytesMax)) {
      Damaged(where, absl::StrCat("a key of ", key.size(), " bytes"));
    }
    const std::string name = status_.ok() ? Printable(key) : where;
    const auto number = Number<uint32_t>(name);
    if (status_.ok() && number > kValueTypeMax) {
      Damaged(name, absl::StrCat("a value of type ", number));
    }
    if (!status_.ok()) {
      return;
    }
    const auto type = static_cast<ValueType>(number);
    std::optional<GgufValue> value = Scalar(name, type);
    if (type == ValueType::kText) {
      value = Text(name);
    } else if (type == ValueType::kArray) {
      value = Array(name);
    }
    if (status_.ok() && !header_.metadata.emplace(std::move(key), *std::move(value)).second) {
      Damaged(name, "stands twice in the metadata");
    }
  }

  void ReadTensor(const std::string& where) {
    GgufTensor tensor;
    tensor.name = Text(where);
    if (status_.ok() && tensor.name.empty()) {
      Damaged(where, "has no name");
    }
    const std::string name = status_.ok() ? absl::StrCat("tensor ", Printable(tensor.name)) : where;
    const auto dimensions = Number<uint32_t>(name);
    if (status_.ok() && (dimensions < 1 || dimensions > kDimensionsMax)) {
      Damaged(name, absl::StrCat("has ", dimensions, " dimensions"));
    }
    int64_t elements = 1;
    for (uint32_t i = 0; i < dimensions && status_.ok(); ++i) {
      const auto size = Number<uint64_t>(name);
      if (status_.ok() &&
          (size < 1 || size > static_cast<uint64_t>(kTensorBytesMax) ||
           __builtin_mul_overflow(elements, static_cast<int64_t>(size), &elements) ||
           elements > kTensorBytesMax)) {
        Damaged(name, absl::StrCat("its dimension ", i, " of ", size, " is no size"));
      }
      // Files have the innermost dimension first, Wattle the outermost.
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    ReadTensorPlace(name, tensor);
    if (status_.ok()) {
      header_.tensors.push_back(std::move(tensor));
    }
  }

  void ReadTensorPlace(const std::string& name, GgufTensor& tensor) {
    const auto number = Number<uint32_t>(name);
    const auto offset = Number<uint64_t>(name);
    if (!status_.ok()) {
      return;
    }
    const GgufTypeTraits* traits = FindGgufType(number);
    if (traits == nullptr) {
      const absl::string_view unread = UnreadGgufTypeName(number);
      Fail(unread.empty()
               ? absl::InvalidArgumentError(absl::StrCat(
                     file_, ": ", name, ": has the unknown type ", number, "; the file is damaged"))
               : absl::UnimplementedError(absl::StrCat(
                     file_, ": ", name, ": type ", unread,
                     " is not supported in this version; convert the model to one of: ",
                     GgufTypeNames())));
      return;
    }
    tensor.type = traits->type;
    if (tensor.shape.back() % traits->block_elements != 0) {
      Damaged(name, absl::StrCat("rows of ", tensor.shape.back(), " values are no blocks of ",
                                 traits->block_elements, " (", traits->name, ")"));
    }
    if (offset > static_cast<uint64_t>(file_size_bytes_)) {
      Fail(absl::DataLossError(absl::StrCat(file_, ": ", name, ": its offset of ", offset,
                                            " bytes leaves the file of ", file_size_bytes_,
                                            " bytes; copy or download it again")));
    }
    tensor.offset_bytes = static_cast<int64_t>(offset);
  }

  int64_t Alignment() {
    const GgufValue* value = header_.FindValue(kAlignmentKey);
    if (value == nullptr) {
      return kGgufAlignment;
    }
    const auto* alignment = std::get_if<int64_t>(value);
    if (alignment == nullptr || *alignment < 1 || *alignment > kAlignmentMax ||
        !std::has_single_bit(static_cast<uint64_t>(*alignment))) {
      Damaged(kAlignmentKey, absl::StrCat("wants a power of two up to ", kAlignmentMax));
      return kGgufAlignment;
    }
    return *alignment;
  }

  // Whether the tensors are aligned, inside the data section and do not overlap.
  void CheckLayout() {
    const int64_t alignment = Alignment();
    header_.data_start_bytes = AlignedUp(position_, alignment);
    std::vector<GgufTensor>& tensors = header_.tensors;
    // By offset, so that comparing neighbours finds every overlap.
    std::sort(tensors.begin(), tensors.end(), [](const GgufTensor& a, const GgufTensor& b) {
      return a.offset_bytes < b.offset_bytes;
    });
    const int64_t data_bytes = std::max<int64_t>(0, file_size_bytes_ - header_.data_start_bytes);
    int64_t end = 0;
    for (const GgufTensor& tensor : tensors) {
      const std::string name = absl::StrCat("tensor ", Printable(tensor.name));
      if (tensor.offset_bytes % alignment != 0) {
        Damaged(name, absl::StrCat("its offset ", tensor.offset_bytes, " is no multiple of ",
                                   alignment, " (", kAlignmentKey, ")"));
      } else if (tensor.offset_bytes < end) {
        Damaged(name, absl::StrCat("begins at ", tensor.offset_bytes,
                                   ", but the tensors before it end at ", end));
      } else if (tensor.size_bytes() > data_bytes - tensor.offset_bytes) {
        Fail(absl::DataLossError(absl::StrCat(file_, ": ", name, ": its ", tensor.size_bytes(),
                                              " bytes from offset ", tensor.offset_bytes,
                                              " on leave the file of ", file_size_bytes_,
                                              " bytes; copy or download it again")));
      }
      end = tensor.offset_bytes + tensor.size_bytes();
    }
    // By name, for Find's binary search.
    std::sort(tensors.begin(), tensors.end(),
              [](const GgufTensor& a, const GgufTensor& b) { return a.name < b.name; });
    for (size_t i = 1; i < tensors.size(); ++i) {
      if (tensors[i].name == tensors[i - 1].name) {
        Damaged(absl::StrCat("tensor ", Printable(tensors[i].name)), "is there twice");
      }
    }
  }

  absl::string_view file_;
  absl::Span<const std::byte> start_;
  int64_t file_size_bytes_;
  int64_t position_ = 0;
  GgufHeader header_;
  absl::Status status_;
};

}  // namespace

int64_t GgufTensor::element_count() const {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  return count;
}

int64_t GgufTensor::row_bytes() const {
  const GgufTypeTraits& traits = TraitsOf(type);
  return shape.back() / traits.block_elements * traits.block_bytes;
}

const GgufTensor* GgufHeader::Find(absl::string_view name) const {
  const auto found = std::lower_bound(
      tensors.begin(), tensors.end(), name,
      [](const GgufTensor& tensor, absl::string_view wanted) { return tensor.name < wanted; });
  return found == tensors.end() || found->name != name ? nullptr : &*found;
}

const GgufValue* GgufHeader::FindValue(absl::string_view key) const {
  const auto found = metadata.find(std::string(key));
  return found == metadata.end() ? nullptr : &found->second;
}

absl::StatusOr<GgufHeader> ParseGgufHeader(absl::string_view file,
                                           absl::Span<const std::byte> start,
                                           int64_t file_size_bytes) {
  return HeaderReader(file, start, file_size_bytes).Read();
}

absl::StatusOr<GgufFile> GgufFile::Open(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(InputFile opened, InputFile::Open(path, ".gguf"));
  GgufFile file(std::move(opened));
  // The header's length is not stored, so read more until it is complete; most headers fit in the
  // first read.
  for (int64_t wanted = kFirstReadBytes;; wanted *= 4) {
    std::vector<std::byte> start(static_cast<size_t>(std::min(wanted, file.size_bytes())));
    WATTLE_RETURN_IF_ERROR(file.file_.Read(0, absl::MakeSpan(start)));
    auto header = ParseGgufHeader(path, start, file.size_bytes());
    if (absl::IsOutOfRange(header.status()) && wanted < kHeaderBytesMax) {
      continue;
    }
    if (absl::IsOutOfRange(header.status())) {
      return absl::InvalidArgumentError(header.status().message());
    }
    WATTLE_ASSIGN_OR_RETURN(file.header_, std::move(header));
    return file;
  }
}

absl::Status GgufFile::ReadRowBytes(const GgufTensor& tensor, int64_t first,
                                    absl::Span<std::byte> bytes) const {
  return file_.Read(header_.data_start_bytes + tensor.offset_bytes + first * tensor.row_bytes(),
                    bytes);
}

absl::Status GgufFile::ReadRows(const GgufTensor& tensor, int64_t first, int64_t count,
                                absl::Span<float> values) const {
  const int64_t columns = tensor.shape.back();
  WATTLE_CHECK(first >= 0 && first + count <= tensor.row_count() &&
                   static_cast<int64_t>(values.size()) == count * columns,
               "rows of the tensor");
  // In pieces, so that only a bounded part of the encoded tensor is in memory.
  const int64_t rows_at_once = std::max<int64_t>(1, kRowsBytesAtOnce / tensor.row_bytes());
  std::vector<std::byte> bytes;
  for (int64_t row = first; row < first + count; row += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, first + count - row);
    bytes.resize(static_cast<size_t>(rows * tensor.row_bytes()));
    WATTLE_RETURN_IF_ERROR(ReadRowBytes(tensor, row, absl::MakeSpan(bytes)));
    DequantizeGguf(tensor.type, bytes,
                   values.subspan(static_cast<size_t>((row - first) * columns),
                                  static_cast<size_t>(rows * columns)));
  }
  return absl::OkStatus();
}

}  // namespace wattle::formats
