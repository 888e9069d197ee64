// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/decoder_config.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "models/family.h"
#include "models/tensors.h"
#include "proto/model_shape.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kGpt2[] =
    R"({"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_head": 12, "n_layer": 12,
  "n_positions": 1024, "activation_function": "gelu_new", "n_inner": null})";

absl::StatusOr<DecoderConfig> ParseWith(absl::string_view from, absl::string_view to) {
  return ParseDecoderConfig(absl::StrReplaceAll(kGpt2, {{from, to}}), "config.json");
}

TEST(DecoderConfigTest, Gpt2SmallHasItsPublishedParameterCount) {
  const auto config = ParseDecoderConfig(kGpt2, "config.json");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->parameter_count(), 124439808);
  EXPECT_EQ(config->layers[0].mlp_width, 3072);
  EXPECT_EQ(config->layers[0].head_size, 64);
  EXPECT_EQ(config->eos_token_id, 50256);
  EXPECT_DOUBLE_EQ(config->attention_dropout, 0.1);
}

TEST(DecoderConfigTest, DistilGpt2HasItsPublishedParameterCount) {
  const auto config = ParseWith("\"n_layer\": 12", "\"n_layer\": 6");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->parameter_count(), 81912576);
}

TEST(DecoderConfigTest, UntiedHeadCountsAndIsATensor) {
  const auto config = ParseWith("\"n_inner\": null", "\"tie_word_embeddings\": false");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->parameter_count(), 124439808 + 50257 * 768);
  EXPECT_EQ(CheckpointTensors(*config).back().name, "lm_head.weight");
  const std::vector<ModelTensor> tensors = ModelTensors(*config);
  EXPECT_TRUE(tensors.back().is_multiplied(*config));
  EXPECT_FALSE(tensors.front().is_multiplied(*config));
}

TEST(DecoderConfigTest, MultipliedAreTheMatricesAndTheTiedHead) {
  const auto config = ParseDecoderConfig(kGpt2, "config.json");
  ASSERT_THAT(config, IsOk());
  int multiplied = 0;
  for (const ModelTensor& tensor : ModelTensors(*config)) {
    multiplied += tensor.is_multiplied(*config) ? 1 : 0;
    EXPECT_EQ(tensor.layout.transposed, tensor.is_multiplied(*config) && tensor.layer >= 0)
        << tensor.name;
  }
  EXPECT_EQ(multiplied, 12 * 4 + 1);
}

constexpr char kTinyLlama[] =
    R"({"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "num_attention_heads": 32,
  "num_key_value_heads": 4, "num_hidden_layers": 22, "intermediate_size": 5632,
  "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "hidden_act": "silu",
  "rope_theta": 10000.0, "rope_scaling": null, "tie_word_embeddings": false})";

TEST(DecoderConfigTest, TinyLlamaHasItsPublishedParameterCountAndShapes) {
  const auto config = ParseDecoderConfig(kTinyLlama, "config.json");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->parameter_count(), 1100048384);
  const LayerDescription& layer = config->layers[21];
  EXPECT_EQ(layer.head_size, 64);
  EXPECT_EQ(layer.kv_heads, 4);
  EXPECT_TRUE(layer.gated_mlp);
  EXPECT_EQ(layer.rotary->dimensions, 64);
  EXPECT_EQ(config->bos_token_id, 1);
  EXPECT_EQ(config->eos_token_id, 2);
  for (const ModelTensor& tensor : ModelTensors(*config)) {
    if (tensor.slot == Slot::kQkv) {
      EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2560, 2048}));
      ASSERT_EQ(tensor.files.size(), 3U);
      EXPECT_EQ(tensor.files[1].name,
                "layers." + std::to_string(tensor.layer) + ".self_attn.k_proj.weight");
      EXPECT_EQ(tensor.files[1].shape, (std::vector<int64_t>{256, 2048}));
    }
  }
}

TEST(DecoderConfigTest, LlamaConfigAndShapeReadBackTheSame) {
  const auto config = ParseDecoderConfig(kTinyLlama, "config.json");
  ASSERT_THAT(config, IsOk());
  const auto again = ParseDecoderConfig(FormatDecoderConfig(*config), "config.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, *config);
  const v1::ModelShape shape = ToShape(*config);
  EXPECT_EQ(shape.kv_heads(), 4);
  EXPECT_EQ(shape.mlp_width(), 5632);
  EXPECT_TRUE(shape.untied_head());
  auto from_shape = FromShape(shape);
  ASSERT_THAT(from_shape, IsOk());
  EXPECT_EQ(from_shape->parameter_count(), config->parameter_count());
}

TEST(DecoderConfigTest, LlamaVariantsThatTheEngineLacksAreRefused) {
  const auto parse = [](absl::string_view from, absl::string_view to) {
    return ParseDecoderConfig(absl::StrReplaceAll(kTinyLlama, {{from, to}}), "config.json");
  };
  const auto scaling = [&](const std::string& fields) {
    return parse("\"rope_scaling\": null", "\"rope_scaling\": {" + fields + "}");
  };
  EXPECT_THAT(scaling("\"factor\": 8.0"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.json: rope_scaling: rope_type: missing")));
  EXPECT_THAT(scaling("\"rope_type\": \"yarn\", \"factor\": 8.0"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("rope_type yarn: not supported in this version; wanted default")));
  EXPECT_THAT(scaling("\"rope_type\": \"llama3\", \"factor\": 8.0"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("rope_scaling: original_max_position_embeddings: missing")));
  EXPECT_THAT(parse("\"rope_scaling\": null", R"("rope_parameters": {"rope_type": "yarn"})"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("config.json: rope_parameters: rope_type yarn: not supported")));
  EXPECT_THAT(parse("\"rope_scaling\": null",
                    R"("rope_parameters": {"full_attention": {"rope_theta": 10000.0}})"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("rope_parameters: full_attention with positions of its own")));
  EXPECT_THAT(
      parse("\"rope_scaling\": null", R"("rope_scaling": {"rope_type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "default"})"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("config.json: rope_scaling: stands beside rope_parameters")));
  EXPECT_THAT(scaling("\"type\": \"linear\", \"factor\": 0.5"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rope_scaling: factor")));
  EXPECT_THAT(parse("\"silu\"", "\"relu2\""),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("hidden_act relu2")));
  EXPECT_THAT(parse("\"num_key_value_heads\": 4", "\"num_key_value_heads\": 5"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("num_key_value_heads: 5 does not divide")));
  EXPECT_THAT(parse("\"num_attention_heads\": 32", "\"num_attention_heads\": 28"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not divisible by 28")));
}

TEST(DecoderConfigTest, WrittenConfigReadsBackTheSame) {
  auto config = ParseWith("\"n_inner\": null",
                          "\"n_inner\": 100, \"attn_pdrop\": 0.25, \"eos_token_id\": [7, 9]");
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->more_eos_token_ids, ElementsAre(9));
  config->norm_epsilon = 1e-6;
  const auto again = ParseDecoderConfig(FormatDecoderConfig(*config), "config.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, *config);
  EXPECT_EQ(FormatDecoderConfig(*again), FormatDecoderConfig(*config));
}

TEST(DecoderConfigTest, ShapeKeepsTheSizes) {
  const auto config = ParseDecoderConfig(kGpt2, "config.json");
  ASSERT_THAT(config, IsOk());
  const auto again = FromShape(ToShape(*config));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, *config);
}

TEST(DecoderConfigTest, ShapeOutOfRangeIsRefused) {
  v1::ModelShape shape;
  shape.set_architecture("bloom");
  EXPECT_THAT(FromShape(shape),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("write one of: gpt2, llama")));
  shape.set_architecture("gpt2");
  shape.set_layers(1);
  EXPECT_THAT(FromShape(shape), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("model_shape.width: 0 is not between 1")));
}

// The coordinator and the predictor have only the shape of a model.
TEST(DecoderConfigTest, AShapeCountsTheWeightsOfEveryFamily) {
  std::vector<std::string> names = absl::StrSplit(FamilyNames(), ", ");
  std::sort(names.begin(), names.end());
  EXPECT_EQ(absl::StrJoin(names, ", "), ArchitectureNames());
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    v1::ModelShape shape;
    shape.set_architecture(name);
    shape.set_layers(3);
    shape.set_width(48);
    shape.set_heads(4);
    shape.set_kv_heads(2);
    shape.set_head_size(8);
    shape.set_mlp_width(112);
    shape.set_vocabulary_size(97);
    shape.set_context_length(31);
    if (FromShape(shape).ok() && !FromShape(shape)->tied_embeddings) {
      shape.set_untied_head(true);
    }
    const auto config = FromShape(shape);
    ASSERT_THAT(config, IsOk());
    // A family without grouped heads or with heads as wide as the model changes the shape.
    const v1::ModelShape kept = ToShape(*config);
    EXPECT_THAT(CheckModelShape(kept, "shape"), IsOk());
    EXPECT_EQ(ParameterCount(kept), static_cast<double>(config->parameter_count()));
    double last_layer = 0;
    for (const ModelTensor& tensor : ModelTensors(*config)) {
      last_layer += TrainedWithLastLayers(*config, 1, tensor)
                        ? static_cast<double>(tensor.element_count())
                        : 0.0;
    }
    EXPECT_EQ(LastLayersParameterCount(kept, 1), last_layer);
    for (const ModelTensor& tensor : ModelTensors(*config)) {
      const auto matrix = FindMatrix(kept, tensor.name);
      ASSERT_EQ(matrix.has_value(), tensor.is_multiplied(*config)) << tensor.name;
      if (matrix.has_value()) {
        EXPECT_EQ(matrix->rows, static_cast<double>(tensor.shape[0])) << tensor.name;
        EXPECT_EQ(matrix->columns, static_cast<double>(tensor.shape[1])) << tensor.name;
      }
    }
    const std::vector<ModelTensor> tensors = ModelTensors(*config);
    const auto qkv = std::find_if(tensors.begin(), tensors.end(), [](const ModelTensor& tensor) {
      return tensor.slot == Slot::kQkv;
    });
    ASSERT_NE(qkv, tensors.end());
    EXPECT_EQ(FindArchitecture(name)->fused_qkv, qkv->files.size() == 1);
  }
}

// Models of the families with the numbers of parameters that their authors give.
struct Published {
  const char* name;
  const char* config;
  int64_t parameters;
};

class PublishedModelTest : public testing::TestWithParam<Published> {};

TEST_P(PublishedModelTest, HasItsParametersAndReadsBackTheSame) {
  const auto config = ParseDecoderConfig(GetParam().config, "config.json");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->parameter_count(), GetParam().parameters);
  // A shape does not record whether a config.json adds or drops biases, which are few.
  const v1::ModelShape shape = ToShape(*config);
  EXPECT_THAT(CheckModelShape(shape, "shape"), IsOk());
  const auto count = static_cast<double>(config->parameter_count());
  EXPECT_NEAR(ParameterCount(shape), count, 2e-4 * count);
  const auto again = ParseDecoderConfig(FormatDecoderConfig(*config), "config.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, *config);
  const auto from_shape = FromShape(ToShape(*config));
  ASSERT_THAT(from_shape, IsOk());
  EXPECT_EQ(from_shape->family, config->family);
}

INSTANTIATE_TEST_SUITE_P(
    Models, PublishedModelTest,
    testing::Values(Published{"Llama32_1B", R"({"model_type": "llama", "vocab_size": 128256,
          "hidden_size": 2048, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
          "num_hidden_layers": 16, "intermediate_size": 8192, "max_position_embeddings": 131072,
          "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": true,
          "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "rope_scaling":
          {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
          "original_max_position_embeddings": 8192, "rope_type": "llama3"}})",
                              1235814400},
                    Published{"SmolLm2_135M", R"({"model_type": "llama", "vocab_size": 49152,
          "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3,
          "num_hidden_layers": 30, "intermediate_size": 1536, "max_position_embeddings": 8192,
          "rms_norm_eps": 1e-05, "rope_theta": 100000, "tie_word_embeddings": true,
          "bos_token_id": 0, "eos_token_id": 0})",
                              134515008},
                    Published{"Orca2_7B", R"({"model_type": "llama", "vocab_size": 32003,
          "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 32,
          "num_hidden_layers": 32, "intermediate_size": 11008, "max_position_embeddings": 4096,
          "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false})",
                              6738440192},
                    Published{"Solar_107B", R"({"model_type": "llama", "vocab_size": 32000,
          "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
          "num_hidden_layers": 48, "intermediate_size": 14336, "max_position_embeddings": 4096,
          "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "rope_scaling": null,
          "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2})",
                              10731524096},
                    Published{"Mistral7B", R"({"model_type": "mistral", "vocab_size": 32000,
          "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
          "num_hidden_layers": 32, "intermediate_size": 14336, "max_position_embeddings": 32768,
          "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096})",
                              7241732096},
                    Published{"Qwen25_05B", R"({"model_type": "qwen2", "vocab_size": 151936,
          "hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2,
          "num_hidden_layers": 24, "intermediate_size": 4864, "max_position_embeddings": 32768,
          "max_window_layers": 24, "use_sliding_window": false, "sliding_window": 32768,
          "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": true,
          "bos_token_id": 151643, "eos_token_id": 151643})",
                              494032768},
                    Published{"Phi15",
                              R"({"model_type": "phi", "vocab_size": 51200, "hidden_size": 2048,
          "num_attention_heads": 32, "num_key_value_heads": null, "num_hidden_layers": 24,
          "intermediate_size": 8192, "max_position_embeddings": 2048, "layer_norm_eps": 1e-05,
          "partial_rotary_factor": 0.5, "resid_pdrop": 0.0, "bos_token_id": null,
          "eos_token_id": null})",
                              1418270720},
                    Published{"Phi2",
                              R"({"model_type": "phi", "vocab_size": 51200, "hidden_size": 2560,
          "num_attention_heads": 32, "num_key_value_heads": 32, "num_hidden_layers": 32,
          "intermediate_size": 10240, "max_position_embeddings": 2048, "layer_norm_eps": 1e-05,
          "partial_rotary_factor": 0.4, "resid_pdrop": 0.1, "bos_token_id": 50256,
          "eos_token_id": 50256})",
                              2779683840},
                    Published{"DollyV2_3B", R"({"model_type": "gpt_neox", "vocab_size": 50280,
          "hidden_size": 2560, "num_attention_heads": 32, "num_hidden_layers": 32,
          "intermediate_size": 10240, "max_position_embeddings": 2048, "layer_norm_eps": 1e-05,
          "rotary_pct": 0.25, "rotary_emb_base": 10000, "bos_token_id": 0, "eos_token_id": 0})",
                              2775086080},
                    Published{"StableLm2_16B", R"({"model_type": "stablelm", "vocab_size": 100352,
          "hidden_size": 2048, "num_attention_heads": 32, "num_key_value_heads": 32,
          "num_hidden_layers": 24, "intermediate_size": 5632, "max_position_embeddings": 4096,
          "layer_norm_eps": 1e-05, "partial_rotary_factor": 0.25, "use_qkv_bias": true,
          "bos_token_id": 100257, "eos_token_id": 100257})",
                              1644515328},
                    Published{"Gemma2B", R"({"model_type": "gemma", "vocab_size": 256000,
          "hidden_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 1,
          "head_dim": 256, "num_hidden_layers": 18, "intermediate_size": 16384,
          "hidden_act": "gelu", "max_position_embeddings": 8192, "rms_norm_eps": 1e-06})",
                              2506172416},
                    Published{"Gemma2_2B", R"({"model_type": "gemma2", "vocab_size": 256000,
          "hidden_size": 2304, "num_attention_heads": 8, "num_key_value_heads": 4,
          "head_dim": 256, "num_hidden_layers": 26, "intermediate_size": 9216,
          "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 4096,
          "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
          "query_pre_attn_scalar": 256})",
                              2614341888},
                    Published{"Opt125M", R"({"model_type": "opt", "vocab_size": 50272,
          "hidden_size": 768, "word_embed_proj_dim": 768, "num_attention_heads": 12,
          "num_hidden_layers": 12, "ffn_dim": 3072, "max_position_embeddings": 2048,
          "do_layer_norm_before": true, "activation_function": "relu", "dropout": 0.1,
          "attention_dropout": 0.0, "activation_dropout": 0.0, "layerdrop": 0.0,
          "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1})",
                              125239296}),
    [](const auto& row) { return row.param.name; });

struct BadConfig {
  const char* name;
  const char* from;
  const char* to;
  absl::StatusCode code;
  const char* message;
};

class BadDecoderConfigTest : public testing::TestWithParam<BadConfig> {};

TEST_P(BadDecoderConfigTest, IsRefusedWithItsReason) {
  EXPECT_THAT(ParseWith(GetParam().from, GetParam().to),
              StatusIs(GetParam().code, HasSubstr(GetParam().message)));
}

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnsupported = absl::StatusCode::kUnimplemented;
INSTANTIATE_TEST_SUITE_P(
    Bad, BadDecoderConfigTest,
    testing::Values(BadConfig{"OtherFamily", "\"gpt2\"", "\"bloom\"", kUnsupported,
                              "config.json: model_type bloom: not supported in this version; use "
                              "a model of one of these families: gpt2, llama"},
                    BadConfig{"WholeKosmos2", "\"gpt2\"", "\"kosmos-2\"", kUnsupported,
                              "config.json: model_type kosmos-2: not supported in this version; "
                              "save its text decoder alone with Kosmos2ForConditionalGeneration."
                              "from_pretrained(...).text_model.save_pretrained(DIRECTORY)"},
                    BadConfig{"NoModelType", "model_type", "kind", kInvalid, "model_type: missing"},
                    BadConfig{"OtherActivation", "gelu_new", "relu", kUnsupported,
                              "activation_function relu: not supported"},
                    BadConfig{"MissingField", "\"n_layer\"", "\"n_layers\"", kInvalid,
                              "config.json: n_layer: missing"},
                    BadConfig{"Text", "\"n_layer\": 12", "\"n_layer\": \"12\"", kInvalid,
                              "n_layer: wants a whole number from 1 to 16777216, found text"},
                    BadConfig{"Zero", "\"n_layer\": 12", "\"n_layer\": 0", kInvalid,
                              "n_layer: wants a whole number from 1"},
                    BadConfig{"Huge", "\"n_embd\": 768", "\"n_embd\": 16777217", kInvalid,
                              "n_embd: wants a whole number"},
                    BadConfig{"HeadsDoNotDivide", "\"n_head\": 12", "\"n_head\": 7", kInvalid,
                              "n_embd: a width of 768 is not divisible by 7 heads"},
                    BadConfig{
                        "EosOutside", "\"vocab_size\": 50257", "\"vocab_size\": 4096", kInvalid,
                        "bos_token_id: 50256 (the default) is outside the vocabulary of 4096"},
                    BadConfig{"Dropout", "\"n_inner\": null", "\"attn_pdrop\": 1.0", kInvalid,
                              "attn_pdrop: wants a number from 0 to below 1"},
                    BadConfig{"ScaledAttention", "\"n_inner\": null",
                              "\"scale_attn_by_inverse_layer_idx\": true", kUnsupported,
                              "scale_attn_by_inverse_layer_idx true: not supported"},
                    BadConfig{"NotJson", "{", "", kInvalid, "config.json:1:1"},
                    BadConfig{"List", kGpt2, "[]", kInvalid, "wants an object"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace wattle::models
