// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of a model, in one safetensors file or in several. model.safetensors.index.json lists
// several files: {"weight_map": {tensor: file}}. Callers read a set like one file. Thread-safe.
#ifndef WATTLE_FORMATS_SAFETENSORS_SET_H_
#define WATTLE_FORMATS_SAFETENSORS_SET_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "formats/safetensors.h"
#include "formats/tensor_source.h"

namespace wattle::formats {

inline constexpr char kWeightsFileName[] = "model.safetensors";
inline constexpr char kWeightsIndexFileName[] = "model.safetensors.index.json";

class SafetensorsSet final : public TensorSource {
 public:
  // Opens the weights of a model directory: model.safetensors, or else
  // model.safetensors.index.json. Errors: those of OpenFile and OpenIndex; kNotFound if neither
  // file exists.
  static absl::StatusOr<SafetensorsSet> OpenDirectory(const std::string& directory);
  // Opens one file. Errors: those of SafetensorsFile::Open.
  static absl::StatusOr<SafetensorsSet> OpenFile(const std::string& path);
  // Opens the files listed in the index at `path`, which must be in the same directory. Errors:
  // those of SafetensorsFile::Open; kInvalidArgument for a file that is not an index, for an index
  // that names a file in another directory, and for an index that does not assign every tensor to a
  // file.
  static absl::StatusOr<SafetensorsSet> OpenIndex(const std::string& path);

  // The path of the file, or of the index.
  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] std::vector<std::string> FileNames() const override;
  // Tensors of all files.
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const override { return tensors_; }
  // Metadata of the first file.
  [[nodiscard]] const SafetensorsMetadata& metadata() const override {
    return files_.front().metadata();
  }
  [[nodiscard]] absl::Status Read(const TensorEntry& tensor,
                                  absl::Span<std::byte> out) const override;
  [[nodiscard]] absl::Status ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                      absl::Span<std::byte> out) const override;
  [[nodiscard]] std::optional<StoredChecksum> ChecksumOf(const TensorEntry& tensor) const override;

 private:
  SafetensorsSet() = default;
  // Collects the tensors of all files. Errors: kInvalidArgument for a tensor that two files have.
  absl::Status Collect();
  // The file that holds the tensor.
  [[nodiscard]] const SafetensorsFile& FileOf(const TensorEntry& tensor) const;

  std::string path_;
  std::vector<SafetensorsFile> files_;  // at least one
  std::vector<TensorEntry> tensors_;
  std::vector<size_t> homes_;  // for each element of tensors_: the index of its file in files_
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SAFETENSORS_SET_H_
