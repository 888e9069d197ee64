// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models in GGUF files (tests/golden/gguf) against the directories of transformers that they were
// made from: the description, every tensor, the whole directory, and each thing that is refused.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/status_macros.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/byte_pair_encoding.h"
#include "formats/safetensors.h"
#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_directory.h"
#include "models/gguf_weights.h"
#include "models/model_directory.h"

namespace wattle::models {
namespace {

using formats::GgufFile;
using formats::GgufMetadata;
using formats::GgufTensor;
using formats::TensorEntry;
using testing::ElementsAre;
using testing::HasSubstr;

std::string GoldenPath(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/", name);
}

std::string GgufPath(const std::string& name) {
  return GoldenPath(absl::StrCat("gguf/", name, ".gguf"));
}

absl::StatusOr<DecoderConfig> ConfigOf(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Open(path));
  return DecoderConfigOfGguf(file);
}

struct Golden {
  const char* gguf;
  const char* directory;  // of tests/golden/engine
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) {
  return out << golden.gguf;
}

// The content of config.json as far as the metadata can represent it.
DecoderConfig WantedConfig(const Golden& golden) {
  const auto config =
      ReadDecoderConfig(GoldenPath(absl::StrCat("engine/", golden.directory, "/config.json")));
  EXPECT_THAT(config, IsOk());
  DecoderConfig wanted = *config;
  wanted.more_eos_token_ids.resize(std::min<size_t>(1, wanted.more_eos_token_ids.size()));
  for (LayerDescription& layer : wanted.layers) {
    if (wanted.family == "gemma2") {
      layer.query_pre_attention_scalar = static_cast<double>(layer.head_size);
    } else {
      layer.window = 0;  // llama.cpp has Mistral without a window
    }
  }
  wanted.family = wanted.family == "mistral" ? "llama" : wanted.family;
  return wanted;
}

class GgufGoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(GgufGoldenTest, TheDescriptionIsThatOfConfigJson) {
  const auto config = ConfigOf(GgufPath(GetParam().gguf));
  ASSERT_THAT(config, IsOk());
  const DecoderConfig wanted = WantedConfig(GetParam());
  EXPECT_EQ(*config, wanted) << FormatDecoderConfig(*config) << FormatDecoderConfig(wanted);
}

std::vector<float> ValuesOf(const formats::TensorSource& source, const std::string& name) {
  const TensorEntry* entry = source.Find(name);
  EXPECT_NE(entry, nullptr) << name;
  std::vector<float> values(entry == nullptr ? 0 : static_cast<size_t>(entry->element_count()));
  if (entry != nullptr) {
    EXPECT_THAT(source.Read(*entry, absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()),
                                                   values.size() * sizeof(float))),
                IsOk());
  }
  return values;
}

std::vector<float> ValuesOf(const formats::SafetensorsFile& file, const TensorEntry& entry) {
  std::vector<float> values(static_cast<size_t>(entry.element_count()));
  EXPECT_THAT(file.Read(entry, absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()),
                                              values.size() * sizeof(float))),
              IsOk());
  return values;
}

// The file of transformers, and its prefix of the tensors' names.
absl::StatusOr<formats::SafetensorsFile> OriginalOf(const Golden& golden) {
  return formats::SafetensorsFile::Open(
      GoldenPath(std::string(golden.gguf) == "gpt2"
                     ? "engine/gpt2_tiny.safetensors"
                     : absl::StrCat("engine/", golden.directory, "/model.safetensors")));
}

TEST_P(GgufGoldenTest, EveryTensorIsThatOfTheOriginal) {
  const auto config = ConfigOf(GgufPath(GetParam().gguf));
  ASSERT_THAT(config, IsOk());
  const auto weights = GgufWeights::Open(GgufPath(GetParam().gguf), *config);
  ASSERT_THAT(weights, IsOk());
  const auto original = OriginalOf(GetParam());
  ASSERT_THAT(original, IsOk());
  EXPECT_THAT(weights->FileNames(), ElementsAre(absl::StrCat(GetParam().gguf, ".gguf")));
  const std::string prefix = FamilyOf(*config).file_prefix;
  size_t compared = 0;
  for (const TensorEntry& tensor : weights->tensors()) {
    std::string name = tensor.name;
    if (config->family == "gpt2") {
      name = "weight:" + name.substr(prefix.size());
    }
    const TensorEntry* wanted = original->Find(name);
    ASSERT_NE(wanted, nullptr) << name;
    EXPECT_EQ(tensor.shape, wanted->shape) << name;
    std::vector<float> values = ValuesOf(*weights, tensor.name);
    std::vector<float> expected = ValuesOf(*original, *wanted);
    if (config->norm == Norm::kRmsNormPlusOne && name.find("norm") != std::string::npos) {
      for (float& value : expected) {  // the sum was rounded once, and nothing after it is
        value = (value + 1.0F) - 1.0F;
      }
    }
    EXPECT_EQ(values, expected) << name;
    ++compared;
  }
  EXPECT_EQ(compared, CheckpointTensors(*config).size());
}

TEST_P(GgufGoldenTest, RowsOfOutputsAreTheColumnsOfTheTensor) {
  const auto config = ConfigOf(GgufPath(GetParam().gguf));
  ASSERT_THAT(config, IsOk());
  const auto weights = GgufWeights::Open(GgufPath(GetParam().gguf), *config);
  ASSERT_THAT(weights, IsOk());
  int compared = 0;
  for (const TensorEntry& tensor : weights->tensors()) {
    if (!weights->HasOutputRows(tensor)) {
      continue;
    }
    ++compared;
    const std::vector<float> all = ValuesOf(*weights, tensor.name);
    const auto inputs = static_cast<size_t>(tensor.shape[0]);
    const auto outputs = static_cast<size_t>(tensor.shape[1]);
    std::vector<float> rows((outputs - 3) * inputs);
    ASSERT_THAT(weights->ReadOutputRows(tensor, 3, absl::MakeSpan(rows)), IsOk());
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(rows[i], all[i % inputs * outputs + 3 + i / inputs]) << tensor.name << ", " << i;
    }
  }
  EXPECT_EQ(compared > 0, config->family == "gpt2");
}

TEST_P(GgufGoldenTest, AnyPartOfATensorIsThatPart) {
  const auto config = ConfigOf(GgufPath(GetParam().gguf));
  ASSERT_THAT(config, IsOk());
  const auto weights = GgufWeights::Open(GgufPath(GetParam().gguf), *config);
  ASSERT_THAT(weights, IsOk());
  for (const TensorEntry& tensor : weights->tensors()) {
    const std::vector<float> all = ValuesOf(*weights, tensor.name);
    for (const size_t first : {size_t{0}, size_t{5}, all.size() / 2, all.size() - 1}) {
      std::vector<float> part(std::min<size_t>(19, all.size() - first));
      ASSERT_THAT(weights->ReadPart(tensor, static_cast<int64_t>(first * sizeof(float)),
                                    absl::MakeSpan(reinterpret_cast<std::byte*>(part.data()),
                                                   part.size() * sizeof(float))),
                  IsOk());
      EXPECT_TRUE(
          std::equal(part.begin(), part.end(), all.begin() + static_cast<std::ptrdiff_t>(first)))
          << tensor.name << " from " << first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, GgufGoldenTest,
    testing::Values(Golden{"gpt2", "."}, Golden{"llama3", "families/llama3"},
                    Golden{"llama_linear", "families/llama_linear"},
                    Golden{"smollm2", "families/smollm2"}, Golden{"mistral", "families/mistral"},
                    Golden{"qwen2", "families/qwen2"}, Golden{"phi", "families/phi"},
                    Golden{"gpt_neox", "families/gpt_neox"},
                    Golden{"gpt_neox_sequential", "families/gpt_neox_sequential"},
                    Golden{"stablelm", "families/stablelm"}, Golden{"gemma", "families/gemma"},
                    Golden{"gemma2", "families/gemma2"}, Golden{"llama_tiny", "llama_tiny"}),
    [](const auto& row) { return row.param.gguf; });

// A golden with other metadata or other tensors.
struct Content {
  GgufMetadata metadata;
  std::map<std::string, std::pair<std::vector<int64_t>, std::vector<float>>> tensors;
};

// A change of one metadata key.
std::function<void(Content&)> Set(const std::string& key, const formats::GgufValue& value) {
  return [=](Content& content) { content.metadata[key] = value; };
}

class GgufChangeTest : public testing::Test {
 protected:
  std::string Changed(const std::string& golden, const std::function<void(Content&)>& change) {
    const auto file = GgufFile::Open(GgufPath(golden));
    EXPECT_THAT(file, IsOk());
    Content content{.metadata = file->header().metadata, .tensors = {}};
    for (const GgufTensor& tensor : file->header().tensors) {
      std::vector<float> values(static_cast<size_t>(tensor.element_count()));
      EXPECT_THAT(file->ReadRows(tensor, 0, tensor.row_count(), absl::MakeSpan(values)), IsOk());
      content.tensors[tensor.name] = {tensor.shape, std::move(values)};
    }
    change(content);
    std::vector<GgufTensor> tensors;
    for (const auto& [name, tensor] : content.tensors) {
      tensors.push_back({.name = name, .shape = tensor.first});
    }
    std::string path = directory_.File("m.gguf");
    auto writer = formats::GgufWriter::Create(path, content.metadata, tensors);
    EXPECT_THAT(writer, IsOk());
    for (const auto& [name, tensor] : content.tensors) {
      EXPECT_THAT(writer->Write(name, tensor.second), IsOk());
    }
    EXPECT_THAT(writer->Commit(), IsOk());
    return path;
  }
  void ExpectRefused(const std::string& golden, absl::StatusCode code, const std::string& message,
                     const std::function<void(Content&)>& change) {
    const std::string path = Changed(golden, change);
    const std::string imported = directory_.File("imported");
    std::filesystem::create_directories(imported);
    const absl::Status status = ImportGguf(path, imported);
    EXPECT_THAT(status, StatusIs(code, HasSubstr(message)));
    EXPECT_EQ(status.message().find(path), 0U) << status;
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_empty(imported)) << "nothing is left of a refused model";
  }

  TestDirectory directory_;
};

TEST_F(GgufChangeTest, WhatTheEngineLacksIsRefusedByKey) {
  constexpr auto kUnread = absl::StatusCode::kUnimplemented;
  ExpectRefused("smollm2", kUnread, "general.architecture: \"mamba\" is not supported",
                Set("general.architecture", std::string("mamba")));
  ExpectRefused("smollm2", kUnread, "llama.expert_count: a mixture of experts",
                Set("llama.expert_count", int64_t{8}));
  ExpectRefused("smollm2", kUnread, "llama.rope.scaling.type: yarn",
                Set("llama.rope.scaling.type", std::string("yarn")));
  ExpectRefused("smollm2", kUnread, "llama.attention.sliding_window: a window",
                Set("llama.attention.sliding_window", int64_t{4096}));
  ExpectRefused("smollm2", kUnread, "llama.rope.dimension_count: rotary positions of a part",
                Set("llama.rope.dimension_count", int64_t{2}));
  ExpectRefused("smollm2", kUnread, "llama.attention.value_length: another length",
                Set("llama.attention.value_length", int64_t{2}));
  ExpectRefused("smollm2", kUnread, "split.count: one of several files",
                Set("split.count", int64_t{3}));
  ExpectRefused("llama3", kUnread, "tensor rope_freqs.weight: divisors that no rotary scaling",
                [](Content& content) { content.tensors["rope_freqs.weight"].second[0] = 3.0F; });
}

TEST_F(GgufChangeTest, WhatContradictsItselfIsRefusedByKeyOrTensor) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const auto without = [](const std::string& key) {
    return [=](Content& content) { content.metadata.erase(key); };
  };
  for (const char* key :
       {"llama.block_count", "llama.embedding_length", "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon", "tokenizer.ggml.eos_token_id"}) {
    ExpectRefused("llama_tiny", kInvalid, absl::StrCat(key, ": missing; wants"), without(key));
  }
  ExpectRefused("llama_tiny", kInvalid, "llama.block_count: wants a whole number from 1",
                Set("llama.block_count", std::string("two")));
  ExpectRefused("llama_tiny", kInvalid, "wants at most 4096 layers",
                Set("llama.block_count", int64_t{100000}));
  ExpectRefused("llama_tiny", kInvalid, "tokenizer.ggml.bos_token_id: wants a whole number from 0",
                Set("tokenizer.ggml.bos_token_id", int64_t{312}));
  ExpectRefused("llama_tiny", kInvalid, "tensor blk.2.attn_norm.weight: missing",
                Set("llama.block_count", int64_t{3}));
  ExpectRefused("llama_tiny", kInvalid, "(as config.json): num_key_value_heads",
                Set("llama.attention.head_count_kv", int64_t{5}));
  ExpectRefused("llama_tiny", kInvalid,
                "tensor blk.0.ffn_down.weight: has shape [24, 40], the metadata wants [24, 48]",
                Set("llama.feed_forward_length", int64_t{48}));
  ExpectRefused("llama_tiny", kInvalid, "tensor token_embd.weight: missing",
                [](Content& content) { content.tensors.erase("token_embd.weight"); });
  ExpectRefused("llama_tiny", kInvalid, "tensor blk.0.attn_q_norm.weight: not part of a model",
                [](Content& content) {
                  content.tensors["blk.0.attn_q_norm.weight"] = {{4}, std::vector<float>(4)};
                });
  ExpectRefused("llama_tiny", kInvalid,
                "tokenizer.ggml.tokens: has 312 tokens, tensor token_embd.weight 311 rows",
                [](Content& content) {
                  for (const char* name : {"token_embd.weight", "output.weight"}) {
                    content.tensors[name].first = {311, 24};
                    content.tensors[name].second.resize(311 * 24);
                  }
                });
  ExpectRefused("smollm2", absl::StatusCode::kNotFound, "tokenizer.ggml.model: missing",
                [](Content&) {});
}

TEST_F(GgufChangeTest, AHeadEqualToTheEmbeddingIsTied) {
  const std::string path = Changed("llama_tiny", [](Content& content) {
    content.tensors["output.weight"] = content.tensors["token_embd.weight"];
  });
  const auto config = ConfigOf(path);
  ASSERT_THAT(config, IsOk());
  EXPECT_TRUE(config->tied_embeddings);
  const auto weights = GgufWeights::Open(path, *config);
  ASSERT_THAT(weights, IsOk());
  EXPECT_EQ(ValuesOf(*weights, "lm_head.weight"), ValuesOf(*weights, "model.embed_tokens.weight"));
  const std::string imported = directory_.File("tied");
  std::filesystem::create_directories(imported);
  ASSERT_THAT(ImportGguf(path, imported), IsOk());
  const auto model = InspectModelDirectory(imported);
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(model->ignored_tensors, ElementsAre("lm_head.weight"));
}

TEST_F(GgufChangeTest, EndTokensAreThoseOfTheKeysAndThoseThatEndATurn) {
  const std::string path = Changed("llama_tiny", [](Content& content) {
    auto& tokens = std::get<std::vector<std::string>>(content.metadata["tokenizer.ggml.tokens"]);
    auto& types = std::get<std::vector<int64_t>>(content.metadata["tokenizer.ggml.token_type"]);
    tokens[300] = "<|im_end|>";
    types[300] = 3;
    tokens[301] = "<|eot_id|>";  // of type normal: plain text
    content.metadata["tokenizer.ggml.eom_token_id"] = int64_t{7};
  });
  const auto config = ConfigOf(path);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->eos_token_id, 2);
  EXPECT_THAT(config->more_eos_token_ids, ElementsAre(7, 300));
}

TEST_F(GgufChangeTest, AnImportedDirectoryIsAModelLikeAnother) {
  const std::string imported = directory_.File("imported");
  std::filesystem::create_directories(imported);
  ASSERT_THAT(ImportGguf(GgufPath("llama_tiny"), imported), IsOk());
  const auto model = InspectModelDirectory(imported);
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(model->files,
              ElementsAre("config.json", "model.gguf", "tokenizer.model", "tokenizer_config.json"));
  EXPECT_THAT(model->weights_files, ElementsAre("model.gguf"));
  EXPECT_EQ(model->quantization(), "none");
  const auto original = InspectModelDirectory(GoldenPath("engine/llama_tiny"));
  ASSERT_THAT(original, IsOk());
  EXPECT_EQ(model->config, original->config);
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(imported);
  const auto wanted = formats::BytePairEncoding::LoadDirectory(GoldenPath("engine/llama_tiny"));
  ASSERT_THAT(tokenizer, IsOk());
  ASSERT_THAT(wanted, IsOk());
  for (const char* text : {"the sun boards watts", " a  mast\n\n東", "", "the"}) {
    EXPECT_EQ(tokenizer->EncodeDocument(text), wanted->EncodeDocument(text)) << text;
  }
}

TEST_F(GgufChangeTest, SafetensorsComeBeforeAGgufFile) {
  const std::string directory = directory_.File("both");
  std::filesystem::create_directories(directory);
  EXPECT_EQ(*FindGguf(directory), std::nullopt);
  EXPECT_EQ(*FindGguf(directory_.File("absent")), std::nullopt);
  directory_.Write("both/a.gguf", "a");
  EXPECT_EQ(*FindGguf(directory), directory + "/a.gguf");
  EXPECT_EQ(*FindGguf(directory + "/a.gguf"), directory + "/a.gguf");
  directory_.Write("both/b.gguf", "b");
  EXPECT_THAT(FindGguf(directory),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 2 .gguf files")));
  directory_.Write("both/model.safetensors", "");
  EXPECT_EQ(*FindGguf(directory), std::nullopt);
}

}  // namespace
}  // namespace wattle::models
