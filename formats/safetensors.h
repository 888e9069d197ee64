// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The safetensors file format: 8 bytes of little-endian header length, a JSON header, then the
// tensors' bytes. https://github.com/huggingface/safetensors#format.
// The reader trusts nothing in the file: it checks every offset, size, shape and type before it
// gives a byte to a caller. It never maps the file (input_file.h). Equal tensors give files of
// equal SHA-256: the writer's bytes depend on the content alone. The tensors stand in the order of
// their element size (largest first), then of their names, so that each tensor is aligned without
// padding. The writer adds checksums as the metadata "wattle.crc32c": eight hex digits for the
// header (its text with zeros in place of the checksums), then eight for each tensor, in the order
// of their names. Our reader finds every changed byte by them; other readers ignore them. Many
// threads may use a reader; one thread uses a writer. safetensors_set.h reads a model of several
// files.
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
// that is shorter than its header says ("fetch or copy it again"); kInvalidArgument for a file that
// is no safetensors file or contradicts itself; kUnimplemented for a data type that this version
// does not read.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view file,
                                                         absl::Span<const std::byte> start,
                                                         int64_t file_size_bytes);

// kDataLoss where the bytes of a tensor have another checksum than its file says.
absl::Status CompareChecksum(const std::string& path, const std::string& tensor, uint32_t crc32c,
                             uint32_t wanted);

// A safetensors file, open as long as the object lives.
class SafetensorsFile {
 public:
  // Errors: those of ParseSafetensorsHeader, kDataLoss for a header that its checksum contradicts,
  // kNotFound, kInternal for a disk that cannot read.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] int64_t size_bytes() const { return file_.size_bytes(); }
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const { return header_.tensors; }
  [[nodiscard]] const SafetensorsMetadata& metadata() const { return header_.metadata; }
  // nullptr where the file has no tensor of that name.
  [[nodiscard]] const TensorEntry* Find(absl::string_view name) const;
  // Reads a tensor of this file. out: exactly the tensor's size. Errors: kInternal where the disk
  // cannot read; kDataLoss where the checksum contradicts the bytes. After an error the bytes of
  // `out` are meaningless.
  [[nodiscard]] absl::Status Read(const TensorEntry& tensor, absl::Span<std::byte> out) const;
  // Whether the file has checksums. Files of other writers have none.
  [[nodiscard]] bool has_checksums() const { return !checksums_.empty(); }
  // Of a tensor of this file.
  [[nodiscard]] std::optional<uint32_t> ChecksumOf(const TensorEntry& tensor) const;
  // As Read, a part of a tensor, which is not compared with the checksum.
  [[nodiscard]] absl::Status ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                      absl::Span<std::byte> out) const;

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}

  InputFile file_;
  SafetensorsHeader header_;
  std::vector<uint32_t> checksums_;  // one for each of header_.tensors, or none
};

// Writes a file tensor by tensor, so that a model never needs to be in memory twice.
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
  // was not declared, kInvalidArgument for another size, kAlreadyExists for a second time.
  absl::Status Write(absl::string_view name, absl::Span<const std::byte> bytes);
  // Refuses (kFailedPrecondition) while a tensor is missing. Then fsync, rename, fsync of the
  // directory.
  absl::Status Commit();

 private:
  SafetensorsWriter(DurableFile file, SafetensorsHeader header, std::string text);

  DurableFile file_;
  SafetensorsHeader header_;
  std::string text_;                 // of the header, its checksums still zeros
  std::vector<uint32_t> checksums_;  // one for each of header_.tensors
  std::vector<bool> written_;        // one for each of header_.tensors
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SAFETENSORS_H_
