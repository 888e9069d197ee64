// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products with weights in FP32, FP16 and BF16. Included once per instruction set, after the lanes
// of that set.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_WEIGHTS_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_WEIGHTS_INL_H_

#include <cstdint>

#include "worker/engine/kernels/isa/products_inl.h"

namespace wattle::kernels {
namespace {

// Calls function.template operator()<i>() for i from 0 to kCount - 1. An index that is constant
// from the beginning keeps a small array in registers; in a loop that is unrolled only later, the
// array is stored in every iteration.
template <int kCount, int kFirst = 0, typename Function>
[[gnu::always_inline]] inline void Unrolled(const Function& function) {
  if constexpr (kFirst < kCount) {
    function.template operator()<kFirst>();
    Unrolled<kCount, kFirst + 1>(function);
  }
}

// How dots of few inputs read weights, and the factors of the inputs before and of the sums after:
// one, except if FP16 is read times 2^-112 (LoadSmallHalves). Inputs are then multiplied by 2^64
// and sums by 2^48. Powers of two change no rounding within FP32's range: inputs below 2^64 stay
// finite, products are then below 2^32, and a sum, stored at 2^-48 of its size, has all its bits
// from 2^-77 up.
template <typename Weight>
struct Factors {
  static constexpr float kInputScale = 1.0F;
  static constexpr float kSumScale = 1.0F;
  static F At(const Weight* from) { return LoadFloats(from); }
};
template <>
struct Factors<Half> {
  static constexpr float kInputScale = kSmallHalf == 1.0F ? 1.0F : 0x1p64F;
  static constexpr float kSumScale = 1.0F / (kSmallHalf * kInputScale);
  static F At(const Half* from) { return LoadSmallHalves(&from->bits); }
};

// dots[t][r] = Σ_c weights[r][c] inputs[t][c] for kRows rows and kInputs inputs, which include
// their scale.
template <int kRows, int kInputs, typename Weight>
inline void FloatDots(const Weight* weights, int64_t columns, const float* inputs,
                      int64_t input_stride, float (*dots)[kLanes]) {
  using Read = Factors<Weight>;
  F sums[kRows][kInputs];
  Unrolled<kRows * kInputs>([&]<int i>() { sums[i / kInputs][i % kInputs] = Set(0.0F); });
  const Weight* rows[kRows];
  Unrolled<kRows>([&]<int r>() { rows[r] = weights + r * columns; });
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    Unrolled<kRows>([&]<int r>() {
      const F weight = Read::At(rows[r]);
      rows[r] += kLanes;
      Unrolled<kInputs>([&]<int t>() {
        sums[r][t] = MulAdd(weight, Load(inputs + t * input_stride + c), sums[r][t]);
      });
    });
  }
  const int64_t left = columns - c;
  Unrolled<kRows>([&]<int r>() {
    alignas(64) float rest[kLanes];
    if (left > 0) {
      alignas(64) Weight some[kLanes] = {};
      for (int64_t i = 0; i < left; ++i) {
        some[i] = rows[r][i];
      }
      Store(rest, Read::At(some));
    }
    Unrolled<kInputs>([&]<int t>() {
      float sum = ReduceAdd(sums[r][t]);
      for (int64_t i = 0; i < left; ++i) {
        sum += rest[i] * inputs[t * input_stride + c + i];
      }
      dots[t][r] = sum * Read::kSumScale;
    });
  });
}

// Few inputs: the weights are read row by row, once for all inputs of the block.
template <int kInputs, typename Weight>
inline void FloatPanelFew(const Product& p, int64_t panel, int64_t input) {
  alignas(64) float dots[kInputs][kLanes] = {};
  const float* inputs = p.inputs.values + input * p.inputs.value_stride;
  const auto* weights = static_cast<const Weight*>(p.packed) + panel * kLanes * p.columns;
  const int64_t rows = Smaller(kLanes, p.rows - panel * kLanes);
  float block[kInputs][kLanes];
  constexpr int kRows = kFloatDots / kInputs < 4 ? kFloatDots / kInputs : 4;
  for (int64_t r = 0; r < rows;) {
    const int64_t step = r + kRows <= rows ? kRows : 1;
    if (step == kRows) {
      FloatDots<kRows, kInputs>(weights + r * p.columns, p.columns, inputs, p.inputs.value_stride,
                                block);
    } else {
      FloatDots<1, kInputs>(weights + r * p.columns, p.columns, inputs, p.inputs.value_stride,
                            block);
    }
    for (int t = 0; t < kInputs; ++t) {
      for (int64_t i = 0; i < step; ++i) {
        dots[t][r + i] = block[t][i];
      }
    }
    r += step;
  }
  for (int t = 0; t < kInputs; ++t) {
    StorePanel(p, panel, input + t, Load(dots[t]));
  }
}

// Two panels' weights as [columns][2 * 16], zeros where the matrix ends.
template <typename Weight>
inline void PackFloats(const Product& p, int64_t panel, float* packed) {
  const auto* weights = static_cast<const Weight*>(p.packed);
  for (int64_t lane = 0; lane < 2 * kLanes; ++lane) {
    const int64_t row = panel * kLanes + lane;
    for (int64_t c = 0; c < p.columns; c += kLanes) {
      const int64_t count = row < p.rows ? Smaller(kLanes, p.columns - c) : 0;
      alignas(64) float values[kLanes];
      Store(values, LoadSome(weights + row * p.columns + c, count));
      float* to = packed + c * 2 * kLanes + lane;
      if (c + kLanes <= p.columns) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) {
          to[i * 2 * kLanes] = values[i];
        }
        continue;
      }
      for (int64_t i = 0; i < p.columns - c; ++i) {
        to[i * 2 * kLanes] = values[i];
      }
    }
  }
}

template <int kInputs, int kPanels>
inline void FloatTile(const Product& p, const float* packed, int64_t panel, int64_t input) {
  F sums[kInputs][kPanels];
  for (auto& of_input : sums) {
    for (F& sum : of_input) {
      sum = Set(0.0F);
    }
  }
  const float* inputs = p.inputs.values + input * p.inputs.value_stride;
  for (int64_t c = 0; c < p.columns; ++c) {
    F weights[kPanels];
    for (int i = 0; i < kPanels; ++i) {
      weights[i] = Load(packed + (c * 2 + i) * kLanes);
    }
    for (int t = 0; t < kInputs; ++t) {
      const F value = Set(inputs[t * p.inputs.value_stride + c]);
      for (int i = 0; i < kPanels; ++i) {
        sums[t][i] = MulAdd(weights[i], value, sums[t][i]);
      }
    }
  }
  for (int t = 0; t < kInputs; ++t) {
    for (int i = 0; i < kPanels; ++i) {
      StorePanel(p, panel + i, input + t, sums[t][i]);
    }
  }
}

// From this number of inputs on, packing two panels pays off.
constexpr int64_t kManyInputs = 8;

// The inputs times `scale`, in the product's scratch.
inline InputRows ScaledInputs(const Product& p, float scale) {
  static_assert((kManyInputs - 1) * sizeof(float) <= kProductScratchBytesOfColumn);
  auto* scaled = static_cast<float*>(p.scratch);
  for (int64_t t = 0; t < p.inputs.count; ++t) {
    const float* values = p.inputs.values + t * p.inputs.value_stride;
    float* to = scaled + t * p.columns;
    int64_t c = 0;
    for (; c + kLanes <= p.columns; c += kLanes) {
      Store(to + c, Mul(Load(values + c), Set(scale)));
    }
    for (; c < p.columns; ++c) {
      to[c] = values[c] * scale;
    }
  }
  InputRows inputs = p.inputs;
  inputs.values = scaled;
  inputs.value_stride = p.columns;
  return inputs;
}

template <typename Weight>
inline void FloatProduct(const Product& p, int64_t first_panel, int64_t end_panel) {
  if (p.inputs.count < kManyInputs) {
    Product few = p;
    if constexpr (Factors<Weight>::kInputScale != 1.0F) {
      few.inputs = ScaledInputs(p, Factors<Weight>::kInputScale);
    }
    for (int64_t panel = first_panel; panel < end_panel; ++panel) {
      OverInputs(p.inputs.count, [&]<int kInputs>(int64_t input) {
        FloatPanelFew<kInputs, Weight>(few, panel, input);
      });
    }
    return;
  }
  auto* packed = static_cast<float*>(p.scratch);
  for (int64_t panel = first_panel; panel < end_panel; panel += 2) {
    PackFloats<Weight>(p, panel, packed);
    if (kFloatPanels == 2 && panel + 2 <= end_panel) {
      OverInputs(p.inputs.count, [&]<int kInputs>(int64_t input) {
        FloatTile<kInputs, kFloatPanels>(p, packed, panel, input);
      });
      continue;
    }
    for (int64_t i = 0; i < Smaller(2, end_panel - panel); ++i) {
      OverInputs(p.inputs.count, [&]<int kInputs>(int64_t input) {
        FloatTile<kInputs, 1>(p, packed + i * kLanes, panel + i, input);
      });
    }
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_WEIGHTS_INL_H_
