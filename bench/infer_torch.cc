// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The peer of bench/infer_load.cc that a libtorch user would write: GPT-2's shapes in FP32 with
// eager operators and random weights. One row goes through at::mv, because at::linear of one row
// takes a slow path in OpenBLAS. Reads commands, one a line, and answers each with seconds:
//   decode THREADS           a 32-token prompt, then 64 timed steps with argmax
//   prefill TOKENS THREADS   one prompt, logits of its last token
// Usage: wattle-infer-torch gpt2|distilgpt2
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace wattle {
namespace {

constexpr int64_t kWidth = 768;
constexpr int64_t kHeads = 12;
constexpr int64_t kHeadSize = kWidth / kHeads;
constexpr int64_t kVocabulary = 50257;
constexpr int64_t kPositions = 1024;
constexpr int64_t kPromptTokens = 32;
constexpr int64_t kDecodeTokens = 64;

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;

  at::Tensor operator()(const at::Tensor& x) const {
    if (x.size(0) == 1) {
      return at::addmv(bias, weight, x.view({-1})).unsqueeze(0);
    }
    return at::addmm(bias, x, weight.t());
  }
};

struct Layer {
  at::Tensor norm1, bias1, norm2, bias2;
  Linear qkv, output, up, down;
};

at::Tensor Random(at::IntArrayRef shape) {
  return at::randn(shape).mul_(0.02);
}

Linear RandomLinear(int64_t out, int64_t in) {
  return {Random({out, in}), Random({out})};
}

class Gpt2 {
 public:
  explicit Gpt2(int64_t layers) {
    for (int64_t i = 0; i < layers; ++i) {
      layers_.push_back({at::ones({kWidth}), at::zeros({kWidth}), at::ones({kWidth}),
                         at::zeros({kWidth}), RandomLinear(3 * kWidth, kWidth),
                         RandomLinear(kWidth, kWidth), RandomLinear(4 * kWidth, kWidth),
                         RandomLinear(kWidth, 4 * kWidth)});
    }
  }

  // Clears the sequence.
  void Start(int64_t capacity) {
    length_ = 0;
    keys_.clear();
    values_.clear();
    for (size_t i = 0; i < layers_.size(); ++i) {
      keys_.push_back(at::zeros({kHeads, capacity, kHeadSize}));
      values_.push_back(at::zeros({kHeads, capacity, kHeadSize}));
    }
  }

  // tokens: int64 [count]. Logits of the last, [vocabulary].
  at::Tensor Step(const at::Tensor& tokens) {
    const int64_t count = tokens.size(0);
    at::Tensor x = tokens_.index_select(0, tokens).add_(positions_.narrow(0, length_, count));
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      x = x + layer.output(Attend(i, layer.qkv(Norm(x, layer.norm1, layer.bias1))));
      x = x + layer.down(at::gelu(layer.up(Norm(x, layer.norm2, layer.bias2)), "tanh"));
    }
    length_ += count;
    const at::Tensor last = Norm(x.narrow(0, count - 1, 1), norm_, bias_);
    return at::mv(tokens_, last.view({-1}));
  }

 private:
  static at::Tensor Norm(const at::Tensor& x, const at::Tensor& gain, const at::Tensor& bias) {
    return at::layer_norm(x, {kWidth}, gain, bias, 1e-5);
  }

  at::Tensor Attend(size_t layer, const at::Tensor& qkv) {
    const int64_t count = qkv.size(0);
    const at::Tensor heads = qkv.view({count, 3, kHeads, kHeadSize}).permute({1, 2, 0, 3});
    keys_[layer].narrow(1, length_, count).copy_(heads[1]);
    values_[layer].narrow(1, length_, count).copy_(heads[2]);
    const at::Tensor keys = keys_[layer].narrow(1, 0, length_ + count);
    at::Tensor scores = at::bmm(heads[0].mul(1.0 / std::sqrt(static_cast<double>(kHeadSize))),
                                keys.transpose(1, 2));
    if (count > 1) {
      scores.add_(at::full({count, length_ + count}, -INFINITY).triu_(length_ + 1));
    }
    const at::Tensor mixed =
        at::bmm(at::softmax(scores, -1), values_[layer].narrow(1, 0, length_ + count));
    return mixed.transpose(0, 1).reshape({count, kWidth});
  }

  std::vector<Layer> layers_;
  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
  int64_t length_ = 0;
  at::Tensor tokens_ = Random({kVocabulary, kWidth});
  at::Tensor positions_ = Random({kPositions, kWidth});
  at::Tensor norm_ = at::ones({kWidth});
  at::Tensor bias_ = at::zeros({kWidth});
};

double Since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Decode(Gpt2& model) {
  model.Start(kPromptTokens + kDecodeTokens);
  at::Tensor token = model.Step(at::full({kPromptTokens}, 464, at::kLong)).argmax(0, true);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < kDecodeTokens; ++i) {
    token = model.Step(token).argmax(0, true);
  }
  return Since(start);
}

double Prefill(Gpt2& model, int64_t tokens) {
  model.Start(tokens);
  const auto start = std::chrono::steady_clock::now();
  model.Step(at::full({tokens}, 464, at::kLong));
  return Since(start);
}

}  // namespace
}  // namespace wattle

int main(int argc, char** argv) {
  const std::string shape = argc == 2 ? argv[1] : "";
  if (shape != "gpt2" && shape != "distilgpt2") {
    std::fprintf(stderr, "usage: %s gpt2|distilgpt2\n", argv[0]);
    return 2;
  }
  const at::NoGradGuard no_gradients;
  wattle::Gpt2 model(shape == "gpt2" ? 12 : 6);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command;
    int64_t tokens = 0;
    int threads = 1;
    words >> command;
    if (command == "decode" && words >> threads) {
      at::set_num_threads(threads);
      std::printf("%.9f\n", wattle::Decode(model));
    } else if (command == "prefill" && words >> tokens >> threads) {
      at::set_num_threads(threads);
      std::printf("%.9f\n", wattle::Prefill(model, tokens));
    } else {
      std::fprintf(stderr, "%s: not a command: %s\n", argv[0], line.c_str());
      return 2;
    }
    std::fflush(stdout);
  }
  return 0;
}
