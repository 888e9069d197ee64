// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What each kernel is told, as it crosses from the host: one struct a kernel, by value. NVRTC, the
// engine and the host's emulation include this file, so nothing of a library may be included here.
// All pointers are of the device. Rows of floats begin at multiples of 16 bytes.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNELS_ARGUMENTS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNELS_ARGUMENTS_H_

namespace wattle::cuda {

// Threads of a block, and of a warp.
constexpr int kBlockThreads = 128;
constexpr int kWarpThreads = 32;
constexpr int kWarpsOfBlock = kBlockThreads / kWarpThreads;

// Blocks that a multiprocessor shall hold at once: so many registers are left that none is spilled.
constexpr int kBlocksAtOnce = 6;
constexpr int kProductBlocksAtOnce = 4;

// Threads of the kernels of which a launch has few blocks, so that each must hide its own waits:
// products of one row by a matrix in panels, norms, attention of small heads, and the choice of a
// token. No block has more.
constexpr int kWideThreads = 512;
constexpr int kWarpsOfWide = kWideThreads / kWarpThreads;
constexpr int kWideBlocksAtOnce = 2;

// Threads of a block of the kernels that wait for memory most, so that few blocks keep it busy:
// products of more rows by a matrix in panels, and attention.
constexpr int kPanelThreads = 256;
constexpr int kAttentionThreads = 256;
constexpr int kAttentionBlocksAtOnce = 3;

// The most input rows of a product.
constexpr int kMaxProductRows = 8;

// Rows that a block of a product computes of a matrix in panels, and of one stored row by row.
constexpr int kPanelRows = 16;
constexpr int kRowsOfBlock = kWarpsOfBlock;

// The tables that NF4 with double quantization reads: 16 levels, then the 256 values of the map of
// its scales (kernels/nf4_double.h).
constexpr int kNf4Levels = 16;
constexpr int kNf4Tables = kNf4Levels + 256;

// A matrix in a stored format: kernels/weight_matrix.h, or GGUF's blocks row by row.
struct StoredMatrix {
  const unsigned char* packed;
  const unsigned char* scales;
  const float* tables;  // [kNf4Tables], of NF4 with double quantization only
  int rows;
  int columns;
  int group;  // columns that share a scale; 0 where there are none
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

// Rows [first_row, first_row + rows) of a matrix as they are multiplied by tensor cores. first_row:
// a multiple of kPanelRows.
struct DequantizeArguments {
  StoredMatrix matrix;
  int first_row;
  int rows;
  int bf16;   // else FP32
  void* out;  // [rows, columns]
};

// What follows a product of many rows, whose sums somebody else made.
struct FinishArguments {
  ProductArguments product;  // inputs are not read
  const void* sums;          // [count, rows of the matrix]
  int bf16;                  // else FP32
};

// out[i] = the row tokens[i] of the matrix (+ positions[position_of[i]]).
struct EmbedArguments {
  StoredMatrix matrix;
  const long long* tokens;  // [count] NOLINT(google-runtime-int): NVRTC has no int64_t
  const float* positions;   // [max_positions, columns], or null
  const int* position_of;   // [count]
  float* out;               // [count, out_stride]
  int out_stride;
};

// A norm of rows, as kernels::Norm has it.
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

// Turns queries and keys by their positions, scales the queries, and puts keys and values into the
// cache. qkv: [count, stride]: query heads, key heads, value heads.
struct RotaryArguments {
  CacheArguments cache;
  float* qkv;
  int stride;
  int dimensions;        // that are turned; 0: none
  const float* cosines;  // [max_positions, dimensions / 2]
  const float* sines;
  float query_scale;
};

// Attention of one position of each sequence over what its slot of the cache holds.
struct AttentionArguments {
  CacheArguments cache;
  const float* qkv;  // [count, stride], as RotaryArguments left the queries
  int stride;
  int window;  // positions that a token sees, its own included; 0: all
  float* out;  // [count, out_stride]: heads side by side
  int out_stride;
};

// chosen[i] = the index of the largest logit of row i, the first of equals.
struct ChooseArguments {
  const float* logits;  // [count, stride]
  int vocabulary;
  int stride;
  long long* chosen;  // [count] NOLINT(google-runtime-int)
};

// What a token weighs in a draw: exp((logit - the largest) / temperature) in whole numbers, so that
// sums are exact in every order.
using Amount = unsigned long long;                     // NOLINT(google-runtime-int)
constexpr double kAmountOfLargest = 17592186044416.0;  // 2^44: a vocabulary of a million fits

// Tokens that a block of `weigh` weighs.
constexpr int kWeighedTokens = 1024;

// chosen[i]: as engine::Sampler::Draw chooses from row i with units[i].
struct DrawArguments {
  const float* logits;  // [count, vocabulary]
  Amount* amounts;      // [count, vocabulary], written by `weigh`
  const float* units;   // [count]
  int vocabulary;
  double temperature;  // above 0
  int top_k;           // 0: all
  double top_p;        // 0, or 1 and more: all
  long long* chosen;   // [count], the most likely token before. NOLINT(google-runtime-int)
};

// A stream of random numbers: kernels::PhiloxCounter.
struct RandomWords {
  unsigned words[3];
  unsigned key[2];
};

// A mask of dropout, as kernels::ApplyDropout has it.
struct DropoutMask {
  RandomWords stream;
  unsigned threshold;  // of the bits of an element that is dropped, exclusive
  float scale;         // of the others
};

// out[i] = in[i] times the factor of element first + i.
struct DropoutArguments {
  DropoutMask mask;
  const float* in;  // [count], may be `out`; null: ones
  float* out;       // [count]
  long long first;  // NOLINT(google-runtime-int)
  long long count;  // NOLINT(google-runtime-int)
};
// Elements that a block writes at most: each thread the four of one counter.
constexpr int kDropoutElements = 4 * kBlockThreads;

// How a result is stored that a product reads next.
enum StoredAs : int { kStoredFloat = 0, kStoredBf16 = 1, kStoredFp16 = 2 };

// Attention's scores, row by row: row r is of query r % queries. A query sees the keys below its
// end but for those of two ranges (models/seen_softmax.h).
struct SeenRows {
  long long rows;  // NOLINT(google-runtime-int)
  int queries;
  int seen;                  // keys: columns
  int first_end;             // of query 0, without borders: each query sees one key more
  const long long* borders;  // [5][queries]: end, begin, end, begin, end; or null. NOLINT
};

// The probabilities after dropout of each row's scores, 0 where the query does not see the key.
struct SeenSoftmaxArguments {
  SeenRows shape;
  const float* scores;  // [rows, seen]
  void* dropped;        // [rows, seen], may be `scores` where it holds floats
  int stored;           // what `dropped` holds: StoredAs
  DropoutMask mask;
  long long first;  // the element of the first probability. NOLINT(google-runtime-int)
};

// Gradients of the probabilities after dropout become those of the scores, of which the
// probabilities are made again.
struct SeenSoftmaxBackwardArguments {
  SeenRows shape;
  const float* scores;     // [rows, seen]
  const float* gradients;  // [rows, seen]
  void* of_scores;         // [rows, seen], may be `gradients` where it holds floats
  void* dropped;           // as SeenSoftmaxArguments has it
  int stored;              // what both hold: StoredAs
  DropoutMask mask;
  long long first;  // NOLINT(google-runtime-int)
};

// losses[r] = -log softmax(logits of row r)[targets[r]]; the logits become the gradient of
// gradient_scale times the sum of the losses.
struct CrossEntropyArguments {
  float* logits;             // [rows, stride]
  const long long* targets;  // [rows] NOLINT(google-runtime-int)
  float* losses;             // [rows]
  int vocabulary;
  int stride;
  float gradient_scale;
};

// The numbers of a step of AdamW that all parameters share.
struct AdamWNumbers {
  float beta1;
  float rest1;  // 1 - beta1
  float beta2;
  float rest2;
  float rate;          // the learning rate over the first moment's bias correction
  float inverse_root;  // 1 / the root of the second moment's
  float epsilon;
  float gradient_scale;
  const float* decided;  // [1], in place of gradient_scale: below 0 nothing changes; or null
};
// Parameters of a launch of an optimizer: its arguments have room for 4 KB.
constexpr int kUpdatedParameters = 32;

// One step of AdamW, as kernels::AdamWUpdate computes it, of several parameters. The kernel says
// whether weights are floats or BF16, which kernels::RoundBf16Stochastically rounds.
struct AdamWParameter {
  void* weights;           // [count]
  const float* gradients;  // [count]
  float* first_moments;    // [count]
  float* second_moments;   // [count]
  long long count;         // 0: none. NOLINT(google-runtime-int)
  int first_block;         // that updates it
  float keep;              // 1 - the learning rate times the parameter's decay
  RandomWords rounding;    // of weights in BF16
};
struct AdamWArguments {
  AdamWParameter parameters[kUpdatedParameters];
  AdamWNumbers numbers;
};
// Elements that a block updates: each thread one after the other, so that loads lie together.
constexpr int kUpdatesOfThread = 4;
constexpr int kUpdatedElements = kUpdatesOfThread * kBlockThreads;

// The same with moments in 8 bits, as kernels::AdamW8bitUpdate computes it.
struct AdamW8bitParameter {
  void* weights;                // [count]
  const float* gradients;       // [count]
  unsigned char* first_codes;   // [count]
  float* first_scales;          // [count / kMomentsOfScale, rounded up]
  unsigned char* second_codes;  // as the first ones
  float* second_scales;
  long long count;  // 0: none. NOLINT(google-runtime-int)
  int first_block;
  float keep;
  RandomWords rounding;
};
struct AdamW8bitArguments {
  AdamW8bitParameter parameters[kUpdatedParameters];
  const float* first_levels;   // [kMomentCodes], as kernels::FirstMomentLevels
  const float* second_levels;  // [kMomentCodes]
  AdamWNumbers numbers;
};
constexpr int kMomentCodes = 256;
constexpr int kZeroMomentCode = 127;  // of first moments
constexpr int kMomentsOfScale = 256;  // kernels::kMomentBlock; a warp has them
constexpr int kMomentsOfLane = kMomentsOfScale / kWarpThreads;

// One step of Adafactor of one parameter, as device/cpu/optimizer.cc puts it together. A vector is
// one row without a mean along it.
struct AdafactorArguments {
  void* weights;           // [rows, columns]
  const float* gradients;  // [rows, columns]
  float* row_means;        // [rows]; null: a vector
  float* column_means;     // [columns]
  float* row_factors;      // [rows], room
  float* column_factors;   // [columns], room
  float* sums;             // [chunks, columns], room: of squares of kRowsOfChunk rows
  float* row_squares;      // [rows], room: of the update
  float* rate;             // [1], room: the learning rate over the update's root mean square
  int rows;
  int columns;
  int chunks;
  float rest;  // the share of this step in the means
  float learning_rate;
  float keep;  // 1 - the learning rate times the parameter's decay
  float gradient_scale;
  const float* decided;  // as AdamWNumbers has it
  RandomWords rounding;  // of weights in BF16
};
// Rows of which one thread sums a column, one after the other.
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

// The gradient of x; that of the gain is added to gain_gradient.
struct RmsNormBackwardArguments {
  const float* x;            // [rows, width]
  const float* gain;         // [width]
  const float* reciprocals;  // [rows]
  const float* gradients;    // [rows, width]: of what came out
  float* of_x;               // [rows, width]
  float* gain_sums;          // [chunks, width], room: of kRowsOfChunk rows
  float* gain_gradient;      // [width]
  int rows;
  int width;
  int chunks;
  float gain_offset;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNELS_ARGUMENTS_H_
