// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded damage to a valid config.json of each family: the parser returns a value or one line of
// error, and never crashes.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "formats/testing/mutation_internal.h"
#include "formats/testing/small_model_internal.h"
#include "models/decoder_config.h"
#include "models/tensors.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models {
namespace {

constexpr uint32_t kSeed = 20240912;

// A config.json of every family.
std::vector<std::string> Configs() {
  std::vector<std::string> configs = {formats::kSmallConfig};
  for (const char* family : {"llama3", "mistral", "qwen2_windows", "phi", "gpt_neox", "stablelm",
                             "gemma", "gemma2", "kosmos2_text", "opt"}) {
    const auto text = ReadWholeFile(
        absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/engine/families/", family, "/config.json"),
        1 << 16);
    EXPECT_THAT(text, IsOk());
    configs.push_back(*text);
  }
  return configs;
}

TEST(ConfigMutationTest, ConfigsNeverCrash) {
  for (const std::string& config : Configs()) {
    formats::ForEachMutation(config, {.seed = kSeed, .rounds = 5000},
                             [](const std::string& mutant) {
                               const auto parsed = ParseDecoderConfig(mutant, "c");
                               if (parsed.ok()) {
                                 EXPECT_FALSE(FormatDecoderConfig(*parsed).empty());
                                 EXPECT_GT(ToShape(*parsed).width(), 0);
                               }
                               return parsed.status();
                             });
  }
}

}  // namespace
}  // namespace wattle::models
