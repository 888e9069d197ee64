// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How many tokens an example costs once its batch is padded to its longest member. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_PADDING_H_
#define WATTLE_SCHEDULER_PREDICT_PADDING_H_

#include "absl/types/span.h"

namespace wattle::scheduler {

// Expected maximum of `draws` independent draws from the distribution with these quantiles (evenly
// spaced from the minimum to the maximum, straight lines between), each cut at `limit`. One
// quantile is a constant. REQUIRES: quantiles not empty and not falling, draws >= 1.
double ExpectedMaximum(absl::Span<const double> quantiles, double draws, double limit);

// Share of the distribution above `limit`.
double ShareAbove(absl::Span<const double> quantiles, double limit);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_PADDING_H_
