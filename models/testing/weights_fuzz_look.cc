// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "formats/testing/small_model_internal.h"
#include "models/model_directory.h"
#include "models/testing/fuzz_files_internal.h"
#include "models/testing/weights_fuzz_internal.h"

namespace wattle::models {
namespace {

using formats::DataType;
using formats::SafetensorsMetadata;
using formats::TensorDescription;

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
  return ReadWholeFile(path, kFuzzFileBytesMax);
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

// Guarantees for a reader once the file is accepted.
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
      WriteFuzzFile(absl::StrCat(directory, "/", kConfigFile), formats::kSmallConfig));
  WATTLE_RETURN_IF_ERROR(WriteFuzzFile(absl::StrCat(directory, "/", kVocabularyFile),
                                       formats::SmallVocabulary().dump()));
  return WriteFuzzFile(absl::StrCat(directory, "/", kMergesFile), formats::kSmallMerges);
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
    files.push_back(std::move(file));
  }
  return WithAndWithoutChecksums(std::move(files));
}

absl::Status LookAtWeights(const std::string& directory, absl::string_view weights) {
  const std::string path = absl::StrCat(directory, "/", kWeightsFile);
  const absl::Status written = WriteFuzzFile(path, weights);
  WATTLE_CHECK(written.ok(), "the directory can be written");
  const auto model = InspectModelDirectory(directory);
  if (!model.ok()) {
    CheckRefusal(model.status());
    return model.status();
  }
  WATTLE_CHECK(!model->quantization().empty(), "an accepted model has a recipe");
  const auto file = formats::SafetensorsFile::Open(path);
  WATTLE_CHECK(file.ok(), "what was inspected can be opened");
  CheckTensors(*file);
  return absl::OkStatus();
}

}  // namespace wattle::models
