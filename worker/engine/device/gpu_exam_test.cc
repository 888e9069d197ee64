// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The engine on a real GPU: its results must be those of the host. ./dev gpu-exam runs this
// program; without a GPU it prints so and exits 3, which is never a pass. With --rehearsal the host
// replaces the GPU, so that the program itself can be tried; it then exits 3, too.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/device/cuda/kernel_sources.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/device/testing/test_device_cases.h"
#include "worker/engine/device/tile_products.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/generate/testing/test_wide_decoder.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/testing/test_matrix.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/products.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

// "cuda", or "cpu" in a rehearsal.
std::string device_name = "cuda";  // NOLINT(runtime/string)

bool rehearses() {
  return device_name == "cpu";
}
at::Device Gpu() {
  return *DeviceNamed(device_name);
}

double NormOfDifference(absl::Span<const float> got, absl::Span<const float> wanted) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error += std::pow(got[i] - wanted[i], 2);
    norm += std::pow(wanted[i], 2);
  }
  return std::sqrt(error / norm);  // NaN compares as false
}

std::vector<int64_t> Prompt(uint64_t seed, int64_t tokens) {
  std::vector<int64_t> prompt;
  for (int64_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<int64_t>(kernels::RandomBelow({.seed = seed}, i, 256)));
  }
  return prompt;
}

// --- the kernels themselves ---

TEST(GpuKernelsTest, EveryFileCompilesAndLoads) {
  if (rehearses()) {
    GTEST_SKIP() << "a rehearsal has no NVRTC";
  }
  const auto launcher =
      LauncherWithCache(Gpu(), cuda::KernelCache("", cuda::KernelCache::Use::kFind));
  ASSERT_THAT(launcher, IsOk());
  for (const cuda::KernelFile& file : cuda::KernelSources()) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT((*launcher)->Prepare(std::string(absl::StripSuffix(file.name, ".cu"))), IsOk());
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    std::printf("compiled %s in %.0f ms\n", file.name, took.count());
  }
}

class GpuStoredTest : public testing::TestWithParam<StoredCase> {};

TEST_P(GpuStoredTest, RowsAreThoseOfTheHost) {
  const MatrixWeights host = StoredOnHost(GetParam().format, 1000, 256);
  const MatrixWeights device = OperationsOn(Gpu()).Stored(host, Gpu());
  EXPECT_TRUE(at::equal(Dequantize(device).cpu(), Dequantize(host)));
}

TEST_P(GpuStoredTest, ProductsAreThoseOfTheDequantizedMatrix) {
  if (rehearses()) {
    GTEST_SKIP() << "the host rounds inputs of codes";
  }
  // Rows that do not fill the last panel; columns of several lengths; a matrix as large as a
  // layer's.
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{1000, kernels::ColumnsFor(GetParam().format, 128)},
                                                {17, 256},
                                                {2304, 768},
                                                {768, 3072},
                                                {5632, 2048}}) {
    const MatrixWeights host = StoredOnHost(GetParam().format, rows, columns);
    const at::Tensor weights = Dequantize(host).to(at::kDouble);
    const MatrixWeights device = OperationsOn(Gpu()).Stored(host, Gpu());
    const at::Tensor bias = Normal({rows}, 2);
    for (const int64_t count : {1, 2, 3, 4, 5, 7, 8, 9, 33}) {
      SCOPED_TRACE(absl::StrCat(rows, " x ", columns, ", ", count, " inputs"));
      const at::Tensor x = Normal({count, columns}, static_cast<uint64_t>(count));
      const at::Tensor wanted = at::mm(x.to(at::kDouble), weights.t()) + bias;
      const at::Tensor y = MatrixProduct(device, x.to(Gpu()), bias.to(Gpu()));
      // Tensor cores multiply more rows than the kernels take, in BF16 if the GPU supports it.
      const bool in_bf16 = count > 8 && TileType(CapabilityOf(Gpu())) == at::kBFloat16 &&
                           !device.dequantized_products;
      EXPECT_LT(RelativeError(y.cpu().to(at::kDouble), wanted), in_bf16 ? 1e-2 : 1e-5);
      const at::Tensor again = MatrixProduct(device, x.to(Gpu()), bias.to(Gpu()));
      EXPECT_TRUE(at::equal(again.cpu(), y.cpu())) << "every run gives the same bits";
    }
  }
}

TEST_P(GpuStoredTest, TheTransposedProductIsThatOfTheDequantizedMatrix) {
  const MatrixWeights host = StoredOnHost(GetParam().format, 1000, 256);
  const MatrixWeights device = OperationsOn(Gpu()).Stored(host, Gpu());
  const at::Tensor grad = Normal({5, 1000}, 4);
  const at::Tensor wanted = at::mm(grad.to(at::kDouble), Dequantize(host).to(at::kDouble));
  EXPECT_LT(RelativeError(TransposedProduct(device, grad.to(Gpu())).cpu().to(at::kDouble), wanted),
            1e-5);
}

INSTANTIATE_TEST_SUITE_P(Formats, GpuStoredTest, testing::ValuesIn(StoredCases()),
                         [](const auto& row) { return row.param.name; });

TEST(GpuRandomTest, MasksAndSignsAreThoseOfTheHost) {
  const kernels::RandomStream stream = {
      .seed = 0xFEDCBA9876543210, .step = 5, .use = kernels::RandomUse::kAttentionDropout};
  for (const int64_t first : {int64_t{0}, int64_t{131}, (int64_t{1} << 33) + 2}) {
    at::Tensor wanted = at::ones({7, 301});
    kernels::ApplyDropout(stream, 0.3, first, wanted.numel(), wanted.data_ptr<float>());
    const at::Tensor like = at::empty_like(wanted, at::device(Gpu()));
    EXPECT_TRUE(at::equal(DropoutFactors(stream, 0.3, first, like).cpu(), wanted));
    wanted.zero_();
    kernels::AddRandomSigns(stream, 1e-3F, first, wanted.numel(), wanted.data_ptr<float>());
    EXPECT_TRUE(at::equal(RandomSigns(stream, 1e-3F, first, like).cpu(), wanted));
  }
}

TEST(GpuRoundingTest, NearestCodesAreThoseOfTheHost) {
  const at::Tensor weights = Normal({50, 128}, 6);
  for (const StoredCase& stored : StoredCases()) {
    if (kernels::OperationsOf(stored.format.scheme).codec == nullptr) {
      continue;
    }
    SCOPED_TRACE(stored.name);
    at::Tensor wanted = at::empty_like(weights);
    CpuOperations().RoundToCodes(stored.format, weights, wanted);
    const at::Tensor device = weights.to(Gpu());
    const at::Tensor rounded = at::empty_like(device);
    OperationsOn(Gpu()).RoundToCodes(stored.format, device, rounded);
    EXPECT_TRUE(at::equal(rounded.cpu(), wanted));
  }
}

// --- whole generations ---

Decoder OnHost(WideDecoder wanted) {
  wanted.dequantized = true;
  return MakeWideDecoder(wanted);
}
Decoder OnGpu(WideDecoder wanted) {
  wanted.device = Gpu();
  return MakeWideDecoder(wanted);
}

class GpuGenerationTest : public testing::TestWithParam<WideDecoder> {};

TEST_P(GpuGenerationTest, TokensAreThoseOfTheCpu) {
  if (rehearses()) {
    GTEST_SKIP() << "the host rounds inputs of codes";
  }
  WideDecoder wanted = GetParam();
  wanted.seed = 21;
  const Decoder host = OnHost(wanted);
  const Decoder device = OnGpu(wanted);
  const std::vector<int64_t> prompt = Prompt(21, 11);  // more tokens than a step has rows
  for (const SamplingSettings& sampling :
       {SamplingSettings{}, SamplingSettings{.temperature = 0.8, .seed = 21},
        SamplingSettings{.temperature = 0.8, .top_k = 30, .top_p = 0.9, .seed = 21}}) {
    EXPECT_EQ(GenerateTokens(device, prompt, 24, sampling, 5),
              GenerateTokens(host, prompt, 24, sampling, 5))
        << "temperature " << sampling.temperature;
  }
}

TEST_P(GpuGenerationTest, LogitsAreThoseOfTheCpu) {
  if (rehearses() && std::string(GetParam().format) != "fp32") {
    GTEST_SKIP() << "the host rounds inputs of codes";
  }
  const Decoder host = OnHost(GetParam());
  const Decoder device = OnGpu(GetParam());
  DecodeSession wanted(host, 60);
  DecodeSession session(device, 60);
  ASSERT_TRUE(session.runs_operator());
  // The cache is FP16 on the GPU, and the model's weights are ten times too large.
  constexpr double kTolerance = 2e-2;
  std::vector<int64_t> tokens = Prompt(3, 11);
  for (int step = 0; step < 20; ++step) {
    EXPECT_LT(NormOfDifference(session.Feed(tokens), wanted.Feed(tokens)), kTolerance)
        << "step " << step;
    tokens = {(step * 37 + 11) % 250};
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, GpuGenerationTest, testing::ValuesIn(WideForms()),
                         [](const auto& row) {
                           return absl::StrCat(row.param.family, "_",
                                               absl::StrReplaceAll(row.param.format, {{"-", "_"}}));
                         });

TEST(GpuCacheTest, AnInt8CacheIsThatOfThePlainForm) {
  const Decoder host = OnHost({"llama", "fp32", true});
  const Decoder device = OnGpu({"llama", "fp32", true});
  DecodeSession wanted(host, 40, DecodeForm::kPlain);  // also rounds queries
  DecodeSession session(device, 40);
  std::vector<int64_t> tokens = Prompt(3, 11);
  for (int step = 0; step < 5; ++step) {
    EXPECT_LT(NormOfDifference(session.Feed(tokens), wanted.Feed(tokens)), 2e-2) << step;
    tokens = {(step * 37 + 11) % 250};
  }
}

// More sequences than a step has rows, each in its own slot.
// From 64 tokens on tensor cores multiply weights converted to BF16; FP32 stays FP32.
TEST(GpuPromptTest, ALongPromptHasTheLogitsOfItsTokensByEight) {
  if (rehearses()) {
    GTEST_SKIP() << "the host has no tiles, and no decoding with NF4's double quantization";
  }
  for (const auto& [form, tolerance] :
       std::vector<std::pair<WideDecoder, double>>{{{"llama", "fp32"}, 1e-4},
                                                   {{"gpt2", "int8"}, 3e-2},
                                                   {{"llama", "int4-g32"}, 3e-2},
                                                   {{"llama", "nf4dq-g32"}, 3e-2}}) {
    SCOPED_TRACE(absl::StrCat(form.family, " ", form.format));
    WideDecoder wanted = form;
    wanted.device = Gpu();
    wanted.max_positions = 128;
    const Decoder decoder = MakeWideDecoder(wanted);
    const std::vector<int64_t> prompt = Prompt(5, 120);
    DecodeSession many(decoder, 128);
    const absl::Span<const float> logits = many.Feed(prompt);
    const std::vector<float> of_many(logits.begin(), logits.end());
    DecodeSession few(decoder, 128);
    std::vector<float> of_few;
    for (absl::Span<const int64_t> left = prompt; !left.empty(); left.remove_prefix(8)) {
      const absl::Span<const float> next = few.Feed(left.subspan(0, 8));
      of_few.assign(next.begin(), next.end());
    }
    EXPECT_LT(NormOfDifference(of_many, of_few), tolerance);
    DecodeSession again(decoder, 128);
    const absl::Span<const float> repeated = again.Feed(prompt);
    EXPECT_TRUE(std::equal(of_many.begin(), of_many.end(), repeated.begin()))
        << "every run gives the same bits";
  }
}

TEST(GpuCacheTest, ASequenceHasTheLogitsThatItHasAlone) {
  constexpr int64_t kSlots = 9;
  const Decoder device = OnGpu({"llama", "int8"});
  DecodeSession together(device, 40, DecodeForm::kFastest, kSlots);
  std::vector<int64_t> tokens(kSlots);
  std::vector<kernels::SequenceTokens> sequences;
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    const auto i = static_cast<size_t>(slot);
    together.Feed(Prompt(static_cast<uint64_t>(slot), 3 + slot), slot);
    tokens[i] = slot * 20 + 3;
    sequences.push_back({.slot = slot, .tokens = absl::MakeConstSpan(&tokens[i], 1)});
  }
  const absl::Span<const float> logits = together.Step(sequences);
  const size_t vocabulary = logits.size() / kSlots;
  for (size_t i = 0; i < kSlots; ++i) {
    DecodeSession alone(device, 40);
    alone.Feed(Prompt(i, 3 + static_cast<int64_t>(i)));
    const absl::Span<const float> wanted = alone.Feed(absl::MakeConstSpan(&tokens[i], 1));
    const absl::Span<const float> got = logits.subspan(i * vocabulary, vocabulary);
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), got.begin())) << "slot " << i;
  }
}

// --- every family ---

class GpuFamilyTest : public testing::TestWithParam<FamilyCase> {
 protected:
  [[nodiscard]] static std::string Directory() {
    return absl::StrCat("families/", GetParam().name);
  }
  [[nodiscard]] static Model HostModel() {
    return ReadGoldenModel(Directory(), GoldenFiles(Directory()));
  }
  [[nodiscard]] static std::map<std::string, at::Tensor> Golden() {
    return ReadTensors(Directory() + "/golden.safetensors");
  }
};

TEST_P(GpuFamilyTest, LogitsAgreeWithTransformers) {
  const Model device = OnDevice(HostModel(), Gpu());
  const auto golden = Golden();
  const std::vector<Example> examples = GoldenExamples(golden);
  const at::Tensor wanted = golden.at("logits");
  const at::Tensor logits = AllLogits(device.decoder, BatchOf(examples)).cpu().view(wanted.sizes());
  for (size_t row = 0; row < examples.size(); ++row) {
    const auto index = static_cast<int64_t>(row);
    const auto length = static_cast<int64_t>(examples[row].tokens.size());
    EXPECT_LT(RelativeError(logits[index].narrow(0, 0, length), wanted[index].narrow(0, 0, length)),
              kLogitsTolerance);
  }
}

TEST_P(GpuFamilyTest, LossAndGradientsWithDropoutAreThoseOfTheHost) {
  Model host = HostModel();
  host.decoder.config.attention_dropout = 0.2;
  host.decoder.config.residual_dropout = 0.3;
  host.decoder.config.embedding_dropout = 0.1;
  Model device = OnDevice(host, Gpu());
  const TokenBatch batch = BatchOf(GoldenExamples(Golden()));
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  const double wanted = LossSumAndGradients(host.decoder, batch, dropout, 1.0, host.gradient_views);
  const double loss =
      LossSumAndGradients(device.decoder, batch, dropout, 1.0, device.gradient_views);
  EXPECT_NEAR(loss, wanted, 1e-5 * wanted);
  EXPECT_LT(RelativeError(device.gradients.cpu(), host.gradients), kGradientTolerance);
}

TEST_P(GpuFamilyTest, TokensAreThoseOfTheHost) {
  const Model host = HostModel();
  const Model device = OnDevice(host, Gpu());
  const std::vector<int64_t> prompt = {5, 14, 15, 9};
  for (const SamplingSettings& sampling :
       {SamplingSettings{}, SamplingSettings{.temperature = 0.8, .top_k = 7, .top_p = 0.9}}) {
    EXPECT_EQ(GenerateTokens(device.decoder, prompt, 12, sampling, 0),
              GenerateTokens(host.decoder, prompt, 12, sampling, 0));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GpuFamilyTest, testing::ValuesIn(FamilyCases()),
                         [](const auto& row) { return row.param.name; });

// --- models of a recipe ---

class GpuRecipeTest : public testing::TestWithParam<const char*> {};

TEST_P(GpuRecipeTest, ALoadedModelHasTheLogitsOfItsDequantizedWeights) {
  const std::string directory = MakeTinyModel("model", 5);
  const auto recipe = RecipeOfIdentity(GetParam());
  ASSERT_THAT(recipe, IsOk());
  const auto quantized = LoadModel(directory, {.recipe = &*recipe});
  auto oracle = LoadModel(directory, {});
  const auto device = LoadModel(directory, {.device = device_name, .recipe = &*recipe});
  ASSERT_THAT(quantized, IsOk());
  ASSERT_THAT(oracle, IsOk());
  ASSERT_THAT(device, IsOk());
  for (const Parameter& parameter : quantized->parameters) {
    if (parameter.is_quantized()) {
      DecoderWeights weights = quantized->decoder.weights;
      MatrixAt(oracle->decoder.weights, parameter.tensor)
          .value.copy_(Dequantize(MatrixAt(weights, parameter.tensor)));
    }
  }
  const std::vector<int64_t> prompt = {5, 14, 15, 9};
  const TokenBatch batch = BatchOf({{.tokens = prompt, .mask = {1, 1, 1, 1}}});
  EXPECT_LT(
      RelativeError(AllLogits(device->decoder, batch).cpu(), AllLogits(oracle->decoder, batch)),
      rehearses() ? 5e-2 : 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    Recipes, GpuRecipeTest,
    testing::Values("int8", "int4-g32", "int4a-g32", "nf4-g32", "int4-g32+head=int8"),
    [](const auto& row) {
      return absl::StrReplaceAll(row.param, {{"-", "_"}, {"+", "_"}, {"=", "_"}});
    });

// --- training ---

class GpuModeTest : public testing::TestWithParam<ModeCase> {
 protected:
  void SetUp() override {
    FinetuneSettings settings;
    GetParam().choose(settings);
    if (!CheckFactors(settings.precision, CapabilityOf(Gpu())).ok()) {
      GTEST_SKIP() << "a GPU before Ampere, which jobs with BF16 are refused on";
    }
  }
};

TEST_P(GpuModeTest, LossesAreThoseOfTheHostAndTheSameInEveryRun) {
  FinetuneSettings host = FiveSteps("host", "cpu");
  host.checkpoint_every_steps = 0;
  GetParam().choose(host);
  const std::vector<double> wanted = LossesOf(host);
  std::vector<double> before;
  for (const char* run : {"device", "again"}) {
    FinetuneSettings settings = FiveSteps(run, device_name);
    settings.checkpoint_every_steps = 0;
    GetParam().choose(settings);
    const std::vector<double> losses = LossesOf(settings);
    ASSERT_EQ(losses.size(), wanted.size());
    for (size_t i = 0; i < losses.size(); ++i) {
      EXPECT_NEAR(losses[i], wanted[i], GetParam().tolerance * wanted[i]) << "step " << i + 1;
    }
    if (!before.empty()) {
      EXPECT_EQ(losses, before) << "bit for bit";
    }
    before = losses;
  }
}

TEST_P(GpuModeTest, ARunThatGoesOnIsTheUninterruptedOneBitForBit) {
  FinetuneSettings whole = FiveSteps("whole", device_name);
  GetParam().choose(whole);
  const std::vector<double> wanted = LossesOf(whole);
  FinetuneSettings resumed = FiveSteps("resumed", device_name);
  GetParam().choose(resumed);
  RunThreeSteps(resumed);
  RecordingSink sink;
  const auto result = Finetune(resumed, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 3);
  EXPECT_FALSE(result->numerically_continued);
  ASSERT_EQ(wanted.size(), 5U);
  EXPECT_EQ(sink.TrainingLosses(), std::vector<double>(wanted.begin() + 3, wanted.end()));
  const std::string file =
      whole.lora.has_value() ? "/adapter_model.safetensors" : "/model.safetensors";
  EXPECT_TRUE(FileBytes(resumed.output_directory + file) ==
              FileBytes(whole.output_directory + file))
      << file;
}

INSTANTIATE_TEST_SUITE_P(Modes, GpuModeTest, testing::ValuesIn(ModeCases()),
                         [](const auto& row) { return row.param.name; });

// Tensor cores for TF32 came with Ampere.
TEST(GpuTf32Test, FactorsAreRoundedWhereTheJobAsks) {
  const auto capability = CapabilityOf(Gpu());
  if (rehearses() || !capability.has_value() || capability->major < 8) {
    GTEST_SKIP() << "no GPU with products of TF32";
  }
  const at::Tensor left = Normal({512, 512}, 1).to(Gpu());
  const at::Tensor right = Normal({512, 512}, 2).to(Gpu());
  const at::Tensor exact = at::mm(left.to(at::kDouble), right.to(at::kDouble));
  const auto error = [&] { return RelativeError(Product(left, right).to(at::kDouble), exact); };
  EXPECT_LT(error(), 1e-6);
  {
    const Tf32Scope tf32(true);
    EXPECT_GT(error(), 1e-5);
    EXPECT_LT(error(), 2e-3);
  }
  FinetuneSettings rounded = FiveSteps("rounded", device_name);
  rounded.tf32 = true;
  EXPECT_NE(LossesOf(rounded), LossesOf(FiveSteps("exact", device_name)));
  EXPECT_LT(error(), 1e-6) << "after a job that asked for TF32";
}

// A checkpoint from `from` is resumed on `to`.
void ExpectMoves(const std::string& from, const std::string& to) {
  const std::vector<double> wanted = LossesOf(FiveSteps("whole", from));
  FinetuneSettings moved = FiveSteps("moved", from);
  RunThreeSteps(moved);
  moved.model.device = to;
  RecordingSink sink;
  const auto result = Finetune(moved, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 3);
  EXPECT_EQ(result->numerically_continued, !rehearses());
  const std::vector<double> losses = sink.TrainingLosses();
  ASSERT_EQ(losses.size(), 2U);
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], wanted[3 + i], 2e-4 * wanted[3 + i]);
  }
}

TEST(GpuCheckpointTest, GoesOnOnTheHost) {
  ExpectMoves(device_name, "cpu");
}

TEST(GpuCheckpointTest, OfTheHostGoesOnOnTheGpu) {
  ExpectMoves("cpu", device_name);
}

// --- refusals ---

TEST(GpuFaultsTest, MemoryThatIsNotThereIsOneLine) {
  if (rehearses()) {
    GTEST_SKIP() << "the host promises memory that it lacks";
  }
  const absl::Status status = AtTorchBorder("exam", [] {
    const at::Tensor large = at::empty({int64_t{1} << 44}, at::dtype(at::kByte).device(Gpu()));
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               testing::HasSubstr("not enough memory")));
  EXPECT_EQ(at::ones({3}, at::device(Gpu())).sum().item<float>(), 3.0F) << "the GPU goes on";
}

TEST(GpuFaultsTest, AGpuBehindTheLastOneIsOneLine) {
  EXPECT_THAT(CheckDevice("cuda:99"), StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

}  // namespace

int ExamMain(int argc, char** argv) {
  constexpr int kNoGpu = 3;
  testing::InitGoogleMock(&argc, argv);
  if (argc == 2 && std::strcmp(argv[1], "--rehearsal") == 0) {
    device_name = "cpu";
  }
  const absl::Status status = CheckDevice(device_name);
  if (!status.ok() || !SetThreads(2).ok()) {
    std::printf("no GPU was examined: %s\n", std::string(status.message()).c_str());
    return kNoGpu;
  }
  const int failed = RUN_ALL_TESTS();
  if (rehearses()) {
    std::printf("no GPU was examined: a rehearsal on the host %s\n",
                failed == 0 ? "passed" : "failed");
    return failed != 0 ? failed : kNoGpu;
  }
  return failed;
}

}  // namespace wattle::engine

int main(int argc, char** argv) {
  return wattle::engine::ExamMain(argc, argv);
}
