// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A decoded token allocates nothing on the heap: this file counts every call of operator new in the
// test program.
#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "gtest/gtest.h"

#include "worker/engine/kernels/decode_step.h"
#include "worker/engine/kernels/testing/test_decoder.h"

namespace {

std::atomic<int64_t> allocations = 0;

void* Counted(std::size_t size) {
  ++allocations;
  void* bytes = std::malloc(size == 0 ? 1 : size);
  if (bytes == nullptr) {
    std::abort();
  }
  return bytes;
}

}  // namespace

void* operator new(std::size_t size) {
  return Counted(size);
}
void* operator new[](std::size_t size) {
  return Counted(size);
}
// std::stable_sort allocates its buffer with these forms and frees it with the plain operator
// delete, so all of them must use the same allocator.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return Counted(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return Counted(size);
}
void operator delete(void* bytes) noexcept {
  std::free(bytes);
}
void operator delete[](void* bytes) noexcept {
  std::free(bytes);
}
void operator delete(void* bytes, std::size_t /*size*/) noexcept {
  std::free(bytes);
}
void operator delete[](void* bytes, std::size_t /*size*/) noexcept {
  std::free(bytes);
}

namespace wattle::kernels {
namespace {

TEST(NoAllocationTest, ATokenOfOneSequenceAndOfABatchAllocatesNothing) {
  const DecoderSizes sizes{.layers = 2,
                           .width = 64,
                           .heads = 4,
                           .kv_heads = 4,
                           .head_size = 16,
                           .mlp_width = 128,
                           .vocabulary = 96,
                           .positions = 64};
  for (const WeightFormat format : {WeightFormat{}, WeightFormat{WeightScheme::kInt8, 0},
                                    WeightFormat{WeightScheme::kInt4, 32}}) {
    const RandomDecoder decoder(sizes, {.blocks = format, .head = format}, 1);
    for (const KvFormat kv : {KvFormat::kFloat32, KvFormat::kInt8}) {
      ThreadPool pool(2);
      KvCache cache(kv, KvShapesOf(decoder.model), /*slots=*/2, /*capacity=*/32);
      DecodeStep step(decoder.model, cache, pool, /*max_tokens=*/8);
      std::vector<float> logits(2 * 96);
      const std::vector<int64_t> prompt = {1, 2, 3};
      std::vector<int64_t> tokens = {5, 6};
      const std::vector<SequenceTokens> prompts = {{.slot = 0, .tokens = prompt},
                                                   {.slot = 1, .tokens = prompt}};
      const std::vector<SequenceTokens> both = {
          {.slot = 0, .tokens = absl::MakeConstSpan(tokens).subspan(0, 1)},
          {.slot = 1, .tokens = absl::MakeConstSpan(tokens).subspan(1, 1)}};
      step.Run(prompts, logits.data());
      step.Run(both, logits.data());
      const int64_t before = allocations;
      for (int i = 0; i < 8; ++i) {
        step.Run(absl::MakeConstSpan(both).subspan(0, 1), logits.data());
        tokens[0] = step.ArgMax(logits.data());
        step.Run(both, logits.data());
      }
      EXPECT_EQ(allocations - before, 0)
          << FormatName(format) << (kv == KvFormat::kInt8 ? ", int8 keys and values" : "");
    }
  }
  const int64_t before = allocations;
  ::operator delete(::operator new(4));
  EXPECT_EQ(allocations - before, 1);  // the count works
}

}  // namespace
}  // namespace wattle::kernels
