// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/loss_scale.h"

#include <limits>

#include "absl/strings/str_format.h"

namespace wattle::engine {

absl::Status EndStep(const LossScaleSettings& settings, bool finite, LossScale& state) {
  if (!finite) {
    // The overflow may come from the scale itself: retry with a smaller one before giving up.
    const double smaller = state.scale * kLossScaleBackoff;
    if (smaller < settings.minimum) {
      return absl::AbortedError(absl::StrFormat(
          "the gradient is not finite, and the loss scale of %.0f cannot be halved; use a lower "
          "learning_rate, a warm-up, or precision: bf16",
          state.scale));
    }
    // Resets good_steps: growth needs an uninterrupted series, as in GradScaler.
    state = {.scale = smaller, .skipped_steps = state.skipped_steps + 1};
    return absl::OkStatus();
  }
  ++state.good_steps;
  // A larger scale keeps more of the small gradients, and an overflow costs only one step.
  if (state.good_steps == settings.growth_interval) {
    const double larger = state.scale * kLossScaleGrowth;
    // The scale multiplies FP32 numbers, so it must be representable in FP32.
    state.scale = larger <= std::numeric_limits<float>::max() ? larger : state.scale;
    state.good_steps = 0;
  }
  return absl::OkStatus();
}

}  // namespace wattle::engine
