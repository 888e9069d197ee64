// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "formats/small_model_internal.h"
#include "models/model_directory.h"
#include "models/weights_fuzz_internal.h"

namespace wattle::models {
namespace {

using formats::DataType;
using formats::SafetensorsMetadata;
using formats::TensorDescription;

constexpr int64_t kFileBytesMax = int64_t{1} << 22;

// Without fsync, and as a new file: some file systems flush a file that was cut to nothing and
// written again. A fuzzer writes thousands of files.
absl::Status WriteText(const std::string& path, absl::string_view text) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  return file.good() ? absl::OkStatus()
                     : absl::InternalError(absl::StrCat(path, ": could not be written"));
}

absl::StatusOr<std::string> FileOf(const std::string& directory,
                                   const std::vector<TensorDescription>& tensors,
                                   const SafetensorsMetadata& metadata) {
  const std::string path = absl::StrCat(directory, "/", kWeightsFile);
  WATTLE_ASSIGN_OR_RETURN(auto writer, formats::SafetensorsWriter::Create(path, tensors, metadata));
  for (const TensorDescription& tensor : tensors) {
    WATTLE_RETURN_IF_ERROR(writer.Write(
        tensor.name, std::vector<std::byte>(static_cast<size_t>(tensor.size_bytes()))));
  }
  WATTLE_RETURN_IF_ERROR(writer.Commit());
  return ReadWholeFile(path, kFileBytesMax);
}

std::vector<TensorDescription> PackedTensors(const DecoderConfig& config) {
  std::vector<TensorDescription> tensors;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    if (tensor.is_multiplied(config)) {
      tensors.push_back({.name = tensor.name, .type = DataType::kU8, .shape = {64}});
      tensors.push_back({.name = tensor.name + kScaleSuffix, .type = DataType::kU8, .shape = {8}});
    } else {
      tensors.push_back({.name = tensor.name, .shape = tensor.shape});
    }
  }
  return tensors;
}

std::vector<TensorDescription> OldInt8Tensors(const DecoderConfig& config) {
  std::vector<TensorDescription> tensors = CheckpointTensors(config);
  std::vector<TensorDescription> scales;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    for (TensorDescription& stored : tensors) {
      if (tensor.is_multiplied(config) && stored.name == tensor.files[0].name) {
        stored.type = DataType::kI8;
        scales.push_back({.name = stored.name + kScaleSuffix, .shape = {tensor.shape[0]}});
      }
    }
  }
  tensors.insert(tensors.end(), scales.begin(), scales.end());
  return tensors;
}

// What a reader may rely on once the file is accepted.
void CheckTensors(const formats::SafetensorsFile& file) {
  std::vector<std::byte> bytes;
  for (const formats::TensorEntry& tensor : file.tensors()) {
    WATTLE_CHECK(tensor.offset_bytes >= 0 && tensor.size_bytes() >= 0 &&
                     tensor.offset_bytes + tensor.size_bytes() <= file.size_bytes(),
                 "an accepted tensor lies inside the file");
    bytes.resize(static_cast<size_t>(tensor.size_bytes()));
    const absl::Status read = file.Read(tensor, absl::MakeSpan(bytes));
    WATTLE_CHECK(read.ok() || read.code() == absl::StatusCode::kDataLoss,
                 "bytes are there, or their checksum says what happened");
  }
}

}  // namespace

absl::Status MakeDirectoryWithoutWeights(const std::string& directory) {
  WATTLE_RETURN_IF_ERROR(
      WriteText(absl::StrCat(directory, "/", kConfigFile), formats::kSmallConfig));
  WATTLE_RETURN_IF_ERROR(
      WriteText(absl::StrCat(directory, "/", kVocabularyFile), formats::SmallVocabulary().dump()));
  return WriteText(absl::StrCat(directory, "/", kMergesFile), formats::kSmallMerges);
}

absl::StatusOr<std::vector<std::string>> ValidWeights(const std::string& directory) {
  WATTLE_ASSIGN_OR_RETURN(const DecoderConfig config,
                          ParseDecoderConfig(formats::kSmallConfig, kConfigFile));
  const SafetensorsMetadata packed = {
      {kQuantizationMetadataKey, kPackedForm},
      {kRecipeMetadataKey, R"({"matrices": {"bits": 4, "groupSize": 32}, "head": {"bits": 8}})"}};
  const SafetensorsMetadata old = {{kQuantizationMetadataKey, kInt8PerChannelForm}};
  std::vector<std::string> files;
  for (const auto& [tensors, metadata] :
       {std::pair(CheckpointTensors(config), SafetensorsMetadata{{"format", "pt"}}),
        std::pair(PackedTensors(config), packed), std::pair(OldInt8Tensors(config), old)}) {
    WATTLE_ASSIGN_OR_RETURN(std::string file, FileOf(directory, tensors, metadata));
    // Files of other writers have no checksums: damage gets past the first look.
    files.push_back(absl::StrReplaceAll(file, {{"wattle.crc32c", "another.key.x"}}));
    files.push_back(std::move(file));
  }
  return files;
}

absl::Status LookAtWeights(const std::string& directory, absl::string_view weights) {
  const std::string path = absl::StrCat(directory, "/", kWeightsFile);
  const absl::Status written = WriteText(path, weights);
  WATTLE_CHECK(written.ok(), "the directory can be written");
  const auto model = InspectModelDirectory(directory);
  if (!model.ok()) {
    WATTLE_CHECK(model.status().message().find('\n') == absl::string_view::npos,
                 "an error is one line");
    WATTLE_CHECK(model.status().code() != absl::StatusCode::kInternal &&
                     model.status().code() != absl::StatusCode::kUnknown,
                 "a damaged file is the file's fault");
    return model.status();
  }
  WATTLE_CHECK(!model->quantization().empty(), "an accepted model has a recipe");
  const auto file = formats::SafetensorsFile::Open(path);
  WATTLE_CHECK(file.ok(), "what was inspected can be opened");
  CheckTensors(*file);
  return absl::OkStatus();
}

}  // namespace wattle::models
