// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int4 with a scale per group of columns, symmetric (scale * (code - 8)) and asymmetric (scale *
// code + minimum).
#include <algorithm>
#include <cmath>

#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr float kInt4ZeroCode = 8.0F;
constexpr float kInt4LargestCode = 15.0F;

int8_t HoldInside(float code) {
  return static_cast<int8_t>(std::clamp(std::nearbyint(code), 0.0F, kInt4LargestCode));
}

// The weight of largest magnitude gets code 0, which is eight steps from zero, one more than on the
// other side; the sign of the scale follows from it (as in llama.cpp's Q4_0).
GroupScale ChooseSymmetric(absl::Span<const float> weights) {
  float extreme = 0.0F;
  for (const float weight : weights) {
    extreme = std::fabs(weight) > std::fabs(extreme) ? weight : extreme;
  }
  return {.scale = RoundToHalf(extreme / -kInt4ZeroCode)};
}

int8_t EncodeSymmetric(float weight, GroupScale scale) {
  return scale.scale == 0.0F ? static_cast<int8_t>(kInt4ZeroCode)
                             : HoldInside(weight / scale.scale + kInt4ZeroCode);
}

float DecodeSymmetric(int8_t code, GroupScale scale) {
  return scale.scale * (static_cast<float>(code) - kInt4ZeroCode);
}

GroupScale ChooseAsymmetric(absl::Span<const float> weights) {
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  const float minimum = RoundToHalf(*low);
  return {.scale = RoundToHalf((*high - minimum) / kInt4LargestCode), .minimum = minimum};
}

int8_t EncodeAsymmetric(float weight, GroupScale scale) {
  return scale.scale == 0.0F ? int8_t{0} : HoldInside((weight - scale.minimum) / scale.scale);
}

float DecodeAsymmetric(int8_t code, GroupScale scale) {
  return scale.scale * static_cast<float>(code) + scale.minimum;
}

constexpr GroupCodec kSymmetric = {
    .choose_scale = ChooseSymmetric, .encode = EncodeSymmetric, .decode = DecodeSymmetric};
constexpr GroupCodec kAsymmetric = {
    .choose_scale = ChooseAsymmetric, .encode = EncodeAsymmetric, .decode = DecodeAsymmetric};

}  // namespace

const FormatOperations& Int4Operations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kInt4,
                                                   .name = "int4",
                                                   .bits = 4,
                                                   .group_sizes = kGroupSizes,
                                                   .stored_bytes = NibbleBytes,
                                                   .codec = &kSymmetric,
                                                   .pack = PackNibbles,
                                                   .quantize = QuantizeByCodec,
                                                   .dequantize = DequantizeNibbles};
  return kOperations;
}

const FormatOperations& Int4AsymmetricOperations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kInt4Asymmetric,
                                                   .name = "int4a",
                                                   .bits = 4,
                                                   .group_sizes = kGroupSizes,
                                                   .stored_bytes = NibbleBytes,
                                                   .codec = &kAsymmetric,
                                                   .pack = PackNibbles,
                                                   .quantize = QuantizeByCodec,
                                                   .dequantize = DequantizeNibbles};
  return kOperations;
}

}  // namespace wattle::kernels
