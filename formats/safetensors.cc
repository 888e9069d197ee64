// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

constexpr int64_t kLengthBytes = 8;
// The limit of the reference implementation; a header of GPT-2 Small has 14 KB.
constexpr int64_t kHeaderBytesMax = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";

struct NamedType {
  DataType type = DataType::kF32;
  absl::string_view name;
  int64_t size_bytes = 0;
};
constexpr std::array kTypes = {
    NamedType{DataType::kF32, "F32", 4},   NamedType{DataType::kF16, "F16", 2},
    NamedType{DataType::kBF16, "BF16", 2}, NamedType{DataType::kI8, "I8", 1},
    NamedType{DataType::kI32, "I32", 4},   NamedType{DataType::kI64, "I64", 8},
    NamedType{DataType::kU8, "U8", 1},
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

absl::Status Truncated(absl::string_view file, int64_t present, int64_t wanted) {
  return absl::DataLossError(absl::StrCat(file, ": truncated: ", present, " of ", wanted,
                                          " bytes are there; copy or download it again"));
}

absl::Status NotSafetensors(absl::string_view file, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": not a safetensors file: ", why,
                   "; save the model with save_pretrained(..., safe_serialization=True)"));
}

// Size in bytes of a shape that a file claims; nothing on overflow.
std::optional<int64_t> CheckedSizeBytes(const std::vector<int64_t>& shape, DataType type) {
  int64_t size = ElementSizeBytes(type);
  for (const int64_t dimension : shape) {
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
  if (!size.has_value() || *size != *end - *begin) {
    return TensorError(file, name,
                       absl::StrCat("its ", *end - *begin, " bytes are not ", type_name,
                                    " of shape ", FormatShape(tensor.shape)));
  }
  tensor.offset_bytes = *begin;
  return tensor;
}

// Whether the tensors cover the data section without holes and overlaps, and where it ends.
absl::StatusOr<int64_t> CheckLayout(absl::string_view file,
                                    const std::vector<TensorEntry>& tensors) {
  std::vector<const TensorEntry*> by_offset;
  by_offset.reserve(tensors.size());
  for (const TensorEntry& tensor : tensors) {
    by_offset.push_back(&tensor);
  }
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

uint64_t ReadLength(absl::Span<const std::byte> start) {
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint64_t>(start[i]) << (8 * i);
  }
  return length;
}

}  // namespace

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
  if (data_bytes < file_size_bytes - header.data_start_bytes) {
    return NotSafetensors(file, absl::StrCat(file_size_bytes - header.data_start_bytes - data_bytes,
                                             " bytes follow the last tensor"));
  }
  return header;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const std::string reason = std::generic_category().message(errno);
    return absl::NotFoundError(
        absl::StrCat(path, ": cannot open the weights: ", reason, "; check the path"));
  }
  struct stat about = {};
  if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
    close(descriptor);
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file; give the path of a .safetensors file"));
  }
  if (about.st_size < kLengthBytes) {  // An empty file cannot be mapped.
    close(descriptor);
    return Truncated(path, about.st_size, kLengthBytes);
  }
  SafetensorsFile file;
  file.path_ = path;
  void* mapped =
      mmap(nullptr, static_cast<size_t>(about.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int error = errno;
  close(descriptor);
  if (mapped == MAP_FAILED) {
    return absl::InternalError(
        absl::StrCat(path, ": cannot map the file: ", std::generic_category().message(error),
                     "; check the address-space limit (ulimit -v)"));
  }
  file.data_ = static_cast<const std::byte*>(mapped);
  file.size_bytes_ = about.st_size;
  WATTLE_ASSIGN_OR_RETURN(
      file.header_, ParseSafetensorsHeader(
                        path, absl::MakeConstSpan(file.data_, static_cast<size_t>(about.st_size)),
                        about.st_size));
  return file;
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept {
  *this = std::move(other);
}

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  if (this != &other) {
    Unmap();
    path_ = std::move(other.path_);
    header_ = std::move(other.header_);
    data_ = std::exchange(other.data_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
  }
  return *this;
}

SafetensorsFile::~SafetensorsFile() {
  Unmap();
}

void SafetensorsFile::Unmap() {
  if (data_ != nullptr) {
    munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_bytes_));
    data_ = nullptr;
  }
}

const TensorEntry* SafetensorsFile::Find(absl::string_view name) const {
  const auto found = std::lower_bound(
      header_.tensors.begin(), header_.tensors.end(), name,
      [](const TensorEntry& entry, absl::string_view wanted) { return entry.name < wanted; });
  return found != header_.tensors.end() && found->name == name ? &*found : nullptr;
}

absl::Span<const std::byte> SafetensorsFile::Bytes(const TensorEntry& tensor) const {
  return absl::MakeConstSpan(data_ + header_.data_start_bytes + tensor.offset_bytes,
                             static_cast<size_t>(tensor.size_bytes()));
}

void SafetensorsFile::ReleasePages(const TensorEntry& tensor) const {
  // Whole pages inside the tensor; a page shared with a neighbour stays.
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const int64_t begin = header_.data_start_bytes + tensor.offset_bytes;
  const int64_t first = (begin + page - 1) / page * page;
  const int64_t last = (begin + tensor.size_bytes()) / page * page;
  if (last > first) {
    // Advice only: where the kernel does not take it, the pages stay resident and nothing else
    // changes.
    (void)madvise(const_cast<std::byte*>(data_) + first, static_cast<size_t>(last - first),
                  MADV_DONTNEED);
  }
}

SafetensorsWriter::SafetensorsWriter(DurableFile file, SafetensorsHeader header)
    : file_(std::move(file)), header_(std::move(header)), written_(header_.tensors.size()) {}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                            std::vector<TensorDescription> tensors,
                                                            const SafetensorsMetadata& metadata,
                                                            FileOperationObserver observer) {
  // In the order of the reference implementation; its readers want each tensor aligned to its
  // element's size.
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorDescription& a, const TensorDescription& b) {
              return std::make_pair(-ElementSizeBytes(a.type), absl::string_view(a.name)) <
                     std::make_pair(-ElementSizeBytes(b.type), absl::string_view(b.name));
            });
  SafetensorsHeader header;
  header.metadata = metadata;
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    json[kMetadataKey] = metadata;
  }
  int64_t end = 0;
  for (TensorDescription& tensor : tensors) {
    const bool negative = std::any_of(tensor.shape.begin(), tensor.shape.end(),
                                      [](int64_t dimension) { return dimension < 0; });
    if (json.contains(tensor.name) || tensor.name == kMetadataKey || negative) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor ", tensor.name, ": ",
                       negative ? "negative dimension" : "name used twice"));
    }
    json[tensor.name] = {{"dtype", std::string(DataTypeName(tensor.type))},
                         {"shape", tensor.shape},
                         {"data_offsets", {end, end + tensor.size_bytes()}}};
    TensorEntry entry;
    static_cast<TensorDescription&>(entry) = std::move(tensor);
    entry.offset_bytes = end;
    end += entry.size_bytes();
    header.tensors.push_back(std::move(entry));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.name < b.name; });

  std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');  // So that the data begin aligned.
  header.data_start_bytes = kLengthBytes + static_cast<int64_t>(text.size());
  std::string length(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  }
  WATTLE_ASSIGN_OR_RETURN(DurableFile file, DurableFile::Create(path, std::move(observer)));
  WATTLE_RETURN_IF_ERROR(file.Append(absl::string_view(length + text)));
  return SafetensorsWriter(std::move(file), std::move(header));
}

absl::Status SafetensorsWriter::Write(absl::string_view name, absl::Span<const std::byte> bytes) {
  const auto found = std::lower_bound(
      header_.tensors.begin(), header_.tensors.end(), name,
      [](const TensorEntry& entry, absl::string_view wanted) { return entry.name < wanted; });
  if (found == header_.tensors.end() || found->name != name) {
    return absl::NotFoundError(absl::StrCat(file_.path(), ": tensor ", name, ": was not declared"));
  }
  const auto index = static_cast<size_t>(found - header_.tensors.begin());
  if (written_[index]) {
    return absl::AlreadyExistsError(
        absl::StrCat(file_.path(), ": tensor ", name, ": written twice"));
  }
  if (static_cast<int64_t>(bytes.size()) != found->size_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": tensor ", name, ": ",
                                                   bytes.size(), " bytes given, ",
                                                   found->size_bytes(), " declared"));
  }
  WATTLE_RETURN_IF_ERROR(file_.WriteAt(header_.data_start_bytes + found->offset_bytes, bytes));
  written_[index] = true;
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Commit() {
  const auto missing = std::find(written_.begin(), written_.end(), false);
  if (missing != written_.end()) {
    const auto index = static_cast<size_t>(missing - written_.begin());
    return absl::FailedPreconditionError(
        absl::StrCat(file_.path(), ": tensor ", header_.tensors[index].name, ": not written yet"));
  }
  return file_.Commit();
}

}  // namespace wattle::formats
