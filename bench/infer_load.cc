// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Times decoding and prompts of Wattle's kernels with random weights of GPT-2's shapes. Reads
// commands, one a line, and answers each with one line, so that bench/infer.py can take turns
// between this program and its peers:
//   load RECIPE              makes the model; answers the bytes that one token reads: weights, and
//                            keys and values of the positions before it
//   decode RECIPE THREADS    a 32-token prompt, then 64 timed steps with argmax: seconds
//   prefill RECIPE TOKENS THREADS   one prompt, logits of its last token: seconds
//   bandwidth BYTES THREADS  best of five read loops over a buffer: bytes a second
// Usage: wattle-infer-load gpt2|distilgpt2
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/decode_step.h"
#include "worker/engine/kernels/testing/test_decoder.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kPromptTokens = 32;
constexpr int64_t kDecodeTokens = 64;
constexpr int64_t kLongestPrompt = 512;

DecoderSizes SizesOf(const std::string& shape) {
  return {.layers = shape == "gpt2" ? 12 : 6,
          .width = 768,
          .heads = 12,
          .kv_heads = 12,
          .head_size = 64,
          .mlp_width = 3072,
          .vocabulary = 50257,
          .positions = 1024};
}

// bench/infer.py prints the bits of every tensor from the same names.
DecoderFormats FormatsOf(const std::string& recipe) {
  constexpr WeightFormat kInt8{WeightScheme::kInt8, 0};
  constexpr WeightFormat kInt4{WeightScheme::kInt4, 64};
  if (recipe == "int8") {
    return {.blocks = kInt8, .head = kInt8};
  }
  if (recipe == "int4") {
    return {.blocks = kInt4, .head = kInt4};
  }
  if (recipe == "adaptive") {
    return {.blocks = kInt4, .head = {WeightScheme::kInt4, 32}, .outputs = kInt8};
  }
  if (recipe == "gguf_q8_0") {
    constexpr WeightFormat kQ80{WeightScheme::kInt8Grouped, 32};
    return {.blocks = kQ80, .head = kQ80};
  }
  if (recipe == "gguf_q4_0") {  // llama.cpp's tied head is in Q6_K
    return {.blocks = {WeightScheme::kInt4, 32}, .head = {WeightScheme::kInt6, 16}};
  }
  return {};
}

double Seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float ReadAvx512(const float* from, int64_t count) {
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
  for (int64_t i = 0; i + 64 <= count; i += 64) {
    for (int part = 0; part < 4; ++part) {
      sums[part] = _mm512_add_ps(sums[part], _mm512_loadu_ps(from + i + 16 * part));
    }
  }
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes,
                  _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
  return lanes[0] + lanes[15];
}
#endif

float Read(const float* from, int64_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0) {
    return ReadAvx512(from, count);
  }
#endif
  float sums[16] = {};
  for (int64_t i = 0; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) {
      sums[lane] += from[i + lane];
    }
  }
  return sums[0] + sums[15];
}

class Bench {
 public:
  explicit Bench(const std::string& shape) : sizes_(SizesOf(shape)) {}

  int64_t Load(const std::string& recipe) {
    std::unique_ptr<RandomDecoder>& decoder = decoders_[recipe];
    if (decoder == nullptr) {
      decoder = std::make_unique<RandomDecoder>(sizes_, FormatsOf(recipe), 1);
    }
    // The mean over the timed steps, each of which reads all positions up to its own.
    constexpr double kPositions = kPromptTokens + (kDecodeTokens + 1) / 2.0;
    constexpr int64_t kPanel = 16;  // caches consist of whole panels of positions
    const int64_t panel_bytes =
        KvCache::BytesOf(KvFormat::kFloat32, KvShapesOf(decoder->model), 1, kPanel);
    return decoder->weight_bytes() +
           static_cast<int64_t>(kPositions / kPanel * static_cast<double>(panel_bytes));
  }

  double Decode(const std::string& recipe, int threads) {
    Load(recipe);
    const DecodeModel& model = decoders_[recipe]->model;
    KvCache cache(KvFormat::kFloat32, KvShapesOf(model), 1, kPromptTokens + kDecodeTokens);
    DecodeStep step(model, cache, Pool(threads), kPromptTokens);
    std::vector<float> logits(static_cast<size_t>(sizes_.vocabulary));
    const std::vector<int64_t> prompt(kPromptTokens, 464);
    step.Run({{.tokens = prompt}}, logits.data());
    std::vector<int64_t> token = {step.ArgMax(logits.data())};
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < kDecodeTokens; ++i) {
      step.Run({{.tokens = token}}, logits.data());
      token[0] = step.ArgMax(logits.data());
    }
    return Seconds(std::chrono::steady_clock::now() - start);
  }

  double Prefill(const std::string& recipe, int64_t tokens, int threads) {
    Load(recipe);
    const DecodeModel& model = decoders_[recipe]->model;
    KvCache cache(KvFormat::kFloat32, KvShapesOf(model), 1, kLongestPrompt);
    DecodeStep step(model, cache, Pool(threads), kLongestPrompt);
    std::vector<float> logits(static_cast<size_t>(sizes_.vocabulary));
    const std::vector<int64_t> prompt(static_cast<size_t>(tokens), 464);
    const auto start = std::chrono::steady_clock::now();
    step.Run({{.tokens = prompt}}, logits.data());
    return Seconds(std::chrono::steady_clock::now() - start);
  }

  double Bandwidth(int64_t bytes, int threads) {
    AlignedBuffer buffer(bytes);
    const int64_t count = bytes / static_cast<int64_t>(sizeof(float));
    double best = 0.0;
    for (int round = 0; round < 5; ++round) {
      const auto start = std::chrono::steady_clock::now();
      std::vector<float> sums(static_cast<size_t>(threads));
      Pool(threads).ParallelFor(threads, [&](int64_t chunk, int /*thread*/) {
        const int64_t first = count * chunk / threads;
        sums[static_cast<size_t>(chunk)] =
            Read(buffer.as<float>() + first, count * (chunk + 1) / threads - first);
      });
      const double seconds = Seconds(std::chrono::steady_clock::now() - start);
      if (sums[0] == 0.0F) {  // read, so that the loops are not dropped
        best = std::max(best, static_cast<double>(bytes) / seconds);
      }
    }
    return best;
  }

 private:
  ThreadPool& Pool(int threads) {
    std::unique_ptr<ThreadPool>& pool = pools_[threads];
    if (pool == nullptr) {
      pool = std::make_unique<ThreadPool>(threads);
    }
    return *pool;
  }

  DecoderSizes sizes_;
  std::map<int, std::unique_ptr<ThreadPool>> pools_;
  std::map<std::string, std::unique_ptr<RandomDecoder>> decoders_;
};

bool Answer(Bench& bench, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  std::string recipe;
  int64_t number = 0;
  int threads = 1;
  words >> command;
  if (command == "load" && words >> recipe) {
    std::printf("%lld\n", static_cast<long long>(bench.Load(recipe)));
  } else if (command == "decode" && words >> recipe >> threads) {
    std::printf("%.9f\n", bench.Decode(recipe, threads));
  } else if (command == "prefill" && words >> recipe >> number >> threads &&
             number <= kLongestPrompt) {
    std::printf("%.9f\n", bench.Prefill(recipe, number, threads));
  } else if (command == "bandwidth" && words >> number >> threads) {
    std::printf("%.0f\n", bench.Bandwidth(number, threads));
  } else {
    return false;
  }
  std::fflush(stdout);
  return true;
}

}  // namespace
}  // namespace wattle::kernels

int main(int argc, char** argv) {
  const std::string shape = argc == 2 ? argv[1] : "";
  if (shape != "gpt2" && shape != "distilgpt2") {
    std::fprintf(stderr, "usage: %s gpt2|distilgpt2\n", argv[0]);
    return 2;
  }
  wattle::kernels::Bench bench(shape);
  std::string line;
  while (std::getline(std::cin, line)) {
    if (!wattle::kernels::Answer(bench, line)) {
      std::fprintf(stderr, "%s: not a command: %s\n", argv[0], line.c_str());
      return 2;
    }
  }
  return 0;
}
