// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The engine on the guarded device (test_guarded_device.h): its results are those of the host, no
// weight is copied after loading, and the host's waits are counted.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/device/aten/stored_rows.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/device/row_sums.h"
#include "worker/engine/device/testing/test_device_cases.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/testing/test_matrix.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/testing/test_plan.h"

namespace wattle::engine {
namespace {

// --- the device itself ---

TEST(GuardedDeviceDeathTest, AHostThatReadsItsMemoryEnds) {
  const at::Tensor x = at::ones({4}, at::dtype(at::kFloat).device(GuardedDevice()));
  EXPECT_EQ(x.sum().item<float>(), 4.0F);
  EXPECT_DEATH(
      {
        const volatile float read = *x.data_ptr<float>();
        static_cast<void>(read);
      },
      "the host touched memory of the guarded device");
}

TEST(GuardedDeviceTest, ATensorOfTheHostAmongItsOwnIsAnError) {
  const at::Tensor x = at::ones({4}, at::dtype(at::kFloat).device(GuardedDevice()));
  EXPECT_THROW(x.add(at::ones({4})), std::exception);
  EXPECT_EQ(x.add(at::scalar_tensor(2.0)).sum().item<float>(), 12.0F);
}

TEST(GuardedDeviceTest, CountsWhatCostsTimeOnAGpu) {
  const at::Tensor host = Normal({3, 5}, 1);
  ForgetWork();
  const at::Tensor x = Upload(host, GuardedDevice());
  EXPECT_EQ(WorkOfGuardedDevice().uploaded_bytes, 60);
  EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
  at::Tensor y = at::mm(x, x.t());
  y.narrow(1, 0, 2).mul_(3.0);
  EXPECT_EQ(WorkOfGuardedDevice().operators, 2) << "views are no work";
  EXPECT_EQ(WorkOfGuardedDevice().downloaded_bytes, 0);
  at::Tensor wanted = at::mm(host, host.t());
  wanted.narrow(1, 0, 2).mul_(3.0);
  EXPECT_TRUE(at::equal(y.cpu(), wanted));
  EXPECT_EQ(WorkOfGuardedDevice().downloaded_bytes, 36);
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1);
  (void)y.sum().item<float>();
  (void)at::equal(y, y);
  (void)host.to(GuardedDevice());  // the copy to wait for
  EXPECT_EQ(WorkOfGuardedDevice().waits, 4);
  EXPECT_EQ(WorkOfGuardedDevice().largest_upload_bytes, 60);
}

// A sum of ones that is kept in BF16 stays at 256, and one in FP16 at 2,048.
TEST(GuardedDeviceTest, SumsOfFactorsOfTwoBytesAreRoundedOnce) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    constexpr int64_t kTerms = 4000;
    const auto options = at::dtype(type).device(GuardedDevice());
    const at::Tensor row = at::ones({1, kTerms}, options);
    const at::Tensor column = at::ones({kTerms, 1}, options);
    at::Tensor out = at::empty({1, 1}, options);
    const auto sum = [](const at::Tensor& result) { return result.item<float>(); };
    EXPECT_EQ(sum(at::mm(row, column)), 4000.0F);
    EXPECT_EQ(sum(at::mm_out(out, row, column)), 4000.0F);
    EXPECT_EQ(sum(out), 4000.0F);
    EXPECT_EQ(sum(at::bmm(row.unsqueeze(0), column.unsqueeze(0))), 4000.0F);
    EXPECT_EQ(out.scalar_type(), type);
  }
}

TEST(DeviceNumberTest, NumbersAreReadTogether) {
  const at::Tensor x = at::full({2}, 1.5, at::dtype(at::kFloat).device(GuardedDevice()));
  ForgetWork();
  DeviceNumber sum(x.sum());
  sum += DeviceNumber(x[0]);
  sum += DeviceNumber(2.0);
  const std::vector<double> read = DeviceNumber::ReadAll({sum, DeviceNumber(7.0), sum});
  EXPECT_THAT(read, testing::ElementsAre(6.5, 7.0, 6.5));
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1);
  EXPECT_EQ(DeviceNumber(at::ones({}).mul(3.0)).Read(), 3.0);
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1) << "the host's own numbers are there";
}

// --- random numbers and stored weights, bit for bit ---

constexpr kernels::RandomStream kStream = {.seed = 0xFEDCBA9876543210,
                                           .step = (uint64_t{3} << 32) + 5,
                                           .use = kernels::RandomUse::kAttentionDropout,
                                           .layer = 11};

TEST(DeviceRandomTest, MasksAndSignsAreThoseOfTheKernels) {
  for (const int64_t first : {int64_t{0}, int64_t{1}, int64_t{131}, (int64_t{1} << 33) + 2}) {
    SCOPED_TRACE(absl::StrCat("first element ", first));
    at::Tensor wanted = at::ones({7, 301});
    kernels::ApplyDropout(kStream, 0.3, first, wanted.numel(), wanted.data_ptr<float>());
    const at::Tensor like = at::empty_like(wanted, at::device(GuardedDevice()));
    ForgetWork();
    const at::Tensor factors = DropoutFactors(kStream, 0.3, first, like);
    EXPECT_EQ(WorkOfGuardedDevice().uploaded_bytes, 0);
    EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
    EXPECT_TRUE(at::equal(factors.cpu(), wanted));
    wanted.zero_();
    kernels::AddRandomSigns(kStream, 1e-3F, first, wanted.numel(), wanted.data_ptr<float>());
    EXPECT_TRUE(at::equal(RandomSigns(kStream, 1e-3F, first, like).cpu(), wanted));
    const at::Tensor elements =
        at::arange(first, first + wanted.numel(), at::dtype(at::kLong).device(GuardedDevice()))
            .view(wanted.sizes());
    EXPECT_TRUE(at::equal(RandomSignsAt(kStream, 1e-3F, elements).cpu(), wanted));
  }
}

// Also for non-finite values, and for more numbers than are drawn at once.
TEST(DeviceRandomTest, NumbersAreRoundedToBf16AsByTheKernels) {
  for (const int64_t count : {int64_t{1}, int64_t{301}, (int64_t{1} << 22) + 3}) {
    SCOPED_TRACE(absl::StrCat(count, " numbers"));
    at::Tensor values = Normal({count}, 6);
    constexpr std::array<uint32_t, 6> kBits = {0x7F800000, 0xFF800000, 0x7F800001,
                                               0x7F7FFFFF, 0xFFC00000, 0x80000000};
    if (count > 6) {
      std::memcpy(values.data_ptr<float>() + 1, kBits.data(), sizeof(kBits));
    }
    const at::Tensor wanted = at::empty({count}, at::kBFloat16);
    kernels::RoundBf16Stochastically(kStream, 0, values.data_ptr<float>(), count,
                                     static_cast<uint16_t*>(wanted.data_ptr()));
    const at::Tensor device = values.to(GuardedDevice());
    const at::Tensor numbers = at::empty_like(wanted, at::device(GuardedDevice()));
    ForgetWork();
    RoundToBf16Stochastically(kStream, device, numbers);
    EXPECT_EQ(WorkOfGuardedDevice().uploaded_bytes, 0);
    EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
    EXPECT_TRUE(at::equal(numbers.cpu().view(at::kShort), wanted.view(at::kShort)));
  }
}

class StoredRowsTest : public testing::TestWithParam<StoredCase> {
 protected:
  static constexpr int64_t kRows = 1000;  // the last panel is not full

  static int64_t Columns() { return kernels::ColumnsFor(GetParam().format, 128); }
  static MatrixWeights OnHost() { return StoredOnHost(GetParam().format, kRows, Columns()); }
};

TEST_P(StoredRowsTest, AnyRowsAreThoseOfTheHostAndNothingCrosses) {
  const MatrixWeights host = OnHost();
  const at::Tensor wanted = Dequantize(host);
  const MatrixWeights device = AtenOperations().Stored(host, GuardedDevice());
  const at::Tensor rows = at::tensor(at::IntArrayRef({999, 0, 17, 17, 512}), at::kLong);
  const at::Tensor chosen = Upload(rows, GuardedDevice());
  ForgetWork();
  const at::Tensor all = Dequantize(device);
  const at::Tensor piece = StoredRows(device, 496, 504);
  const at::Tensor looked_up = LookUpRows(device, chosen);
  EXPECT_EQ(WorkOfGuardedDevice().uploaded_bytes, 0);
  EXPECT_EQ(WorkOfGuardedDevice().downloaded_bytes, 0);
  EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
  EXPECT_TRUE(at::equal(all.cpu(), wanted));
  EXPECT_TRUE(at::equal(piece.cpu(), wanted.narrow(0, 496, 504)));
  EXPECT_TRUE(at::equal(looked_up.cpu(), wanted.index_select(0, rows)));
}

TEST_P(StoredRowsTest, ProductsInBothDirectionsAreThoseOfTheDequantizedMatrix) {
  const MatrixWeights host = OnHost();
  const at::Tensor weights = Dequantize(host);
  const MatrixWeights device = AtenOperations().Stored(host, GuardedDevice());
  const at::Tensor bias = Normal({kRows}, 2);
  const at::Tensor device_bias = bias.to(GuardedDevice());
  for (const int64_t rows : {1, 5}) {
    const at::Tensor x = Normal({rows, Columns()}, 3);
    const at::Tensor grad = Normal({rows, kRows}, 4);
    const at::Tensor device_x = x.to(GuardedDevice());
    const at::Tensor device_grad = grad.to(GuardedDevice());
    ForgetWork();
    const at::Tensor y = MatrixProduct(device, device_x, device_bias);
    const at::Tensor grad_x = TransposedProduct(device, device_grad);
    EXPECT_EQ(WorkOfGuardedDevice().uploaded_bytes, 0);
    EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
    EXPECT_LT(RelativeError(y.cpu(), at::addmm(bias, x, weights.t())), 1e-6);
    EXPECT_LT(RelativeError(grad_x.cpu(), at::mm(grad, weights)), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, StoredRowsTest, testing::ValuesIn(StoredCases()),
                         [](const auto& row) { return row.param.name; });

TEST(DeviceRoundingTest, NearestCodesAreThoseOfTheKernels) {
  at::Tensor weights = Normal({50, 128}, 6);
  weights.narrow(0, 3, 2).zero_();          // a scale of zero
  weights.narrow(0, 7, 1).fill_(-0.5);      // in a tie the first one counts
  weights[9].narrow(0, 0, 32).mul_(1e-7);   // a scale too small for FP16
  weights[11].narrow(0, 32, 32).mul_(1e9);  // and one above its largest
  for (const StoredCase& stored : StoredCases()) {
    if (kernels::OperationsOf(stored.format.scheme).codec == nullptr) {
      continue;
    }
    SCOPED_TRACE(stored.name);
    at::Tensor wanted = at::empty_like(weights);
    CpuOperations().RoundToCodes(stored.format, weights, wanted);
    const at::Tensor device = weights.to(GuardedDevice());
    const at::Tensor rounded = at::empty_like(device);
    ForgetWork();
    AtenOperations().RoundToCodes(stored.format, device, rounded);
    EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
    EXPECT_LE(WorkOfGuardedDevice().uploaded_bytes, 64);
    EXPECT_TRUE(at::equal(rounded.cpu(), wanted));
  }
}

TEST(DeviceRowSumsTest, RowsThatComeTwiceAreAddedTwice) {
  const at::Tensor numbers = at::tensor(at::IntArrayRef({3, 0, 3, 6, 3, 0}), at::kLong);
  const at::Tensor rows = Normal({6, 32}, 7);
  for (const double factor : {1.0, 5.5}) {
    at::Tensor wanted = Normal({7, 32}, 8);
    const at::Tensor table = wanted.to(GuardedDevice());
    AddToRows(numbers, rows, factor, wanted);
    const at::Tensor device_numbers = numbers.to(GuardedDevice());
    const at::Tensor device_rows = rows.to(GuardedDevice());
    ForgetWork();
    AddToRows(device_numbers, device_rows, factor, table);
    EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
    EXPECT_LT(RelativeError(table.cpu(), wanted), 1e-6);
  }
}

// --- every family: forward, backward, decoding ---

// Uploads during a pass are tokens, targets and the bounds of visible keys: numbers of the batch.
int64_t BytesOfABatch(const TokenBatch& batch) {
  return 5 * batch.rows() * static_cast<int64_t>(sizeof(int64_t));
}

class FamilyOnDeviceTest : public testing::TestWithParam<FamilyCase> {
 protected:
  [[nodiscard]] std::string Directory() const { return absl::StrCat("families/", GetParam().name); }
  [[nodiscard]] Model HostModel() const {
    return ReadGoldenModel(Directory(), GoldenFiles(Directory()));
  }
  [[nodiscard]] std::map<std::string, at::Tensor> Golden() const {
    return ReadTensors(Directory() + "/golden.safetensors");
  }
};

TEST_P(FamilyOnDeviceTest, LossAndGradientsWithDropoutAreThoseOfTheHost) {
  Model host = HostModel();
  host.decoder.config.attention_dropout = 0.2;
  host.decoder.config.residual_dropout = 0.3;
  host.decoder.config.embedding_dropout = 0.1;
  Model device = OnDevice(host, GuardedDevice());
  const TokenBatch batch = BatchOf(GoldenExamples(Golden()));
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  const double wanted = LossSumAndGradients(host.decoder, batch, dropout, 1.0, host.gradient_views);
  ForgetWork();
  const double loss =
      LossSumAndGradients(device.decoder, batch, dropout, 1.0, device.gradient_views);
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1) << "the loss";
  EXPECT_LE(WorkOfGuardedDevice().largest_upload_bytes, BytesOfABatch(batch));
  EXPECT_NEAR(loss, wanted, 1e-5 * wanted);
  EXPECT_LT(RelativeError(device.gradients.cpu(), host.gradients), kGradientTolerance);
}

TEST_P(FamilyOnDeviceTest, LogitsAgreeWithTransformers) {
  const Model device = OnDevice(HostModel(), GuardedDevice());
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

TEST_P(FamilyOnDeviceTest, ATokenIsOneWaitAndAFewBytes) {
  const Model host = HostModel();
  const Model device = OnDevice(host, GuardedDevice());
  const std::vector<int64_t> prompt = {5, 14, 15, 9};
  const std::vector<int64_t> wanted = GenerateTokens(host.decoder, prompt, 12, {}, 0);
  DecodeSession session(device.decoder, 16);
  std::vector<int64_t> made = {session.FeedGreedily(prompt, 0)};
  while (made.size() < wanted.size()) {
    const kernels::SequenceTokens next{.slot = 0, .tokens = absl::MakeConstSpan(&made.back(), 1)};
    ForgetWork();
    const int64_t token = session.StepAndChoose(absl::MakeConstSpan(&next, 1), {}, {}).front();
    made.push_back(token);
    EXPECT_EQ(WorkOfGuardedDevice().waits, 1);
    EXPECT_LE(WorkOfGuardedDevice().uploaded_bytes, 64);
    EXPECT_LE(WorkOfGuardedDevice().downloaded_bytes, 64);
    if (kSameOperators) {
      EXPECT_LE(WorkOfGuardedDevice().operators, GetParam().operators_of_token);
    }
  }
  EXPECT_EQ(made, wanted);
  EXPECT_EQ(GenerateTokens(device.decoder, prompt, 12, {}, 0), wanted);
  const SamplingSettings drawn{.temperature = 0.8, .top_k = 7, .top_p = 0.9, .seed = 4};
  EXPECT_EQ(GenerateTokens(device.decoder, prompt, 12, drawn, 0),
            GenerateTokens(host.decoder, prompt, 12, drawn, 0));
}

TEST_P(FamilyOnDeviceTest, ABatchThatCannotEndIsWaitedForOnce) {
  Model host = HostModel();
  host.decoder.config.eos_token_id = models::kNoToken;
  host.decoder.config.more_eos_token_ids.clear();
  const Model device = OnDevice(host, GuardedDevice());
  const std::vector<std::vector<int64_t>> prompts = {{5, 14, 15, 9}, {3, 8}};
  const std::vector<std::vector<int64_t>> wanted = GenerateTokens(host.decoder, prompts, 12, {});
  ForgetWork();
  EXPECT_EQ(GenerateTokens(device.decoder, prompts, 12, {}), wanted);
  EXPECT_EQ(WorkOfGuardedDevice().waits, 2 + 1) << "two prompts, and eleven steps";
  EXPECT_EQ(WorkOfGuardedDevice().downloaded_bytes, 2 * 12 * 8);
}

TEST_P(FamilyOnDeviceTest, AStepOfABatchIsWaitedForOnce) {
  const Model device = OnDevice(HostModel(), GuardedDevice());
  DecodeSession session(device.decoder, 16, DecodeForm::kFastest, 2);
  const std::vector<int64_t> tokens = {5, 14};
  ForgetWork();
  session.StepAndChoose({{.slot = 0, .tokens = absl::MakeConstSpan(&tokens[0], 1)},
                         {.slot = 1, .tokens = absl::MakeConstSpan(&tokens[1], 1)}},
                        {}, {});
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1);
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyOnDeviceTest, testing::ValuesIn(FamilyCases()),
                         [](const auto& row) { return row.param.name; });

// --- quantized models ---

class RecipeOnDeviceTest : public testing::TestWithParam<const char*> {};

// The device multiplies with the dequantized weights and does not round the inputs, unlike the
// host's kernels; its oracle is the host's FP32 model of the dequantized weights.
TEST_P(RecipeOnDeviceTest, ALoadedModelDecodesFromPackedWeights) {
  const std::string directory = MakeTinyModel("model", 5);
  const auto recipe = RecipeOfIdentity(GetParam());
  ASSERT_THAT(recipe, IsOk());
  const auto quantized = LoadModel(directory, {.recipe = &*recipe});
  ASSERT_THAT(quantized, IsOk());
  auto oracle = LoadModel(directory, {});
  ASSERT_THAT(oracle, IsOk());
  int64_t packed_bytes = 0;
  for (const Parameter& parameter : quantized->parameters) {
    if (parameter.is_quantized()) {
      DecoderWeights weights = quantized->decoder.weights;
      const MatrixWeights& matrix = MatrixAt(weights, parameter.tensor);
      MatrixAt(oracle->decoder.weights, parameter.tensor).value.copy_(Dequantize(matrix));
      packed_bytes += matrix.packed.numel() + matrix.scales.numel();
    }
  }
  ForgetWork();
  const auto device = LoadModel(directory, {.device = kGuardedDevice, .recipe = &*recipe});
  ASSERT_THAT(device, IsOk());
  EXPECT_GT(WorkOfGuardedDevice().uploaded_bytes, packed_bytes);
  EXPECT_LT(WorkOfGuardedDevice().uploaded_bytes,
            oracle->arena.numel() * static_cast<int64_t>(sizeof(float)));
  const std::vector<int64_t> prompt = {5, 14, 15, 9};
  const TokenBatch batch = BatchOf({{.tokens = prompt, .mask = {1, 1, 1, 1}}});
  const at::Tensor wanted = AllLogits(oracle->decoder, batch);
  EXPECT_LT(RelativeError(AllLogits(device->decoder, batch).cpu(), wanted), 1e-5);
  DecodeSession session(device->decoder, 16);
  int64_t token = session.FeedGreedily(prompt, 0);
  std::vector<int64_t> made = {token};
  for (int step = 0; step < 5; ++step) {
    const kernels::SequenceTokens next{.slot = 0, .tokens = absl::MakeConstSpan(&token, 1)};
    ForgetWork();
    const int64_t chosen = session.StepAndChoose(absl::MakeConstSpan(&next, 1), {}, {}).front();
    EXPECT_EQ(WorkOfGuardedDevice().waits, 1);
    EXPECT_LE(WorkOfGuardedDevice().uploaded_bytes, 64) << "no weight crosses after loading";
    EXPECT_LE(WorkOfGuardedDevice().downloaded_bytes, 64);
    token = chosen;
    made.push_back(token);
  }
  EXPECT_EQ(made, GenerateTokens(oracle->decoder, prompt, 6, {}, 0));
}

INSTANTIATE_TEST_SUITE_P(
    Recipes, RecipeOnDeviceTest,
    testing::Values("int8", "int4-g32", "int4a-g32", "nf4-g32", "int4-g32+head=int8"),
    [](const auto& row) {
      return absl::StrReplaceAll(row.param, {{"-", "_"}, {"+", "_"}, {"=", "_"}});
    });

// --- training ---

class ModeOnDeviceTest : public testing::TestWithParam<ModeCase> {};

TEST_P(ModeOnDeviceTest, LossesAreThoseOfTheHostAndWaitsAreCounted) {
  FinetuneSettings settings = TinyFinetune("host");
  settings.heldout_data.clear();
  settings.checkpoint_every_steps = 0;
  settings.epochs = 1;
  settings.steps = 5;
  GetParam().choose(settings);
  const std::vector<double> wanted = LossesOf(settings);
  settings.model.device = kGuardedDevice;
  settings.work_directory = NewTestDirectory("device_work");
  settings.output_directory = NewTestDirectory("device_output");
  RecordingSink sink;
  std::vector<DeviceWork> steps;
  sink.decide = [&](const StepReport& report) {
    if (report.phase == Phase::kTrain) {
      steps.push_back(WorkOfGuardedDevice());
      ForgetWork();
    }
    return StepDecision::kGoOn;
  };
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  const std::vector<double> losses = sink.TrainingLosses();
  ASSERT_EQ(losses.size(), wanted.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], wanted[i], GetParam().tolerance * wanted[i]) << "step " << i + 1;
  }
  constexpr int64_t kSmallestMatrixBytes = 32 * 32 * 4;
  for (size_t i = 1; i < steps.size(); ++i) {  // the first step includes loading
    EXPECT_EQ(steps[i].waits, GetParam().waits) << "step " << i + 1;
    EXPECT_LT(steps[i].largest_upload_bytes, kSmallestMatrixBytes) << "step " << i + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, ModeOnDeviceTest, testing::ValuesIn(ModeCases()),
                         [](const auto& row) { return row.param.name; });

TEST(ResumeOnDeviceTest, ARunThatGoesOnIsTheUninterruptedOneBitForBit) {
  const FinetuneSettings whole = FiveSteps("whole", kGuardedDevice);
  const std::vector<double> wanted = LossesOf(whole);
  FinetuneSettings resumed = FiveSteps("resumed", kGuardedDevice);
  RunThreeSteps(resumed);
  RecordingSink sink;
  const auto result = Finetune(resumed, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 3);
  EXPECT_FALSE(result->numerically_continued);
  EXPECT_EQ(sink.TrainingLosses(), std::vector<double>(wanted.begin() + 3, wanted.end()));
  EXPECT_EQ(FileBytes(resumed.output_directory + "/model.safetensors"),
            FileBytes(whole.output_directory + "/model.safetensors"));
}

// Runs whose checkpoints have different contents: moments, their codes, factors, a loss scale,
// adapters.
class MoveTest : public testing::TestWithParam<std::tuple<ModeCase, bool>> {};

TEST_P(MoveTest, ACheckpointGoesOnOnTheOther) {
  const auto& [mode, to_host] = GetParam();
  const char* const from = to_host ? kGuardedDevice : "cpu";
  FinetuneSettings whole = FiveSteps("whole", from);
  mode.choose(whole);
  const std::vector<double> wanted = LossesOf(whole);
  FinetuneSettings moved = FiveSteps("moved", from);
  mode.choose(moved);
  RunThreeSteps(moved);
  moved.model.device = to_host ? "cpu" : kGuardedDevice;
  RecordingSink sink;
  const auto result = Finetune(moved, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 3);
  EXPECT_TRUE(result->numerically_continued);
  const std::vector<double> losses = sink.TrainingLosses();
  ASSERT_EQ(losses.size(), 2U);
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], wanted[3 + i], mode.tolerance * wanted[3 + i]);
  }
}

std::vector<ModeCase> ModesWithOtherStates() {
  std::vector<ModeCase> modes = ModeCases();
  modes.erase(std::remove_if(modes.begin(), modes.end(),
                             [](const ModeCase& mode) {
                               const absl::string_view name = mode.name;
                               return name != "Whole" && name != "AdamW8bit" &&
                                      name != "Adafactor" && name != "Fp16Factors" &&
                                      name != "Lora" && name != "UpdateInBackward";
                             }),
              modes.end());
  return modes;
}

INSTANTIATE_TEST_SUITE_P(
    Modes, MoveTest, testing::Combine(testing::ValuesIn(ModesWithOtherStates()), testing::Bool()),
    [](const auto& row) {
      return absl::StrCat(std::get<0>(row.param).name,
                          std::get<1>(row.param) ? "ToTheHost" : "ToTheDevice");
    });

}  // namespace
}  // namespace wattle::engine
