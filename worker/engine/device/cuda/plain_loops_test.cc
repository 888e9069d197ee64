// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attention's softmax, the loss, AdamW and drawn tokens against plain loops in double, over random
// shapes. Buffers end at their last number, so that AddressSanitizer detects any access beyond;
// ../kernel_training_test.cc and ../draw_test.cc compare with the CPU's operators, using libtorch,
// which no sanitizer checks.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/fp16.h"
#include "base/testing/status_matchers.h"
#include "worker/engine/device/cuda/decode_step.h"
#include "worker/engine/device/cuda/dropout.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/device/cuda/training_step.h"
#include "worker/engine/kernels/adamw.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::cuda {
namespace {

// Consecutive numbers from one seed.
class PlainDraws {
 public:
  explicit PlainDraws(uint64_t seed) : seed_(seed) {}
  float Unit() { return kernels::RandomUnit({.seed = seed_}, next_++); }
  int Below(int bound) {
    return static_cast<int>(
        kernels::RandomBelow({.seed = seed_}, next_++, static_cast<uint64_t>(bound)));
  }
  // From least to most.
  int Between(int least, int most) { return least + Below(most - least + 1); }
  template <typename Value>
  Value OneOf(const std::vector<Value>& values) {
    return values[static_cast<size_t>(Below(static_cast<int>(values.size())))];
  }

 private:
  uint64_t seed_;
  int64_t next_ = 0;
};

// --- attention's softmax ---

// The keys visible to queries, and the dropout of their probabilities.
struct PlainAttention {
  int queries = 0;
  int seen = 0;
  int64_t rows = 0;
  int64_t first_element = 0;
  std::vector<long long> borders;  // NOLINT(google-runtime-int): the kernel's
  std::vector<float> factors;      // dropout factor of each probability
  DropoutMask mask;

  [[nodiscard]] size_t size() const { return factors.size(); }
  [[nodiscard]] SeenRows Shape() const {
    return {.rows = rows,
            .queries = queries,
            .seen = seen,
            .first_end = seen - queries + 1,
            .borders = borders.empty() ? nullptr : borders.data()};
  }
  [[nodiscard]] bool Sees(int query, int key) const {
    if (borders.empty()) {
      return key <= seen - queries + query;
    }
    const auto border = [&](int which) {
      return borders[static_cast<size_t>(which * queries + query)];
    };
    return key < border(0) && (key < border(1) || key >= border(2)) &&
           (key < border(3) || key >= border(4));
  }
};

PlainAttention DrawnAttention(PlainDraws& draws, uint64_t seed) {
  constexpr double kRate = 0.3;
  PlainAttention drawn;
  drawn.queries = draws.Between(1, 20);
  drawn.seen = drawn.queries + draws.OneOf<int>({0, 0, 1, 3, 44, 130});
  drawn.rows = int64_t{drawn.queries} * draws.Between(1, 3);
  drawn.first_element = draws.Below(9);
  if (draws.Below(2) == 0) {
    drawn.borders.resize(static_cast<size_t>(5 * drawn.queries));
    for (int query = 0; query < drawn.queries; ++query) {
      drawn.borders[static_cast<size_t>(query)] = draws.Between(1, drawn.seen);
      int least = 1;  // every query sees at least the first key
      for (int i = 1; i < 5; ++i) {
        least = draws.Between(least, drawn.seen);
        drawn.borders[static_cast<size_t>(i * drawn.queries + query)] = least;
      }
    }
  }
  const kernels::RandomStream stream = {
      .seed = seed, .step = 2, .use = kernels::RandomUse::kAttentionDropout, .layer = 1};
  const double rate = draws.Below(3) > 0 ? kRate : 0.0;
  drawn.mask = MaskOf(stream, rate);
  drawn.factors.assign(static_cast<size_t>(drawn.rows * drawn.seen), 1.0F);
  kernels::ApplyDropout(stream, rate, drawn.first_element,
                        static_cast<int64_t>(drawn.factors.size()), drawn.factors.data());
  return drawn;
}

struct PlainResults {
  std::vector<double> dropped;
  std::vector<double> of_scores;
};

PlainResults PlainSoftmax(const PlainAttention& attention, const std::vector<float>& scores,
                          const std::vector<float>& gradients) {
  PlainResults results{.dropped = std::vector<double>(scores.size()),
                       .of_scores = std::vector<double>(scores.size())};
  for (int64_t row = 0; row < attention.rows; ++row) {
    const auto query = static_cast<int>(row % attention.queries);
    const auto first = static_cast<size_t>(row * attention.seen);
    double largest = -std::numeric_limits<double>::infinity();
    double sum = 0.0;
    double along = 0.0;
    std::vector<double> powers(static_cast<size_t>(attention.seen));
    for (size_t key = 0; key < powers.size(); ++key) {
      if (attention.Sees(query, static_cast<int>(key))) {
        largest = std::max(largest, static_cast<double>(scores[first + key]));
      }
    }
    for (size_t key = 0; key < powers.size(); ++key) {
      if (attention.Sees(query, static_cast<int>(key))) {
        powers[key] = std::exp(static_cast<double>(scores[first + key]) - largest);
        sum += powers[key];
      }
    }
    for (size_t key = 0; key < powers.size(); ++key) {
      const size_t i = first + key;
      results.dropped[i] = powers[key] / sum * static_cast<double>(attention.factors[i]);
      along += results.dropped[i] * static_cast<double>(gradients[i]);
    }
    for (size_t key = 0; key < powers.size(); ++key) {
      const size_t i = first + key;
      results.of_scores[i] =
          results.dropped[i] * static_cast<double>(gradients[i]) - powers[key] / sum * along;
    }
  }
  return results;
}

// Results in the form of the next product: floats, or two-byte numbers.
class StoredResults {
 public:
  StoredResults(StoredAs stored, size_t count)
      : stored_(stored),
        floats_(stored == kStoredFloat ? count : 0),
        halves_(stored == kStoredFloat ? 0 : count) {}

  void* data() {
    return stored_ == kStoredFloat ? static_cast<void*>(floats_.data()) : halves_.data();
  }
  [[nodiscard]] double At(size_t i) const {
    switch (stored_) {
      case kStoredBf16:
        return FloatFromBf16(halves_[i]);
      case kStoredFp16:
        return FloatFromFp16(halves_[i]);
      case kStoredFloat:
        break;
    }
    return floats_[i];
  }
  void ExpectNear(const std::vector<double>& wanted, const char* what) const {
    double largest = 0.0;
    for (const double value : wanted) {
      largest = std::max(largest, std::abs(value));
    }
    const double steps = stored_ == kStoredFloat ? 2e-6 : stored_ == kStoredBf16 ? 0x1p-8 : 0x1p-10;
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(At(i), wanted[i], largest * steps + 1e-7) << what << ", number " << i;
    }
  }

 private:
  StoredAs stored_;
  std::vector<float> floats_;
  std::vector<uint16_t> halves_;
};

TEST(CudaSoftmaxTest, ProbabilitiesAndGradientsAreThoseOfPlainLoops) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    PlainDraws draws(seed);
    const PlainAttention attention = DrawnAttention(draws, seed);
    const auto stored = draws.OneOf<StoredAs>({kStoredFloat, kStoredBf16, kStoredFp16});
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", attention.rows, " rows of ", attention.seen,
                              " keys, stored as ", static_cast<int>(stored)));
    const auto count = static_cast<int64_t>(attention.size());
    std::vector<float> scores = kernels::NormalValues(count, seed);
    const std::vector<float> gradients = kernels::NormalValues(count, seed + 1000);
    const PlainResults wanted = PlainSoftmax(attention, scores, gradients);
    HostLauncher launcher(seed);

    StoredResults dropped(stored, attention.size());
    ASSERT_THAT(Launch(MaskedSoftmaxArguments{.shape = attention.Shape(),
                                              .scores = scores.data(),
                                              .dropped = dropped.data(),
                                              .stored = stored,
                                              .mask = attention.mask,
                                              .first = attention.first_element},
                       launcher),
                IsOk());
    dropped.ExpectNear(wanted.dropped, "dropped");

    StoredResults of_scores(stored, attention.size());
    StoredResults again(stored, attention.size());
    ASSERT_THAT(Launch(MaskedSoftmaxBackwardArguments{.shape = attention.Shape(),
                                                      .scores = scores.data(),
                                                      .gradients = gradients.data(),
                                                      .of_scores = of_scores.data(),
                                                      .dropped = again.data(),
                                                      .stored = stored,
                                                      .mask = attention.mask,
                                                      .first = attention.first_element},
                       launcher),
                IsOk());
    of_scores.ExpectNear(wanted.of_scores, "gradients");
    again.ExpectNear(wanted.dropped, "dropped, again");
  }
}

TEST(CudaSoftmaxTest, FloatsMayStandWhereTheScoresWere) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    PlainDraws draws(seed);
    const PlainAttention attention = DrawnAttention(draws, seed);
    std::vector<float> scores = kernels::NormalValues(static_cast<int64_t>(attention.size()), seed);
    const PlainResults wanted =
        PlainSoftmax(attention, scores, std::vector<float>(scores.size(), 0.0F));
    HostLauncher launcher(seed);
    ASSERT_THAT(Launch(MaskedSoftmaxArguments{.shape = attention.Shape(),
                                              .scores = scores.data(),
                                              .dropped = scores.data(),
                                              .stored = kStoredFloat,
                                              .mask = attention.mask,
                                              .first = attention.first_element},
                       launcher),
                IsOk());
    for (size_t i = 0; i < scores.size(); ++i) {
      ASSERT_NEAR(scores[i], wanted.dropped[i], 3e-6) << "number " << i;
    }
  }
}

// --- the loss ---

TEST(CudaCrossEntropyTest, LossesAndGradientsAreThoseOfPlainLoops) {
  constexpr float kScale = 0.25F;
  constexpr float kBetweenRows = 7.0F;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    PlainDraws draws(seed);
    const int vocabulary = draws.OneOf<int>({1, 2, 7, 511, 512, 513, 1025, 2100});
    const int stride = vocabulary + draws.OneOf<int>({0, 0, 3, 8});
    const int rows = draws.Between(1, 4);
    const float spread = draws.OneOf<float>({0.1F, 3.0F, 30.0F});
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", rows, " rows of ", vocabulary));
    // The last row ends without padding columns.
    std::vector<float> logits(static_cast<size_t>((rows - 1) * stride + vocabulary), kBetweenRows);
    std::vector<long long> targets;  // NOLINT(google-runtime-int): the kernel's
    for (int row = 0; row < rows; ++row) {
      float* const own = logits.data() + static_cast<ptrdiff_t>(row) * stride;
      targets.push_back(draws.Below(vocabulary));
      for (int i = 0; i < vocabulary; ++i) {
        own[i] = spread * (draws.Unit() + draws.Unit() - 1.0F);
      }
      if (const int hidden = draws.Below(vocabulary); hidden != targets.back()) {
        own[hidden] = -std::numeric_limits<float>::infinity();
      }
    }
    const std::vector<float> before = logits;
    std::vector<float> losses(static_cast<size_t>(rows), -1.0F);
    HostLauncher launcher(seed);
    ASSERT_THAT(Launch(CrossEntropyArguments{.logits = logits.data(),
                                             .targets = targets.data(),
                                             .losses = losses.data(),
                                             .vocabulary = vocabulary,
                                             .stride = stride,
                                             .gradient_scale = kScale},
                       rows, launcher),
                IsOk());
    for (int row = 0; row < rows; ++row) {
      const auto first = static_cast<size_t>(row * stride);
      const auto target = static_cast<size_t>(targets[static_cast<size_t>(row)]);
      double sum = 0.0;
      for (size_t i = 0; i < static_cast<size_t>(vocabulary); ++i) {
        sum += std::exp(static_cast<double>(before[first + i]));
      }
      ASSERT_NEAR(losses[static_cast<size_t>(row)],
                  std::log(sum) - static_cast<double>(before[first + target]), 1e-5);
      for (size_t i = 0; i < static_cast<size_t>(vocabulary); ++i) {
        const double share = std::exp(static_cast<double>(before[first + i])) / sum;
        ASSERT_NEAR(logits[first + i], kScale * (share - (i == target ? 1.0 : 0.0)), 3e-6);
      }
      for (size_t i = first + static_cast<size_t>(vocabulary);
           i < std::min(first + static_cast<size_t>(stride), logits.size()); ++i) {
        ASSERT_EQ(logits[i], kBetweenRows) << "behind row " << row;
      }
    }
  }
}

// --- AdamW ---

// A parameter's numbers, for the kernel or for the plain loop.
template <typename Number>
struct PlainParameter {
  std::vector<Number> weights;
  std::vector<Number> first;
  std::vector<Number> second;
};

void PlainAdamW(const kernels::AdamWStep& step, double scale, const std::vector<float>& gradients,
                PlainParameter<double>& of) {
  const auto number = static_cast<double>(step.step);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double gradient = static_cast<double>(gradients[i]) * scale;
    of.first[i] = step.beta1 * of.first[i] + (1.0 - step.beta1) * gradient;
    of.second[i] = step.beta2 * of.second[i] + (1.0 - step.beta2) * gradient * gradient;
    const double first = of.first[i] / (1.0 - std::pow(step.beta1, number));
    const double second = of.second[i] / (1.0 - std::pow(step.beta2, number));
    of.weights[i] = of.weights[i] * (1.0 - step.learning_rate * step.weight_decay) -
                    step.learning_rate * first / (std::sqrt(second) + step.epsilon);
  }
}

void ExpectNearPlain(const std::vector<float>& got, const std::vector<double>& wanted,
                     const char* what) {
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], wanted[i], 2e-6 * (1.0 + std::abs(wanted[i]))) << what << " " << i;
  }
}

TEST(CudaAdamWTest, StepsOfSeveralParametersAreThoseOfPlainLoops) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    PlainDraws draws(seed);
    const int parameters = draws.Between(1, 5);
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", parameters, " parameters"));
    AdamWArguments arguments = {};
    std::vector<PlainParameter<float>> got;
    std::vector<PlainParameter<double>> wanted;
    for (int i = 0; i < parameters; ++i) {
      const int64_t count = draws.OneOf<int>({1, 31, 511, 512, 513, 1025, 1500});
      const std::vector<float> weights =
          kernels::NormalValues(count, 100 * seed + static_cast<uint64_t>(i));
      const std::vector<float> zeros(weights.size());
      got.push_back({weights, zeros, zeros});
      wanted.push_back({{weights.begin(), weights.end()},
                        std::vector<double>(weights.size()),
                        std::vector<double>(weights.size())});
    }
    for (int64_t number = 1; number <= 3; ++number) {
      // The second step's scale is decided on the device: below 0 nothing may change.
      const float decided = draws.OneOf<float>({0.3F, -1.0F});
      const bool is_decided = number == 2;
      const kernels::AdamWStep step = {
          .step = number, .learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.7};
      std::vector<std::vector<float>> gradients;
      for (size_t i = 0; i < got.size(); ++i) {
        const auto count = static_cast<int64_t>(got[i].weights.size());
        gradients.push_back(kernels::NormalValues(
            count, 1000 * seed + 10 * static_cast<uint64_t>(number) + static_cast<uint64_t>(i)));
      }
      arguments.numbers = NumbersOf(step, is_decided ? &decided : nullptr);
      for (size_t i = 0; i < got.size(); ++i) {
        arguments.parameters[i] = {.weights = got[i].weights.data(),
                                   .gradients = gradients[i].data(),
                                   .first_moments = got[i].first.data(),
                                   .second_moments = got[i].second.data(),
                                   .count = static_cast<int64_t>(got[i].weights.size()),
                                   .first_block = 0,
                                   .keep = kernels::ScalarsOf(step).keep,
                                   .rounding = {}};
        if (!is_decided || decided >= 0.0F) {
          PlainAdamW(step, is_decided ? static_cast<double>(decided) : step.gradient_scale,
                     gradients[i], wanted[i]);
        }
      }
      HostLauncher launcher(seed + static_cast<uint64_t>(number));
      ASSERT_THAT(Launch(arguments, WeightType::kFloat32, launcher), IsOk());
    }
    for (size_t i = 0; i < got.size(); ++i) {
      ExpectNearPlain(got[i].weights, wanted[i].weights, "weight");
      ExpectNearPlain(got[i].first, wanted[i].first, "first moment");
      ExpectNearPlain(got[i].second, wanted[i].second, "second moment");
    }
  }
}

// --- drawn tokens ---

// The rule of DrawArguments: integer amounts, tokens in order of falling likelihood, ties by index.
int64_t PlainDraw(const std::vector<float>& logits, const TokenChoice& choice, float unit) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  const double largest = logits[order.front()];
  if (choice.top_k > 0 && static_cast<size_t>(choice.top_k) < order.size()) {
    order.resize(static_cast<size_t>(choice.top_k));
  }
  std::vector<Amount> through;  // sum over the token and all before it
  for (const size_t token : order) {
    const double share =
        std::exp((static_cast<double>(logits[token]) - largest) / choice.temperature);
    through.push_back((through.empty() ? 0 : through.back()) +
                      static_cast<Amount>(share * kAmountOfLargest + 0.5));
  }
  Amount total = through.back();
  if (choice.top_p > 0.0 && choice.top_p < 1.0) {
    const auto share = std::max<Amount>(
        1, static_cast<Amount>(std::ceil(choice.top_p * static_cast<double>(total))));
    total = *std::find_if(through.begin(), through.end(), [&](Amount sum) { return sum >= share; });
  }
  const auto passed = static_cast<Amount>(static_cast<double>(unit) * static_cast<double>(total));
  const Amount wanted = passed < total ? passed + 1 : total;
  const auto place =
      std::find_if(through.begin(), through.end(), [&](Amount sum) { return sum >= wanted; });
  return static_cast<int64_t>(order[static_cast<size_t>(place - through.begin())]);
}

TEST(CudaDrawTest, TokensAreThoseOfPlainLoops) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    PlainDraws draws(seed);
    const int vocabulary = draws.OneOf<int>({1, 2, 7, 127, 128, 129, 1000, 1024, 1025, 2100});
    const int rows = draws.Between(1, 3);
    const TokenChoice choice = {
        .temperature = draws.OneOf<double>({0.1, 0.7, 1.0, 2.5}),
        .top_k = draws.OneOf<int64_t>({0, 0, 1, 5, 50, vocabulary, vocabulary + 5}),
        .top_p = draws.OneOf<double>({0.0, 0.1, 0.5, 0.9, 0.999, 1.0})};
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", rows, " rows of ", vocabulary, ", temperature ",
                              choice.temperature, ", top-k ", choice.top_k, ", top-p ",
                              choice.top_p));
    const float spread = draws.OneOf<float>({0.0F, 0.5F, 3.0F, 20.0F});
    const bool has_equals = draws.Below(2) == 0;
    std::vector<float> logits;
    std::vector<float> units;
    std::vector<int64_t> wanted;
    for (int row = 0; row < rows; ++row) {
      std::vector<float> own(static_cast<size_t>(vocabulary));
      for (float& logit : own) {
        logit = spread * (draws.Unit() + draws.Unit() + draws.Unit() - 1.5F);
        logit = has_equals ? std::round(logit) : logit;  // including -0
      }
      units.push_back(draws.OneOf<float>({0.0F, 0.5F, 1.0F - 0x1p-24F, draws.Unit()}));
      wanted.push_back(PlainDraw(own, choice, units.back()));
      logits.insert(logits.end(), own.begin(), own.end());
    }
    logits.shrink_to_fit();
    std::vector<Amount> amounts(logits.size());
    std::vector<long long> chosen(static_cast<size_t>(rows), -1);  // NOLINT(google-runtime-int)
    kernels::DecodeModel model;
    model.head.rows = vocabulary;
    HostLauncher launcher(seed);
    DecodeStep step(model, {}, {}, launcher);
    ASSERT_THAT(step.Choose({.logits = logits.data(),
                             .count = rows,
                             .choice = choice,
                             .units = units.data(),
                             .amounts = amounts.data(),
                             .chosen = chosen.data()}),
                IsOk());
    EXPECT_EQ(std::vector<int64_t>(chosen.begin(), chosen.end()), wanted);
  }
}

}  // namespace
}  // namespace wattle::cuda
