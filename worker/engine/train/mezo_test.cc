// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Training by forward passes: moved losses equal those of a moved model, weights do not drift, the
// log rebuilds them, estimates agree with the theory, and a job resumes bit for bit. Tiny models,
// one thread.
#include "worker/engine/train/mezo.h"

#include <cmath>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr FactorType kAllFactors[] = {FactorType::kFloat32, FactorType::kBf16, FactorType::kFp16};

// Sequences of these lengths, each token with a loss.
TokenBatch BatchOfLengths(const std::vector<int64_t>& lengths,
                          BatchForm form = BatchForm::kPadded) {
  std::vector<Example> examples;
  int64_t token = 0;
  for (const int64_t length : lengths) {
    Example& example = examples.emplace_back();
    for (int64_t i = 0; i < length; ++i) {
      example.tokens.push_back(token++ * 7 % 250);
      example.mask.push_back(1);
    }
  }
  return BatchOf(examples, form);
}

// ---- losses of moved weights

class PerturbedWeightsTest : public testing::TestWithParam<std::tuple<const char*, FactorType>> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_P(PerturbedWeightsTest, TheLossIsThatOfAMovedModelAndTheWeightsStay) {
  const auto [family, factors] = GetParam();
  const FactorScope scope(factors);
  models::DecoderConfig config = TinyConfigOf(family);
  config.vocabulary = 1500;  // the head is computed in several pieces
  const Model model = RandomModel(config);
  const at::Tensor before = model.arena.clone();
  const Direction direction{.seed = 3, .number = 8};
  for (const int64_t last_layers : {0, 1}) {  // 0: every weight moves
    std::vector<Parameter> parameters = model.parameters;
    if (last_layers > 0) {
      FreezeBelow(config, last_layers, parameters);
    }
    const ArenaLayout layout = OnlyThose(model.layout, TrainableLayout(parameters));
    PerturbedWeights moved(model.decoder, parameters, layout, model.arena);
    for (const float magnitude : {0.01F, -0.02F}) {
      const Model copy = RandomModel(config);
      for (size_t i = 0; i < parameters.size(); ++i) {
        if (layout.holds(i)) {
          MoveAlong(direction, i, 0, magnitude, copy.Value(i));
        }
      }
      for (const BatchForm form : {BatchForm::kPadded, BatchForm::kPacked}) {
        const TokenBatch batch = BatchOfLengths({20, 33, 5}, form);
        moved.Set(direction, magnitude);
        const double loss = PendingLossSum(model.decoder, batch, moved).Read();
        const double wanted = LossSum(copy.decoder, batch);
        EXPECT_NEAR(loss, wanted, 2e-6 * wanted);
        EXPECT_GT(std::abs(loss - LossSum(model.decoder, batch)), 1e-4 * wanted);
      }
    }
  }
  EXPECT_TRUE(at::equal(model.arena, before));
}

const char* NameOf(FactorType factors) {
  return factors == FactorType::kBf16 ? "Bf16" : factors == FactorType::kFp16 ? "Fp16" : "Fp32";
}

INSTANTIATE_TEST_SUITE_P(Families, PerturbedWeightsTest,
                         testing::Combine(testing::Values("gpt2", "llama", "phi", "gemma2",
                                                          "gpt_neox"),
                                          testing::ValuesIn(kAllFactors)),
                         [](const auto& row) {
                           return absl::StrCat(std::get<0>(row.param), "_",
                                               NameOf(std::get<1>(row.param)));
                         });

TEST(MoveAlongTest, EveryParameterAndDirectionHasItsOwnSigns) {
  const auto signs = [](const Direction& direction, size_t parameter) {
    const at::Tensor values = at::zeros({1000}, TestDevice());
    MoveAlong(direction, parameter, 0, 1.0F, values);
    return values;
  };
  const at::Tensor base = signs({.seed = 1, .number = 1}, 1);
  EXPECT_TRUE(at::equal(base, signs({.seed = 1, .number = 1}, 1)));
  for (const at::Tensor& other :
       {signs({.seed = 2, .number = 1}, 1), signs({.seed = 1, .number = 2}, 1),
        signs({.seed = 1, .number = 1}, 2)}) {
    EXPECT_LT(std::abs((base * other).mean().item<double>()), 0.16);  // five deviations
  }
}

// ---- the estimate

// One layer of width 16: a step takes well under a millisecond.
models::DecoderConfig SmallestConfig() {
  models::DecoderConfig config = TinyConfig();
  config.layers.resize(1);
  return config;
}

// A run that has not begun.
TrainingState StateOf(const models::DecoderConfig& config) {
  Model model = RandomModel(config);
  TrainingState state;
  state.model.files.config = config;
  state.model.parameters = std::move(model.parameters);
  state.model.layout = std::move(model.layout);
  state.model.arena = model.arena;
  state.model.decoder = std::move(model.decoder);
  state.layout = TrainableLayout(state.model.parameters);
  return state;
}

// E √(Σ of n squared normal deviates).
double MeanChi(int64_t n) {
  const auto half = static_cast<double>(n) / 2.0;
  return std::sqrt(2.0) * std::exp(std::lgamma(half + 0.5) - std::lgamma(half));
}

// ĝ = 1/n Σ (z·g) z. Its part along g is E |ĝ| cos = |g|, and with signs as directions E |ĝ|² =
// (d + n - 1) / n |g|². For n far below d the directions are nearly orthogonal, and the cosine is
// the length of a random unit vector's part in n of d dimensions.
TEST(MezoTest, TheEstimateHasTheCosineAndTheLengthOfTheory) {
  ASSERT_THAT(SetThreads(1), IsOk());
  const models::DecoderConfig config = SmallestConfig();
  TrainingState state = StateOf(config);
  const TokenBatch batch = BatchOfLengths({12, 9});
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  const at::Tensor gradient = at::zeros_like(state.model.arena);
  DecoderWeights views = WeightsOver(config, state.model.parameters, state.model.layout, gradient);
  LossSumAndGradients(state.model.decoder, batch, DropoutState{}, scale, views);
  const auto norm = gradient.norm().item<double>();
  int64_t weights = 0;
  for (const Parameter& parameter : state.model.parameters) {
    weights += parameter.tensor.element_count();
  }
  const struct {
    int64_t samples;
    int64_t trials;
  } cases[] = {{1, 800}, {4, 300}, {16, 100}};
  for (const auto& [samples, trials] : cases) {
    Mezo mezo({.perturbation = 1e-3, .samples = samples}, /*seed=*/21, state);
    double cosines = 0.0;
    double parts = 0.0;
    double squares = 0.0;
    for (int64_t step = 1; step <= trials; ++step) {
      mezo.BeginStep(step);
      mezo.AddBatch(batch);
      const std::vector<double> slopes = mezo.Slopes(scale).slopes;
      const at::Tensor estimate = at::zeros_like(gradient);
      for (int64_t sample = 0; sample < samples; ++sample) {
        const MezoMove move = {
            .direction = {.seed = 21,
                          .number = static_cast<uint64_t>((step - 1) * samples + sample)},
            .scalar = static_cast<float>(slopes[static_cast<size_t>(sample)] /
                                         static_cast<double>(samples))};
        Apply(move, {state.model.parameters, state.model.layout, estimate});
      }
      const auto dot = (estimate * gradient).sum().item<double>();
      const auto length = estimate.norm().item<double>();
      cosines += dot / (length * norm);
      parts += dot / (norm * norm);
      squares += length * length / (norm * norm);
    }
    const auto n = static_cast<double>(samples);
    const auto d = static_cast<double>(weights);
    const auto count = static_cast<double>(trials);
    const double wanted = MeanChi(samples) / std::sqrt(d + n - 1.0);
    EXPECT_NEAR(cosines / count, wanted, 0.1 * wanted) << samples << " directions";
    // For a mean of count n squared deviates of variance 2: four deviations.
    EXPECT_NEAR(parts / count, 1.0, 4.0 * std::sqrt(2.0 / (count * n))) << samples;
    EXPECT_NEAR(squares / count, (d + n - 1.0) / n,
                4.0 * std::sqrt(2.0 / (count * n)) * (d + n - 1.0) / n)
        << samples;
  }
}

class MezoStepTest : public testing::TestWithParam<FactorType> {};

// Two micro-batches, three directions, weight decay: the losses, slopes and weights of a step from
// copies of the model moved one direction after the other. The factors of both losses of a slope
// are rounded alike; the moved weights and the update are not rounded.
TEST_P(MezoStepTest, IsTheMeanOfItsDirectionsOverAllMicroBatches) {
  ASSERT_THAT(SetThreads(1), IsOk());
  const FactorScope scope(GetParam());
  const models::DecoderConfig config = SmallestConfig();
  TrainingState state = StateOf(config);
  const std::vector<TokenBatch> batches = {BatchOfLengths({12, 9}), BatchOfLengths({7})};
  constexpr int64_t kStep = 4;
  constexpr int64_t kSamples = 3;
  constexpr float kPerturbation = 1e-2F;
  constexpr double kLearningRate = 0.01;
  constexpr double kDecay = 0.5;
  constexpr double kScale = 1.0 / 25.0;  // predictions of both batches
  const auto direction_of = [](int64_t sample) {
    return Direction{.seed = 7, .number = static_cast<uint64_t>((kStep - 1) * kSamples + sample)};
  };
  const auto loss_at = [&](const Direction& direction, float magnitude) {
    const Model copy = RandomModel(config);
    double loss = 0.0;
    for (size_t i = 0; i < copy.parameters.size(); ++i) {
      MoveAlong(direction, i, 0, magnitude, copy.Value(i));
    }
    for (const TokenBatch& batch : batches) {
      loss += LossSum(copy.decoder, batch);
    }
    return loss;
  };
  Mezo mezo({.perturbation = kPerturbation, .samples = kSamples}, /*seed=*/7, state);
  mezo.BeginStep(kStep);
  for (const TokenBatch& batch : batches) {
    mezo.AddBatch(batch);
  }
  const auto [slopes, told] = mezo.Slopes(kScale);
  ASSERT_EQ(slopes.size(), static_cast<size_t>(kSamples));
  double mean = 0.0;
  for (int64_t sample = 0; sample < kSamples; ++sample) {
    const double up = loss_at(direction_of(sample), kPerturbation);
    const double down = loss_at(direction_of(sample), -kPerturbation);
    mean += (up + down) / (2.0 * kSamples);
    // Two sums of FP32 losses, each within 2e-6.
    EXPECT_NEAR(slopes[static_cast<size_t>(sample)], (up - down) * kScale / (2.0 * kPerturbation),
                4e-6 * up * kScale / (2.0 * kPerturbation))
        << "direction " << sample;
  }
  EXPECT_NEAR(told, mean, 2e-6 * mean);
  mezo.Update(slopes, kLearningRate, kDecay);
  const Model wanted = RandomModel(config);
  for (size_t i = 0; i < wanted.parameters.size(); ++i) {
    const at::Tensor values = wanted.Value(i);
    values.mul_(wanted.parameters[i].decays() ? 1.0 - kLearningRate * kDecay : 1.0);
    for (int64_t sample = 0; sample < kSamples; ++sample) {
      const double slope = slopes[static_cast<size_t>(sample)];
      MoveAlong(direction_of(sample), i, 0, static_cast<float>(-kLearningRate * slope / kSamples),
                values);
    }
  }
  EXPECT_LT((state.model.arena - wanted.arena).abs().max().item<float>(), 1e-6F);
  EXPECT_EQ(state.mezo_log.size(), static_cast<size_t>(kSamples));
}

INSTANTIATE_TEST_SUITE_P(Factors, MezoStepTest, testing::ValuesIn(kAllFactors),
                         [](const auto& row) { return NameOf(row.param); });

// ---- ten thousand steps

// Passes leave no trace in the weights: after all steps they equal the result of the log's moves.
TEST(MezoTest, TenThousandStepsAreTheirLogBitForBit) {
  ASSERT_THAT(SetThreads(1), IsOk());
  models::DecoderConfig config = SmallestConfig();
  TrainingState state = StateOf(config);
  const at::Tensor start = state.model.arena.clone();
  const TokenBatch batch = BatchOfLengths({6});
  Mezo mezo({.perturbation = 1e-3, .samples = 1}, /*seed=*/5, state);
  constexpr int64_t kSteps = 10'000;
  for (int64_t step = 1; step <= kSteps; ++step) {
    mezo.BeginStep(step);
    mezo.AddBatch(batch);
    mezo.Update(mezo.Slopes(0.2).slopes, /*learning_rate=*/1e-5, /*weight_decay=*/0.1);
  }
  ASSERT_EQ(state.mezo_log.size(), static_cast<size_t>(kSteps));
  EXPECT_FALSE(at::equal(state.model.arena, start));
  const auto log = ParseMezoLog(FormatMezoLog(state.mezo_log));
  ASSERT_THAT(log, IsOk());
  const at::Tensor rebuilt = start.clone();
  for (const MezoMove& move : *log) {
    Apply(move, {state.model.parameters, state.model.layout, rebuilt});
  }
  EXPECT_TRUE(at::equal(rebuilt, state.model.arena));
}

TEST(MezoLogTest, ALineThatIsNoMoveIsNamed) {
  EXPECT_THAT(ParseMezoLog("{\"seed\": 1, \"direction\": 0, \"scalar\": 1, \"keep\": 1}\n{}\n"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("line 2")));
  EXPECT_THAT(ParseMezoLog("no JSON"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("line 1")));
}

// ---- the job

FinetuneSettings MezoJob(const std::string& name, bool adapters,
                         FactorType precision = FactorType::kFloat32) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.precision = precision;
  settings.mezo = {.perturbation = 1e-3, .samples = 2};
  settings.learning_rate = adapters ? 1e-2 : 1e-4;
  if (adapters) {
    settings.lora = {.rank = 2, .alpha = 4.0};
  }
  return settings;
}

std::string ResultFile(const FinetuneSettings& settings) {
  return absl::StrCat(settings.output_directory, settings.lora.has_value()
                                                     ? "/adapter_model.safetensors"
                                                     : "/model.safetensors");
}

class MezoJobTest : public testing::TestWithParam<std::tuple<bool, FactorType>> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_P(MezoJobTest, ResumeAfterAnyStepIsBitIdentical) {
  const auto [adapters, precision] = GetParam();
  const FinetuneSettings whole = MezoJob("whole", adapters, precision);
  RecordingSink whole_sink;
  ASSERT_THAT(Finetune(whole, whole_sink), IsOk());
  for (const int64_t cut : {1, 3}) {
    const FinetuneSettings parts = MezoJob(absl::StrCat("parts", cut), adapters, precision);
    RecordingSink first;
    first.decide = [cut](const StepReport& report) {
      return report.phase == Phase::kTrain && report.step == cut ? StepDecision::kStop
                                                                 : StepDecision::kGoOn;
    };
    EXPECT_THAT(Finetune(parts, first), StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
    RecordingSink second;
    const auto result = Finetune(parts, second);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->resumed_from_step, cut) << testing::PrintToString(second.log);
    for (const std::string& file :
         {ResultFile(whole), absl::StrCat(whole.output_directory, "/losses.jsonl"),
          absl::StrCat(whole.output_directory, "/mezo.jsonl")}) {
      const std::string name = std::filesystem::path(file).filename().string();
      EXPECT_EQ(FileBytes(absl::StrCat(parts.output_directory, "/", name)), FileBytes(file))
          << name << ", cut after step " << cut;
    }
    const std::string last = absl::StrFormat("/checkpoint-%010d/optimizer.safetensors", 4);
    EXPECT_EQ(FileBytes(parts.work_directory + last), FileBytes(whole.work_directory + last));
    EXPECT_THAT(FileBytes(whole.work_directory + last), Not(HasSubstr("loss_scale")));
    EXPECT_FALSE(result->loss_scale.has_value());
  }
}

// Relative to the drop of the held-out loss. Rounded factors add noise to each slope: 0.5 % in BF16
// and 0.3 % in FP16 were measured. If rounding hid the slopes, there would be no drop.
constexpr double kDropTolerance = 0.05;

// How far a job lowers the held-out loss, which is computed in FP32.
double DropOf(const std::string& name, bool adapters, FactorType precision) {
  FinetuneSettings settings = MezoJob(name, adapters, precision);
  settings.epochs = 60;
  settings.checkpoint_every_steps = 1000;
  settings.mezo->samples = 4;
  settings.learning_rate = adapters ? 3e-2 : 1e-3;
  settings.learning_rate_shape = LearningRateShape::kConstant;
  settings.adamw.weight_decay = 0.0;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? *result->heldout_loss_before - *result->heldout_loss_after : 0.0;
}

TEST_P(MezoJobTest, LowersTheLoss) {
  const auto [adapters, precision] = GetParam();
  const double exact = DropOf("exact", adapters, FactorType::kFloat32);
  const double drop = DropOf("run", adapters, precision);
  EXPECT_GT(drop, 0.1);
  EXPECT_NEAR(drop, exact, kDropTolerance * exact);
  EXPECT_EQ(drop == exact, precision == FactorType::kFloat32) << "whether factors were rounded";
}

INSTANTIATE_TEST_SUITE_P(FullAndAdapters, MezoJobTest,
                         testing::Combine(testing::Bool(), testing::ValuesIn(kAllFactors)),
                         [](const auto& row) {
                           return absl::StrCat(std::get<0>(row.param) ? "Adapters" : "Full",
                                               NameOf(std::get<1>(row.param)));
                         });

class MezoFilesTest : public testing::TestWithParam<FactorType> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_P(MezoFilesTest, TheLogBesideAResultRebuildsItFromTheModelThatItBeganWith) {
  const FinetuneSettings settings = MezoJob("run", false, GetParam());
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  auto model = LoadModel(settings.model.directory, {.device = TestDeviceName()});
  const auto result = LoadModel(settings.output_directory, {.device = TestDeviceName()});
  ASSERT_THAT(model, IsOk());
  ASSERT_THAT(result, IsOk());
  const auto log =
      ParseMezoLog(FileBytes(absl::StrCat(settings.output_directory, "/", kMezoLogFile)));
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->size(), 8U);  // four steps of two directions
  EXPECT_FALSE(at::equal(model->arena, result->arena));
  for (const MezoMove& move : *log) {
    Apply(move, {model->parameters, model->layout, model->arena});
  }
  EXPECT_TRUE(at::equal(model->arena, result->arena));
}

INSTANTIATE_TEST_SUITE_P(Factors, MezoFilesTest, testing::ValuesIn(kAllFactors),
                         [](const auto& row) { return NameOf(row.param); });

// The first update moves weights beyond FP16's 65504.
TEST(MezoFp16Test, ALossThatIsNotFiniteIsAnErrorThatNamesTheStep) {
  ASSERT_THAT(SetThreads(1), IsOk());
  FinetuneSettings settings = MezoJob("run", false, FactorType::kFp16);
  settings.learning_rate = 1e7;
  settings.warmup_steps = 0;
  settings.adamw.weight_decay = 0.0;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kAborted,
                                                 AllOf(HasSubstr("step 2: the loss is not finite"),
                                                       HasSubstr("precision: bf16"),
                                                       HasSubstr("there is no good checkpoint"))));
}

TEST(MezoSettingsTest, RefusesWhatCannotHold) {
  const auto refused = [](const char* field, const auto& change) {
    FinetuneSettings settings = MezoJob(absl::StrCat("mezo_refused_", field), false);
    change(settings);
    RecordingSink sink;
    EXPECT_THAT(Finetune(settings, sink),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(field)));
    EXPECT_THAT(sink.phases, IsEmpty());
  };
  refused("activation_checkpointing", [](auto& s) { s.activation_checkpointing = true; });
  refused("weights_precision", [](auto& s) { s.bf16_weights = true; });
  refused("lora.dropout", [](auto& s) { s.lora = {.rank = 2, .alpha = 2.0, .dropout = 0.1}; });
  refused("quantization", [](auto& s) { s.model.recipe = *RecipeOfIdentity("int8"); });
  refused("mezo.perturbation", [](auto& s) { s.mezo->perturbation = 0.0; });
  refused("mezo.samples", [](auto& s) { s.mezo->samples = 0; });
}

}  // namespace
}  // namespace wattle::engine
