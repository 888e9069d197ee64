// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Updates each part of a model in the backward pass, as soon as its gradients are complete (Lv et
// al., "Full parameter fine-tuning for large language models with limited resources", 2023), so
// that one buffer serves the gradients of all blocks. The norm over all gradients is not known at
// that time, so clipping limits the gradient of each part separately. Without clipping, the step
// equals an update after the backward pass, bit for bit.
//
// Invariant: no weight changes before the loss is known to be finite, to the host or to the device
// that decides in its place, and none changes by a non-finite gradient. A non-finite gradient
// leaves the parts above it updated and those below unchanged: such weights belong to no step, and
// the run can only continue from a checkpoint. May throw libtorch's exceptions.
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

// Places of the trainable parameters' gradients if parts share a buffer (models/model_part.h):
// parameters of several parts have the same place.
[[nodiscard]] ArenaLayout SharedGradientLayout(const std::vector<Parameter>& parameters,
                                               bool tied_head);

class UpdatesInBackward {
 public:
  // All arguments must outlive the object. gradients: zero, in a SharedGradientLayout.
  UpdatesInBackward(const AdamWSettings& settings, const GradientArena& gradients,
                    TrainingState& state);

  // Call when the gradients of `part` are complete: updates its weights and zeroes the gradients.
  // loss_sum: of the step. Errors: kAborted for a non-finite loss or gradient. A device decides by
  // itself whether and by how much to update, and End returns its error, so that this call does not
  // wait.
  absl::Status Update(const kernels::AdamWStep& step, const models::ModelPart& part,
                      const DeviceNumber& loss_sum);
  // Returns the loss of a step whose parts are updated, finite or not; waits for a device once.
  // Errors: kAborted for a finite loss with a non-finite gradient.
  absl::StatusOr<double> End(int64_t step, const DeviceNumber& loss_sum);

 private:
  [[nodiscard]] DeviceNumber NormOf(const std::vector<size_t>& parameters) const;

  const AdamWSettings& settings_;
  const GradientArena gradients_;
  TrainingState& state_;
  const bool ahead_;                                        // whether a device computes
  std::map<models::ModelPart, std::vector<size_t>> parts_;  // parameter indexes by part
  // For the current step, on a device: the numbers that must be finite for a part to be updated,
  // and the parts' norms.
  DeviceNumber decided_by_;
  std::vector<std::pair<models::ModelPart, DeviceNumber>> norms_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_UPDATES_IN_BACKWARD_H_
