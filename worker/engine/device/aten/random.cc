// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/aten/random.h"

#include <algorithm>
#include <array>

#include "worker/engine/kernels/random.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kWordBits = 32;
constexpr int64_t kWord = 0xFFFFFFFF;
constexpr int64_t kNumbersOfBlock = 4;
// Numbers that exist at the same time besides the result: each takes eight bytes, several times.
constexpr int64_t kNumbersTogether = 1 << 22;

at::TensorOptions WholeNumbersLike(const at::Tensor& like) {
  return at::dtype(at::kLong).device(like.device());
}

// Both halves of the products of words and a factor. A 64-bit product may overflow into the sign;
// its bits equal those of the unsigned product.
struct WideProduct {
  at::Tensor high;
  at::Tensor low;
};

WideProduct MultiplyWide(const at::Tensor& words, uint32_t factor) {
  const at::Tensor product = words.mul(static_cast<int64_t>(factor));
  return {.high = product.bitwise_right_shift(kWordBits).bitwise_and_(kWord),
          .low = product.bitwise_and(kWord)};
}

at::Tensor Xor(const at::Tensor& a, const at::Tensor& b, uint32_t key) {
  return a.bitwise_xor(b).bitwise_xor_(static_cast<int64_t>(key));
}

// The four numbers of each block. blocks: int64 of any shape → int64 [shape, 4].
at::Tensor Philox(const kernels::RandomStream& stream, const at::Tensor& blocks) {
  const kernels::PhiloxCounter counter = kernels::CounterOf(stream);
  std::array<at::Tensor, 4> words = {blocks};
  for (size_t word = 1; word < words.size(); ++word) {
    words[word] = at::full_like(blocks, static_cast<int64_t>(counter.words[word - 1]));
  }
  uint32_t key0 = counter.key[0];
  uint32_t key1 = counter.key[1];
  for (int round = 0; round < kernels::kPhiloxRounds; ++round) {
    const WideProduct product0 = MultiplyWide(words[0], kernels::kPhiloxMultiplier0);
    const WideProduct product1 = MultiplyWide(words[2], kernels::kPhiloxMultiplier1);
    words = {Xor(product1.high, words[1], key0), product1.low, Xor(product0.high, words[3], key1),
             product0.low};
    key0 += kernels::kPhiloxWeyl0;
    key1 += kernels::kPhiloxWeyl1;
  }
  return at::stack({words[0], words[1], words[2], words[3]}, -1);
}

// Numbers [first, first + count) of the stream: int64 [count].
at::Tensor Numbers(const kernels::RandomStream& stream, int64_t first, int64_t count,
                   const at::Tensor& like) {
  const int64_t first_block = first / kNumbersOfBlock;
  const int64_t end_block = (first + count + kNumbersOfBlock - 1) / kNumbersOfBlock;
  return Philox(stream, at::arange(first_block, end_block, WholeNumbersLike(like)))
      .flatten()
      .narrow(0, first % kNumbersOfBlock, count);
}

// float [like's shape], filled by values(first, count), float [count], piece by piece.
template <typename Values>
at::Tensor InPieces(const at::Tensor& like, int64_t together, Values values) {
  at::Tensor out = at::empty({like.numel()}, at::dtype(at::kFloat).device(like.device()));
  for (int64_t first = 0; first < out.numel(); first += together) {
    const int64_t count = std::min(together, out.numel() - first);
    out.narrow(0, first, count).copy_(values(first, count));
  }
  return out.view(like.sizes());
}

// bits: 0 or 1 → minus or plus the magnitude.
at::Tensor Signed(const at::Tensor& bits, float magnitude) {
  return bits.mul(2).sub_(1).to(at::kFloat).mul_(static_cast<double>(magnitude));
}

}  // namespace

at::Tensor DropoutFactors(const kernels::RandomStream& stream, double rate, int64_t first_element,
                          const at::Tensor& like) {
  const auto threshold = static_cast<int64_t>(rate * 0x1.0p32);
  const auto scale = static_cast<double>(static_cast<float>(1.0 / (1.0 - rate)));
  return InPieces(like, kNumbersTogether, [&](int64_t first, int64_t count) {
    return Numbers(stream, first_element + first, count, like)
        .ge(threshold)
        .to(at::kFloat)
        .mul_(scale);
  });
}

at::Tensor RandomSigns(const kernels::RandomStream& stream, float magnitude, int64_t first_element,
                       const at::Tensor& like) {
  return InPieces(like, kNumbersTogether, [&](int64_t first, int64_t count) {
    const int64_t begin = first_element + first;
    const int64_t first_number = begin / kWordBits;
    const int64_t numbers = (begin + count + kWordBits - 1) / kWordBits - first_number;
    const at::Tensor bits = Numbers(stream, first_number, numbers, like)
                                .unsqueeze(1)
                                .bitwise_right_shift(at::arange(kWordBits, WholeNumbersLike(like)))
                                .bitwise_and_(1);
    return Signed(bits.flatten().narrow(0, begin % kWordBits, count), magnitude);
  });
}

at::Tensor RandomSignsAt(const kernels::RandomStream& stream, float magnitude,
                         const at::Tensor& elements) {
  const at::Tensor numbers = elements.bitwise_right_shift(5);  // 32 signs per number
  const at::Tensor words = Philox(stream, numbers.floor_divide(kNumbersOfBlock))
                               .gather(-1, numbers.remainder(kNumbersOfBlock).unsqueeze(-1))
                               .squeeze(-1);
  return Signed(words.bitwise_right_shift(elements.remainder(kWordBits)).bitwise_and_(1),
                magnitude);
}

void RoundToBf16Stochastically(const kernels::RandomStream& stream, const at::Tensor& values,
                               const at::Tensor& numbers) {
  constexpr int64_t kHalf = 0xFFFF;
  constexpr int64_t kMagnitude = 0x7FFFFFFF;
  constexpr int64_t kInfinity = 0x7F800000;
  constexpr int64_t kQuiet = 0x00400000;
  constexpr int64_t kHalfBits = 16;
  const at::Tensor from = values.flatten();
  const at::Tensor to = numbers.flatten();
  for (int64_t first = 0; first < from.numel(); first += kNumbersTogether) {
    const int64_t count = std::min(kNumbersTogether, from.numel() - first);
    const at::Tensor words = Numbers(stream, first / 2, (count + 1) / 2, from);
    const at::Tensor added =
        at::stack({words.bitwise_and(kHalf), words.bitwise_right_shift(kHalfBits)}, -1)
            .flatten()
            .narrow(0, 0, count);
    const at::Tensor bits =
        from.narrow(0, first, count).view(at::kInt).to(at::kLong).bitwise_and_(kWord);
    const at::Tensor is_nan = bits.bitwise_and(kMagnitude).gt(kInfinity);
    // Non-finite values get no addend: a carry would turn them into other values.
    const at::Tensor rounded = at::where(bits.bitwise_and(kInfinity).ne(kInfinity), bits.add(added),
                                         bits.bitwise_or(is_nan.to(at::kLong).mul_(kQuiet)))
                                   .bitwise_right_shift_(kHalfBits);
    to.narrow(0, first, count).copy_(rounded.to(at::kShort).view(at::kBFloat16));
  }
}

}  // namespace wattle::engine
