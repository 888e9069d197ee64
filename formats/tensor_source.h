// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of a model by Hugging Face's names and shapes, independent of the file format.
// SafetensorsSet reads safetensors files; models/gguf_weights.h presents a GGUF file in the same
// form. Thread-safe.
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

// How a file encodes the numbers of a tensor, independently of the type in tensors().
enum class NumberForm {
  kFloat32,  // or a type that is converted to FP32 when read
  kFloat16,
  kBfloat16,
  kInt8Groups,  // scale * code, one scale per kGroupColumns columns of a row: GGUF's Q8_0
  kInt4Groups,  // scale * (code - 8), one scale per kGroupColumns columns: GGUF's Q4_0
  // block scale * group scale * (code - 32): GGUF's Q6_K. Groups of kBlockGroupColumns, blocks of
  // kBlockColumns.
  kInt6Blocks,
};
inline constexpr int64_t kGroupColumns = 32;
inline constexpr int64_t kBlockGroupColumns = 16;
inline constexpr int64_t kBlockColumns = 256;

// Rows of a matrix of codes: codes [rows, columns], scales [rows, groups of a row]. For kInt6Blocks
// the scales are integers, and block_scales is [rows, blocks of a row].
struct CodedRows {
  absl::Span<int8_t> codes;
  absl::Span<float> scales;
  absl::Span<float> block_scales = {};
};

// The checksum of a tensor that the writer stored in the file.
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

  // A name for messages.
  [[nodiscard]] virtual const std::string& path() const = 0;
  // The names of the files inside the directory, sorted.
  [[nodiscard]] virtual std::vector<std::string> FileNames() const = 0;
  // Sorted by name.
  [[nodiscard]] virtual const std::vector<TensorEntry>& tensors() const = 0;
  [[nodiscard]] virtual const SafetensorsMetadata& metadata() const = 0;
  // Reads a tensor of this source. out: exactly the tensor's size. Errors: kInternal if the disk
  // cannot read; kDataLoss if the file does not match its checksum or ends too early. After an
  // error the bytes of `out` are unspecified.
  [[nodiscard]] virtual absl::Status Read(const TensorEntry& tensor,
                                          absl::Span<std::byte> out) const = 0;
  // Reads a part of a tensor (whole elements), without comparing the checksum.
  [[nodiscard]] virtual absl::Status ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                              absl::Span<std::byte> out) const = 0;

  // Nullopt if the file has no checksums.
  [[nodiscard]] virtual std::optional<StoredChecksum> ChecksumOf(const TensorEntry& tensor) const;

  // Only for a tensor of this source.
  [[nodiscard]] virtual NumberForm FormOf(const TensorEntry& tensor) const;
  // Rows from `first` on of a matrix in one of the grouped forms, with the codes and scales of the
  // file: rows are outputs, in the order of models::ModelTensor. Errors: those of ReadPart.
  [[nodiscard]] virtual absl::Status ReadCodes(const TensorEntry& tensor, int64_t first,
                                               const CodedRows& rows) const;

  // Whether the file stores the outputs of a matrix as rows although tensors() presents them as
  // columns.
  [[nodiscard]] virtual bool HasOutputRows(const TensorEntry& tensor) const;
  // For such a matrix, the outputs from `first` on: values [outputs, inputs]. Errors: those of
  // ReadPart.
  [[nodiscard]] virtual absl::Status ReadOutputRows(const TensorEntry& tensor, int64_t first,
                                                    absl::Span<float> values) const;

  // nullptr if there is no tensor of that name.
  [[nodiscard]] const TensorEntry* Find(absl::string_view name) const;
};

// Reads a tensor from beginning to end in pieces, and compares its checksum at the end. Not
// thread-safe.
class TensorStream {
 public:
  // Both must outlive the stream.
  TensorStream(const TensorSource& source, const TensorEntry& tensor)
      : source_(source), tensor_(tensor), checksum_(source.ChecksumOf(tensor)) {}

  // The next bytes, whole elements. Errors: those of TensorSource::Read.
  absl::Status Next(absl::Span<std::byte> out);

 private:
  const TensorSource& source_;
  const TensorEntry& tensor_;
  std::optional<StoredChecksum> checksum_;
  uint32_t crc_ = 0;    // checksum of the bytes read so far
  int64_t offset_ = 0;  // offset of the next byte
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TENSOR_SOURCE_H_
