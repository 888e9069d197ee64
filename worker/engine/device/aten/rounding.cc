// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/kernels/nf4_levels.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::WeightScheme;

// The nearest finite FP16 number of each element.
at::Tensor RoundedToHalf(const at::Tensor& x) {
  constexpr double kLargestHalf = 65504.0;
  return x.to(at::kHalf).to(at::kFloat).clamp_(-kLargestHalf, kLargestHalf);
}

// A division by a host scalar: CUDA would multiply with its reciprocal, which differs in the last
// bit.
at::Tensor DividedBy(const at::Tensor& x, double divisor) {
  return x.div(at::full_like(x, divisor));
}

// The divisor of a scale: 1 for a scale of zero, whose values are all zero.
at::Tensor DivisorOf(const at::Tensor& scales) {
  return at::where(scales == 0, at::ones_like(scales), scales);
}

// Each function: groups: float [rows, groups, columns of a group] → their nearest weights.

at::Tensor NearestInt8(const at::Tensor& groups) {
  const at::Tensor scales = DividedBy(groups.abs().amax(-1, /*keepdim=*/true), 127.0);
  return groups.div(DivisorOf(scales)).round_().clamp_(-127.0, 127.0).mul_(scales);
}

at::Tensor NearestInt8Grouped(const at::Tensor& groups) {
  const at::Tensor scales =
      RoundedToHalf(DividedBy(groups.abs().amax(-1, /*keepdim=*/true), 127.0));
  return groups.div(DivisorOf(scales)).round_().clamp_(-128.0, 127.0).mul_(scales);
}

at::Tensor NearestInt4(const at::Tensor& groups) {
  const at::Tensor extremes = groups.gather(-1, groups.abs().argmax(-1, /*keepdim=*/true));
  const at::Tensor scales = RoundedToHalf(extremes.div(-8.0));
  return groups.div(DivisorOf(scales)).add_(8.0).round_().clamp_(0.0, 15.0).sub_(8.0).mul_(scales);
}

at::Tensor NearestInt4Asymmetric(const at::Tensor& groups) {
  const at::Tensor minimums = RoundedToHalf(groups.amin(-1, /*keepdim=*/true));
  const at::Tensor scales =
      RoundedToHalf(DividedBy(groups.amax(-1, /*keepdim=*/true) - minimums, 15.0));
  return (groups - minimums)
      .div_(DivisorOf(scales))
      .round_()
      .clamp_(0.0, 15.0)
      .mul_(scales)
      .add_(minimums);
}

at::Tensor NearestNf4(const at::Tensor& groups) {
  at::Tensor of_host = at::empty({16}, at::kFloat);
  std::copy(std::begin(kernels::kNf4Levels), std::end(kernels::kNf4Levels),
            of_host.data_ptr<float>());
  const at::Tensor levels = Upload(of_host, groups.device());
  const at::Tensor scales =
      RoundedToHalf(DividedBy(groups.abs().amax(-1, /*keepdim=*/true), 127.0));
  const at::Tensor wanted = groups.div(DivisorOf(scales));
  const at::Tensor place = at::bucketize(wanted, levels).flatten();
  const auto level_at = [&](const at::Tensor& index) {
    return levels.index_select(0, index.clamp(0, 15)).view(wanted.sizes());
  };
  const at::Tensor above = level_at(place);
  const at::Tensor below = level_at(place.sub(1));
  return at::where(wanted - below < above - wanted, below, above).mul_(scales);
}

at::Tensor Nearest(WeightScheme scheme, const at::Tensor& groups) {
  switch (scheme) {
    case WeightScheme::kInt8:
      return NearestInt8(groups);
    case WeightScheme::kInt8Grouped:
      return NearestInt8Grouped(groups);
    case WeightScheme::kInt4:
      return NearestInt4(groups);
    case WeightScheme::kInt4Asymmetric:
      return NearestInt4Asymmetric(groups);
    case WeightScheme::kNf4:
      return NearestNf4(groups);
    default:
      break;
  }
  WATTLE_CHECK(false, "a format with a codec");
  return groups;
}

}  // namespace

void AtenDevice::RoundToCodes(kernels::WeightFormat format, const at::Tensor& weights,
                              const at::Tensor& rounded) const {
  const kernels::WeightMatrix shape{
      .format = format, .rows = weights.size(0), .columns = weights.size(1)};
  rounded.copy_(Nearest(format.scheme, weights.view({shape.rows, kernels::GroupsOfRow(shape), -1}))
                    .view(weights.sizes()));
}

}  // namespace wattle::engine
