// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokens that an example costs once its batch is padded to the longest example. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_PADDING_H_
#define WATTLE_SCHEDULER_PREDICT_PADDING_H_

#include "absl/types/span.h"

namespace wattle::scheduler {

// Expected maximum of `draws` independent draws, each cut at `limit`, from the distribution with
// these quantiles. The quantiles are evenly spaced from the minimum to the maximum, with straight
// lines between them; a single quantile is a constant. REQUIRES: quantiles are not empty and do not
// fall; draws >= 1.
double ExpectedMaximum(absl::Span<const double> quantiles, double draws, double limit);

// The share of the distribution above `limit`.
double ShareAbove(absl::Span<const double> quantiles, double limit);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_PADDING_H_
