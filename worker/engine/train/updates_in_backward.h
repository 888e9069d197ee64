// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Updates each part of a model in the backward pass, as soon as its gradients are complete (Lv et
// al., "Full parameter fine-tuning for large language models with limited resources", 2023), so
// that one buffer serves the gradients of all blocks. No norm over all gradients is known then:
// clipping bounds the gradient of each part by itself. Without clipping, the step is that of an
// update after the backward pass, bit for bit.
//
// Invariant: no weight changes before the loss is known to be finite, to the host or to the device
// that decides in its place, and none by a gradient that is not. A gradient that is not finite
// leaves the parts above it updated and those below as they were: such weights are of no step, and
// only a checkpoint leads on. May throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_UPDATES_IN_BACKWARD_H_
#define WATTLE_WORKER_ENGINE_TRAIN_UPDATES_IN_BACKWARD_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "models/model_part.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/train/optimizer.h"
#include "worker/engine/train/training_state.h"

namespace wattle::engine {

// Where the gradients of the trainable parameters lie when parts share a buffer
// (models/model_part.h): parameters of several parts have one place.
[[nodiscard]] ArenaLayout SharedGradientLayout(const std::vector<Parameter>& parameters,
                                               bool tied_head);

class UpdatesInBackward {
 public:
  // All of them outlive the object. gradients: zero, in a SharedGradientLayout.
  UpdatesInBackward(const AdamWSettings& settings, const GradientArena& gradients,
                    TrainingState& state);

  // The gradients of `part` are complete: updates its weights and zeroes the gradients. loss_sum:
  // of the step. Errors: kAborted for a loss or gradient that is not finite. A device decides by
  // itself whether and by how much to update, and End tells the error: nobody waits for it here.
  absl::Status Update(const kernels::AdamWStep& step, const models::ModelPart& part,
                      const DeviceNumber& loss_sum);
  // The loss of a step whose parts are updated, finite or not: waits for a device once. Errors:
  // kAborted for a finite loss with a gradient that is not.
  absl::StatusOr<double> End(int64_t step, const DeviceNumber& loss_sum);

 private:
  [[nodiscard]] DeviceNumber NormOf(const std::vector<size_t>& parameters) const;

  const AdamWSettings& settings_;
  const GradientArena gradients_;
  TrainingState& state_;
  const bool ahead_;                                        // a device computes
  std::map<models::ModelPart, std::vector<size_t>> parts_;  // of parameters
  // Of the step, on a device: what must be finite for a part to be updated, and the parts' norms.
  DeviceNumber decided_by_;
  std::vector<std::pair<models::ModelPart, DeviceNumber>> norms_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_UPDATES_IN_BACKWARD_H_
