// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The safetensors file format: 8 bytes of little-endian header length, a JSON header, then the
// tensors' bytes. https://github.com/huggingface/safetensors#format.
// Files are untrusted: the reader checks every offset, size, shape and type before it returns a
// byte. The file is never mapped (input_file.h). Equal tensors give files of equal SHA-256: the
// writer's bytes depend only on the content. Tensors are ordered by element size (largest first),
// then by name, so that each tensor is aligned without padding. The writer adds checksums as the
// metadata "wattle.crc32c": eight hex digits for the header (its text with zeros in place of the
// checksums), then eight for each tensor, in the order of their names. Our reader detects a changed
// byte with these checksums; other readers ignore them. Readers are thread-safe; writers are not.
// safetensors_set.h reads a model of several files.
#ifndef WATTLE_FORMATS_SAFETENSORS_H_
#define WATTLE_FORMATS_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "base/durable_file.h"
#include "formats/input_file.h"

namespace wattle::formats {

// The types of a tensor's elements. Numbers are little-endian, as on every machine that Wattle
// supports.
enum class DataType { kF32, kF16, kBF16, kI8, kI32, kI64, kU8, kBool };

[[nodiscard]] int64_t ElementSizeBytes(DataType type);
[[nodiscard]] absl::string_view DataTypeName(DataType type);  // "F32", as in the header

// A tensor's name, type and shape, without its place in the file.
struct TensorDescription {
  std::string name;
  DataType type = DataType::kF32;
  std::vector<int64_t> shape;  // each ≥ 0; empty: a scalar

  [[nodiscard]] int64_t element_count() const;
  [[nodiscard]] int64_t size_bytes() const { return element_count() * ElementSizeBytes(type); }
};

// "[768, 2304]".
[[nodiscard]] std::string FormatShape(absl::Span<const int64_t> shape);

struct TensorEntry : TensorDescription {
  int64_t offset_bytes = 0;  // from the start of the data section
};

using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // sorted by name
  SafetensorsMetadata metadata;      // "__metadata__", for example {"format": "pt"}
  int64_t data_start_bytes = 0;      // of the data section, from the start of the file
};

// Parses and checks the header. file: the name for messages. start: the first bytes of the file,
// with the whole header. Errors are one line and name the file and the tensor: kDataLoss for a file
// that is shorter than its header states ("fetch or copy it again"); kInvalidArgument for a file
// that is not safetensors or contradicts itself; kUnimplemented for a data type that this version
// does not read.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view file,
                                                         absl::Span<const std::byte> start,
                                                         int64_t file_size_bytes);

// kDataLoss if the bytes of a tensor do not match the checksum in the file.
absl::Status CompareChecksum(const std::string& path, const std::string& tensor, uint32_t crc32c,
                             uint32_t wanted);

// A safetensors file, kept open for the lifetime of the object.
class SafetensorsFile {
 public:
  // Errors: those of ParseSafetensorsHeader, kDataLoss for a header that does not match its
  // checksum, kNotFound, kInternal if the disk cannot read.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] int64_t size_bytes() const { return file_.size_bytes(); }
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const { return header_.tensors; }
  [[nodiscard]] const SafetensorsMetadata& metadata() const { return header_.metadata; }
  // nullptr if the file has no tensor of that name.
  [[nodiscard]] const TensorEntry* Find(absl::string_view name) const;
  // Reads a tensor of this file. out: exactly the tensor's size. Errors: kInternal if the disk
  // cannot read; kDataLoss if the bytes do not match the checksum. After an error the bytes of
  // `out` are unspecified.
  [[nodiscard]] absl::Status Read(const TensorEntry& tensor, absl::Span<std::byte> out) const;
  // Whether the file has checksums. Files of other writers do not.
  [[nodiscard]] bool has_checksums() const { return !checksums_.empty(); }
  // Only for a tensor of this file.
  [[nodiscard]] std::optional<uint32_t> ChecksumOf(const TensorEntry& tensor) const;
  // Reads a part of a tensor, without comparing the checksum.
  [[nodiscard]] absl::Status ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                      absl::Span<std::byte> out) const;

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}

  InputFile file_;
  SafetensorsHeader header_;
  std::vector<uint32_t> checksums_;  // one for each of header_.tensors, or none
};

// Writes a file tensor by tensor, so that a model is never in memory twice.
//   auto writer = SafetensorsWriter::Create(path, descriptions, {{"format", "pt"}});
//   for (each tensor, in any order) writer->Write(name, bytes);
//   writer->Commit();
class SafetensorsWriter {
 public:
  // Errors: kInvalidArgument for a name used twice, or a negative dimension; those of DurableFile.
  static absl::StatusOr<SafetensorsWriter> Create(const std::string& path,
                                                  std::vector<TensorDescription> tensors,
                                                  const SafetensorsMetadata& metadata = {{"format",
                                                                                          "pt"}},
                                                  FileOperationObserver observer = {});

  // bytes: exactly the tensor's size, little-endian, row-major. Errors: kNotFound for a name that
  // was not declared, kInvalidArgument for another size, kAlreadyExists for a second write.
  absl::Status Write(absl::string_view name, absl::Span<const std::byte> bytes);
  // Refuses (kFailedPrecondition) while a tensor is missing. Then fsync, rename, fsync of the
  // directory.
  absl::Status Commit();

 private:
  SafetensorsWriter(DurableFile file, SafetensorsHeader header, std::string text);

  DurableFile file_;
  SafetensorsHeader header_;
  std::string text_;                 // the header's text, with zeros as checksums
  std::vector<uint32_t> checksums_;  // one for each of header_.tensors
  std::vector<bool> written_;        // one for each of header_.tensors
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SAFETENSORS_H_
