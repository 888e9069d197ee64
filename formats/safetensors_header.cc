// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "formats/safetensors_header_internal.h"

namespace wattle::formats {
namespace {

struct NamedType {
  DataType type = DataType::kF32;
  absl::string_view name;
  int64_t size_bytes = 0;
};
constexpr std::array kTypes = {
    NamedType{DataType::kF32, "F32", 4},   NamedType{DataType::kF16, "F16", 2},
    NamedType{DataType::kBF16, "BF16", 2}, NamedType{DataType::kI8, "I8", 1},
    NamedType{DataType::kI32, "I32", 4},   NamedType{DataType::kI64, "I64", 8},
    NamedType{DataType::kU8, "U8", 1},     NamedType{DataType::kBool, "BOOL", 1},
};

const NamedType& Lookup(DataType type) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(),
                                   [&](const NamedType& entry) { return entry.type == type; });
  WATTLE_CHECK(found != kTypes.end(), "every enumerator is in the table");
  return *found;
}

absl::Status TensorError(absl::string_view file, absl::string_view tensor, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": tensor ", Printable(tensor), ": ", what, "; the file is damaged"));
}

absl::Status NotSafetensors(absl::string_view file, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": not a safetensors file: ", why,
                   "; save the model with save_pretrained(..., safe_serialization=True)"));
}

// Size in bytes of a shape claimed by a file; nullopt on overflow.
std::optional<int64_t> CheckedSizeBytes(const std::vector<int64_t>& shape, DataType type) {
  int64_t size = ElementSizeBytes(type);
  for (const int64_t dimension : shape) {
    // The dimensions are untrusted: a wrapped size could match the offsets.
    if (__builtin_mul_overflow(size, dimension, &size)) {
      return std::nullopt;
    }
  }
  return size;
}

absl::StatusOr<TensorEntry> ParseTensor(absl::string_view file, const std::string& name,
                                        const Json& json) {
  if (!json.is_object() || json.size() != 3 || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets")) {
    return TensorError(file, name, "wants exactly dtype, shape and data_offsets");
  }
  TensorEntry tensor;
  tensor.name = name;
  const Json& type = json["dtype"];
  if (!type.is_string()) {
    return TensorError(file, name, "dtype wants text");
  }
  const auto& type_name = type.get_ref<const std::string&>();
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const NamedType& entry) {
    return entry.name == absl::string_view(type_name);
  });
  if (found == kTypes.end()) {
    return absl::UnimplementedError(
        absl::StrCat(file, ": tensor ", Printable(name), ": data type ", Printable(type_name),
                     " is not supported in this version; store it as F32, F16 or BF16"));
  }
  tensor.type = found->type;

  const Json& shape = json["shape"];
  const Json& offsets = json["data_offsets"];
  if (!shape.is_array() || !offsets.is_array() || offsets.size() != 2) {
    return TensorError(file, name, "shape wants a list, data_offsets a list of two");
  }
  for (const Json& dimension : shape) {
    const std::optional<int64_t> size = WholeNumber(dimension);
    if (!size.has_value() || *size < 0) {
      return TensorError(file, name, "a dimension is not a whole number from 0 on");
    }
    tensor.shape.push_back(*size);
  }
  const std::optional<int64_t> begin = WholeNumber(offsets[0]);
  const std::optional<int64_t> end = WholeNumber(offsets[1]);
  if (!begin.has_value() || !end.has_value() || *begin < 0 || *end < *begin) {
    return TensorError(file, name, "data_offsets are not two ascending whole numbers");
  }
  const std::optional<int64_t> size = CheckedSizeBytes(tensor.shape, tensor.type);
  // Readers allocate by the shape and read by the offsets, so the two must agree exactly.
  if (!size.has_value() || *size != *end - *begin) {
    return TensorError(file, name,
                       absl::StrCat("its ", *end - *begin, " bytes are not ", type_name,
                                    " of shape ", FormatShape(tensor.shape)));
  }
  tensor.offset_bytes = *begin;
  return tensor;
}

// Whether the tensors cover the data section without holes and overlaps; returns where it ends.
absl::StatusOr<int64_t> CheckLayout(absl::string_view file,
                                    const std::vector<TensorEntry>& tensors) {
  std::vector<const TensorEntry*> by_offset;
  by_offset.reserve(tensors.size());
  for (const TensorEntry& tensor : tensors) {
    by_offset.push_back(&tensor);
  }
  // Sorted by offset, one pass finds both holes and overlaps; by size as well, so that empty
  // tensors come first.
  std::sort(by_offset.begin(), by_offset.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return std::make_pair(a->offset_bytes, a->size_bytes()) <
           std::make_pair(b->offset_bytes, b->size_bytes());
  });
  int64_t end = 0;
  for (const TensorEntry* tensor : by_offset) {
    if (tensor->offset_bytes != end) {
      return TensorError(file, tensor->name,
                         absl::StrCat("begins at ", tensor->offset_bytes,
                                      ", but the tensors before it end at ", end));
    }
    end += tensor->size_bytes();
  }
  return end;
}

absl::Status ParseMetadata(absl::string_view file, const Json& json,
                           SafetensorsMetadata& metadata) {
  if (!json.is_object()) {
    return NotSafetensors(file, "__metadata__ is not an object");
  }
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      return NotSafetensors(file, "a value of __metadata__ is not text");
    }
    metadata.emplace(key, value.get<std::string>());
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t ReadLength(absl::Span<const std::byte> start) {
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint64_t>(start[i]) << (8 * i);
  }
  return length;
}

size_t ChecksumAt(absl::string_view text) {
  const std::string begin = absl::StrCat("\"", kChecksumKey, "\":\"");
  const size_t found = text.find(begin);
  return found == absl::string_view::npos ? found : found + begin.size();
}

std::string ChecksumDigits(uint32_t checksum) {
  return absl::StrFormat("%08x", checksum);
}

absl::StatusOr<std::vector<uint32_t>> ParseChecksums(const std::string& path,
                                                     const SafetensorsHeader& header,
                                                     std::string text) {
  std::vector<uint32_t> checksums;
  const auto found = header.metadata.find(kChecksumKey);
  if (found == header.metadata.end()) {
    return checksums;
  }
  const absl::Status damaged =
      absl::DataLossError(absl::StrCat(path, ": its header is damaged; copy or fetch it again"));
  const std::string& digits = found->second;
  const size_t at = ChecksumAt(text);
  if (digits.size() != kChecksumDigits * (header.tensors.size() + 1) || at == std::string::npos ||
      absl::string_view(text).substr(at, digits.size()) != digits) {
    return damaged;
  }
  for (size_t i = 0; i < digits.size(); i += kChecksumDigits) {
    uint32_t checksum = 0;
    const absl::string_view number = absl::string_view(digits).substr(i, kChecksumDigits);
    if (!absl::SimpleHexAtoi(number, &checksum) || ChecksumDigits(checksum) != number) {
      return damaged;
    }
    checksums.push_back(checksum);
  }
  // The header's checksum was computed with zeros in place of the checksums.
  text.replace(at, digits.size(), digits.size(), '0');
  if (checksums.front() != Crc32c(text)) {
    return damaged;
  }
  checksums.erase(checksums.begin());
  return checksums;
}

int64_t ElementSizeBytes(DataType type) {
  return Lookup(type).size_bytes;
}

absl::string_view DataTypeName(DataType type) {
  return Lookup(type).name;
}

int64_t TensorDescription::element_count() const {
  int64_t count = 1;
  for (const int64_t dimension : shape) {
    count *= dimension;
  }
  return count;
}

std::string FormatShape(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view file,
                                                         absl::Span<const std::byte> start,
                                                         int64_t file_size_bytes) {
  if (file_size_bytes < kLengthBytes || start.size() < kLengthBytes) {
    return Truncated(file, file_size_bytes, kLengthBytes);
  }
  const uint64_t length = ReadLength(start);
  // Checked before anything of that size is read or allocated.
  if (length > kHeaderBytesMax || length < 2) {
    return NotSafetensors(file,
                          absl::StrCat("its first 8 bytes give a header of ", length, " bytes"));
  }
  SafetensorsHeader header;
  header.data_start_bytes = kLengthBytes + static_cast<int64_t>(length);
  if (header.data_start_bytes > file_size_bytes ||
      header.data_start_bytes > static_cast<int64_t>(start.size())) {
    return Truncated(file, file_size_bytes, header.data_start_bytes);
  }
  const absl::string_view text(reinterpret_cast<const char*>(start.data()) + kLengthBytes, length);
  // The specification requires this character; a JSON parser would also accept white space.
  if (text[0] != '{') {
    return NotSafetensors(file, "the header does not begin with '{'");
  }
  const absl::StatusOr<Json> json = ParseJson(text, absl::StrCat(file, " (header)"));
  if (!json.ok()) {
    return NotSafetensors(file, json.status().message());
  }
  for (const auto& [name, value] : json->items()) {  // std::map: sorted by name
    if (name == kMetadataKey) {
      WATTLE_RETURN_IF_ERROR(ParseMetadata(file, value, header.metadata));
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(TensorEntry tensor, ParseTensor(file, name, value));
    header.tensors.push_back(std::move(tensor));
  }
  WATTLE_ASSIGN_OR_RETURN(const int64_t data_bytes, CheckLayout(file, header.tensors));
  if (data_bytes > file_size_bytes - header.data_start_bytes) {
    return Truncated(file, file_size_bytes, header.data_start_bytes + data_bytes);
  }
  // The specification allows no other data: extra bytes mean another file or a damaged header.
  if (data_bytes < file_size_bytes - header.data_start_bytes) {
    return NotSafetensors(file, absl::StrCat(file_size_bytes - header.data_start_bytes - data_bytes,
                                             " bytes follow the last tensor"));
  }
  return header;
}

}  // namespace wattle::formats
