// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Adapters against PEFT (tests/golden/engine/adapters): logits, loss and gradients of a tiny model
// of each family, the files' form, and the proof that these goldens detect a wrong engine. Then
// cases without golden: dropout of the adapters' input, and quantized weights beside adapters.
#include "worker/engine/train/adapters.h"

#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "models/family.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

struct Golden {
  const char* name;
  const char* model;
  std::vector<std::string> targets = {};

  [[nodiscard]] std::string Path(const std::string& file) const {
    return GoldenPath(absl::StrCat("adapters/", name, "/", file));
  }
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) {
  return out << golden.name;
}

// The model of a golden with PEFT's adapters attached, and a place for their gradients.
struct AdaptedModel {
  Model model;
  Adapters adapters;
  at::Tensor gradients;
  DecoderWeights gradient_views;
};

LoraSettings SettingsOf(const Golden& golden) {
  return {.rank = 3, .alpha = 8.0, .targets = golden.targets};
}

// change: of the adapters, before their weights are read; may be empty.
AdaptedModel ReadAdapted(const Golden& golden, const LoraSettings& settings,
                         const std::function<void(Adapters&)>& change = {}) {
  models::ModelDirectory files;
  const std::string directory = GoldenPath(golden.model);
  auto config = models::ReadDecoderConfig(directory + "/config.json");
  EXPECT_THAT(config, IsOk());
  files.config = *config;
  files.tensor_prefix = models::FamilyOf(files.config).file_prefix;
  AdaptedModel adapted;
  adapted.model = MakeModel(files.config);
  EXPECT_THAT(ReadArena(directory + "/model.safetensors", files, adapted.model.parameters,
                        adapted.model.layout, adapted.model.arena),
              IsOk());
  auto adapters = MakeAdapters(settings, files, 1, TestDevice());
  EXPECT_THAT(adapters, IsOk());
  adapted.adapters = *std::move(adapters);
  if (change) {
    change(adapted.adapters);
  }
  EXPECT_THAT(
      ReadArena(golden.Path(kAdapterWeightsFile), adapted.adapters.files,
                adapted.adapters.parameters, adapted.adapters.layout, adapted.adapters.arena),
      IsOk());
  AttachAdapters(adapted.adapters, adapted.adapters.arena, adapted.model.decoder.weights);
  adapted.gradients = at::zeros_like(adapted.adapters.arena);
  AttachAdapters(adapted.adapters, adapted.gradients, adapted.gradient_views);
  return adapted;
}

std::map<std::string, at::Tensor> ReadGolden(const Golden& golden) {
  return ReadTensors(absl::StrCat("adapters/", golden.name, "/golden.safetensors"));
}

// The largest error of any tensor's gradient, and of the loss.
double GradientError(AdaptedModel& adapted, const Golden& golden, const TokenBatch& batch) {
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  LossSumAndGradients(adapted.model.decoder, batch, DropoutState{}, scale, adapted.gradient_views);
  const Adapters& adapters = adapted.adapters;
  at::Tensor wanted = at::zeros_like(adapters.arena);
  EXPECT_THAT(ReadArena(golden.Path("gradients.safetensors"), adapters.files, adapters.parameters,
                        adapters.layout, wanted),
              IsOk());
  double error = 0.0;
  for (size_t i = 0; i < adapters.parameters.size(); ++i) {
    error = std::max(
        error, RelativeError(ArenaView(adapted.gradients, adapters.layout, adapters.parameters, i),
                             ArenaView(wanted, adapters.layout, adapters.parameters, i)));
  }
  return error;
}

class AdapterGoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(AdapterGoldenTest, LogitsLossAndGradientsAgreeWithPeft) {
  AdaptedModel adapted = ReadAdapted(GetParam(), SettingsOf(GetParam()));
  const auto golden = ReadGolden(GetParam());
  EXPECT_LT(LogitsError(adapted.model.decoder, golden), kLogitsTolerance);
  const TokenBatch batch = BatchOf(GoldenExamples(golden));
  const auto wanted = golden.at("loss").item<double>();
  EXPECT_NEAR(LossSum(adapted.model.decoder, batch) / static_cast<double>(batch.targets.size()),
              wanted, 1e-5 * wanted);
  EXPECT_LT(GradientError(adapted, GetParam(), batch), kGradientTolerance);
}

// Frozen weights get no gradient, and recomputing a block gives the same bits.
TEST_P(AdapterGoldenTest, RecomputedBlocksGiveTheSameGradients) {
  AdaptedModel adapted = ReadAdapted(GetParam(), SettingsOf(GetParam()));
  const TokenBatch batch = BatchOf(GoldenExamples(ReadGolden(GetParam())));
  const DropoutState dropout{.active = true, .seed = 3, .counter = 4};
  const auto gradients = [&](KeptActivations kept) {
    adapted.gradients.zero_();
    LossSumAndGradients(adapted.model.decoder, batch, dropout, 1.0, adapted.gradient_views, kept);
    return adapted.gradients.clone();
  };
  const at::Tensor kept = gradients(KeptActivations::kAll);
  EXPECT_TRUE(kept.equal(gradients(KeptActivations::kInputs)));
}

// Dropout draws the same masks forward and backward, including the adapters' own.
TEST_P(AdapterGoldenTest, GradientsWithDropoutAgreeWithADifferenceOfLosses) {
  LoraSettings settings = SettingsOf(GetParam());
  settings.dropout = 0.3;
  AdaptedModel adapted = ReadAdapted(GetParam(), settings);
  const TokenBatch batch = BatchOf(GoldenExamples(ReadGolden(GetParam())));
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  LossSumAndGradients(adapted.model.decoder, batch, dropout, 1.0, adapted.gradient_views);
  const at::Tensor direction = adapted.gradients / adapted.gradients.norm();
  const auto slope = at::dot(adapted.gradients, direction).item<double>();
  constexpr double kStep = 1e-4;
  DecoderWeights unwanted;
  unwanted.blocks.resize(adapted.adapters.files.config.layers.size());
  const auto loss_at = [&](double step) {
    adapted.adapters.arena.add_(direction, step);
    const double loss = LossSumAndGradients(adapted.model.decoder, batch, dropout, 1.0, unwanted);
    adapted.adapters.arena.add_(direction, -step);
    return loss;
  };
  EXPECT_NEAR((loss_at(kStep) - loss_at(-kStep)) / (2.0 * kStep), slope, 0.01 * slope);
}

TEST_P(AdapterGoldenTest, WrittenFilesAreThoseOfPeft) {
  const AdaptedModel adapted = ReadAdapted(GetParam(), SettingsOf(GetParam()));
  const std::string directory = NewTestDirectory("written");
  ASSERT_THAT(SaveAdapters(directory, adapted.adapters), IsOk());
  const auto written =
      formats::SafetensorsFile::Open(absl::StrCat(directory, "/", kAdapterWeightsFile));
  ASSERT_THAT(written, IsOk());
  const auto original = formats::SafetensorsFile::Open(GetParam().Path(kAdapterWeightsFile));
  ASSERT_THAT(original, IsOk());
  ASSERT_EQ(written->tensors().size(), original->tensors().size());
  for (const formats::TensorEntry& tensor : original->tensors()) {
    const formats::TensorEntry* found = written->Find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_TRUE(BytesOf(*written, *found) == BytesOf(*original, tensor)) << tensor.name;
  }
  const auto read = [](const std::string& path) { return nlohmann::json::parse(FileBytes(path)); };
  const nlohmann::json config = read(absl::StrCat(directory, "/", kAdapterConfigFile));
  const nlohmann::json wanted = read(GetParam().Path(kAdapterConfigFile));
  // Newer versions of PEFT write the whole names of all-linear; the part after the dot matches as
  // well.
  const auto targets = [](const nlohmann::json& of) {
    std::set<std::string> names;
    for (const std::string name : of["target_modules"]) {
      names.insert(GetParam().targets.empty() ? name.substr(name.rfind('.') + 1) : name);
    }
    return names;
  };
  EXPECT_EQ(targets(config), targets(wanted));
  for (const char* field :
       {"peft_type", "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "modules_to_save",
        "rank_pattern", "alpha_pattern", "layers_to_transform"}) {
    EXPECT_EQ(config[field], wanted[field]) << field;
  }
}

TEST_P(AdapterGoldenTest, MergedWeightsGiveTheSameLogits) {
  AdaptedModel adapted = ReadAdapted(GetParam(), SettingsOf(GetParam()));
  LoadedModel loaded;
  loaded.decoder = adapted.model.decoder;
  MergeAdapters(adapted.adapters, loaded);
  adapted.model.decoder = loaded.decoder;
  ASSERT_TRUE(adapted.model.decoder.weights.blocks[0].qkv.adapters.empty());
  EXPECT_LT(LogitsError(adapted.model.decoder, ReadGolden(GetParam())), kLogitsTolerance);
}

std::vector<Golden> Goldens() {
  std::vector<Golden> goldens = {
      {"gpt2", "adapters/gpt2_model"},
      {"gpt2_attention", "adapters/gpt2_model", {"c_attn", "attn.c_proj"}},
      {"llama3_query_value", "families/llama3", {"q_proj", "v_proj"}}};
  for (const auto& [name, model] : std::vector<std::pair<const char*, const char*>>{
           {"llama3", "families/llama3"},
           {"llama_linear", "families/llama_linear"},
           {"smollm2", "families/smollm2"},
           {"mistral", "families/mistral"},
           {"qwen2", "families/qwen2"},
           {"qwen2_windows", "families/qwen2_windows"},
           {"phi", "families/phi"},
           {"gpt_neox", "families/gpt_neox"},
           {"gpt_neox_sequential", "families/gpt_neox_sequential"},
           {"stablelm", "families/stablelm"},
           {"gemma", "families/gemma"},
           {"gemma2", "families/gemma2"},
           {"kosmos2_text", "families/kosmos2_text"},
           {"opt", "families/opt"}}) {
    goldens.push_back({name, model});
  }
  return goldens;
}

INSTANTIATE_TEST_SUITE_P(Families, AdapterGoldenTest, testing::ValuesIn(Goldens()),
                         [](const auto& row) { return row.param.name; });

// A mistake in the engine, made in the settings, in the adapters before their weights are read, or
// in the attached tensors.
struct Mutation {
  const char* name;
  const char* golden;
  const char* model;
  std::function<void(LoraSettings&)> settings = [](LoraSettings&) {};
  std::function<void(Adapters&)> adapters = {};
  std::function<void(LowRankAdapter&)> attached = [](LowRankAdapter&) {};
};

std::ostream& operator<<(std::ostream& out, const Mutation& mutation) {
  return out << mutation.name << " in " << mutation.golden;
}

// The numbers of a tensor read in the other order.
void ReadTransposed(at::Tensor& tensor) {
  tensor = tensor.view({tensor.size(1), tensor.size(0)}).t().contiguous();
}

std::vector<Mutation> Mutations() {
  return {
      {.name = "ScaleWithoutRank",
       .golden = "llama3",
       .model = "families/llama3",
       .settings = [](LoraSettings& settings) { settings.alpha *= 3.0; }},
      {.name = "ScaleByRootOfRank",  // rsLoRA's
       .golden = "gpt2",
       .model = "adapters/gpt2_model",
       .settings = [](LoraSettings& settings) { settings.alpha *= std::sqrt(3.0); }},
      {.name = "NoScale",
       .golden = "gpt2",
       .model = "adapters/gpt2_model",
       .settings = [](LoraSettings& settings) { settings.alpha = 3.0; }},
      {.name = "TransposedA",
       .golden = "llama3",
       .model = "families/llama3",
       .attached = [](LowRankAdapter& adapter) { ReadTransposed(adapter.a); }},
      {.name = "TransposedB",
       .golden = "gpt2",
       .model = "adapters/gpt2_model",
       .attached = [](LowRankAdapter& adapter) { ReadTransposed(adapter.b); }},
      {.name = "RowsOfTheModuleBefore",
       .golden = "llama3_query_value",
       .model = "families/llama3",
       .attached = [](LowRankAdapter& adapter) { adapter.first_row = 0; }},
      {.name = "ForgottenInterleaving",
       .golden = "gpt_neox",
       .model = "families/gpt_neox",
       .adapters =
           [](Adapters& adapters) {
             for (Parameter& parameter : adapters.parameters) {
               parameter.tensor.layout.interleaved_heads = 0;
             }
           }},
  };
}

class AdapterMutationTest : public testing::TestWithParam<Mutation> {};

TEST_P(AdapterMutationTest, TheGoldenTellsIt) {
  const Mutation& mutation = GetParam();
  Golden golden{mutation.golden, mutation.model};
  if (std::string(mutation.golden) == "llama3_query_value") {
    golden.targets = {"q_proj", "v_proj"};
  }
  LoraSettings settings = SettingsOf(golden);
  mutation.settings(settings);
  AdaptedModel adapted = ReadAdapted(golden, settings, mutation.adapters);
  for (BlockWeights& block : adapted.model.decoder.weights.blocks) {
    for (LinearWeights* linear : {&block.qkv, &block.attention_output, &block.up, &block.down}) {
      for (LowRankAdapter& adapter : linear->adapters) {
        mutation.attached(adapter);
      }
    }
  }
  EXPECT_GT(LogitsError(adapted.model.decoder, ReadGolden(golden)), 2.0 * kLogitsTolerance);
}

INSTANTIATE_TEST_SUITE_P(Mutations, AdapterMutationTest, testing::ValuesIn(Mutations()),
                         [](const auto& row) {
                           return absl::StrCat(row.param.name, "_", row.param.golden);
                         });

// Dropout applies only to the adapters' input: with A's product zero the layer is as without
// adapters.
TEST(AdapterDropoutTest, LeavesTheWeightsOwnProductAlone) {
  const auto random = [](at::IntArrayRef shape) { return OnTestDevice(at::rand(shape)); };
  LinearWeights linear;
  linear.matrix.value = random({6, 8});
  linear.bias = random({6});
  const at::Tensor x = random({5, 8});
  const at::Tensor wanted = LinearForward(linear, x);
  linear.adapters.push_back(
      {.a = random({2, 8}), .b = at::zeros({6, 2}, TestDevice()), .scale = 4.0, .dropout = 0.5});
  const DropoutState dropout{.active = true, .seed = 1, .counter = 2};
  EXPECT_TRUE(LinearForward(linear, x, dropout).equal(wanted));
  linear.adapters[0].b.fill_(1.0);
  const at::Tensor dropped = LinearForward(linear, x, dropout);
  EXPECT_FALSE(dropped.equal(LinearForward(linear, x)));
  EXPECT_TRUE(dropped.equal(LinearForward(linear, x, dropout)));
  // Each adapter has a mask of its own.
  linear.adapters[0].site = 1;
  EXPECT_FALSE(dropped.equal(LinearForward(linear, x, dropout)));
}

class FrozenFormatTest : public testing::TestWithParam<const char*> {};

// Loss and gradients beside quantized weights are those beside the same numbers in FP32.
TEST_P(FrozenFormatTest, GradientsAreThoseOfTheDequantizedWeights) {
  const std::string directory = MakeTinyModel("model", 3);
  RecordingSink sink;
  ModelJob job = JobOn(directory);
  auto exact = LoadFrozen(job, /*bf16_matrices=*/false, sink);
  ASSERT_THAT(exact, IsOk());
  const auto recipe = RecipeOfIdentity(GetParam());
  ASSERT_THAT(recipe, IsOk());
  job.recipe = *recipe;
  auto quantized = LoadFrozen(job, /*bf16_matrices=*/false, sink);
  ASSERT_THAT(quantized, IsOk());
  ASSERT_TRUE(quantized->is_quantized());
  for (size_t i = 0; i < exact->parameters.size(); ++i) {
    const models::ModelTensor& tensor = exact->parameters[i].tensor;
    EXPECT_FALSE(exact->parameters[i].trainable || quantized->parameters[i].trainable);
    if (!quantized->parameters[i].in_arena()) {
      MatrixAt(exact->decoder.weights, tensor)
          .value.copy_(Dequantize(MatrixAt(quantized->decoder.weights, tensor)));
    }
  }
  auto adapters = MakeAdapters({.rank = 4, .alpha = 8.0}, exact->files, 5, TestDevice());
  ASSERT_THAT(adapters, IsOk());
  adapters->arena.copy_(at::randn(adapters->arena.sizes()) * 0.1);
  std::vector<Example> examples;
  for (const int64_t length : {40, 23}) {
    examples.push_back({.tokens = std::vector<int64_t>(static_cast<size_t>(length)),
                        .mask = std::vector<uint8_t>(static_cast<size_t>(length), 1)});
    for (int64_t i = 0; i < length; ++i) {
      examples.back().tokens[static_cast<size_t>(i)] = (i * 37 + length) % 256;
    }
  }
  const TokenBatch batch = BatchOf(examples);
  const auto run = [&](LoadedModel& model) {
    AttachAdapters(*adapters, adapters->arena, model.decoder.weights);
    at::Tensor gradients = at::zeros_like(adapters->arena);
    DecoderWeights views;
    AttachAdapters(*adapters, gradients, views);
    const double loss = LossSumAndGradients(model.decoder, batch, {}, 1.0, views);
    EXPECT_NEAR(LossSum(model.decoder, batch), loss, 1e-5 * loss);
    return std::make_pair(loss, gradients);
  };
  const auto [wanted_loss, wanted] = run(*exact);
  const auto [loss, gradients] = run(*quantized);
  EXPECT_NEAR(loss, wanted_loss, 1e-5 * wanted_loss);
  EXPECT_LT(RelativeError(gradients, wanted), kGradientTolerance);
}

INSTANTIATE_TEST_SUITE_P(Formats, FrozenFormatTest,
                         testing::Values("int8", "int4-g32", "int4a-g32", "nf4-g32"),
                         [](const auto& row) {
                           std::string name = row.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

// A stored recipe is for inference: the losses are those with only the same matrices.
TEST(FrozenModelTest, KeysAndValuesOfAStoredRecipeAreFp32InTraining) {
  ASSERT_THAT(SetThreads(1), IsOk());
  std::vector<std::vector<double>> losses;
  for (const char* identity : {"int4-g32", "int4-g32+kv=int8"}) {
    FinetuneSettings settings = TinyFinetune("run");
    const auto recipe = RecipeOfIdentity(identity);
    ASSERT_THAT(recipe, IsOk());
    const auto model =
        LoadModel(settings.model.directory, {.device = TestDeviceName(), .recipe = &*recipe});
    ASSERT_THAT(model, IsOk());
    settings.model.directory = NewTestDirectory("stored");
    ASSERT_THAT(SaveModel(settings.model.directory, *model), IsOk());
    const auto stored = LoadModel(settings.model.directory, {.device = TestDeviceName()});
    ASSERT_THAT(stored, IsOk());
    EXPECT_EQ(RecipeIdentity(stored->recipe), identity);
    settings.lora.emplace();
    losses.push_back(LossesOf(settings));
  }
  EXPECT_EQ(losses[0], losses[1]);
}

TEST(MakeAdaptersTest, RefusesWhatIsOutOfRangeOrNamesNothing) {
  models::ModelDirectory files;
  files.config = TinyConfig();
  const auto status = [&](const LoraSettings& settings) {
    return MakeAdapters(settings, files, 0, TestDevice()).status();
  };
  EXPECT_THAT(status({.rank = 0}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lora.rank: 0; wants 1")));
  EXPECT_THAT(status({.rank = 1025}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1 to 1024")));
  EXPECT_THAT(status({.alpha = 0.0}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lora.alpha: 0")));
  EXPECT_THAT(status({.dropout = 1.0}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lora.dropout: 1")));
  EXPECT_THAT(status({.targets = {"c_attn", "q_proj"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("\"q_proj\" names no linear layer of this gpt2; write all-linear "
                                 "or some of: c_attn, c_fc, c_proj")));
}

}  // namespace
}  // namespace wattle::engine
