// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A whole step of a decoder as one operator: embedding, all layers, final norm, head. One call
// appends some tokens to some sequences: one token each to decode, many to read a prompt, and a
// batch may mix both. The phases of a step run on one thread pool, whose threads spin from one
// phase to the next; buffers are sized for the largest step and no step allocates. Every change of
// a buffer needs the same change in models/planned_decode_step.cc, which estimates the memory.
//
// With quantized weights the logits of a token are the same to the last bit on every processor, for
// every number of threads, and whether the preceding tokens were appended one by one or together.
//
// Only one thread may call Run; the model and the cache must outlive the step.
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

// Rotary positions: dimension i and dimension i + dimensions / 2 of a head are rotated by an angle
// whose cosine and sine are in the tables, [max_positions, dimensions / 2].
struct RotaryTables {
  int64_t dimensions = 0;  // 0: no rotary positions; otherwise even, at most the head size
  const float* cosines = nullptr;
  const float* sines = nullptr;
};

// x + output(attention(norm(x))), then x + down(f(up(norm(x)))). Biases are part of the matrices.
struct DecodeLayer {
  Norm attention_norm;
  WeightMatrix qkv;  // rows: query heads, key heads, value heads
  int64_t heads = 0;
  int64_t kv_heads = 0;   // divides heads
  int64_t head_size = 0;  // a multiple of 16
  int64_t window = 0;     // positions visible to a token, including its own; 0: all
  RotaryTables rotary;
  WeightMatrix attention_output;
  Norm mlp_norm;
  WeightMatrix up;     // rows: of a gated MLP the rows of gate, then those of up
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

// Whether the operator can run the model. kUnimplemented names the unsupported part (for example a
// head size that is not a multiple of 16); the caller then takes the plain path. kInvalidArgument
// if the shapes do not match.
absl::Status CheckDecodeModel(const DecodeModel& model);

// The shapes for a KvCache of the model.
[[nodiscard]] std::vector<KvLayerShape> KvShapesOf(const DecodeModel& model);

// Tokens to append to the sequence in a slot of the cache; at least one, ids below the vocabulary.
struct SequenceTokens {
  int64_t slot = 0;
  absl::Span<const int64_t> tokens;
};

class DecodeStep {
 public:
  // max_tokens: the maximum of tokens in one step, over all sequences. model: passes
  // CheckDecodeModel. memory: source of all buffers (AlignedBuffer).
  DecodeStep(const DecodeModel& model, KvCache& cache, ThreadPool& pool, int64_t max_tokens,
             const KernelTable& kernels = BestKernels(),
             std::pmr::memory_resource& memory = HugePageHeap());

  // Appends the tokens to the cache and writes the logits of the last token of each sequence.
  // sequences: at most max_tokens tokens in all, each slot at most once, within the cache's
  // capacity and the model's positions. logits: [sequences, vocabulary].
  void Run(absl::Span<const SequenceTokens> sequences, float* logits);

  // The index of the largest logit of a row.
  [[nodiscard]] int64_t ArgMax(const float* logits) const;

 private:
  // The place of one sequence's rows among those of the step.
  struct SequencePlace {
    int64_t slot = 0;
    int64_t first_row = 0;
    int64_t count = 0;
    int64_t first_position = 0;
  };

  // Converts the step's rows to the codes that `matrix` needs; returns false if the matrix reads
  // floats.
  bool BeginCodes(const WeightMatrix& matrix);
  // The preparation of one row of some buffers for a product.
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
  int64_t merged_stride_ = 0;       // of all heads together
  int64_t scratch_bytes_ = 0;       // per thread
  AlignedBuffer x_;                 // [max_tokens, width], the residual stream
  AlignedBuffer normed_or_merged_;  // [max_tokens, the wider of both], input of a product
  AlignedBuffer qkv_or_up_;         // [max_tokens, the wider of both], output of a product
  AlignedBuffer scores_;            // [threads, 4, capacity]
  AlignedBuffer scratch_;           // [threads, scratch_bytes_]
  QuantizedInputs codes_;           // the input of a product as codes
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_DECODE_STEP_H_
