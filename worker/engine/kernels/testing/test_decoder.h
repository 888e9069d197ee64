// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Decoders with random weights in memory of their own, for tests and benches.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_TESTING_TEST_DECODER_H_
#define WATTLE_WORKER_ENGINE_KERNELS_TESTING_TEST_DECODER_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "worker/engine/kernels/decode_step.h"
#include "worker/engine/kernels/formats_internal.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::kernels {

struct DecoderSizes {
  int64_t layers = 2;
  int64_t width = 64;
  int64_t heads = 4;
  int64_t kv_heads = 4;
  int64_t head_size = 16;
  int64_t mlp_width = 256;
  int64_t vocabulary = 100;
  int64_t positions = 64;
  int64_t window = 0;
  bool llama = false;  // RMSNorm, rotary, gated SiLU, no biases; otherwise GPT-2's block
};

// The formats of a model's matrices.
struct DecoderFormats {
  WeightFormat blocks;
  WeightFormat head;          // for the head and the token embedding, which are one matrix
  WeightFormat outputs = {};  // of the last matrices of attention and MLP; FP32: like the others
  WeightFormat OutputFormat() const {
    return outputs.scheme == WeightScheme::kFloat32 ? blocks : outputs;
  }
};

class RandomDecoder {
 public:
  RandomDecoder(const DecoderSizes& sizes, const DecoderFormats& formats, uint64_t seed)
      : sizes_(sizes), seed_(seed) {
    model.width = sizes.width;
    model.max_positions = sizes.positions;
    model.tokens = Matrix(formats.head, sizes.vocabulary, sizes.width, false);
    model.head = model.tokens;
    model.positions = sizes.llama ? nullptr : Vector(sizes.positions * sizes.width, 0.0F, 0.05F);
    MakeAngles();
    for (int64_t i = 0; i < sizes.layers; ++i) {
      model.layers.push_back(Layer(formats));
    }
    model.final_norm = RandomNorm();
    MoveIntoArena();
  }

  DecodeModel model;

  // Bytes of weights read per decoded token.
  [[nodiscard]] int64_t weight_bytes() const { return weight_bytes_; }

 private:
  const float* Vector(int64_t count, float mean, float deviation) {
    vectors_.push_back(
        std::make_unique<std::vector<float>>(NormalValues(count, seed_++, deviation)));
    for (float& value : *vectors_.back()) {
      value += mean;
    }
    return vectors_.back()->data();
  }

  // Deviates that repeat after a million, so that a large model is made in seconds.
  std::vector<float> Weights(int64_t count, float deviation) {
    std::vector<float> values = NormalValues(std::min<int64_t>(count, 1 << 20), seed_++, deviation);
    const size_t period = values.size();
    values.resize(static_cast<size_t>(count));
    for (size_t i = period; i < values.size(); ++i) {
      values[i] = values[i - period];
    }
    return values;
  }

  WeightMatrix Matrix(WeightFormat format, int64_t rows, int64_t columns, bool bias) {
    const float deviation = 1.0F / std::sqrt(static_cast<float>(columns));
    matrices_.push_back(
        std::make_unique<OwnedMatrix>(format, rows, columns, Weights(rows * columns, deviation)));
    OwnedMatrix& owned = *matrices_.back();
    owned.weights = {};  // unused in benches
    owned.matrix.bias = bias ? Vector(rows, 0.0F, 0.1F) : nullptr;
    return owned.matrix;
  }

  // Puts the matrices side by side, as in a loaded model, so that small ones share huge pages.
  void MoveIntoArena() {
    std::vector<WeightMatrix*> matrices = {&model.tokens};
    for (DecodeLayer& layer : model.layers) {
      matrices.insert(matrices.end(),
                      {&layer.qkv, &layer.attention_output, &layer.up, &layer.down});
    }
    int64_t room = 0;
    for (const WeightMatrix* matrix : matrices) {
      const StoredBytes bytes = OperationsOf(matrix->format.scheme).stored_bytes(*matrix);
      weight_bytes_ += bytes.total();
      room += RoundUp(bytes.packed, kPackedAlignment) + RoundUp(bytes.scales, kPackedAlignment);
    }
    arena_ = AlignedBuffer(room);
    std::byte* end = arena_.data();
    const auto move = [&end](const void* from, int64_t bytes) {
      std::byte* place = end;
      std::memcpy(place, from, static_cast<size_t>(bytes));
      end += RoundUp(bytes, kPackedAlignment);
      return place;
    };
    for (WeightMatrix* matrix : matrices) {
      const StoredBytes bytes = OperationsOf(matrix->format.scheme).stored_bytes(*matrix);
      matrix->packed = move(matrix->packed, bytes.packed);
      matrix->scales = bytes.scales == 0 ? nullptr : move(matrix->scales, bytes.scales);
    }
    model.head = model.tokens;
    matrices_.clear();
  }

  Norm RandomNorm() {
    Norm norm{.gain = Vector(sizes_.width, 1.0F, 0.1F), .width = sizes_.width};
    norm.subtract_mean = !sizes_.llama;
    norm.bias = sizes_.llama ? nullptr : Vector(sizes_.width, 0.0F, 0.1F);
    return norm;
  }

  void MakeAngles() {
    const int64_t half = sizes_.head_size / 2;
    for (int64_t p = 0; p < sizes_.positions; ++p) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(p) *
                             std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
        cosines_.push_back(static_cast<float>(std::cos(angle)));
        sines_.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }

  DecodeLayer Layer(const DecoderFormats& formats) {
    const WeightFormat format = formats.blocks;
    const bool bias = !sizes_.llama;
    const int64_t attention_width = sizes_.heads * sizes_.head_size;
    DecodeLayer layer;
    layer.attention_norm = RandomNorm();
    layer.qkv =
        Matrix(format, (sizes_.heads + 2 * sizes_.kv_heads) * sizes_.head_size, sizes_.width, bias);
    layer.heads = sizes_.heads;
    layer.kv_heads = sizes_.kv_heads;
    layer.head_size = sizes_.head_size;
    layer.window = sizes_.window;
    if (sizes_.llama) {
      layer.rotary = {
          .dimensions = sizes_.head_size, .cosines = cosines_.data(), .sines = sines_.data()};
    }
    layer.attention_output = Matrix(formats.OutputFormat(), sizes_.width, attention_width, bias);
    layer.mlp_norm = RandomNorm();
    layer.gated = sizes_.llama;
    layer.activation = sizes_.llama ? Nonlinearity::kSilu : Nonlinearity::kGeluTanh;
    layer.up = Matrix(format, sizes_.mlp_width * (sizes_.llama ? 2 : 1), sizes_.width, bias);
    layer.down = Matrix(formats.OutputFormat(), sizes_.width, sizes_.mlp_width, bias);
    return layer;
  }

  DecoderSizes sizes_;
  uint64_t seed_;
  std::vector<std::unique_ptr<OwnedMatrix>> matrices_;  // until MoveIntoArena
  AlignedBuffer arena_;
  int64_t weight_bytes_ = 0;
  std::vector<std::unique_ptr<std::vector<float>>> vectors_;
  std::vector<float> cosines_;
  std::vector<float> sines_;
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_TESTING_TEST_DECODER_H_
