// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The GGUF file format of llama.cpp, versions 2 and 3: a header of metadata (key, typed value) and
// of tensors (name, type, shape, offset), then the tensors' bytes, each aligned.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. models/gguf_config.h and
// models/gguf_weights.h interpret the names for a model.
// Files are untrusted: the reader checks every length, count, offset, shape and type before it
// returns a value, and refuses overlapping tensors. Readers are thread-safe; writers are not.
#ifndef WATTLE_FORMATS_GGUF_H_
#define WATTLE_FORMATS_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "base/durable_file.h"
#include "formats/gguf_blocks.h"
#include "formats/input_file.h"

namespace wattle::formats {

// Integers are read as int64_t, other numbers as double, and an array of flags as an array of
// integers. int64_t is written as UINT32, in an array as INT32; double is written as FLOAT32.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;
using GgufMetadata = std::map<std::string, GgufValue>;

struct GgufTensor {
  std::string name;
  GgufType type = GgufType::kF32;
  // Outermost dimension first, the order used everywhere in Wattle; files store the innermost one
  // first. 1 to 4 dimensions, each ≥ 1.
  std::vector<int64_t> shape;
  int64_t offset_bytes = 0;  // from the start of the data section

  [[nodiscard]] int64_t element_count() const;
  // Number of rows of the innermost dimension.
  [[nodiscard]] int64_t row_count() const { return element_count() / shape.back(); }
  [[nodiscard]] int64_t row_bytes() const;
  [[nodiscard]] int64_t size_bytes() const { return row_count() * row_bytes(); }
};

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // sorted by name
  int64_t data_start_bytes = 0;     // of the data section, from the start of the file

  // nullptr if the file has no such tensor or value.
  [[nodiscard]] const GgufTensor* Find(absl::string_view name) const;
  [[nodiscard]] const GgufValue* FindValue(absl::string_view key) const;
};

// Parses and checks the header. file: the name for messages. start: the first bytes of the file.
// Errors are one line and name the file and the key or the tensor: kOutOfRange if the header
// continues past `start`; kDataLoss for a file that ends too early; kInvalidArgument for a file
// that is not GGUF or contradicts itself; kUnimplemented for a file version or a tensor type that
// this version does not read.
absl::StatusOr<GgufHeader> ParseGgufHeader(absl::string_view file,
                                           absl::Span<const std::byte> start,
                                           int64_t file_size_bytes);

// A GGUF file, kept open for the lifetime of the object.
class GgufFile {
 public:
  // Errors: those of InputFile, and of ParseGgufHeader except kOutOfRange.
  static absl::StatusOr<GgufFile> Open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] int64_t size_bytes() const { return file_.size_bytes(); }
  [[nodiscard]] const GgufHeader& header() const { return header_; }
  // The values of rows [first, first + count) of a tensor of this file. values: [count, columns].
  // Errors: those of InputFile::Read.
  [[nodiscard]] absl::Status ReadRows(const GgufTensor& tensor, int64_t first, int64_t count,
                                      absl::Span<float> values) const;
  // Reads the same rows in the file's encoding. bytes: exactly the size of the rows.
  [[nodiscard]] absl::Status ReadRowBytes(const GgufTensor& tensor, int64_t first,
                                          absl::Span<std::byte> bytes) const;

 private:
  explicit GgufFile(InputFile file) : file_(std::move(file)) {}

  InputFile file_;
  GgufHeader header_;
};

// Writes a file tensor by tensor, in any order.
class GgufWriter {
 public:
  // tensors: without offsets; written in this order. Errors: kInvalidArgument for a name used
  // twice, for rows that are not whole blocks, or for a number that its type cannot hold; those of
  // DurableFile.
  static absl::StatusOr<GgufWriter> Create(const std::string& path, const GgufMetadata& metadata,
                                           std::vector<GgufTensor> tensors);

  // values: the whole tensor, finite. Errors: kNotFound for a name that was not declared,
  // kInvalidArgument for another number of values, kAlreadyExists for a second write.
  absl::Status Write(absl::string_view name, absl::Span<const float> values);
  // Writes a tensor of any type from encoded blocks.
  absl::Status WriteBlocks(absl::string_view name, absl::Span<const std::byte> blocks);
  // Refuses (kFailedPrecondition) while a tensor is missing. Then fsync, rename, fsync of the
  // directory.
  absl::Status Commit();

 private:
  GgufWriter(DurableFile file, std::vector<GgufTensor> tensors, int64_t data_start_bytes);
  absl::StatusOr<size_t> Unwritten(absl::string_view name) const;

  DurableFile file_;
  std::vector<GgufTensor> tensors_;
  std::vector<bool> written_;  // one for each of tensors_
  int64_t data_start_bytes_ = 0;
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_GGUF_H_
