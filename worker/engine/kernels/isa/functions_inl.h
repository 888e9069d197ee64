// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The operations of a decoder other than products, written once over the sixteen lanes of
// lanes_*.h, one of which is included before this file: exponential, nonlinearities, norms, input
// quantization, the largest element. Additions are never fused with multiplications (the files are
// compiled with -ffp-contract=off), so every instruction set gives the same bits.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_FUNCTIONS_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_FUNCTIONS_INL_H_

#include <cstdint>

#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {
namespace {

// The nearest integer, ties to even, for |a| below 2^22.
inline F RoundLanes(F a) {
  const F shift = Set(12582912.0F);  // 1.5 * 2^23
  return Sub(Add(a, shift), shift);
}

// e^a, relative error below 2e-7; a below -87.3 gives about 1e-38, a above 88 about 1e38.
// The reduction and the polynomial are those of Cephes' expf.
inline F Exponential(F a) {
  a = Min(Max(a, Set(-87.3F)), Set(88.0F));
  const F n = RoundLanes(Mul(a, Set(1.44269504088896341F)));
  F r = Sub(a, Mul(n, Set(0.693359375F)));
  r = Sub(r, Mul(n, Set(-2.12194440e-4F)));
  F y = Set(1.9875691500e-4F);
  y = Add(Mul(y, r), Set(1.3981999507e-3F));
  y = Add(Mul(y, r), Set(8.3334519073e-3F));
  y = Add(Mul(y, r), Set(4.1665795894e-2F));
  y = Add(Mul(y, r), Set(1.6666665459e-1F));
  y = Add(Mul(y, r), Set(5.0000001201e-1F));
  y = Add(Mul(Mul(y, r), r), Add(r, Set(1.0F)));
  return Mul(y, PowerOfTwo(n));
}

inline F Logistic(F a) {
  return Div(Set(1.0F), Add(Set(1.0F), Exponential(Sub(Set(0.0F), a))));
}

// 0.5 (1 + tanh u) is the logistic function of 2 u.
inline F GeluTanh(F x) {
  const F cube = Mul(Mul(x, x), x);
  const F inner = Add(x, Mul(cube, Set(0.044715F)));
  return Mul(x, Logistic(Mul(inner, Set(1.5957691216057308F))));  // 2 √(2/π)
}

// 1 - erf(|x| / √2) by Abramowitz and Stegun, formula 7.1.26, absolute error 1.5e-7.
inline F ErfTail(F x) {
  const F z = Mul(Abs(x), Set(0.70710678118654752F));
  const F t = Div(Set(1.0F), Add(Set(1.0F), Mul(z, Set(0.3275911F))));
  F y = Set(1.061405429F);
  y = Add(Mul(y, t), Set(-1.453152027F));
  y = Add(Mul(y, t), Set(1.421413741F));
  y = Add(Mul(y, t), Set(-0.284496736F));
  y = Add(Mul(y, t), Set(0.254829592F));
  return Mul(Mul(y, t), Exponential(Sub(Set(0.0F), Mul(z, z))));
}

inline F GeluErf(F x) {
  const F tail = ErfTail(x);
  // x Φ(x) = x - x tail / 2 for x ≥ 0 and x tail / 2 below: both are max(x, 0) - |x| tail / 2.
  return Sub(Max(x, Set(0.0F)), Mul(Mul(Abs(x), tail), Set(0.5F)));
}

// The derivatives. The logistic function s has derivative s (1 - s).
inline F SiluSlope(F x) {
  const F s = Logistic(x);
  return Add(s, Mul(Mul(x, s), Sub(Set(1.0F), s)));
}
inline F GeluTanhSlope(F x) {
  const F square = Mul(x, x);
  const F inner = Mul(x, Add(Set(1.0F), Mul(square, Set(0.044715F))));
  const F s = Logistic(Mul(inner, Set(1.5957691216057308F)));
  const F inner_slope = Mul(Add(Set(1.0F), Mul(square, Set(0.134145F))), Set(1.5957691216057308F));
  return Add(s, Mul(Mul(Mul(x, s), Sub(Set(1.0F), s)), inner_slope));
}
// Φ(x) + x φ(x).
inline F GeluErfSlope(F x) {
  const F half_tail = Mul(ErfTail(x), Set(0.5F));
  // Φ(x) is 1 - tail / 2 for x ≥ 0 and tail / 2 below.
  const F below = Min(Max(Mul(x, Set(-1e38F)), Set(0.0F)), Set(1.0F));
  const F above = Sub(Set(1.0F), below);
  const F probability = Add(Mul(above, Sub(Set(1.0F), half_tail)), Mul(below, half_tail));
  const F density = Mul(Exponential(Mul(Mul(x, x), Set(-0.5F))), Set(0.3989422804014327F));
  return Add(probability, Mul(x, density));
}

// NaN stays NaN: Max and Min return the second argument if they cannot compare.
inline F Relu(F x) {
  return Max(Set(0.0F), x);
}
// 1 for values above 0, even for the smallest number, else 0.
inline F ReluSlope(F x) {
  return Min(Set(1.0F), Relu(Mul(Mul(x, Set(1e38F)), Set(1e38F))));
}

inline F Slope(Nonlinearity f, F x) {
  switch (f) {
    case Nonlinearity::kNone:
      break;
    case Nonlinearity::kGeluTanh:
      return GeluTanhSlope(x);
    case Nonlinearity::kGeluErf:
      return GeluErfSlope(x);
    case Nonlinearity::kSilu:
      return SiluSlope(x);
    case Nonlinearity::kRelu:
      return ReluSlope(x);
  }
  return Set(1.0F);
}

// Inlined for the reason given at StorePanel (products_inl.h).
[[gnu::always_inline]] inline F Apply(Nonlinearity f, F x) {
  switch (f) {
    case Nonlinearity::kNone:
      return x;
    case Nonlinearity::kGeluTanh:
      return GeluTanh(x);
    case Nonlinearity::kGeluErf:
      return GeluErf(x);
    case Nonlinearity::kSilu:
      return Mul(x, Logistic(x));
    case Nonlinearity::kRelu:
      return Relu(x);
  }
  return x;
}

// An FP16 or BF16 number in memory.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

inline F LoadFloats(const float* from) {
  return Load(from);
}
inline F LoadFloats(const Half* from) {
  return LoadHalves(&from->bits);
}
inline F LoadFloats(const Bfloat* from) {
  return LoadBfloats(&from->bits);
}

// Up to 16 values; the remaining lanes are `filler`.
template <typename Number>
inline F LoadSome(const Number* from, int64_t count, Number filler = {}) {
  if (count >= 16) {
    return LoadFloats(from);
  }
  alignas(64) Number values[16];
  for (int64_t i = 0; i < 16; ++i) {
    values[i] = i < count ? from[i] : filler;
  }
  return LoadFloats(values);
}

inline void StoreSome(float* to, int64_t count, F a) {
  if (count >= 16) {
    Store(to, a);
    return;
  }
  alignas(64) float values[16];
  Store(values, a);
  for (int64_t i = 0; i < count; ++i) {
    to[i] = values[i];
  }
}

inline void Activate(Nonlinearity f, int64_t count, const float* partner, float* values) {
  for (int64_t i = 0; i < count; i += 16) {
    F value = Apply(f, LoadSome(values + i, count - i, 0.0F));
    if (partner != nullptr) {
      value = Mul(value, LoadSome(partner + i, count - i, 0.0F));
    }
    StoreSome(values + i, count - i, value);
  }
}

inline void ActivateBackward(Nonlinearity f, int64_t count, const float* values, float* gradients) {
  for (int64_t i = 0; i < count; i += 16) {
    const F slope = Slope(f, LoadSome(values + i, count - i, 0.0F));
    StoreSome(gradients + i, count - i, Mul(LoadSome(gradients + i, count - i, 0.0F), slope));
  }
}

// 1 / √value; every processor rounds the square root and the quotient correctly.
inline float ReciprocalRoot(float value) {
  return 1.0F / __builtin_sqrtf(value);
}

inline void Normalize(const Norm& norm, const float* x, float* out) {
  const int64_t width = norm.width;
  const auto count = static_cast<float>(width);
  float mean = 0.0F;
  if (norm.subtract_mean) {
    F sum = Set(0.0F);
    for (int64_t i = 0; i < width; i += 16) {
      sum = Add(sum, LoadSome(x + i, width - i, 0.0F));
    }
    mean = ReduceAdd(sum) / count;
  }
  const F center = Set(mean);
  F squares = Set(0.0F);
  for (int64_t i = 0; i < width; i += 16) {
    const F apart = Sub(LoadSome(x + i, width - i, mean), center);
    squares = Add(squares, Mul(apart, apart));
  }
  const F factor = Set(ReciprocalRoot(ReduceAdd(squares) / count + norm.epsilon));
  for (int64_t i = 0; i < width; i += 16) {
    const F apart = Sub(LoadSome(x + i, width - i, 0.0F), center);
    const F gain = Add(LoadSome(norm.gain + i, width - i, 0.0F), Set(norm.gain_offset));
    F value = Mul(Mul(apart, factor), gain);
    if (norm.bias != nullptr) {
      value = Add(value, LoadSome(norm.bias + i, width - i, 0.0F));
    }
    StoreSome(out + i, width - i, value);
  }
}

inline void QuantizeInput(const InputQuantization& task) {
  for (int64_t start = 0, g = 0; start < task.columns; start += task.group, ++g) {
    const int64_t end = start + task.group < task.columns ? start + task.group : task.columns;
    F largest = Set(0.0F);
    for (int64_t i = start; i < end; i += 16) {
      largest = Max(largest, Abs(LoadSome(task.values + i, end - i, 0.0F)));
    }
    const float magnitude = ReduceMax(largest);
    task.scales[g] = magnitude / 127.0F;
    // A subnormal magnitude would have an infinite inverse, so such a group counts as zeros.
    const F inverse = Set(magnitude < 1e-35F ? 0.0F : 127.0F / magnitude);
    int32_t sum = 0;
    for (int64_t i = start; i < end; i += 16) {
      StoreRounded(task.codes + i, Mul(LoadSome(task.values + i, end - i, 0.0F), inverse));
      sum += SumBytes(task.codes + i);
    }
    task.sums[g] = sum;
  }
  for (int64_t i = (task.columns + 15) / 16 * 16; i < task.code_stride; ++i) {
    task.codes[i] = 0;
  }
}

inline int64_t ArgMax(const float* values, int64_t count) {
  constexpr int64_t kBlock = 256;
  float largest = values[0];
  int64_t block = 0;
  for (int64_t start = 0; start < count; start += kBlock) {
    const int64_t end = start + kBlock < count ? start + kBlock : count;
    F most = Set(values[start]);
    for (int64_t i = start; i < end; i += 16) {
      most = Max(LoadSome(values + i, end - i, values[start]), most);
    }
    const float candidate = ReduceMax(most);
    if (candidate > largest) {
      largest = candidate;
      block = start;
    }
  }
  for (int64_t i = block; i < count; ++i) {
    if (values[i] == largest) {
      return i;
    }
  }
  return 0;  // only NaN
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_FUNCTIONS_INL_H_
