// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Norm, rotary positions, cache, attention and choice of the CUDA kernels, run on the host, against
// a computation in double precision and the CPU's kernels.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/fp16.h"
#include "worker/engine/device/cuda/dropout.h"
#include "worker/engine/device/cuda/kernels/arguments.h"
#include "worker/engine/device/cuda/testing/host_gpu.h"
#include "worker/engine/device/cuda/testing/host_kernels.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::cuda {
namespace {

template <typename Arguments>
void RunKernel(const char* name, const GridShape& grid, const Arguments& arguments) {
  const HostKernel* kernel = FindHostKernel(name);
  ASSERT_NE(kernel, nullptr) << name;
  ASSERT_EQ(kernel->argument_bytes, sizeof(arguments));
  static uint64_t order = 10;  // seed of the threads' order, new for each launch
  SCOPED_TRACE(absl::StrCat(name, " in order ", ++order));
  const auto counts = RunOnHost(grid, order, [&] { kernel->run(&arguments); });
  ASSERT_TRUE(counts.ok()) << counts.status();
}

TEST(CudaNormTest, RowsAreThoseOfTheCpu) {
  for (const int width : {1, 31, 128, 300, 2048, 2300}) {
    for (const bool subtract_mean : {true, false}) {
      const int rows = 3;
      const int stride = width + 5;
      const auto x = kernels::NormalValues(int64_t{rows} * stride, 3);
      const auto gain = kernels::NormalValues(width, 4);
      const auto bias = kernels::NormalValues(width, 5);
      std::vector<float> out(static_cast<size_t>(rows * width));
      RunKernel("norm_rows", {.blocks = rows, .threads = kWideThreads},
                NormArguments{.x = x.data(),
                              .gain = gain.data(),
                              .bias = subtract_mean ? bias.data() : nullptr,
                              .out = out.data(),
                              .width = width,
                              .x_stride = stride,
                              .out_stride = width,
                              .subtract_mean = subtract_mean ? 1 : 0,
                              .gain_offset = subtract_mean ? 0.0F : 1.0F,
                              .epsilon = 1e-5F});
      const kernels::Norm norm = {.gain = gain.data(),
                                  .bias = subtract_mean ? bias.data() : nullptr,
                                  .subtract_mean = subtract_mean,
                                  .gain_offset = subtract_mean ? 0.0F : 1.0F,
                                  .epsilon = 1e-5F,
                                  .width = width};
      std::vector<float> wanted(static_cast<size_t>(width));
      for (int row = 0; row < rows; ++row) {
        kernels::BestKernels().normalize(norm, x.data() + row * stride, wanted.data());
        for (int i = 0; i < width; ++i) {
          EXPECT_NEAR(out[static_cast<size_t>(row * width + i)], wanted[static_cast<size_t>(i)],
                      2e-5)
              << width << ": row " << row << ", column " << i;
        }
      }
    }
  }
}

// Some sequences, a few tokens of each in the cache, and one step of rotary and attention.
struct AttentionCase {
  int heads = 4;
  int kv_heads = 2;
  int head_size = 64;
  int dimensions = 64;
  int window = 0;
  bool int8 = false;
};

class AttentionRun {
 public:
  static constexpr int kCapacity = 24;
  static constexpr int kSlots = 3;

  explicit AttentionRun(const AttentionCase& shape) : shape_(shape) {
    const auto cells = static_cast<size_t>(kSlots * shape.kv_heads * kCapacity);
    keys_.resize(cells * static_cast<size_t>(shape.head_size) * (shape.int8 ? 1 : 2));
    values_ = keys_;
    if (shape.int8) {
      key_scales_.resize(cells);
      value_scales_.resize(cells);
    }
    angles_ = kernels::NormalValues(int64_t{kCapacity} * shape.dimensions / 2, 8);
    for (const float angle : angles_) {
      cosines_.push_back(std::cos(angle));
      sines_.push_back(std::sin(angle));
    }
  }

  // Row i is the token of slot slots[i] at positions[i]. Returns attention's output.
  std::vector<float> Step(const std::vector<int>& slots, const std::vector<int>& positions,
                          std::vector<float> qkv) {
    const auto rows = static_cast<int>(slots.size());
    const int stride = (shape_.heads + 2 * shape_.kv_heads) * shape_.head_size;
    const CacheArguments cache = {.keys = keys_.data(),
                                  .values = values_.data(),
                                  .key_scales = key_scales_.data(),
                                  .value_scales = value_scales_.data(),
                                  .int8 = shape_.int8 ? 1 : 0,
                                  .capacity = kCapacity,
                                  .heads = shape_.heads,
                                  .kv_heads = shape_.kv_heads,
                                  .head_size = shape_.head_size,
                                  .slot_of = slots.data(),
                                  .position_of = positions.data()};
    RunKernel(
        "rotary", {.blocks = rows * (shape_.heads + 2 * shape_.kv_heads), .threads = kWarpThreads},
        RotaryArguments{.cache = cache,
                        .qkv = qkv.data(),
                        .stride = stride,
                        .dimensions = shape_.dimensions,
                        .cosines = cosines_.data(),
                        .sines = sines_.data(),
                        .query_scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_size))});
    std::vector<float> out(static_cast<size_t>(rows * shape_.heads * shape_.head_size));
    RunKernel(shape_.head_size <= 64    ? "attention_64"
              : shape_.head_size <= 128 ? "attention_128"
                                        : "attention_256",
              {.blocks = rows * shape_.heads,
               .threads = shape_.head_size <= 64 ? kWideThreads : kAttentionThreads},
              AttentionArguments{.cache = cache,
                                 .qkv = qkv.data(),
                                 .stride = stride,
                                 .window = shape_.window,
                                 .out = out.data(),
                                 .out_stride = shape_.heads * shape_.head_size});
    return out;
  }

  // The head at a position, rotated.
  std::vector<double> Turned(const float* head, int position) const {
    std::vector<double> out(head, head + shape_.head_size);
    const int half = shape_.dimensions / 2;
    for (int i = 0; i < half; ++i) {
      const double angle = angles_[static_cast<size_t>(position * half + i)];
      const double first = head[i];
      const double second = head[i + half];
      out[static_cast<size_t>(i)] = first * std::cos(angle) - second * std::sin(angle);
      out[static_cast<size_t>(i + half)] = second * std::cos(angle) + first * std::sin(angle);
    }
    return out;
  }

 private:
  AttentionCase shape_;
  std::vector<uint8_t> keys_;
  std::vector<uint8_t> values_;
  std::vector<float> key_scales_;
  std::vector<float> value_scales_;
  std::vector<float> angles_;
  std::vector<float> cosines_;
  std::vector<float> sines_;
};

// Appends one sequence's tokens to a slot, one by one; compares the last token's attention with
// double precision.
void ExpectAttention(const AttentionCase& shape) {
  constexpr int kTokens = 11;
  constexpr int kSlot = 1;
  AttentionRun run(shape);
  const int stride = (shape.heads + 2 * shape.kv_heads) * shape.head_size;
  std::vector<std::vector<float>> tokens;
  std::vector<float> out;
  for (int p = 0; p < kTokens; ++p) {
    tokens.push_back(kernels::NormalValues(stride, 40 + static_cast<uint64_t>(p)));
    out = run.Step({kSlot}, {p}, tokens.back());
  }
  const int begin = shape.window > 0 ? std::max(0, kTokens - shape.window) : 0;
  const double tolerance = shape.int8 ? 5e-2 : 3e-3;  // rounding of the cache
  for (int head = 0; head < shape.heads; ++head) {
    const int kv_head = head / (shape.heads / shape.kv_heads);
    const auto query = run.Turned(tokens.back().data() + head * shape.head_size, kTokens - 1);
    std::vector<double> wanted(static_cast<size_t>(shape.head_size));
    double total = 0.0;
    for (int p = begin; p < kTokens; ++p) {
      const float* row = tokens[static_cast<size_t>(p)].data();
      const auto key = run.Turned(row + (shape.heads + kv_head) * shape.head_size, p);
      const float* value = row + (shape.heads + shape.kv_heads + kv_head) * shape.head_size;
      double score = 0.0;
      for (size_t d = 0; d < key.size(); ++d) {
        score += query[d] * key[d];
      }
      const double weight = std::exp(score / std::sqrt(static_cast<double>(shape.head_size)));
      total += weight;
      for (size_t d = 0; d < key.size(); ++d) {
        wanted[d] += weight * value[d];
      }
    }
    for (size_t d = 0; d < wanted.size(); ++d) {
      EXPECT_NEAR(out[static_cast<size_t>(head * shape.head_size) + d], wanted[d] / total,
                  tolerance)
          << "head " << head << ", channel " << d << " of " << shape.head_size;
    }
  }
}

TEST(CudaAttentionTest, ATokenAttendsToItsSequenceAsInDoublePrecision) {
  ExpectAttention({});
  ExpectAttention({.heads = 2, .kv_heads = 2, .head_size = 16, .dimensions = 8});
  ExpectAttention({.heads = 3, .kv_heads = 1, .head_size = 80, .dimensions = 0, .window = 4});
  ExpectAttention({.heads = 2, .kv_heads = 1, .head_size = 256, .dimensions = 64});
  ExpectAttention({.int8 = true});
  ExpectAttention({.head_size = 48, .dimensions = 48, .window = 16, .int8 = true});
}

TEST(CudaAttentionTest, TokensOfOneStepAttendAsIfTheyCameOneByOne) {
  const AttentionCase shape;
  const int stride = (shape.heads + 2 * shape.kv_heads) * shape.head_size;
  const auto rows = kernels::NormalValues(int64_t{4} * stride, 77);
  const auto row = [&](int i) {
    return std::vector<float>(rows.begin() + i * stride, rows.begin() + (i + 1) * stride);
  };
  AttentionRun together(shape);
  const auto out = together.Step({2, 0, 2, 2}, {0, 5, 1, 2}, rows);
  AttentionRun apart(shape);
  const auto width = static_cast<size_t>(shape.heads * shape.head_size);
  for (const auto& [i, position] : {std::pair(0, 0), {2, 1}, {3, 2}}) {
    const auto alone = apart.Step({2}, {position}, row(i));
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), out.begin() + i * static_cast<int>(width)))
        << "row " << i;
  }
}

TEST(CudaChooseTest, TheFirstOfTheLargestIsChosen) {
  for (const int vocabulary : {1, 5, 128, 129, 1000}) {
    const int stride = vocabulary + 3;
    auto logits = kernels::NormalValues(int64_t{3} * stride, 9);
    const int place = vocabulary / 2;
    logits[static_cast<size_t>(place)] = 100.0F;
    logits[static_cast<size_t>(vocabulary - 1)] = 100.0F;  // the first one in a tie
    std::vector<long long> chosen(3, -1);
    RunKernel("choose", {.blocks = 3, .threads = kWideThreads},
              ChooseArguments{.logits = logits.data(),
                              .vocabulary = vocabulary,
                              .stride = stride,
                              .chosen = chosen.data()});
    for (int row = 0; row < 3; ++row) {
      const auto first = logits.begin() + row * stride;
      EXPECT_EQ(chosen[static_cast<size_t>(row)],
                std::max_element(first, first + vocabulary) - first)
          << vocabulary << ": row " << row;
    }
  }
}

// --- dropout ---

TEST(DropoutTest, FactorsAreThoseOfTheCpu) {
  const kernels::RandomStream stream = {.seed = 0xFEDCBA9876543210,
                                        .step = (uint64_t{3} << 32) + 5,
                                        .use = kernels::RandomUse::kAttentionDropout,
                                        .layer = 11};
  for (const int64_t first : {int64_t{0}, int64_t{1}, int64_t{131}, (int64_t{1} << 33) + 2}) {
    for (const int64_t count :
         {int64_t{1}, int64_t{3}, int64_t{511}, int64_t{512}, int64_t{1301}}) {
      SCOPED_TRACE(absl::StrCat(count, " from ", first));
      std::vector<float> wanted(static_cast<size_t>(count), 1.0F);
      kernels::ApplyDropout(stream, 0.3, first, count, wanted.data());
      std::vector<float> out(static_cast<size_t>(count), -1.0F);
      DropoutArguments arguments = {.mask = MaskOf(stream, 0.3),
                                    .in = nullptr,
                                    .out = out.data(),
                                    .first = first,
                                    .count = count};
      const int64_t elements = first % 4 + count + kDropoutElements - 1;
      const GridShape grid = {.blocks = static_cast<int>(elements / kDropoutElements)};
      RunKernel("drop_out", grid, arguments);
      EXPECT_EQ(out, wanted);
      std::fill(out.begin(), out.end(), 1.0F);
      arguments.in = out.data();
      RunKernel("drop_out", grid, arguments);
      EXPECT_EQ(out, wanted) << "in place";
    }
  }
}

}  // namespace
}  // namespace wattle::cuda
