// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NF4: sixteen levels at the quantiles of a normal distribution (Dettmers et al., "QLoRA", 2023,
// appendix E), one FP16 scale per group. The levels are rounded to multiples of 1/127, so that a
// product with int8 inputs is an integer product; this changes a level by at most 0.4 % of the
// scale.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "worker/engine/kernels/formats_internal.h"
#include "worker/engine/kernels/nf4_levels.h"

namespace wattle::kernels {
namespace {

constexpr int8_t kNf4ZeroCode = 7;  // the code of level 0

GroupScale ChooseNf4Scale(absl::Span<const float> weights) {
  float largest = 0.0F;
  for (const float weight : weights) {
    largest = std::max(largest, std::fabs(weight));
  }
  return {.scale = RoundToHalf(largest / 127.0F)};
}

int8_t EncodeNf4(float weight, GroupScale scale) {
  if (scale.scale == 0.0F) {
    return kNf4ZeroCode;
  }
  const float wanted = weight / scale.scale;
  const auto* above =
      std::lower_bound(std::begin(kNf4Levels), std::end(kNf4Levels), wanted,
                       [](int8_t level, float value) { return static_cast<float>(level) < value; });
  if (above == std::end(kNf4Levels)) {
    return 15;
  }
  const bool below_is_nearer =
      above != std::begin(kNf4Levels) &&
      wanted - static_cast<float>(above[-1]) < static_cast<float>(*above) - wanted;
  return static_cast<int8_t>(above - std::begin(kNf4Levels) - (below_is_nearer ? 1 : 0));
}

float DecodeNf4(int8_t code, GroupScale scale) {
  return scale.scale * static_cast<float>(kNf4Levels[code]);
}

}  // namespace

const FormatOperations& Nf4Operations() {
  static constexpr GroupCodec kCodec = {
      .choose_scale = ChooseNf4Scale, .encode = EncodeNf4, .decode = DecodeNf4};
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kNf4,
                                                   .name = "nf4",
                                                   .bits = 4,
                                                   .group_sizes = kGroupSizes,
                                                   .stored_bytes = NibbleBytes,
                                                   .codec = &kCodec,
                                                   .pack = PackNibbles,
                                                   .quantize = QuantizeByCodec,
                                                   .dequantize = DequantizeNibbles};
  return kOperations;
}

}  // namespace wattle::kernels
