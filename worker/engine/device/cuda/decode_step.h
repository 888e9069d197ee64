// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A whole step of a decoder as launches of kernels, in the order of kernels/decode_step.h: at most
// eight launches a layer and three more, and up to three for the choice of tokens. One call appends
// up to kMaxProductRows tokens, of one sequence or of several, or more of a prompt, whose products
// are libtorch's. The host never waits. One thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_DECODE_STEP_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_DECODE_STEP_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/device/cuda/many_rows.h"
#include "worker/engine/device/cuda/stored_product.h"
#include "worker/engine/kernels/decode_step.h"

namespace wattle::cuda {

// Keys and values of all layers, in device memory.
struct DecodeCache {
  std::byte* memory = nullptr;  // CacheBytes, aligned to 16 bytes
  bool int8 = false;            // else FP16
  int slots = 1;
  int capacity = 0;
};

// The rows of one step: each has a token, the slot of its sequence, and its position in the
// sequence. Tokens of one sequence are adjacent. All pointers are device pointers.
struct StepRows {
  const long long* tokens = nullptr;  // [count] NOLINT(google-runtime-int): as the kernels' own
  const int* slots = nullptr;         // [count]
  const int* positions = nullptr;     // [count]
  const float* units = nullptr;       // [count], or null: random numbers of the draws (TokenChoice)
  int count = 0;
  int first_logits = 0;  // the first row with logits; `count`: none
};

// How a token is chosen from its logits; see engine::SamplingSettings.
struct TokenChoice {
  double temperature = 0.0;  // 0: the most likely token
  int64_t top_k = 0;         // 0: all
  double top_p = 0.0;        // 0 or 1: all

  [[nodiscard]] bool draws() const { return temperature > 0.0; }
};

// Tokens to choose. All pointers are device pointers.
struct ChosenRows {
  const float* logits = nullptr;  // [count, vocabulary]
  int count = 0;
  TokenChoice choice = {};
  const float* units = nullptr;  // [count], in [0, 1), if tokens are drawn
  Amount* amounts = nullptr;     // [count, vocabulary], scratch, if tokens are drawn
  long long* chosen = nullptr;   // [count] NOLINT(google-runtime-int)
};

// Whether the kernels serve the model; kUnimplemented names the missing part. model: passes
// kernels::CheckDecodeModel; has device pointers.
absl::Status CheckModel(const kernels::DecodeModel& model);

[[nodiscard]] int64_t CacheBytes(const kernels::DecodeModel& model, const DecodeCache& cache);

// Floats of device memory that a step of so many rows needs, excluding logits.
[[nodiscard]] int64_t ScratchFloats(const kernels::DecodeModel& model, int rows = kMaxProductRows);

// Resources of a step besides model and cache. All must outlive it.
struct StepMeans {
  float* scratch = nullptr;           // ScratchFloats, aligned to 16 bytes
  const float* nf4_tables = nullptr;  // StoredMatrix::tables, for the matrices that read them
  // Products of more than kMaxProductRows rows; null: no step has such products.
  ManyRowProducts* many = nullptr;
  int rows = kMaxProductRows;  // of a step, at most
};

class DecodeStep {
 public:
  // model: passes CheckModel, and must outlive the step.
  DecodeStep(const kernels::DecodeModel& model, const DecodeCache& cache, const StepMeans& means,
             KernelLauncher& launcher);

  // Makes every kernel of the step ready to launch; an error says why one cannot be.
  absl::Status Prepare();
  // Appends the rows to the cache. logits: [count - first_logits, vocabulary], on the device.
  absl::Status Run(const StepRows& rows, float* logits);
  // The next token of each row.
  absl::Status Choose(const ChosenRows& rows);

 private:
  absl::Status Embed(const StepRows& rows);
  absl::Status Attention(const StepRows& rows, size_t layer);
  absl::Status Mlp(const StepRows& rows, size_t layer);
  absl::Status Normalize(const kernels::Norm& norm, const float* x, int rows);
  absl::Status Multiply(StoredProduct product);
  // Multiplies the normalized residual stream into inner_.
  absl::Status ReadStream(const kernels::Norm& norm, StoredProduct product);
  // Adds the product of `inputs`, [rows, inner_stride_], to the residual stream.
  absl::Status AddToStream(const kernels::WeightMatrix& matrix, const float* inputs, int rows);
  [[nodiscard]] CacheArguments CacheOf(const StepRows& rows, size_t layer) const;

  const kernels::DecodeModel& model_;
  DecodeCache cache_;
  StepMeans means_;
  KernelLauncher& launcher_;
  int width_stride_;
  int inner_stride_;
  float* x_;       // [rows, width_stride_], the residual stream
  float* normed_;  // [rows, width_stride_]
  float* inner_;   // [rows, inner_stride_]: qkv, or the output of `up`
  float* merged_;  // [rows, inner_stride_]: heads side by side
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DECODE_STEP_H_
