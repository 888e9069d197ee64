// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the reads of skipped tensors. model_directory_test.cc tests their contents.
#include "models/ignorable_buffers.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/safetensors_set.h"
#include "formats/testing/small_model_internal.h"

namespace wattle::models {
namespace {

// Versions of transformers saved the mask of GPT-2 and GPT-NeoX as bytes and as truth values.
TEST(IgnorableBuffersTest, ACausalMaskOfBytesOrTruthValuesIsPassedOver) {
  const auto config = ParseDecoderConfig(formats::kSmallConfig, "config.json");
  ASSERT_THAT(config, IsOk());
  constexpr size_t kPositions = 16;
  for (const formats::DataType type : {formats::DataType::kU8, formats::DataType::kBool}) {
    SCOPED_TRACE(formats::DataTypeName(type));
    const TestDirectory directory;
    const std::string path = directory.File("model.safetensors");
    auto writer = formats::SafetensorsWriter::Create(
        path, {{.name = "h.0.attn.bias", .type = type, .shape = {1, 1, kPositions, kPositions}}});
    ASSERT_THAT(writer, IsOk());
    std::vector<std::byte> mask(kPositions * kPositions);
    for (size_t row = 0; row < kPositions; ++row) {
      std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(row * kPositions), row + 1,
                  std::byte{1});
    }
    ASSERT_THAT(writer->Write("h.0.attn.bias", mask), IsOk());
    ASSERT_THAT(writer->Commit(), IsOk());
    const auto file = formats::SafetensorsSet::OpenFile(path);
    ASSERT_THAT(file, IsOk());
    const auto harmless = IsIgnorable(*config, *file, *file->Find("h.0.attn.bias"), "wte.weight");
    ASSERT_THAT(harmless, IsOk());
    EXPECT_TRUE(*harmless);
  }
}

// A card that cannot read its file any more. If the file were mapped, a signal would end the test.
TEST(IgnorableBuffersTest, AFileThatIsCutShortWhileItIsOpenIsAnError) {
  const TestDirectory directory;
  const std::string path = directory.File("model.safetensors");
  const std::vector<formats::TensorDescription> tensors = {
      {.name = "wte.weight", .shape = {262, 8}},
      {.name = "lm_head.weight", .shape = {262, 8}},
      {.name = "h.0.attn.bias", .type = formats::DataType::kU8, .shape = {1, 1, 16, 16}}};
  auto writer = formats::SafetensorsWriter::Create(path, tensors);
  ASSERT_THAT(writer, IsOk());
  for (const formats::TensorDescription& tensor : tensors) {
    const std::vector<std::byte> zeros(static_cast<size_t>(tensor.size_bytes()));
    ASSERT_THAT(writer->Write(tensor.name, zeros), IsOk());
  }
  ASSERT_THAT(writer->Commit(), IsOk());
  const auto config = ParseDecoderConfig(formats::kSmallConfig, "config.json");
  ASSERT_THAT(config, IsOk());
  const auto file = formats::SafetensorsSet::OpenFile(path);
  ASSERT_THAT(file, IsOk());
  const auto before = IsIgnorable(*config, *file, *file->Find("lm_head.weight"), "wte.weight");
  ASSERT_THAT(before, IsOk());
  EXPECT_TRUE(*before);
  std::filesystem::resize_file(path, 0);
  for (const char* name : {"lm_head.weight", "h.0.attn.bias"}) {
    EXPECT_THAT(IsIgnorable(*config, *file, *file->Find(name), "wte.weight"),
                StatusIs(absl::StatusCode::kDataLoss, testing::HasSubstr("truncated")))
        << name;
  }
}

}  // namespace
}  // namespace wattle::models
