// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "formats/testing/small_model_internal.h"
#include "models/model_directory.h"
#include "models/tensors.h"
#include "models/testing/fuzz_files_internal.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/load_fuzz_internal.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

using formats::DataType;
using formats::TensorDescription;

constexpr uint64_t kSeed = 5;
// Heads of 16, so that the decode operator reads the packed bytes.
constexpr char kConfig[] =
    R"({"model_type": "gpt2", "vocab_size": 262, "n_embd": 32, "n_head": 2,
  "n_layer": 1, "n_positions": 16, "bos_token_id": 261, "eos_token_id": 261})";
constexpr const char* kPackedRecipes[] = {"int8", "int4-g32", "int4a-g32", "nf4-g32",
                                          "int4-g32+head=int8+kv=int8"};

std::string WeightsPath(const std::string& directory) {
  return absl::StrCat(directory, "/", models::kWeightsFile);
}

// The model of the directory in a packed form.
absl::StatusOr<std::string> PackedFile(const std::string& directory, const char* identity) {
  WATTLE_ASSIGN_OR_RETURN(const auto recipe, RecipeOfIdentity(identity));
  WATTLE_ASSIGN_OR_RETURN(const LoadedModel model, LoadModel(directory, {.recipe = &recipe}));
  const std::string packed = absl::StrCat(directory, "/packed");
  WATTLE_RETURN_IF_ERROR(SaveModel(packed, model));
  return ReadWholeFile(WeightsPath(packed), models::kFuzzFileBytesMax);
}

// The int8 form of versions before 0.2: codes of 1, scales of 0.01.
absl::StatusOr<std::string> OldInt8File(const std::string& directory) {
  WATTLE_ASSIGN_OR_RETURN(const models::DecoderConfig config,
                          models::ParseDecoderConfig(kConfig, models::kConfigFile));
  std::vector<TensorDescription> tensors;
  for (const models::ModelTensor& tensor : models::ModelTensors(config)) {
    const models::FileTensor& file = tensor.files[0];
    const bool int8 = tensor.is_multiplied(config);
    tensors.push_back(
        {.name = file.name, .type = int8 ? DataType::kI8 : DataType::kF32, .shape = file.shape});
    if (int8) {
      tensors.push_back({.name = file.name + models::kScaleSuffix, .shape = {tensor.shape[0]}});
    }
  }
  const std::string path = absl::StrCat(directory, "/old.safetensors");
  WATTLE_ASSIGN_OR_RETURN(
      auto writer,
      formats::SafetensorsWriter::Create(
          path, tensors, {{models::kQuantizationMetadataKey, models::kInt8PerChannelForm}}));
  for (const TensorDescription& tensor : tensors) {
    const std::vector<int8_t> codes(static_cast<size_t>(tensor.size_bytes()), 1);
    const std::vector<float> floats(static_cast<size_t>(tensor.size_bytes()) / sizeof(float),
                                    0.01F);
    const bool int8 = tensor.type == DataType::kI8;
    const auto* bytes = int8 ? reinterpret_cast<const std::byte*>(codes.data())
                             : reinterpret_cast<const std::byte*>(floats.data());
    WATTLE_RETURN_IF_ERROR(writer.Write(
        tensor.name, absl::MakeConstSpan(bytes, static_cast<size_t>(tensor.size_bytes()))));
  }
  WATTLE_RETURN_IF_ERROR(writer.Commit());
  return ReadWholeFile(path, models::kFuzzFileBytesMax);
}

}  // namespace

absl::Status MakeDirectoryToLoad(const std::string& directory) {
  const auto write = [&](const char* name, absl::string_view text) {
    return models::WriteFuzzFile(absl::StrCat(directory, "/", name), text);
  };
  WATTLE_RETURN_IF_ERROR(write(models::kConfigFile, kConfig));
  WATTLE_RETURN_IF_ERROR(write(models::kVocabularyFile, formats::SmallVocabulary().dump()));
  return write(models::kMergesFile, formats::kSmallMerges);
}

absl::StatusOr<std::vector<std::string>> WeightsToLoad(const std::string& directory) {
  std::error_code ignored;
  std::filesystem::remove(WeightsPath(directory), ignored);
  WATTLE_RETURN_IF_ERROR(InitializeModelDirectory(directory, kSeed));
  std::vector<std::string> with_checksums;
  WATTLE_ASSIGN_OR_RETURN(std::string floats,
                          ReadWholeFile(WeightsPath(directory), models::kFuzzFileBytesMax));
  with_checksums.push_back(std::move(floats));
  for (const char* identity : kPackedRecipes) {
    WATTLE_ASSIGN_OR_RETURN(std::string packed, PackedFile(directory, identity));
    with_checksums.push_back(std::move(packed));
  }
  WATTLE_ASSIGN_OR_RETURN(std::string old, OldInt8File(directory));
  with_checksums.push_back(std::move(old));
  return models::WithAndWithoutChecksums(std::move(with_checksums));
}

absl::Status LookAtLoad(const std::string& directory, absl::string_view weights) {
  WATTLE_CHECK(models::WriteFuzzFile(WeightsPath(directory), weights).ok(),
               "the directory can be written");
  const auto model = LoadModel(directory, {});
  if (!model.ok()) {
    models::CheckRefusal(model.status());
    return model.status();
  }
  const absl::Status decoded = AtTorchBorder("decode", [&] {
    DecodeSession session(model->decoder, 4);
    const auto logits = session.Feed({1, 2, 3});
    return static_cast<int64_t>(logits.size()) == model->files.config.vocabulary
               ? absl::OkStatus()
               : absl::InternalError("logits of another vocabulary");
  });
  WATTLE_CHECK(decoded.ok(), "what was accepted can be run");
  return absl::OkStatus();
}

}  // namespace wattle::engine
