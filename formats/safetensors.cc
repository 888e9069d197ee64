// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "formats/safetensors_header_internal.h"

namespace wattle::formats {

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(InputFile opened, InputFile::Open(path, ".safetensors"));
  const int64_t size_bytes = opened.size_bytes();
  SafetensorsFile file(std::move(opened));
  if (size_bytes < kLengthBytes) {
    return Truncated(path, size_bytes, kLengthBytes);
  }
  std::string start(kLengthBytes, '\0');
  const auto bytes_of = [](std::string& text) {
    return absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size());
  };
  WATTLE_RETURN_IF_ERROR(file.file_.Read(0, bytes_of(start)));
  const uint64_t length = ReadLength(bytes_of(start));
  if (length <= kHeaderBytesMax && kLengthBytes + static_cast<int64_t>(length) <= size_bytes) {
    start.resize(kLengthBytes + length);
    WATTLE_RETURN_IF_ERROR(file.file_.Read(0, bytes_of(start)));
  }
  WATTLE_ASSIGN_OR_RETURN(file.header_, ParseSafetensorsHeader(path, bytes_of(start), size_bytes));
  WATTLE_ASSIGN_OR_RETURN(file.checksums_,
                          ParseChecksums(path, file.header_, start.substr(kLengthBytes)));
  return file;
}

absl::Status CompareChecksum(const std::string& path, const std::string& tensor, uint32_t crc32c,
                             uint32_t wanted) {
  return crc32c == wanted
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat(path, ": tensor ", tensor,
                                                ": was changed on the disk; copy or fetch it "
                                                "again"));
}

absl::Status SafetensorsFile::Read(const TensorEntry& tensor, absl::Span<std::byte> out) const {
  WATTLE_CHECK(static_cast<int64_t>(out.size()) == tensor.size_bytes(), "the tensor's own size");
  WATTLE_RETURN_IF_ERROR(file_.Read(header_.data_start_bytes + tensor.offset_bytes, out));
  const std::optional<uint32_t> checksum = ChecksumOf(tensor);
  return checksum.has_value()
             ? CompareChecksum(path(), tensor.name,
                               Crc32c({reinterpret_cast<const char*>(out.data()), out.size()}),
                               *checksum)
             : absl::OkStatus();
}

std::optional<uint32_t> SafetensorsFile::ChecksumOf(const TensorEntry& tensor) const {
  if (checksums_.empty()) {
    return std::nullopt;
  }
  return checksums_[static_cast<size_t>(Find(tensor.name) - header_.tensors.data())];
}

absl::Status SafetensorsFile::ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                       absl::Span<std::byte> out) const {
  WATTLE_CHECK(
      offset_bytes >= 0 && offset_bytes + static_cast<int64_t>(out.size()) <= tensor.size_bytes(),
      "a part of the tensor");
  return file_.Read(header_.data_start_bytes + tensor.offset_bytes + offset_bytes, out);
}

const TensorEntry* SafetensorsFile::Find(absl::string_view name) const {
  const auto found = std::lower_bound(
      header_.tensors.begin(), header_.tensors.end(), name,
      [](const TensorEntry& entry, absl::string_view wanted) { return entry.name < wanted; });
  return found != header_.tensors.end() && found->name == name ? &*found : nullptr;
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
  // In the order of the reference implementation, whose readers require each tensor to be aligned
  // to its element size.
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorDescription& a, const TensorDescription& b) {
              return std::make_pair(-ElementSizeBytes(a.type), absl::string_view(a.name)) <
                     std::make_pair(-ElementSizeBytes(b.type), absl::string_view(b.name));
            });
  SafetensorsHeader header;
  header.metadata = metadata;
  // Zeros reserve the room: the header's size must be fixed before the first tensor is written.
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
  text.append((8 - text.size() % 8) % 8, ' ');  // Aligns the data section.
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
  // Computed from memory, not from the file, so that errors of the disk are found, too.
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
  // Last, because the checksums of all tensors are known only now.
  std::string digits = ChecksumDigits(Crc32c(text_));
  for (const uint32_t checksum : checksums_) {
    digits += ChecksumDigits(checksum);
  }
  const size_t at = ChecksumAt(text_);
  WATTLE_RETURN_IF_ERROR(file_.WriteAt(
      kLengthBytes + static_cast<int64_t>(at),
      absl::MakeConstSpan(reinterpret_cast<const std::byte*>(digits.data()), digits.size())));
  return file_.Commit();
}

}  // namespace wattle::formats
