// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of a model that lie in one safetensors file or, sharded, in several, which
// model.safetensors.index.json names: {"weight_map": {tensor: file}}. Reads like one file. May be
// used from many threads.
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

namespace wattle::formats {

inline constexpr char kWeightsFileName[] = "model.safetensors";
inline constexpr char kWeightsIndexFileName[] = "model.safetensors.index.json";

class SafetensorsSet {
 public:
  // The weights of a model directory: model.safetensors, or else model.safetensors.index.json.
  // Errors: those of OpenFile and OpenIndex; kNotFound where there is neither.
  static absl::StatusOr<SafetensorsSet> OpenDirectory(const std::string& directory);
  // One file. Errors: those of SafetensorsFile::Open.
  static absl::StatusOr<SafetensorsSet> OpenFile(const std::string& path);
  // path: of the index; the files lie beside it. Errors: those of SafetensorsFile::Open;
  // kInvalidArgument for an index that is none, that names a file elsewhere, or that does not say
  // of each tensor in which file it is.
  static absl::StatusOr<SafetensorsSet> OpenIndex(const std::string& path);

  // Of the file, or of the index.
  [[nodiscard]] const std::string& path() const { return path_; }
  // The files, by their names inside the directory, sorted.
  [[nodiscard]] std::vector<std::string> FileNames() const;
  // Of every file, sorted by name.
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const { return tensors_; }
  // Of the first file.
  [[nodiscard]] const SafetensorsMetadata& metadata() const { return files_.front().metadata(); }
  // nullptr if there is none of that name.
  [[nodiscard]] const TensorEntry* Find(absl::string_view name) const;
  // As those of SafetensorsFile. tensor: one of this set's.
  [[nodiscard]] absl::Status Read(const TensorEntry& tensor, absl::Span<std::byte> out) const;
  [[nodiscard]] absl::Span<const std::byte> Bytes(const TensorEntry& tensor) const;

 private:
  SafetensorsSet() = default;
  // Puts the tensors of all files together. Errors: kInvalidArgument for one that is in two files.
  absl::Status Collect();
  // The file that holds the tensor.
  [[nodiscard]] const SafetensorsFile& FileOf(const TensorEntry& tensor) const;

  std::string path_;
  std::vector<SafetensorsFile> files_;  // at least one
  std::vector<TensorEntry> tensors_;
  std::vector<size_t> homes_;  // of each of tensors_: which of files_
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SAFETENSORS_SET_H_
