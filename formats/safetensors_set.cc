// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_set.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

constexpr int64_t kIndexBytesMax = 64LL << 20;
constexpr size_t kFilesMax = 1024;

bool FileExists(const std::string& path) {
  struct stat about = {};
  return stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
}

std::string NameIn(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path : path.substr(slash + 1));
}

// Tensor names by the file that the index assigns them to.
absl::StatusOr<std::map<std::string, std::vector<std::string>>> ReadIndex(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kIndexBytesMax));
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, path));
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
      json["weight_map"].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": weight_map: wants an object of tensor: file"));
  }
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (!absl::EndsWith(name, ".safetensors") || absl::StrContains(name, "/")) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": weight_map: tensor ", Printable(tensor),
                       ": wants the name of a .safetensors file beside the index"));
    }
    files[name].push_back(tensor);
  }
  if (files.size() > kFilesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": weight_map: names more than ", kFilesMax, " files"));
  }
  return files;
}

}  // namespace

absl::StatusOr<SafetensorsSet> SafetensorsSet::OpenDirectory(const std::string& directory) {
  const std::string single = absl::StrCat(directory, "/", kWeightsFileName);
  const std::string index = absl::StrCat(directory, "/", kWeightsIndexFileName);
  if (FileExists(single)) {
    return OpenFile(single);
  }
  if (FileExists(index)) {
    return OpenIndex(index);
  }
  return absl::NotFoundError(
      absl::StrCat(single, ": no such file, nor ", kWeightsIndexFileName,
                   "; save the model with save_pretrained(..., safe_serialization=True)"));
}

absl::StatusOr<SafetensorsSet> SafetensorsSet::OpenFile(const std::string& path) {
  SafetensorsSet set;
  set.path_ = path;
  WATTLE_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  set.files_.push_back(std::move(file));
  WATTLE_RETURN_IF_ERROR(set.Collect());
  return set;
}

absl::StatusOr<SafetensorsSet> SafetensorsSet::OpenIndex(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const auto index, ReadIndex(path));
  SafetensorsSet set;
  set.path_ = path;
  const std::string directory = path.substr(0, path.size() - NameIn(path).size());
  size_t indexed = 0;
  for (const auto& [name, tensors] : index) {
    WATTLE_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(directory + name));
    for (const std::string& tensor : tensors) {
      if (file.Find(tensor) == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": tensor ", Printable(tensor),
                                                       ": is not in ", name,
                                                       "; fetch or copy the model again"));
      }
    }
    indexed += tensors.size();
    set.files_.push_back(std::move(file));
  }
  WATTLE_RETURN_IF_ERROR(set.Collect());
  if (set.tensors_.size() != indexed) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": weight_map: has ", indexed,
                                                   " tensors, the files have ", set.tensors_.size(),
                                                   "; fetch or copy the model again"));
  }
  return set;
}

absl::Status SafetensorsSet::Collect() {
  std::vector<TensorEntry> tensors;
  std::vector<size_t> homes;
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const TensorEntry& tensor : files_[i].tensors()) {
      tensors.push_back(tensor);
      homes.push_back(i);
    }
  }
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return tensors[a].name < tensors[b].name; });
  for (const size_t i : order) {
    if (!tensors_.empty() && tensors_.back().name == tensors[i].name) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": tensor ", tensors[i].name, ": is in two files"));
    }
    tensors_.push_back(std::move(tensors[i]));
    homes_.push_back(homes[i]);
  }
  return absl::OkStatus();
}

std::vector<std::string> SafetensorsSet::FileNames() const {
  std::vector<std::string> names;
  for (const SafetensorsFile& file : files_) {
    names.push_back(NameIn(file.path()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

const SafetensorsFile& SafetensorsSet::FileOf(const TensorEntry& tensor) const {
  const TensorEntry* own = Find(tensor.name);
  WATTLE_CHECK(own != nullptr, "the tensor is one of this set's");
  return files_[homes_[static_cast<size_t>(own - tensors_.data())]];
}

absl::Status SafetensorsSet::Read(const TensorEntry& tensor, absl::Span<std::byte> out) const {
  const SafetensorsFile& file = FileOf(tensor);
  return file.Read(*file.Find(tensor.name), out);
}

absl::Status SafetensorsSet::ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                      absl::Span<std::byte> out) const {
  const SafetensorsFile& file = FileOf(tensor);
  return file.ReadPart(*file.Find(tensor.name), offset_bytes, out);
}

std::optional<StoredChecksum> SafetensorsSet::ChecksumOf(const TensorEntry& tensor) const {
  const SafetensorsFile& file = FileOf(tensor);
  const std::optional<uint32_t> checksum = file.ChecksumOf(*file.Find(tensor.name));
  if (!checksum.has_value()) {
    return std::nullopt;
  }
  return StoredChecksum{*checksum, file.path()};
}

}  // namespace wattle::formats
