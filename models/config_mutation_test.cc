// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded damage to a valid config.json of each family: the parser answers with a value or with one
// line of error, and never crashes.
#include "gtest/gtest.h"

#include "formats/mutation_internal.h"
#include "formats/small_model_internal.h"
#include "models/decoder_config.h"
#include "models/tensors.h"

namespace wattle::models {
namespace {

constexpr uint32_t kSeed = 20240912;
constexpr char kSmallLlama[] =
    R"({"model_type": "llama", "vocab_size": 262, "hidden_size": 8, "num_attention_heads": 4,
  "num_key_value_heads": 2, "num_hidden_layers": 2, "intermediate_size": 12, "rope_theta": 500.0,
  "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2})";

TEST(ConfigMutationTest, ConfigsNeverCrash) {
  for (const char* config : {formats::kSmallConfig, kSmallLlama}) {
    formats::ForEachMutation(config, {.seed = kSeed, .rounds = 10000},
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
