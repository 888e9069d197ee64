// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whole generations by the CUDA kernels. The GPU is the guarded device, whose memory only the
// kernels, which run on the host, may read; the oracle is the CPU.
#include "worker/engine/device/kernel_decode.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/device/testing/test_guarded_launcher.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/generate/testing/test_wide_decoder.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

class KernelDecodeTest : public testing::TestWithParam<WideDecoder> {
 protected:
  static Decoder OnHost(WideDecoder wanted) {
    wanted.dequantized = true;
    return MakeWideDecoder(wanted);
  }
  static Decoder OnDevice(WideDecoder wanted) {
    wanted.device = GuardedDevice();
    return MakeWideDecoder(wanted);
  }

  KernelsOfGuardedDevice kernels_;
  Gpu& gpu_ = kernels_.gpu;
};

std::vector<int64_t> Prompt(uint64_t seed, int64_t tokens) {
  std::vector<int64_t> prompt;
  for (int64_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<int64_t>(kernels::RandomBelow({.seed = seed}, i, 256)));
  }
  return prompt;
}

double LogitError(absl::Span<const float> got, absl::Span<const float> wanted) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error += std::pow(got[i] - wanted[i], 2);
    norm += std::pow(wanted[i], 2);
  }
  return std::sqrt(error / norm);
}

// One token of a session's slot; returns its logits.
std::vector<float> StepOf(DecodeSession& session, int64_t token, int64_t slot) {
  const absl::Span<const float> logits = session.Feed(absl::MakeConstSpan(&token, 1), slot);
  return {logits.begin(), logits.end()};
}

// --- every family and format ---

class KernelGenerationTest : public KernelDecodeTest {};

TEST_P(KernelGenerationTest, TokensAreThoseOfTheCpu) {
  constexpr uint64_t kSeed = 21;
  WideDecoder wanted = GetParam();
  wanted.seed = kSeed;
  const Decoder host = OnHost(wanted);
  const Decoder device = OnDevice(wanted);
  const SamplingSettings drawn{.temperature = 0.8, .top_k = 30, .top_p = 0.9, .seed = kSeed};
  const std::vector<int64_t> prompt = Prompt(kSeed, 11);  // more tokens than a step has rows
  for (const SamplingSettings& sampling : {SamplingSettings{}, drawn}) {
    SCOPED_TRACE(absl::StrCat("seed ", kSeed, ", temperature ", sampling.temperature));
    EXPECT_EQ(GenerateTokens(device, prompt, 6, sampling, 5),
              GenerateTokens(host, prompt, 6, sampling, 5));
  }
  EXPECT_GT(gpu_.host.launches(), 0);
  EXPECT_EQ(gpu_.makings, 1);
}

TEST_P(KernelGenerationTest, LogitsAreThoseOfTheCpu) {
  const Decoder host = OnHost(GetParam());
  const Decoder device = OnDevice(GetParam());
  DecodeSession wanted(host, 40);
  DecodeSession session(device, 40);
  ASSERT_TRUE(session.runs_operator());
  std::vector<int64_t> tokens = Prompt(3, 9);
  for (int step = 0; step < 2; ++step) {
    EXPECT_LT(LogitError(session.Feed(tokens), wanted.Feed(tokens)), 2e-3) << "step " << step;
    tokens = {(step * 37 + 11) % 250};
  }
}

TEST_P(KernelGenerationTest, ATokenIsOneWaitAFewBytesAndEightLaunchesALayer) {
  const Decoder device = OnDevice(GetParam());
  const auto layers = static_cast<int64_t>(device.config.layers.size());
  DecodeSession session(device, 40);
  session.Feed(Prompt(3, 2));
  for (const SamplingSettings& sampling :
       {SamplingSettings{}, SamplingSettings{.temperature = 1.0, .top_k = 5, .top_p = 0.9}}) {
    ForgetWork();
    const cuda::HostLauncher before = gpu_.host;
    const int64_t token = 17;
    const kernels::SequenceTokens next{.slot = 0, .tokens = absl::MakeConstSpan(&token, 1)};
    const float unit = 0.3F;
    session.StepAndChoose(absl::MakeConstSpan(&next, 1), sampling, absl::MakeConstSpan(&unit, 1));
    EXPECT_EQ(gpu_.host.waits() - before.waits(), 1);
    EXPECT_LE(gpu_.host.uploaded_bytes() - before.uploaded_bytes(), 20);
    EXPECT_EQ(gpu_.host.downloaded_bytes() - before.downloaded_bytes(), 8);
    EXPECT_LE(gpu_.host.launches() - before.launches(), 8 * layers + 6);
    EXPECT_EQ(WorkOfGuardedDevice().operators, 0) << "libtorch has no part in it";
    EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, KernelGenerationTest, testing::ValuesIn(WideForms()),
                         [](const auto& row) {
                           return absl::StrCat(row.param.family, "_",
                                               absl::StrReplaceAll(row.param.format, {{"-", "_"}}));
                         });

// --- the cache ---

TEST_F(KernelDecodeTest, AnInt8CacheIsThatOfThePlainForm) {
  const Decoder host = OnHost({"llama", "fp32", true});
  const Decoder device = OnDevice({"llama", "fp32", true});
  DecodeSession wanted(host, 40, DecodeForm::kPlain);  // also rounds queries
  DecodeSession session(device, 40);
  ASSERT_TRUE(session.runs_operator());
  std::vector<int64_t> tokens = Prompt(3, 9);
  for (int step = 0; step < 3; ++step) {
    EXPECT_LT(LogitError(session.Feed(tokens), wanted.Feed(tokens)), 2e-2) << "step " << step;
    tokens = {(step * 37 + 11) % 250};
  }
}

// Mainly the cache: a Jetson's OS kernel would kill a program in the middle of a long session.
TEST_F(KernelDecodeTest, ABoardsGpuIsAskedForTheSessionsMemoryBeforeItIsTaken) {
  constexpr int64_t kLittle = 10'000;
  const Decoder device = OnDevice({"llama", "fp32", true});
  for (const DecodeForm form : {DecodeForm::kFastest, DecodeForm::kPlain}) {
    const auto open = [&](int64_t free_bytes) {
      gpu_.free_bytes = free_bytes;
      return AtTorchBorder("generate", [&] {
        const DecodeSession session(device, 60, form);
        return absl::OkStatus();
      });
    };
    EXPECT_THAT(open(kLittle), StatusIs(absl::StatusCode::kResourceExhausted,
                                        testing::AllOf(HasSubstr(kLeanerJob), HasSubstr("free"))));
    EXPECT_THAT(open(int64_t{1} << 30), IsOk());
  }
}

// Products by libtorch, against the same tokens in steps of eight rows. The guarded device has FP32
// tiles.
TEST_F(KernelDecodeTest, ALongPromptGoesByTilesAndItsCacheServesTheNextToken) {
  for (WideDecoder form :
       {WideDecoder{"gpt2", "int8"}, {"llama", "int4a-g32"}, {"llama", "fp32"}}) {
    SCOPED_TRACE(absl::StrCat(form.family, " ", form.format));
    form.max_positions = 80;
    const Decoder device = OnDevice(form);
    const std::vector<int64_t> prompt = Prompt(5, 67);
    DecodeSession many(device, 80);
    ForgetWork();
    const absl::Span<const float> logits = many.Feed(prompt);
    std::vector<float> of_many(logits.begin(), logits.end());
    EXPECT_GT(WorkOfGuardedDevice().operators, 0) << "libtorch multiplies";
    DecodeSession few(device, 80);
    std::vector<float> of_few;
    for (absl::Span<const int64_t> left = prompt; !left.empty();
         left.remove_prefix(std::min<size_t>(8, left.size()))) {
      const absl::Span<const float> next = few.Feed(left.subspan(0, 8));
      of_few.assign(next.begin(), next.end());
    }
    EXPECT_LT(LogitError(of_many, of_few), 1e-4);
    ForgetWork();
    EXPECT_LT(LogitError(StepOf(many, 17, 0), StepOf(few, 17, 0)), 1e-4);
    EXPECT_EQ(WorkOfGuardedDevice().operators, 0);
  }
}

// More sequences than a step has rows, each in its own slot, some of which end and begin again.
TEST_F(KernelDecodeTest, ASequenceHasTheLogitsThatItHasAlone) {
  constexpr int64_t kSlots = 9;
  const Decoder device = OnDevice({"llama", "fp32"});
  DecodeSession together(device, 40, DecodeForm::kFastest, kSlots);
  std::vector<std::vector<int64_t>> texts;
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    texts.push_back(Prompt(static_cast<uint64_t>(slot), 3 + slot));
    together.Feed(texts.back(), slot);
  }
  for (const int64_t slot : {int64_t{2}, int64_t{8}}) {  // a shorter text replaces a longer one
    texts[static_cast<size_t>(slot)] = Prompt(77 + static_cast<uint64_t>(slot), 2);
    together.Clear(slot);
    together.Feed(texts[static_cast<size_t>(slot)], slot);
  }
  std::vector<int64_t> tokens(kSlots);
  std::vector<kernels::SequenceTokens> sequences;
  for (size_t i = 0; i < texts.size(); ++i) {
    tokens[i] = static_cast<int64_t>(i * 20 + 3);
    sequences.push_back(
        {.slot = static_cast<int64_t>(i), .tokens = absl::MakeConstSpan(&tokens[i], 1)});
  }
  const absl::Span<const float> logits = together.Step(sequences);
  const size_t vocabulary = logits.size() / texts.size();
  for (const size_t i : {size_t{0}, size_t{2}, size_t{7}, size_t{8}}) {
    DecodeSession alone(device, 40);
    alone.Feed(texts[i]);
    const std::vector<float> wanted = StepOf(alone, tokens[i], 0);
    const absl::Span<const float> got = logits.subspan(i * vocabulary, vocabulary);
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), got.begin())) << "slot " << i;
  }
}

TEST_F(KernelDecodeTest, TheTokensOfABatchAreChosenAtOnce) {
  constexpr int64_t kSlots = 9;
  const Decoder device = OnDevice({"gpt2", "int8"});
  DecodeSession session(device, 40, DecodeForm::kFastest, kSlots);
  std::vector<int64_t> tokens(kSlots, 5);
  std::vector<float> units(kSlots);
  std::vector<kernels::SequenceTokens> sequences;
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    session.Feed(Prompt(static_cast<uint64_t>(slot), 4), slot);
    const auto i = static_cast<size_t>(slot);
    units[i] = kernels::RandomUnit({.seed = 6}, slot);
    sequences.push_back({.slot = slot, .tokens = absl::MakeConstSpan(&tokens[i], 1)});
  }
  const int64_t waits = gpu_.host.waits();
  const SamplingSettings sampling{.temperature = 1.0};
  const std::vector<int64_t> chosen = session.StepAndChoose(sequences, sampling, units);
  EXPECT_EQ(gpu_.host.waits() - waits, 1);
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    const auto i = static_cast<size_t>(slot);
    session.Clear(slot);
    session.Feed(Prompt(static_cast<uint64_t>(slot), 4), slot);
    EXPECT_EQ(chosen[i], Sampler(sampling).Draw(StepOf(session, 5, slot), units[i])) << slot;
  }
}

TEST_F(KernelDecodeTest, ABatchThatCannotEndIsWaitedForOnceInSixteenSteps) {
  constexpr int64_t kNew = 19;
  WideDecoder form = {"llama", "int8"};
  form.max_positions = 28;  // the longer prompt ends before kNew tokens
  Decoder device = OnDevice(form);
  const std::vector<std::vector<int64_t>> prompts = {Prompt(1, 2), Prompt(2, 10)};
  const SamplingSettings sampling{.temperature = 0.9, .top_k = 20, .top_p = 0.95, .seed = 8};
  // An end token that never comes: the host waits for each token, and the texts are the same.
  device.config.eos_token_id = 256;
  int64_t waits = gpu_.host.waits();
  const auto wanted = GenerateTokens(device, prompts, kNew, sampling);
  EXPECT_EQ(gpu_.host.waits() - waits, 2 + kNew - 1);
  device.config.eos_token_id = models::kNoToken;
  waits = gpu_.host.waits();
  EXPECT_EQ(GenerateTokens(device, prompts, kNew, sampling), wanted);
  EXPECT_EQ(wanted[1].size(), 18U);
  // Two prompts; 16 steps, the step that ends the longer prompt, and the step that ends the other.
  EXPECT_EQ(gpu_.host.waits() - waits, 2 + 3);
}

// More sequences than a step has rows.
TEST_F(KernelDecodeTest, TokensOfStepsThatCannotEndStayOnTheDevice) {
  constexpr size_t kSlots = 9;
  constexpr int64_t kSteps = 3;
  const Decoder device = OnDevice({"gpt2", "int8"});
  const SamplingSettings sampling{.temperature = 1.0, .top_k = 30};
  std::vector<float> units(kSteps * kSlots);
  for (size_t i = 0; i < units.size(); ++i) {
    units[i] = kernels::RandomUnit({.seed = 6}, static_cast<int64_t>(i));
  }
  const auto run = [&](int64_t steps) {
    DecodeSession session(device, 40, DecodeForm::kFastest, kSlots);
    std::vector<int64_t> made(kSlots, 5);
    while (made.size() <= kSteps * kSlots) {
      const std::vector<int64_t> last(made.end() - kSlots, made.end());
      std::vector<kernels::SequenceTokens> next;
      for (size_t i = 0; i < kSlots; ++i) {
        next.push_back(
            {.slot = static_cast<int64_t>(i), .tokens = absl::MakeConstSpan(&last[i], 1)});
      }
      const std::vector<int64_t> chosen =
          session.StepAndChoose(next, sampling,
                                absl::MakeConstSpan(units).subspan(
                                    made.size() - kSlots, static_cast<size_t>(steps) * kSlots),
                                steps);
      made.insert(made.end(), chosen.begin(), chosen.end());
    }
    EXPECT_EQ(session.length(0), kSteps);
    return made;
  };
  const std::vector<int64_t> wanted = run(1);
  const cuda::HostLauncher before = gpu_.host;
  EXPECT_EQ(run(kSteps), wanted);
  EXPECT_EQ(gpu_.host.waits() - before.waits(), 1);
  EXPECT_EQ(gpu_.host.downloaded_bytes() - before.downloaded_bytes(), kSteps * kSlots * 8);
  EXPECT_EQ(gpu_.host.uploaded_bytes() - before.uploaded_bytes(),
            kSlots * (20 + (kSteps - 1) * 12));
}

TEST_F(KernelDecodeTest, ARepetitionPenaltyIsTheHosts) {
  const WideDecoder wanted = {"gpt2", "fp32"};
  const SamplingSettings penalized{.temperature = 0.7, .seed = 3, .repetition_penalty = 1.5};
  EXPECT_EQ(GenerateTokens(OnDevice(wanted), Prompt(1, 6), 12, penalized, 0),
            GenerateTokens(OnHost(wanted), Prompt(1, 6), 12, penalized, 0));
}

// --- graphs ---

TEST_F(KernelDecodeTest, AStepThatComesAgainIsOneStart) {
  const WideDecoder wanted = {"llama", "int8"};
  const Decoder device = OnDevice(wanted);
  DecodeSession session(device, 60);
  session.Feed(Prompt(3, 11));
  for (int step = 0; step < 6; ++step) {
    const int64_t token = step * 20 + 1;
    const kernels::SequenceTokens next{.slot = 0, .tokens = absl::MakeConstSpan(&token, 1)};
    const int64_t before = gpu_.host.starts();
    session.StepAndChoose(absl::MakeConstSpan(&next, 1), {}, {});
    EXPECT_EQ(gpu_.host.starts() - before == 1, step > 0) << "step " << step;
  }
}

TEST_F(KernelDecodeTest, AGraphComputesWhatItsLaunchesDo) {
  const Decoder device = OnDevice({"gpt2", "int4-g32"});
  std::vector<std::vector<int64_t>> made;
  for (const bool graphs : {true, false}) {
    gpu_.has_graphs = graphs;
    for (const SamplingSettings& sampling :
         {SamplingSettings{}, SamplingSettings{.temperature = 0.9, .top_k = 20, .seed = 2}}) {
      made.push_back(GenerateTokens(device, Prompt(4, 11), 6, sampling, 1));
    }
  }
  EXPECT_EQ(made[0], made[2]);
  EXPECT_EQ(made[1], made[3]);
}

// --- where the kernels cannot run ---

TEST_F(KernelDecodeTest, WithoutNvrtcThePlainFormDecodesAndTheReasonIsToldOnce) {
  gpu_.made = absl::NotFoundError("NVRTC is not found");
  const WideDecoder wanted = {"llama", "fp32"};
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(GenerateTokens(OnDevice(wanted), Prompt(1, 6), 8, {}, 0),
              GenerateTokens(OnHost(wanted), Prompt(1, 6), 8, {}, 0));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "wattle-runner: NVRTC is not found; until then libtorch's operators, which are "
            "slower\n");
  EXPECT_EQ(gpu_.makings, 1);
}

TEST_F(KernelDecodeTest, AGpuThatNvrtcDoesNotKnowDecodesByThePlainForm) {
  gpu_.prepared = absl::UnimplementedError("NVRTC knows no such GPU");
  const Decoder device = OnDevice({"llama", "fp32"});
  testing::internal::CaptureStderr();
  EXPECT_FALSE(DecodeSession(device, 8).runs_operator());
  EXPECT_FALSE(DecodeSession(device, 8).runs_operator());
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "wattle-runner: NVRTC knows no such GPU; until then libtorch's operators, which are "
            "slower\n");
}

TEST_F(KernelDecodeTest, AFamilyThatTheKernelsLackDecodesByThePlainFormAndTheReasonIsToldOnce) {
  const Decoder device = OnDevice({"gemma", "fp32"});
  testing::internal::CaptureStderr();
  EXPECT_FALSE(DecodeSession(device, 8).runs_operator());
  EXPECT_FALSE(DecodeSession(device, 8).runs_operator());
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "wattle-runner: no operator has a whole step of this family; this model decodes by "
            "libtorch's operators, which are slower\n");
  EXPECT_TRUE(DecodeSession(OnDevice({"gpt2", "fp32"}), 8).runs_operator()) << "other models do";
}

TEST_F(KernelDecodeTest, AGpuThatFailsEndsTheAttempt) {
  const Decoder device = OnDevice({"gpt2", "fp32"});
  DecodeSession session(device, 8);
  ASSERT_TRUE(session.runs_operator());
  gpu_.launched = absl::InternalError("CUDA_ERROR_LAUNCH_FAILED");
  EXPECT_THROW(session.Feed({1, 2}), std::exception);
}

}  // namespace
}  // namespace wattle::engine
