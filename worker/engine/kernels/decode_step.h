// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A whole step of a decoder as one operator: embedding, all layers, final norm, head. One call
// appends some tokens to some sequences: one token each to decode, many to read a prompt, and a
// batch may mix both. The phases of a step run on one thread pool, whose threads spin from one
// phase to the next; buffers are made for the largest step and no step allocates. Who changes a
// buffer changes its twin in models/planned_decode_step.cc, from which memory is estimated.
//
// With quantized weights the logits of a token are the same to the last bit on every processor, for
// every number of threads, and whether the tokens before it came one by one or together.
//
// One thread calls Run; the model and the cache outlive the step.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_DECODE_STEP_H_
#define WATTLE_WORKER_ENGINE_KERNELS_DECODE_STEP_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/kv_cache.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

// Rotary positions: dimension i and dimension i + dimensions / 2 of a head are turned by an angle
// whose cosine and sine stand in the tables, [max_positions, dimensions / 2].
struct RotaryTables {
  int64_t dimensions = 0;  // 0: no rotary positions; otherwise even, at most the head size
  const float* cosines = nullptr;
  const float* sines = nullptr;
};

// x + output(attention(norm(x))), then x + down(f(up(norm(x)))). Biases are the matrices' own.
struct DecodeLayer {
  Norm attention_norm;
  WeightMatrix qkv;  // rows: query heads, key heads, value heads
  int64_t heads = 0;
  int64_t kv_heads = 0;   // divides heads
  int64_t head_size = 0;  // a multiple of 16
  int64_t window = 0;     // positions that a token sees, its own included; 0: all
  RotaryTables rotary;
  WeightMatrix attention_output;
  Norm mlp_norm;
  WeightMatrix up;     // rows: of a gated MLP the gate's, then up's
  bool gated = false;  // down(f(gate) * up) instead of down(f(up))
  Nonlinearity activation = Nonlinearity::kGeluTanh;
  WeightMatrix down;
};

struct DecodeModel {
  int64_t width = 0;
  int64_t max_positions = 0;
  WeightMatrix tokens;               // a row for each token
  const float* positions = nullptr;  // [max_positions, width], or null
  std::vector<DecodeLayer> layers;
  Norm final_norm;
  WeightMatrix head;  // [vocabulary, width]
};

// Whether the operator can run the model. kUnimplemented says what it lacks (a head size that is no
// multiple of 16, say); the caller then takes the plain path. kInvalidArgument where the shapes do
// not fit each other.
absl::Status CheckDecodeModel(const DecodeModel& model);

// The shapes that a KvCache for the model is made of.
[[nodiscard]] std::vector<KvLayerShape> KvShapesOf(const DecodeModel& model);

// Tokens to append to the sequence in a slot of the cache; at least one, below the vocabulary.
struct SequenceTokens {
  int64_t slot = 0;
  absl::Span<const int64_t> tokens;
};

class DecodeStep {
 public:
  // max_tokens: the most that one step appends, over all sequences. model: passes
  // CheckDecodeModel. memory: of all buffers, as of AlignedBuffer.
  DecodeStep(const DecodeModel& model, KvCache& cache, ThreadPool& pool, int64_t max_tokens,
             const KernelTable& kernels = BestKernels(),
             std::pmr::memory_resource& memory = HugePageHeap());

  // Appends the tokens to the cache and writes the logits of the last token of each sequence.
  // sequences: at most max_tokens tokens in all, each slot at most once, within the cache's
  // capacity and the model's positions. logits: [sequences, vocabulary].
  void Run(absl::Span<const SequenceTokens> sequences, float* logits);

  // The index of the largest of a row of logits.
  [[nodiscard]] int64_t ArgMax(const float* logits) const;

 private:
  // Where one sequence's rows stand among those of the step.
  struct SequencePlace {
    int64_t slot = 0;
    int64_t first_row = 0;
    int64_t count = 0;
    int64_t first_position = 0;
  };

  // The step's rows become codes as `matrix` wants them; false: it reads floats.
  bool BeginCodes(const WeightMatrix& matrix);
  // One row of some buffers: what happens to it before a product.
  template <typename Prepare>
  void OverRows(int64_t rows, const Prepare& prepare);
  // inputs: [rows, stride]; out: [rows, out_stride].
  void Multiply(const WeightMatrix& matrix, const float* inputs, int64_t stride,
                const Epilogue& epilogue, float* out, int64_t rows);
  void Embed(absl::Span<const SequenceTokens> sequences);
  void Attention(const DecodeLayer& layer, int64_t index);
  void AttendHead(const DecodeLayer& layer, int64_t index, const SequencePlace& sequence,
                  int64_t kv_head, int thread);
  void Mlp(const DecodeLayer& layer);
  void Logits(float* logits);

  const DecodeModel& model_;
  KvCache& cache_;
  ThreadPool& pool_;
  const KernelTable& kernels_;
  int64_t rows_ = 0;  // tokens of the current step
  std::vector<SequencePlace> places_;
  int64_t merged_stride_ = 0;       // of heads side by side
  int64_t scratch_bytes_ = 0;       // of one thread
  AlignedBuffer x_;                 // [max_tokens, width], the residual stream
  AlignedBuffer normed_or_merged_;  // [max_tokens, the wider of both], what a product reads
  AlignedBuffer qkv_or_up_;         // [max_tokens, the wider of both], what it makes
  AlignedBuffer scores_;            // [threads, 4, capacity]
  AlignedBuffer scratch_;           // [threads, scratch_bytes_]
  QuantizedInputs codes_;           // of what a product reads
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_DECODE_STEP_H_
