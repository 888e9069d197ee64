// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fields of config.json that families name or interpret differently: rotary positions,
// activations, windows, softcaps, end tokens and dropout. Each must be read as transformers reads
// it.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "models/decoder_config.h"
#include "models/family.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(FamilyFieldsTest, EveryFamilyKeepsSeveralEndTokens) {
  for (const std::string& name : std::vector<std::string>(absl::StrSplit(FamilyNames(), ", "))) {
    SCOPED_TRACE(name);
    v1::ModelShape shape;
    shape.set_architecture(name);
    shape.set_layers(2);
    shape.set_width(32);
    shape.set_heads(4);
    shape.set_mlp_width(64);
    shape.set_vocabulary_size(97);
    shape.set_context_length(31);
    auto config = FromShape(shape);
    ASSERT_THAT(config, IsOk());
    config->eos_token_id = 7;
    config->more_eos_token_ids = {9, 5};
    const auto again = ParseDecoderConfig(FormatDecoderConfig(*config), "config.json");
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(again->eos_token_id, 7);
    EXPECT_THAT(again->more_eos_token_ids, ElementsAre(9, 5));
  }
}

// transformers 5 saves every family's rotary positions in rope_parameters, which has other names
// than GPT-NeoX's older fields.
struct RotaryFamily {
  const char* name;
  const char* base = "rope_theta";
  const char* share = nullptr;  // of the families that turn a share of each head
  double absent_share = 1.0;
};

class RopeParametersTest : public testing::TestWithParam<RotaryFamily> {
 protected:
  // The description of a config.json with these fields.
  static DecoderConfig Parse(const std::string& fields) {
    const auto config = ParseDecoderConfig(
        absl::StrCat(R"({"model_type": ")", GetParam().name, R"(", "vocab_size": 97,
            "hidden_size": 64, "num_attention_heads": 4, "head_dim": 16, "num_hidden_layers": 2,
            "intermediate_size": 48, "bos_token_id": 1, "eos_token_id": 2, )",
                     fields, "}"),
        "config.json");
    EXPECT_THAT(config, IsOk());
    return config.value_or(DecoderConfig{});
  }
};

TEST_P(RopeParametersTest, MeanWhatTheOlderFieldsMean) {
  const RotaryFamily& family = GetParam();
  const bool shared = family.share != nullptr;
  const std::string older =
      absl::StrCat("\"", family.base, "\": 50.0, ",
                   shared ? absl::StrCat("\"", family.share, "\": 0.75, ") : "");
  const std::string newer =
      absl::StrCat(shared ? R"("partial_rotary_factor": 0.75, )" : "", R"("rope_theta": 50.0, )");
  const DecoderConfig plain =
      Parse(absl::StrCat(R"("rope_parameters": {)", newer, R"("rope_type": "default"})"));
  ASSERT_FALSE(plain.layers.empty());
  EXPECT_EQ(plain.layers[1].rotary, (Rotary{.base = 50.0, .dimensions = shared ? 12 : 16}));
  EXPECT_EQ(plain, Parse(absl::StrCat(older, R"("rope_scaling": null)")));
  const std::string linear = R"("factor": 4.0, "type": "linear", "rope_type": "linear"})";
  const DecoderConfig scaled = Parse(absl::StrCat(R"("rope_parameters": {)", newer, linear));
  ASSERT_FALSE(scaled.layers.empty());
  EXPECT_EQ(scaled.layers[1].rotary, (Rotary{.base = 50.0,
                                             .dimensions = shared ? 12 : 16,
                                             .scaling = RotaryScaling{.factor = 4.0}}));
  EXPECT_EQ(scaled, Parse(absl::StrCat(older, R"("rope_scaling": {)", linear)));
  // The older fields beside them do not count.
  EXPECT_EQ(plain,
            Parse(absl::StrCat("\"", family.base, "\": 7.0, ",
                               shared ? absl::StrCat("\"", family.share, "\": 0.5, ") : "",
                               R"("rope_parameters": {)", newer, R"("rope_type": "default"})")));
  // Missing fields get the family's default.
  EXPECT_EQ(Parse(R"("rope_parameters": {"rope_type": "default"})").layers[1].rotary,
            (Rotary{.dimensions = static_cast<int64_t>(16 * family.absent_share)}));
}

INSTANTIATE_TEST_SUITE_P(
    Families, RopeParametersTest,
    testing::Values(RotaryFamily{"llama"}, RotaryFamily{"mistral"}, RotaryFamily{"qwen2"},
                    RotaryFamily{"gemma"}, RotaryFamily{"gemma2"},
                    RotaryFamily{"phi", "rope_theta", "partial_rotary_factor", 0.5},
                    RotaryFamily{"stablelm", "rope_theta", "partial_rotary_factor", 0.25},
                    RotaryFamily{"gpt_neox", "rotary_emb_base", "rotary_pct", 0.25}),
    [](const auto& row) { return row.param.name; });

// A small model of this family, `fields` after its sizes.
absl::StatusOr<DecoderConfig> ParseSmall(absl::string_view family, absl::string_view fields) {
  return ParseDecoderConfig(
      absl::StrCat(R"({"model_type": ")", family, R"(", "vocab_size": 97, "hidden_size": 64,
          "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48)",
                   fields, "}"),
      "config.json");
}

TEST(FamilyFieldsTest, GemmasActivationIsTheOneThatTransformersReads) {
  const auto activation = [](absl::string_view family, absl::string_view field) {
    const auto config = ParseSmall(family, field);
    EXPECT_THAT(config, IsOk()) << field;
    const auto again = ParseDecoderConfig(FormatDecoderConfig(*config), "config.json");
    EXPECT_THAT(again, IsOk());
    EXPECT_EQ(*again, *config);
    return config->layers.front().activation;
  };
  EXPECT_EQ(activation("gemma", R"(, "hidden_act": "gelu")"), Activation::kGeluTanh);
  EXPECT_EQ(activation("gemma", R"(, "hidden_act": "silu")"), Activation::kSilu);
  EXPECT_EQ(activation("gemma", R"(, "hidden_act": "gelu", "hidden_activation": "silu")"),
            Activation::kSilu);
  EXPECT_EQ(activation("gemma2", R"(, "hidden_act": "silu")"), Activation::kGeluTanh);
  EXPECT_THAT(
      ParseSmall("gemma", R"(, "hidden_act": "relu2")"),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("config.json: hidden_act relu2: not")));
}

TEST(FamilyFieldsTest, GemmaThatSeesWhatFollowsIsRefused) {
  for (const char* family : {"gemma", "gemma2"}) {
    EXPECT_THAT(ParseSmall(family, R"(, "use_bidirectional_attention": true)"),
                StatusIs(absl::StatusCode::kUnimplemented,
                         HasSubstr("use_bidirectional_attention true: not supported")));
    EXPECT_THAT(ParseSmall(family, R"(, "use_bidirectional_attention": null)"), IsOk());
  }
}

// OPT 350M is both of the first two.
TEST(FamilyFieldsTest, OptVariantsThatTheEngineLacksAreRefused) {
  const auto parse = [](absl::string_view field) {
    return ParseSmall("opt", absl::StrCat(R"(, "ffn_dim": 48, )", field));
  };
  EXPECT_THAT(parse(R"("do_layer_norm_before": true, "word_embed_proj_dim": null)"), IsOk());
  for (const auto& [field, message] :
       {std::pair(R"("do_layer_norm_before": false)", "do_layer_norm_before false: not supported"),
        {R"("word_embed_proj_dim": 32)",
         "word_embed_proj_dim 32: not supported in this version; wanted that of hidden_size, 64"},
        {R"("enable_bias": false)", "enable_bias false: not supported"},
        {R"("layer_norm_elementwise_affine": false)", "layer_norm_elementwise_affine false: not"},
        {R"("_remove_final_layer_norm": true)", "_remove_final_layer_norm true: not supported"},
        {R"("layerdrop": 0.5)", "layerdrop above 0: not supported"},
        {R"("activation_function": "relu2")", "activation_function relu2: not supported"}}) {
    EXPECT_THAT(parse(field), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(message)));
  }
  EXPECT_THAT(
      ParseDecoderConfig(
          R"({"model_type": "opt", "vocab_size": 97, "hidden_size": 64, "ffn_dim": 48,
          "num_attention_heads": 5, "num_hidden_layers": 2})",
          "config.json"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("config.json: hidden_size: a width of 64 is not divisible by 5 heads")));
}

// ParseSmall, which must succeed.
DecoderConfig SmallConfig(absl::string_view family, absl::string_view fields) {
  const auto config = ParseSmall(family, fields);
  EXPECT_THAT(config, IsOk()) << family;
  return config.value_or(DecoderConfig{});
}

// Null means none. An absent field has the default of transformers.
TEST(FamilyFieldsTest, AWindowOrCapThatIsNullIsNone) {
  const std::string windows = R"(, "use_sliding_window": true, "max_window_layers": 0)";
  for (const auto& [family, fields] : {std::pair("mistral", std::string()), {"qwen2", windows}}) {
    SCOPED_TRACE(family);
    EXPECT_EQ(SmallConfig(family, fields).layers.back().window, 4096);
    EXPECT_EQ(SmallConfig(family, fields + R"(, "sliding_window": 8)").layers.back().window, 8);
    EXPECT_EQ(SmallConfig(family, fields + R"(, "sliding_window": null)").layers.back().window, 0);
  }
  const auto caps = [](const std::string& fields) {
    const DecoderConfig config = SmallConfig("gemma2", fields);
    return std::pair(config.layers.back().attention_softcap, config.logit_softcap);
  };
  EXPECT_EQ(caps(""), std::pair(50.0, 30.0));
  EXPECT_EQ(caps(R"(, "attn_logit_softcapping": null)"), std::pair(0.0, 30.0));
  EXPECT_EQ(caps(R"(, "final_logit_softcapping": null)"), std::pair(50.0, 0.0));
}

// Null names no token. An absent field has the default of transformers where that is the end token
// of the family's published models.
TEST(FamilyFieldsTest, OnlyADefaultThatHoldsIsTaken) {
  for (const char* family : {"llama", "mistral", "gemma", "gemma2"}) {
    EXPECT_EQ(SmallConfig(family, "").eos_token_id, absl::StartsWith(family, "gemma") ? 1 : 2)
        << family;
  }
  for (const char* family : {"qwen2", "phi", "stablelm", "gpt_neox"}) {
    EXPECT_EQ(SmallConfig(family, "").eos_token_id, kNoToken) << family;
  }
  for (const char* family :
       {"llama", "mistral", "gemma", "gemma2", "qwen2", "phi", "stablelm", "gpt_neox"}) {
    SCOPED_TRACE(family);
    const DecoderConfig config =
        SmallConfig(family, R"(, "bos_token_id": null, "eos_token_id": null)");
    EXPECT_EQ(config.bos_token_id, kNoToken);
    EXPECT_EQ(config.eos_token_id, kNoToken);
    EXPECT_THAT(FormatDecoderConfig(config), HasSubstr("\"eos_token_id\": null"));
  }
}

// Each family has its own names for dropout in training. Every rate differs, so that no field can
// be mistaken for another.
struct DropoutCase {
  const char* family;
  const char* fields;
  double attention;
  double residual = 0.0;
  double embedding = 0.0;
};

class DropoutTest : public testing::TestWithParam<DropoutCase> {};

TEST_P(DropoutTest, IsReadFromTheFamilysFieldsAndWrittenThere) {
  const DropoutCase& each = GetParam();
  const auto config =
      ParseDecoderConfig(absl::StrCat(R"({"model_type": ")", each.family, R"(", "vocab_size": 97,
          "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2,
          "intermediate_size": 48, "n_embd": 64, "n_head": 4, "n_layer": 2, "embed_dim": 64,
          "attention_heads": 4, "layers": 2, "ffn_dim": 48, "bos_token_id": 1, "eos_token_id": 2, )",
                                      each.fields, "}"),
                         "config.json");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->attention_dropout, each.attention);
  EXPECT_EQ(config->residual_dropout, each.residual);
  EXPECT_DOUBLE_EQ(config->embedding_dropout, each.embedding);
  const auto again = ParseDecoderConfig(FormatDecoderConfig(*config), "config.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, *config);
}

constexpr char kAttentionAlone[] = R"("attention_dropout": 0.125)";
INSTANTIATE_TEST_SUITE_P(
    Families, DropoutTest,
    testing::Values(
        DropoutCase{"gpt2", R"("attn_pdrop": 0.125, "resid_pdrop": 0.25, "embd_pdrop": 0.5)", 0.125,
                    0.25, 0.5},
        DropoutCase{"phi", R"("attention_dropout": 0.125, "resid_pdrop": 0.25, "embd_pdrop": 0.5)",
                    0.125, 0.25, 0.5},
        DropoutCase{"gpt_neox", R"("attention_dropout": 0.125, "hidden_dropout": 0.25)", 0.125,
                    0.25, 0.25},
        // The embedding is dropped twice: 1 - 0.75².
        DropoutCase{"kosmos_2_text_model", R"("attention_dropout": 0.125, "dropout": 0.25)", 0.125,
                    0.25, 0.4375},
        DropoutCase{"opt", R"("attention_dropout": 0.125, "dropout": 0.25)", 0.125, 0.25},
        DropoutCase{"llama", kAttentionAlone, 0.125},
        DropoutCase{"mistral", kAttentionAlone, 0.125},
        DropoutCase{"qwen2", kAttentionAlone, 0.125}, DropoutCase{"gemma", kAttentionAlone, 0.125},
        DropoutCase{"gemma2", kAttentionAlone, 0.125},
        DropoutCase{"stablelm", kAttentionAlone, 0.125}),
    [](const auto& row) { return row.param.family; });

}  // namespace
}  // namespace wattle::models
