// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The arguments of each kernel, passed by value: one struct per kernel. NVRTC, the engine and the
// host's emulation include this file, so it must not include any library. All pointers are device
// pointers. Rows of floats begin at multiples of 16 bytes.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNELS_ARGUMENTS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNELS_ARGUMENTS_H_

namespace wattle::cuda {

// Threads in a block, and in a warp.
constexpr int kBlockThreads = 128;
constexpr int kWarpThreads = 32;
constexpr int kWarpsOfBlock = kBlockThreads / kWarpThreads;

// Blocks that a multiprocessor should hold at the same time: the limit that leaves enough registers
// to avoid spills.
constexpr int kBlocksAtOnce = 6;
constexpr int kProductBlocksAtOnce = 4;

// Threads in a block of the kernels whose launches have few blocks, each of which must hide its own
// waits: products of one row by a matrix in panels, norms, attention of small heads, and the choice
// of a token. This is the maximum of all kernels.
constexpr int kWideThreads = 512;
constexpr int kWarpsOfWide = kWideThreads / kWarpThreads;
constexpr int kWideBlocksAtOnce = 2;

// Threads in a block of the kernels that mostly wait for memory, so that few blocks keep it busy:
// products of several rows by a matrix in panels, and attention.
constexpr int kPanelThreads = 256;
constexpr int kAttentionThreads = 256;
constexpr int kAttentionBlocksAtOnce = 3;

// Maximum number of input rows in a product.
constexpr int kMaxProductRows = 8;

// Rows that a block of a product computes, for a matrix in panels, and for one stored row by row.
constexpr int kPanelRows = 16;
constexpr int kRowsOfBlock = kWarpsOfBlock;

// The tables for NF4 with double quantization: 16 levels, then the 256 values of the map of its
// scales (kernels/nf4_double.h).
constexpr int kNf4Levels = 16;
constexpr int kNf4Tables = kNf4Levels + 256;

// A matrix in a stored format: kernels/weight_matrix.h, or GGUF's blocks row by row.
struct StoredMatrix {
  const unsigned char* packed;
  const unsigned char* scales;
  const float* tables;  // [kNf4Tables], only for NF4 with double quantization
  int rows;
  int columns;
  int group;  // columns that share a scale; 0: none
};

// out[i, r] = f(Σ_c w[r, c] inputs[i, c] + bias[r]), or added to out[i, r].
// gated: the first half of the rows is the gate's g, the second u's: out[i, r] = f(g) u.
struct ProductArguments {
  StoredMatrix matrix;
  const float* bias;    // [rows], or null
  const float* inputs;  // [count, input_stride]
  float* out;           // [count, out_stride]
  int count;            // 1 to the kernel's number of rows
  int input_stride;     // a multiple of 4
  int out_stride;
  int nonlinearity;  // kernels::Nonlinearity
  int accumulate;
  int gated;
};

// Rows [first_row, first_row + rows) of a matrix, dequantized for tensor cores. first_row: a
// multiple of kPanelRows.
struct DequantizeArguments {
  StoredMatrix matrix;
  int first_row;
  int rows;
  int bf16;   // else FP32
  void* out;  // [rows, columns]
};

// The steps after a product of many rows, whose sums were computed elsewhere.
struct FinishArguments {
  ProductArguments product;  // its inputs are not read
  const void* sums;          // [count, rows of the matrix]
  int bf16;                  // else FP32
};

// out[i] = row tokens[i] of the matrix (+ positions[position_of[i]]).
struct EmbedArguments {
  StoredMatrix matrix;
  const long long* tokens;  // [count] NOLINT(google-runtime-int): NVRTC has no int64_t
  const float* positions;   // [max_positions, columns], or null
  const int* position_of;   // [count]
  float* out;               // [count, out_stride]
  int out_stride;
};

// A norm of rows; see kernels::Norm.
struct NormArguments {
  const float* x;     // [count, x_stride]
  const float* gain;  // [width]
  const float* bias;  // [width], or null
  float* out;         // [count, out_stride]
  int width;
  int x_stride;
  int out_stride;
  int subtract_mean;
  float gain_offset;
  float epsilon;
};

// Keys and values of one layer: [slot][KV head][capacity][head size], FP16 or int8; int8 has a
// scale for each position of each head, [slot][KV head][capacity].
struct CacheArguments {
  void* keys;
  void* values;
  float* key_scales;
  float* value_scales;
  int int8;
  int capacity;
  int heads;
  int kv_heads;
  int head_size;
  const int* slot_of;      // [count]
  const int* position_of;  // [count]
};

// Rotates queries and keys by their positions, scales the queries, and stores keys and values in
// the cache. qkv: [count, stride]: query heads, key heads, value heads.
struct RotaryArguments {
  CacheArguments cache;
  float* qkv;
  int stride;
  int dimensions;        // number of rotated dimensions; 0: none
  const float* cosines;  // [max_positions, dimensions / 2]
  const float* sines;
  float query_scale;
};

// Attention of one position of each sequence over its slot of the cache.
struct AttentionArguments {
  CacheArguments cache;
  const float* qkv;  // [count, stride], after rotation (RotaryArguments)
  int stride;
  int window;  // positions visible to a token, including its own; 0: all
  float* out;  // [count, out_stride]: heads side by side
  int out_stride;
};

// chosen[i] = the index of the largest logit of row i, the first one in a tie.
struct ChooseArguments {
  const float* logits;  // [count, stride]
  int vocabulary;
  int stride;
  long long* chosen;  // [count] NOLINT(google-runtime-int)
};

// The weight of a token in a draw: exp((logit - maximum) / temperature) as an integer, so that sums
// are exact in every order.
using Amount = unsigned long long;                     // NOLINT(google-runtime-int)
constexpr double kAmountOfLargest = 17592186044416.0;  // 2^44: a vocabulary of a million fits

// Tokens that one block of `weigh` weighs.
constexpr int kWeighedTokens = 1024;

// chosen[i]: the choice of engine::Sampler::Draw from row i with units[i].
struct DrawArguments {
  const float* logits;  // [count, vocabulary]
  Amount* amounts;      // [count, vocabulary], result of `weigh`
  const float* units;   // [count]
  int vocabulary;
  double temperature;  // above 0
  int top_k;           // 0: all
  double top_p;        // 0 or ≥ 1: all
  long long* chosen;   // [count], on input the most likely token. NOLINT(google-runtime-int)
};

// A stream of random numbers; see kernels::PhiloxCounter.
struct RandomWords {
  unsigned words[3];
  unsigned key[2];
};

// A dropout mask; see kernels::ApplyDropout.
struct DropoutMask {
  RandomWords stream;
  unsigned threshold;  // exclusive upper bound for the bits of a dropped element
  float scale;         // factor of the other elements
};

// out[i] = in[i] times the factor of element first + i.
struct DropoutArguments {
  DropoutMask mask;
  const float* in;  // [count], may be `out`; null: ones
  float* out;       // [count]
  long long first;  // NOLINT(google-runtime-int)
  long long count;  // NOLINT(google-runtime-int)
};
// Maximum number of elements that a block writes: each thread writes the four of one counter.
constexpr int kDropoutElements = 4 * kBlockThreads;

// The type in which a result is stored for the next product.
enum StoredAs : int { kStoredFloat = 0, kStoredBf16 = 1, kStoredFp16 = 2 };

// Attention's scores, row by row: row r belongs to query r % queries. A query sees the keys below
// its end, except for those in two ranges (models/masked_softmax.h).
struct SeenRows {
  long long rows;  // NOLINT(google-runtime-int)
  int queries;
  int seen;                  // keys: columns
  int first_end;             // end of query 0 without borders; each next query sees one key more
  const long long* borders;  // [5][queries]: end, begin, end, begin, end; or null. NOLINT
};

// The probabilities after dropout for each row's scores; 0 where the query does not see the key.
struct MaskedSoftmaxArguments {
  SeenRows shape;
  const float* scores;  // [rows, seen]
  void* dropped;        // [rows, seen], may equal `scores` if it holds floats
  int stored;           // type of `dropped`: StoredAs
  DropoutMask mask;
  long long first;  // dropout element of the first probability. NOLINT(google-runtime-int)
};

// Turns gradients of the probabilities after dropout into those of the scores; the probabilities
// are recomputed from the scores.
struct MaskedSoftmaxBackwardArguments {
  SeenRows shape;
  const float* scores;     // [rows, seen]
  const float* gradients;  // [rows, seen]
  void* of_scores;         // [rows, seen], may equal `gradients` if it holds floats
  void* dropped;           // see MaskedSoftmaxArguments
  int stored;              // type of both: StoredAs
  DropoutMask mask;
  long long first;  // NOLINT(google-runtime-int)
};

// losses[r] = -log softmax(logits of row r)[targets[r]]; replaces the logits by the gradient of
// gradient_scale times the sum of the losses.
struct CrossEntropyArguments {
  float* logits;             // [rows, stride]
  const long long* targets;  // [rows] NOLINT(google-runtime-int)
  float* losses;             // [rows]
  int vocabulary;
  int stride;
  float gradient_scale;
};

// The numbers of an AdamW step that are common to all parameters.
struct AdamWNumbers {
  float beta1;
  float rest1;  // 1 - beta1
  float beta2;
  float rest2;
  float rate;          // the learning rate over the first moment's bias correction
  float inverse_root;  // 1 / the root of the second moment's
  float epsilon;
  float gradient_scale;
  const float* decided;  // [1], replaces gradient_scale: below 0 nothing changes; or null
};
// Parameters in one launch of an optimizer: kernel arguments are limited to 4 KB.
constexpr int kUpdatedParameters = 32;

// One step of AdamW (kernels::AdamWUpdate) for several parameters. The kernel determines whether
// weights are floats or BF16 rounded by kernels::RoundBf16Stochastically.
struct AdamWParameter {
  void* weights;           // [count]
  const float* gradients;  // [count]
  float* first_moments;    // [count]
  float* second_moments;   // [count]
  long long count;         // 0: none. NOLINT(google-runtime-int)
  int first_block;         // first block that updates it
  float keep;              // 1 - the learning rate times the parameter's decay
  RandomWords rounding;    // for BF16 weights
};
struct AdamWArguments {
  AdamWParameter parameters[kUpdatedParameters];
  AdamWNumbers numbers;
};
// Elements that a block updates: each thread updates several, strided so that loads are adjacent.
constexpr int kUpdatesOfThread = 4;
constexpr int kUpdatedElements = kUpdatesOfThread * kBlockThreads;

// AdamWArguments with 8-bit moments (kernels::AdamW8bitUpdate).
struct AdamW8bitParameter {
  void* weights;                // [count]
  const float* gradients;       // [count]
  unsigned char* first_codes;   // [count]
  float* first_scales;          // [count / kMomentsOfScale, rounded up]
  unsigned char* second_codes;  // same form as for the first moment
  float* second_scales;
  long long count;  // 0: none. NOLINT(google-runtime-int)
  int first_block;
  float keep;
  RandomWords rounding;
};
struct AdamW8bitArguments {
  AdamW8bitParameter parameters[kUpdatedParameters];
  const float* first_levels;   // [kMomentCodes], kernels::FirstMomentLevels
  const float* second_levels;  // [kMomentCodes]
  AdamWNumbers numbers;
};
constexpr int kMomentCodes = 256;
constexpr int kZeroMomentCode = 127;  // for first moments
constexpr int kMomentsOfScale = 256;  // kernels::kMomentBlock; one warp per block
constexpr int kMomentsOfLane = kMomentsOfScale / kWarpThreads;

// One step of Adafactor for one parameter, as in device/cpu/optimizer.cc. A vector is one row
// without a mean along it.
struct AdafactorArguments {
  void* weights;           // [rows, columns]
  const float* gradients;  // [rows, columns]
  float* row_means;        // [rows]; null: a vector
  float* column_means;     // [columns]
  float* row_factors;      // [rows], scratch
  float* column_factors;   // [columns], scratch
  float* sums;             // [chunks, columns], scratch: sums of squares over kRowsOfChunk rows
  float* row_squares;      // [rows], scratch: sums of squares of the update
  float* rate;             // [1], scratch: the learning rate over the update's root mean square
  int rows;
  int columns;
  int chunks;
  float rest;  // the weight of this step in the means
  float learning_rate;
  float keep;  // 1 - the learning rate times the parameter's decay
  float gradient_scale;
  const float* decided;  // AdamWNumbers::decided
  RandomWords rounding;  // for BF16 weights
};
// Rows of a column that one thread sums, one after the other.
constexpr int kRowsOfChunk = 64;

// out = x r (gain + gain_offset) with r = 1 / √(mean x² + ε) of each row.
struct RmsNormArguments {
  const float* x;      // [rows, width]
  const float* gain;   // [width]
  float* reciprocals;  // [rows]: r
  float* out;          // [rows, width]
  int width;
  float gain_offset;
  float epsilon;
};

// The gradient of x; adds that of the gain to gain_gradient.
struct RmsNormBackwardArguments {
  const float* x;            // [rows, width]
  const float* gain;         // [width]
  const float* reciprocals;  // [rows]
  const float* gradients;    // [rows, width]: gradient of the output
  float* of_x;               // [rows, width]
  float* gain_sums;          // [chunks, width], scratch: sums over kRowsOfChunk rows
  float* gain_gradient;      // [width]
  int rows;
  int width;
  int chunks;
  float gain_offset;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNELS_ARGUMENTS_H_
