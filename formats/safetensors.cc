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

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

constexpr int64_t kLengthBytes = 8;
// The limit of the reference implementation; a header of GPT-2 Small has 14 KB.
constexpr int64_t kHeaderBytesMax = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";
constexpr char kChecksumKey[] = "wattle.crc32c";
constexpr size_t kChecksumDigits = 8;

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

// Fills `out` from the file at `offset_bytes`.
absl::Status ReadAt(int descriptor, const std::string& path, int64_t offset_bytes,
                    absl::Span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(descriptor, out.data() + done, out.size() - done,
                              static_cast<off_t>(offset_bytes + static_cast<int64_t>(done)));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return FileError(errno, path, "cannot read");
    }
    if (got == 0) {
      return Truncated(path, offset_bytes + static_cast<int64_t>(done),
                       offset_bytes + static_cast<int64_t>(out.size()));
    }
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

// Where the value of kChecksumKey stands in the header's text; npos: nowhere.
size_t ChecksumAt(absl::string_view text) {
  const std::string begin = absl::StrCat("\"", kChecksumKey, "\":\"");
  const size_t found = text.find(begin);
  return found == absl::string_view::npos ? found : found + begin.size();
}

std::string Hex(uint32_t checksum) {
  return absl::StrFormat("%08x", checksum);
}

// The checksums of a header's tensors; none where the file has none.
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
    if (!absl::SimpleHexAtoi(number, &checksum) || Hex(checksum) != number) {
      return damaged;
    }
    checksums.push_back(checksum);
  }
  text.replace(at, digits.size(), digits.size(), '0');
  if (checksums.front() != Crc32c(text)) {
    return damaged;
  }
  checksums.erase(checksums.begin());
  return checksums;
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
  SafetensorsFile file;
  file.path_ = path;
  file.descriptor_ = descriptor;
  file.size_bytes_ = about.st_size;
  if (about.st_size < kLengthBytes) {  // an empty file cannot be mapped
    return Truncated(path, about.st_size, kLengthBytes);
  }
  std::string start(kLengthBytes, '\0');
  const auto bytes_of = [](std::string& text) {
    return absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size());
  };
  WATTLE_RETURN_IF_ERROR(ReadAt(descriptor, path, 0, bytes_of(start)));
  const uint64_t length = ReadLength(bytes_of(start));
  if (length <= kHeaderBytesMax && kLengthBytes + static_cast<int64_t>(length) <= about.st_size) {
    start.resize(kLengthBytes + length);
    WATTLE_RETURN_IF_ERROR(ReadAt(descriptor, path, 0, bytes_of(start)));
  }
  WATTLE_ASSIGN_OR_RETURN(file.header_,
                          ParseSafetensorsHeader(path, bytes_of(start), about.st_size));
  WATTLE_ASSIGN_OR_RETURN(file.checksums_,
                          ParseChecksums(path, file.header_, start.substr(kLengthBytes)));
  void* mapped =
      mmap(nullptr, static_cast<size_t>(about.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (mapped == MAP_FAILED) {
    return absl::InternalError(
        absl::StrCat(path, ": cannot map the file: ", std::generic_category().message(errno),
                     "; check the address-space limit (ulimit -v)"));
  }
  file.data_ = static_cast<const std::byte*>(mapped);
  return file;
}

absl::Status SafetensorsFile::Read(const TensorEntry& tensor, absl::Span<std::byte> out) const {
  WATTLE_CHECK(static_cast<int64_t>(out.size()) == tensor.size_bytes(), "the tensor's own size");
  WATTLE_RETURN_IF_ERROR(
      ReadAt(descriptor_, path_, header_.data_start_bytes + tensor.offset_bytes, out));
  if (checksums_.empty()) {
    return absl::OkStatus();
  }
  const auto index = static_cast<size_t>(Find(tensor.name) - header_.tensors.data());
  const absl::string_view bytes(reinterpret_cast<const char*>(out.data()), out.size());
  if (Crc32c(bytes) != checksums_[index]) {
    return absl::DataLossError(absl::StrCat(path_, ": tensor ", tensor.name,
                                            ": was changed on the disk; copy or fetch it again"));
  }
  return absl::OkStatus();
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept {
  *this = std::move(other);
}

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  if (this != &other) {
    Close();
    path_ = std::move(other.path_);
    header_ = std::move(other.header_);
    checksums_ = std::move(other.checksums_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    data_ = std::exchange(other.data_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
  }
  return *this;
}

SafetensorsFile::~SafetensorsFile() {
  Close();
}

void SafetensorsFile::Close() {
  if (descriptor_ >= 0) {
    close(descriptor_);
    descriptor_ = -1;
  }
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

SafetensorsWriter::SafetensorsWriter(DurableFile file, SafetensorsHeader header, std::string text)
    : file_(std::move(file)),
      header_(std::move(header)),
      text_(std::move(text)),
      checksums_(header_.tensors.size()),
      written_(header_.tensors.size()) {}

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
  header.metadata[kChecksumKey] = std::string(kChecksumDigits * (tensors.size() + 1), '0');
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  json[kMetadataKey] = header.metadata;
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
  return SafetensorsWriter(std::move(file), std::move(header), std::move(text));
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
  checksums_[index] = Crc32c({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
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
  std::string digits = Hex(Crc32c(text_));
  for (const uint32_t checksum : checksums_) {
    digits += Hex(checksum);
  }
  const size_t at = ChecksumAt(text_);
  WATTLE_RETURN_IF_ERROR(file_.WriteAt(
      kLengthBytes + static_cast<int64_t>(at),
      absl::MakeConstSpan(reinterpret_cast<const std::byte*>(digits.data()), digits.size())));
  return file_.Commit();
}

}  // namespace wattle::formats
