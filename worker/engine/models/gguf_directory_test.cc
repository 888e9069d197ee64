// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models in GGUF files (tests/golden/gguf) in the engine: logits against those of transformers, and
// a whole directory through loading, evaluation, generation, quantization and training, against the
// directory of the same weights in safetensors.
#include "models/gguf_directory.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include <ATen/core/Tensor.h>

#include "base/durable_file.h"
#include "base/testing/status_matchers.h"
#include "formats/byte_pair_encoding.h"
#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_weights.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

std::string GgufPath(const std::string& name) {
  return absl::StrCat(GoldenFolder(), "/gguf/", name, ".gguf");
}

// The model of a GGUF file; config.json is not read.
Model ReadGguf(const std::string& name) {
  const auto file = formats::GgufFile::Open(GgufPath(name));
  EXPECT_THAT(file, IsOk());
  models::ModelDirectory files;
  const auto config = models::DecoderConfigOfGguf(*file);
  EXPECT_THAT(config, IsOk());
  files.config = *config;
  files.tensor_prefix = models::FamilyOf(*config).file_prefix;
  const auto weights = models::GgufWeights::Open(GgufPath(name), *config);
  EXPECT_THAT(weights, IsOk());
  Model model = MakeModel(files.config);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    at::Tensor place = model.Value(i);
    EXPECT_THAT(ReadFloats(*weights, NamesInFile(files, tensor), tensor.layout, place), IsOk());
  }
  return model;
}

struct Golden {
  const char* gguf;
  const char* file;  // has tokens and logits, in tests/golden/engine
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) {
  return out << golden.gguf;
}

class GgufLogitsTest : public testing::TestWithParam<Golden> {};

TEST_P(GgufLogitsTest, AreThoseOfTransformers) {
  const Model model = ReadGguf(GetParam().gguf);
  const auto golden = ReadTensors(GetParam().file);
  const std::vector<Example> examples = GoldenExamples(golden);
  const at::Tensor wanted = golden.at("logits");
  const at::Tensor logits = AllLogits(model.decoder, BatchOf(examples)).view(wanted.sizes());
  for (size_t row = 0; row < examples.size(); ++row) {
    const auto index = static_cast<int64_t>(row);
    const auto length = static_cast<int64_t>(examples[row].tokens.size());
    EXPECT_LT(RelativeError(logits[index].narrow(0, 0, length), wanted[index].narrow(0, 0, length)),
              kLogitsTolerance);
  }
}

// Mistral's golden has a window and Gemma 2's another scale, which GGUF metadata does not
// represent: models/gguf_test.cc compares their tensors.
INSTANTIATE_TEST_SUITE_P(Families, GgufLogitsTest,
                         testing::Values(Golden{"gpt2", "gpt2_tiny.safetensors"},
                                         Golden{"llama3", "families/llama3/golden.safetensors"},
                                         Golden{"llama_linear",
                                                "families/llama_linear/golden.safetensors"},
                                         Golden{"smollm2", "families/smollm2/golden.safetensors"},
                                         Golden{"qwen2", "families/qwen2/golden.safetensors"},
                                         Golden{"phi", "families/phi/golden.safetensors"},
                                         Golden{"gpt_neox", "families/gpt_neox/golden.safetensors"},
                                         Golden{"gpt_neox_sequential",
                                                "families/gpt_neox_sequential/golden.safetensors"},
                                         Golden{"stablelm", "families/stablelm/golden.safetensors"},
                                         Golden{"gemma", "families/gemma/golden.safetensors"},
                                         Golden{"llama_tiny", "llama_tiny/golden.safetensors"}),
                         [](const auto& row) { return row.param.gguf; });

// The other two are compared with the engine on transformers' weights, with the description that
// the metadata can represent.
TEST(GgufLogitsTest, AreThoseOfTheSameWeightsWhereMetadataSaysLess) {
  for (const char* name : {"mistral", "gemma2"}) {
    const Model gguf = ReadGguf(name);
    models::ModelDirectory files = GoldenFiles(absl::StrCat("families/", name));
    for (models::LayerDescription& layer : files.config.layers) {
      layer.window = name == std::string("mistral") ? 0 : layer.window;
      layer.query_pre_attention_scalar = 0.0;
    }
    const Model original = ReadGoldenModel(absl::StrCat("families/", name), files);
    const auto golden = ReadTensors(absl::StrCat("families/", name, "/golden.safetensors"));
    const TokenBatch batch = BatchOf(GoldenExamples(golden));
    EXPECT_LT(RelativeError(AllLogits(gguf.decoder, batch), AllLogits(original.decoder, batch)),
              kLogitsTolerance)
        << name;
  }
}

class GgufDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = NewTestDirectory("imported");
    ASSERT_THAT(models::ImportGguf(GgufPath("llama_tiny"), directory_), IsOk());
  }
  [[nodiscard]] static std::string Original() { return GoldenPath("llama_tiny"); }
  static nlohmann::json Expected() {
    return nlohmann::json::parse(FileBytes(Original() + "/expected.json"));
  }

  std::string directory_;
};

TEST_F(GgufDirectoryTest, GreedyContinuationIsThatOfTheReference) {
  RecordingSink sink;
  const auto model = LoadForInference(JobOn(directory_), sink);
  ASSERT_THAT(model, IsOk());
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(directory_);
  ASSERT_THAT(tokenizer, IsOk());
  const nlohmann::json expected = Expected();
  const std::vector<int64_t> prompt =
      tokenizer->EncodeDocument(expected["prompt"].get<std::string>());
  EXPECT_EQ(GenerateTokens(model->decoder, prompt, 20, {}, 0),
            expected["generated"].get<std::vector<int64_t>>());
}

TEST_F(GgufDirectoryTest, LossOfATextIsThatOfTheReference) {
  EvaluateSettings settings;
  settings.model = JobOn(directory_);
  settings.data = NewTestDirectory("text") + "/text.txt";
  ASSERT_THAT(WriteFileDurably(settings.data, Expected()["text"].get<std::string>()), IsOk());
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  const auto wanted = Expected()["loss"].get<double>();
  EXPECT_NEAR(result->figures.loss, wanted, 1e-5 * wanted);
}

TEST_F(GgufDirectoryTest, QuantizedItIsTheQuantizedOriginal) {
  const auto recipe = RecipeOfIdentity("int8");
  ASSERT_THAT(recipe, IsOk());
  const auto quantized = [&](const std::string& from, const std::string& to) {
    const auto model = LoadModel(from, {.device = TestDeviceName(), .recipe = &*recipe});
    EXPECT_THAT(model, IsOk());
    EXPECT_THAT(SaveModel(to, *model), IsOk());
    return FileBytes(to + "/model.safetensors");
  };
  const std::string output = NewTestDirectory("quantized");
  EXPECT_EQ(quantized(directory_, output), quantized(Original(), NewTestDirectory("wanted")));
  const auto saved = models::InspectModelDirectory(output);
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(saved->quantization(), "int8");
  EXPECT_THAT(saved->files, testing::Not(testing::Contains("model.gguf")));
}

TEST_F(GgufDirectoryTest, ASavedModelIsTheOriginalWithoutTheGgufFile) {
  const auto model = LoadModel(directory_, {.device = TestDeviceName()});
  ASSERT_THAT(model, IsOk());
  const std::string output = NewTestDirectory("saved");
  ASSERT_THAT(SaveModel(output, *model), IsOk());
  EXPECT_FALSE(std::filesystem::exists(output + "/model.gguf"));
  const auto saved = models::InspectModelDirectory(output);
  ASSERT_THAT(saved, IsOk());
  EXPECT_THAT(saved->files, testing::ElementsAre("config.json", "model.safetensors",
                                                 "tokenizer.model", "tokenizer_config.json"));
  const auto written = formats::SafetensorsFile::Open(output + "/model.safetensors");
  const auto wanted = formats::SafetensorsFile::Open(Original() + "/model.safetensors");
  ASSERT_THAT(written, IsOk());
  ASSERT_THAT(wanted, IsOk());
  ASSERT_EQ(written->tensors().size(), wanted->tensors().size());
  for (const formats::TensorEntry& tensor : wanted->tensors()) {
    ASSERT_NE(written->Find(tensor.name), nullptr) << tensor.name;
    EXPECT_EQ(BytesOf(*written, *written->Find(tensor.name)), BytesOf(*wanted, tensor))
        << tensor.name;
  }
}

// A run from the GGUF file and one from the safetensors file of the same F32 weights: the same
// losses and the same result, to the last bit.
void ExpectTheSameTraining(const std::string& gguf, const std::string& original,
                           const std::function<void(FinetuneSettings&)>& change) {
  std::vector<std::vector<double>> losses;
  std::vector<std::string> results;
  for (const std::string& directory : {gguf, original}) {
    FinetuneSettings settings = TinyFinetune("training");
    settings.model = JobOn(directory);
    change(settings);
    losses.push_back(LossesOf(settings));
    for (const char* file : {"/model.safetensors", "/adapter_model.safetensors"}) {
      if (std::filesystem::exists(settings.output_directory + file)) {
        results.push_back(FileBytes(settings.output_directory + file));
      }
    }
  }
  ASSERT_EQ(losses[0].size(), 4U);
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_NE(losses[0].front(), losses[0].back()) << "nothing was trained";
  ASSERT_EQ(results.size(), 2U);
  EXPECT_TRUE(results[0] == results[1]) << "the results differ";
}

TEST_F(GgufDirectoryTest, TrainingEveryWeightIsTrainingTheOriginal) {
  ExpectTheSameTraining(directory_, Original(), [](FinetuneSettings&) {});
}

TEST_F(GgufDirectoryTest, TrainingAdaptersIsTrainingThemBesideTheOriginal) {
  ExpectTheSameTraining(directory_, Original(),
                        [](FinetuneSettings& settings) { settings.lora.emplace(); });
}

TEST_F(GgufDirectoryTest, TrainingAdaptersBesideInt8IsTrainingThemBesideTheOriginal) {
  const auto recipe = RecipeOfIdentity("int8");
  ASSERT_THAT(recipe, IsOk());
  ExpectTheSameTraining(directory_, Original(), [&](FinetuneSettings& settings) {
    settings.lora.emplace();
    settings.model.recipe = *recipe;
  });
}

}  // namespace
}  // namespace wattle::engine
