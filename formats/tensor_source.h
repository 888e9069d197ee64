// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of a model by the names and in the shapes that Hugging Face files have, whatever file
// holds them. SafetensorsSet reads safetensors files; models/gguf_weights.h makes a GGUF file look
// the same. Many threads may use a source.
#ifndef WATTLE_FORMATS_TENSOR_SOURCE_H_
#define WATTLE_FORMATS_TENSOR_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "formats/safetensors.h"

namespace wattle::formats {

// How a file itself holds the numbers of a tensor, whatever type tensors() reads them as.
enum class NumberForm {
  kFloat32,  // or what becomes FP32 when it is read
  kFloat16,
  kBfloat16,
  kInt8Groups,  // scale * code, a scale for each kGroupColumns columns of a row: GGUF's Q8_0
  kInt4Groups,  // scale * (code - 8), likewise: GGUF's Q4_0
  // scale of a block * scale of a group * (code - 32): GGUF's Q6_K. Groups of kBlockGroupColumns,
  // blocks of kBlockColumns.
  kInt6Blocks,
};
inline constexpr int64_t kGroupColumns = 32;
inline constexpr int64_t kBlockGroupColumns = 16;
inline constexpr int64_t kBlockColumns = 256;

// Rows of a matrix of codes: codes [rows, columns], scales [rows, groups of a row]; of kInt6Blocks
// these are whole numbers, beside block_scales [rows, blocks of a row].
struct CodedRows {
  absl::Span<int8_t> codes;
  absl::Span<float> scales;
  absl::Span<float> block_scales = {};
};

// What the writer of a file noted of a tensor's bytes.
struct StoredChecksum {
  uint32_t crc32c = 0;
  const std::string& path;  // of the file
};

class TensorSource {
 public:
  TensorSource() = default;
  TensorSource(TensorSource&&) = default;
  TensorSource& operator=(TensorSource&&) = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  virtual ~TensorSource() = default;

  // What messages name.
  [[nodiscard]] virtual const std::string& path() const = 0;
  // The names of the files inside the directory, sorted.
  [[nodiscard]] virtual std::vector<std::string> FileNames() const = 0;
  // Sorted by name.
  [[nodiscard]] virtual const std::vector<TensorEntry>& tensors() const = 0;
  [[nodiscard]] virtual const SafetensorsMetadata& metadata() const = 0;
  // Reads a tensor of this source. out: exactly the tensor's size. Errors: kInternal where the disk
  // cannot read; kDataLoss where the file contradicts its checksum or ends too early. After an
  // error the bytes of `out` are meaningless.
  [[nodiscard]] virtual absl::Status Read(const TensorEntry& tensor,
                                          absl::Span<std::byte> out) const = 0;
  // The same of a part of a tensor, whole elements, which is not compared with the checksum.
  [[nodiscard]] virtual absl::Status ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                              absl::Span<std::byte> out) const = 0;

  // None where the file has no checksums.
  [[nodiscard]] virtual std::optional<StoredChecksum> ChecksumOf(const TensorEntry& tensor) const;

  // Of a tensor of this source.
  [[nodiscard]] virtual NumberForm FormOf(const TensorEntry& tensor) const;
  // Rows from `first` on of a matrix in one of the forms with groups, as the file has the numbers:
  // rows are outputs, in the order of models::ModelTensor. Errors: as ReadPart.
  [[nodiscard]] virtual absl::Status ReadCodes(const TensorEntry& tensor, int64_t first,
                                               const CodedRows& rows) const;

  // Whether the file has the outputs of a matrix side by side though tensors() has them as columns.
  [[nodiscard]] virtual bool HasOutputRows(const TensorEntry& tensor) const;
  // Of such a matrix the outputs from `first` on: values [outputs, inputs]. Errors: as ReadPart.
  [[nodiscard]] virtual absl::Status ReadOutputRows(const TensorEntry& tensor, int64_t first,
                                                    absl::Span<float> values) const;

  // nullptr where there is no tensor of that name.
  [[nodiscard]] const TensorEntry* Find(absl::string_view name) const;
};

// Reads a tensor from its first byte to its last one, some at a time, and compares its checksum at
// the end. Not thread-safe.
class TensorStream {
 public:
  // Both outlive the stream.
  TensorStream(const TensorSource& source, const TensorEntry& tensor)
      : source_(source), tensor_(tensor), checksum_(source.ChecksumOf(tensor)) {}

  // The bytes that follow, whole elements. Errors: as TensorSource::Read.
  absl::Status Next(absl::Span<std::byte> out);

 private:
  const TensorSource& source_;
  const TensorEntry& tensor_;
  std::optional<StoredChecksum> checksum_;
  uint32_t crc_ = 0;    // of the bytes before
  int64_t offset_ = 0;  // of the bytes that follow
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TENSOR_SOURCE_H_
