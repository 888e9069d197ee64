// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The functions that every instruction set provides, and their arguments: plain pointers and sizes.
// Included by files that are compiled with the flags of one instruction set, so only <cstdint> may
// be included here and no function may be defined.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_KERNEL_TABLE_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_KERNEL_TABLE_H_

#include <cstdint>

namespace wattle::kernels {

enum class Nonlinearity : uint8_t {
  kNone,
  kGeluTanh,  // 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), GPT-2's "gelu_new"
  kGeluErf,   // x Φ(x) through erf, absolute error below 2e-7 |x|
  kSilu,      // x / (1 + e^-x)
  kRelu,      // max(0, x)
};

// Scratch of one product for each column: two panels of FP32 weights.
inline constexpr int64_t kProductScratchBytesOfColumn = 2 * 16 * 4;

// The largest head size that attention supports.
inline constexpr int64_t kMaxHeadSize = 512;

// Rows to multiply a matrix with. FP32, FP16 and BF16 weights read `values`, all others the codes.
struct InputRows {
  int64_t count = 0;
  const float* values = nullptr;  // [count, value_stride]
  int64_t value_stride = 0;
  const int8_t* codes = nullptr;  // [count, code_stride], in [-127, 127], zero after the columns
  int64_t code_stride = 0;        // a multiple of 64
  const float* scales = nullptr;  // [count, groups]: value ≈ scale * code
  const int32_t* sums = nullptr;  // [count, groups]: Σ of the codes of a group
  int64_t groups = 0;
  int64_t group = 0;  // columns of a group; the last may be shorter
};

// One product, out[i, r] = f(Σ_c w[r, c] in[i, c] + bias[r]). The layouts of packed and scales are
// those of the format (weight_matrix.h, formats_internal.h).
struct Product {
  const void* packed = nullptr;
  const void* scales = nullptr;
  const float* bias = nullptr;  // [rows] or null
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group = 0;  // columns that share a weight scale; without groups the whole row
  InputRows inputs;
  Nonlinearity nonlinearity = Nonlinearity::kNone;
  bool accumulate = false;
  float* out = nullptr;  // [inputs.count, out_stride]
  int64_t out_stride = 0;
  void* scratch =
      nullptr;  // per calling thread, kProductScratchBytesOfColumn per column, aligned to 64
};

// Computes the rows of panels [first_panel, end_panel) of the product.
using ProductFunction = void (*)(const Product& product, int64_t first_panel, int64_t end_panel);

// One row of inputs to int8: for each group scale = max|x| / 127, code = x / scale rounded to the
// nearest even, and the codes' sum. The codes from `columns` to `code_stride` become zero.
struct InputQuantization {
  const float* values = nullptr;
  int64_t columns = 0;
  int64_t group = 0;
  int8_t* codes = nullptr;
  int64_t code_stride = 0;
  float* scales = nullptr;
  int32_t* sums = nullptr;
};

// A norm of one row. LayerNorm: (x - mean) / √(variance + ε) gain + bias. RMSNorm: bias null, x /
// √(mean square + ε) gain. gain_offset: 1 in families that store the gain minus one.
struct Norm {
  const float* gain = nullptr;
  const float* bias = nullptr;
  bool subtract_mean = true;
  float gain_offset = 0.0F;
  float epsilon = 1e-5F;
  int64_t width = 0;
};

// Attention of some consecutive positions of one sequence in one head over the cache of one KV
// head (kv_cache.h has the layout). Position p sees the positions [max(0, p + 1 - window), p].
struct HeadAttention {
  const float* queries = nullptr;  // [count, query_stride], already scaled
  int64_t query_stride = 0;
  int64_t count = 0;
  int64_t first_position = 0;  // of the first query; its key and value are already in the cache
  int64_t window = 0;          // 0: all preceding positions
  int64_t head_size = 0;       // a multiple of 16
  bool int8 = false;           // format of the cache
  const void* keys = nullptr;
  const void* values = nullptr;
  const float* key_scales = nullptr;    // [capacity], only for int8
  const float* value_scales = nullptr;  // [capacity], only for int8
  float* scores = nullptr;              // scratch, [4, capacity rounded up to 16]
  int64_t score_stride = 0;
  float* out = nullptr;  // [count, out_stride]
  int64_t out_stride = 0;
};

// The factors of an AdamW update (adamw.h has the formula), computed once per step.
struct AdamWScalars {
  float beta1 = 0.0F;
  float rest1 = 0.0F;  // 1 - beta1
  float beta2 = 0.0F;
  float rest2 = 0.0F;         // 1 - beta2
  float keep = 1.0F;          // 1 - learning rate * decay
  float rate = 0.0F;          // learning rate over the first moment's bias correction
  float inverse_root = 1.0F;  // 1 / √(the second moment's bias correction)
  float epsilon = 0.0F;
  float gradient_scale = 1.0F;
};

struct AdamWPass {
  AdamWScalars scalars;
  float* weights = nullptr;
  const float* gradients = nullptr;
  float* first_moments = nullptr;
  float* second_moments = nullptr;
  int64_t count = 0;
};

// Multipliers and Weyl constants of Philox4x32-10: the paper's section 3.3, Random123's philox.h.
inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53U;
inline constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57U;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9U;
inline constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85U;
inline constexpr int kPhiloxRounds = 10;

// A stream of random.h in Philox's terms: word 0 of the counter is the block's number.
struct PhiloxCounter {
  uint32_t words[3] = {};  // words 1 to 3
  uint32_t key[2] = {};
};

// Sets values[i] to 0 if the bits of element first_element + i are below `threshold`, else scales
// it.
struct DropoutPass {
  uint32_t threshold = 0;
  float scale = 1.0F;
  int64_t first_element = 0;
  int64_t count = 0;
  float* values = nullptr;
};

// Statistics of a row of values.
struct SoftmaxSums {
  float largest = 0.0F;
  double sum = 0.0;  // Σ e^(value - largest); NaN if a value is not finite
};

// One row of the backward pass of attention's softmax, with `count` visible keys.
struct SoftmaxGradient {
  int64_t count = 0;
  const float* probabilities = nullptr;  // p, before dropout
  float* dropped = nullptr;    // the factors m of dropout → p m; null: no dropout, every m is 1
  float* gradients = nullptr;  // gradients g of p m → of the scores: p (m g - Σ p m g)
};

struct KernelTable {
  const char* name;
  ProductFunction float32;
  ProductFunction int8;
  ProductFunction int4;
  ProductFunction int4_asymmetric;
  ProductFunction nf4;
  ProductFunction int8_grouped;
  ProductFunction float16;
  ProductFunction bfloat16;
  ProductFunction int6;
  void (*quantize_input)(const InputQuantization& task);
  void (*normalize)(const Norm& norm, const float* x, float* out);
  void (*attend)(const HeadAttention& task);
  // values[i] = f(values[i]) * gate_partner[i] (gated MLPs); partner null: only f.
  void (*activate)(Nonlinearity f, int64_t count, const float* partner, float* values);
  // The index of the largest value, the first one in a tie. count at least 1.
  int64_t (*arg_max)(const float* values, int64_t count);
  void (*adamw)(const AdamWPass& pass);
  double (*sum_of_squares)(const float* values, int64_t count);
  // Four numbers per block, in element order.
  void (*philox_bits)(const PhiloxCounter& counter, int64_t first_element, int64_t count,
                      uint32_t* out);
  void (*drop_out)(const PhiloxCounter& counter, const DropoutPass& pass);
  // gradients[i] *= f'(values[i]).
  void (*activate_backward)(Nonlinearity f, int64_t count, const float* values, float* gradients);
  // values[i] = scale e^(values[i] - largest) / sum. count at least 1.
  SoftmaxSums (*softmax)(float scale, int64_t count, float* values);
  void (*softmax_backward)(const SoftmaxGradient& row);
};

// The tables, each defined in the file of its name. Only the target architecture's tables are
// built; instruction_set.cc checks the processor before it uses one.
const KernelTable& PortableKernels();
const KernelTable& Avx2Kernels();
const KernelTable& AvxVnniKernels();
const KernelTable& Avx512VnniKernels();
const KernelTable& AmxKernels();
const KernelTable& NeonKernels();
const KernelTable& NeonDotprodKernels();
const KernelTable& NeonI8mmKernels();

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_KERNEL_TABLE_H_
