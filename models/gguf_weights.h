// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Presents the tensors of a GGUF file by the names and in the shapes of a Hugging Face file, as
// F32: reading a tensor reverses the converter's changes and dequantizes blocks. Matrices of Q8_0,
// Q6_K and Q4_0 can also be read as codes. Besides the tensor, at most 1 MiB of the file is in
// memory. Thread-safe.
#ifndef WATTLE_MODELS_GGUF_WEIGHTS_H_
#define WATTLE_MODELS_GGUF_WEIGHTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "formats/gguf.h"
#include "formats/tensor_source.h"
#include "models/decoder_config.h"
#include "models/gguf_tensors.h"

namespace wattle::models {

class GgufWeights final : public formats::TensorSource {
 public:
  // config: DecoderConfigOfGguf's result for the file. The tensors have the family's prefix.
  // Errors: those of GgufFile::Open; kInvalidArgument for a tensor that is missing, has another
  // shape or is not a part of the model, by its name in the file.
  static absl::StatusOr<GgufWeights> Open(const std::string& path, const DecoderConfig& config);

  [[nodiscard]] const std::string& path() const override { return file_.path(); }
  [[nodiscard]] std::vector<std::string> FileNames() const override;
  [[nodiscard]] const std::vector<formats::TensorEntry>& tensors() const override {
    return tensors_;
  }
  [[nodiscard]] const formats::SafetensorsMetadata& metadata() const override { return metadata_; }
  [[nodiscard]] absl::Status Read(const formats::TensorEntry& tensor,
                                  absl::Span<std::byte> out) const override;
  [[nodiscard]] absl::Status ReadPart(const formats::TensorEntry& tensor, int64_t offset_bytes,
                                      absl::Span<std::byte> out) const override;
  [[nodiscard]] formats::NumberForm FormOf(const formats::TensorEntry& tensor) const override;
  [[nodiscard]] absl::Status ReadCodes(const formats::TensorEntry& tensor, int64_t first,
                                       const formats::CodedRows& rows) const override;
  [[nodiscard]] bool HasOutputRows(const formats::TensorEntry& tensor) const override;
  [[nodiscard]] absl::Status ReadOutputRows(const formats::TensorEntry& tensor, int64_t first,
                                            absl::Span<float> values) const override;

 private:
  explicit GgufWeights(formats::GgufFile file) : file_(std::move(file)) {}
  absl::Status Add(GgufPlacement placement);
  [[nodiscard]] const GgufPlacement& PlacementOf(const formats::TensorEntry& tensor) const;

  formats::GgufFile file_;
  formats::SafetensorsMetadata metadata_;  // always empty
  std::vector<formats::TensorEntry> tensors_;
  std::vector<GgufPlacement> placements_;  // one for each of tensors_
};

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_WEIGHTS_H_
