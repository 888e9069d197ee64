// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/testing/test_stored_model.h"

#include <cstring>
#include <filesystem>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/durable_file.h"
#include "base/fp16.h"
#include "base/testing/status_matchers.h"
#include "formats/gguf.h"
#include "models/gguf_config.h"
#include "models/gguf_directory.h"
#include "models/model_directory.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {

using formats::GgufType;

std::string MakeModelOf(const models::DecoderConfig& config) {
  const std::string plain = MakeTinyModel(absl::StrCat("plain_", config.family), 5);
  EXPECT_THAT(WriteFileDurably(plain + "/config.json", models::FormatDecoderConfig(config)),
              IsOk());
  std::filesystem::remove(plain + "/model.safetensors");
  EXPECT_THAT(InitializeModelDirectory(plain, 5), IsOk());
  auto model = LoadModel(plain, {});
  EXPECT_THAT(model, IsOk());
  for (size_t i = 0; i < model->parameters.size(); ++i) {
    if (model->parameters[i].decays()) {
      ArenaView(model->arena, model->layout, model->parameters, i).mul_(8.0);
    }
  }
  std::string directory = NewTestDirectory(absl::StrCat("model_", config.family));
  EXPECT_THAT(SaveModel(directory, *model), IsOk());
  return directory;
}

void RoundTensors(const std::string& directory, formats::DataType type,
                  const std::function<bool(const std::string& name)>& rounded) {
  const std::string path = directory + "/model.safetensors";
  const auto file = formats::SafetensorsFile::Open(path);
  ASSERT_THAT(file, IsOk());
  std::vector<formats::TensorDescription> descriptions;
  for (const formats::TensorEntry& tensor : file->tensors()) {
    descriptions.push_back({.name = tensor.name,
                            .type = rounded(tensor.name) ? type : formats::DataType::kF32,
                            .shape = tensor.shape});
  }
  const std::string rewritten = path + ".rewritten";
  auto writer = formats::SafetensorsWriter::Create(rewritten, descriptions, {{"format", "pt"}});
  ASSERT_THAT(writer, IsOk());
  for (const formats::TensorDescription& tensor : descriptions) {
    at::Tensor values = at::empty(tensor.shape, at::kFloat);
    const std::vector<std::byte> bytes = BytesOf(*file, *file->Find(tensor.name));
    std::memcpy(values.data_ptr(), bytes.data(), bytes.size());
    values = values.to(tensor.type == formats::DataType::kF16    ? at::kHalf
                       : tensor.type == formats::DataType::kBF16 ? at::kBFloat16
                                                                 : at::kFloat);
    ASSERT_THAT(writer->Write(tensor.name,
                              absl::MakeConstSpan(static_cast<const std::byte*>(values.data_ptr()),
                                                  static_cast<size_t>(values.nbytes()))),
                IsOk());
  }
  ASSERT_THAT(writer->Commit(), IsOk());
  std::filesystem::rename(rewritten, path);
}

namespace {

// Any bytes are valid blocks of Q6_K except for the F16 scale: weights of about a tenth.
std::vector<std::byte> DrawnQ6K(int64_t size, uint64_t seed) {
  constexpr int64_t kBlockBytes = 210;
  constexpr float kScale = 6.5e-5F;
  std::vector<std::byte> blocks(static_cast<size_t>(size));
  std::mt19937_64 random(seed);
  for (std::byte& byte : blocks) {
    byte = static_cast<std::byte>(random());
  }
  const uint16_t scale = Fp16FromFloat(kScale);
  for (int64_t at = kBlockBytes; at <= size; at += kBlockBytes) {
    std::memcpy(blocks.data() + at - sizeof(scale), &scale, sizeof(scale));
  }
  return blocks;
}

}  // namespace

void RewriteAsQ6K(const std::string& directory,
                  const std::function<bool(const std::string& name)>& chosen) {
  const std::string path = directory + "/model.gguf";
  const auto file = formats::GgufFile::Open(path);
  ASSERT_THAT(file, IsOk());
  std::vector<formats::GgufTensor> tensors = file->header().tensors;
  for (formats::GgufTensor& tensor : tensors) {
    tensor.type = chosen(tensor.name) ? GgufType::kQ6K : tensor.type;
  }
  auto writer = formats::GgufWriter::Create(path + ".rewritten", file->header().metadata, tensors);
  ASSERT_THAT(writer, IsOk());
  uint64_t seed = 0;
  for (const formats::GgufTensor& tensor : tensors) {
    std::vector<std::byte> blocks = DrawnQ6K(tensor.size_bytes(), ++seed);
    if (const auto& old = *file->header().Find(tensor.name); old.type == tensor.type) {
      ASSERT_THAT(file->ReadRowBytes(old, 0, absl::MakeSpan(blocks)), IsOk());
    }
    ASSERT_THAT(writer->WriteBlocks(tensor.name, blocks), IsOk());
  }
  ASSERT_THAT(writer->Commit(), IsOk());
  std::filesystem::rename(path + ".rewritten", path);
}

void StoreAs(const std::string& directory, GgufType type) {
  if (type == GgufType::kF32) {
    return;
  }
  if (type == GgufType::kBF16) {
    RoundTensors(directory, formats::DataType::kBF16, [](const std::string&) { return true; });
    return;
  }
  const auto files = models::InspectModelDirectory(directory);
  ASSERT_THAT(files, IsOk());
  const auto weights = models::OpenWeights(directory, files->config);
  ASSERT_THAT(weights, IsOk());
  const auto fields = models::GgufFieldsOf(files->config, "m");
  ASSERT_THAT(fields, IsOk());
  const bool q6 = type == GgufType::kQ6K;
  ASSERT_THAT(models::WriteGguf(*files, **weights, *fields, directory + "/model.gguf",
                                q6 ? GgufType::kQ8_0 : type),
              IsOk());
  std::filesystem::remove(directory + "/model.safetensors");
  if (q6) {
    const auto file = formats::GgufFile::Open(directory + "/model.gguf");
    ASSERT_THAT(file, IsOk());
    RewriteAsQ6K(directory, [&](const std::string& name) {
      return file->header().Find(name)->type == GgufType::kQ8_0;
    });
  }
}

std::string MakeStoredModel(const models::DecoderConfig& config, GgufType type) {
  std::string directory = MakeModelOf(config);
  StoreAs(directory, type);
  return directory;
}

}  // namespace wattle::engine
