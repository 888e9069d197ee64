// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/updates_in_backward.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/engine/device/device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

std::string GradientOf(const models::ModelPart& part) {
  switch (part.kind) {
    case models::PartKind::kHead:
      return "gradient of the head";
    case models::PartKind::kBlock:
      return absl::StrCat("gradient of layer ", part.layer);
    case models::PartKind::kTables:
      break;
  }
  return "gradient of the embedding";
}

absl::Status CheckFinite(int64_t step, const std::string& what, double number) {
  return std::isfinite(number)
             ? absl::OkStatus()
             : absl::AbortedError(absl::StrCat("step ", step, ": the ", what,
                                               " is not finite; use a lower learning_rate or a "
                                               "warm-up"));
}

}  // namespace

ArenaLayout SharedGradientLayout(const std::vector<Parameter>& parameters, bool tied_head) {
  const ArenaLayout apart = TrainableLayout(parameters);
  ArenaLayout layout;
  layout.offsets.assign(parameters.size(), ArenaLayout::kAbsent);
  std::map<models::ModelPart, int64_t> used;  // elements of each part so far
  int64_t shared = 0;
  int64_t own = 0;
  // Shared buffers first: their extent is where the gradients with buffers of their own begin.
  for (const bool wants_own : {false, true}) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      const models::ModelPart part = models::PartOf(parameters[i].tensor);
      if (!apart.holds(i) || models::HasOwnBuffer(part, tied_head) != wants_own) {
        continue;
      }
      const int64_t count = parameters[i].tensor.element_count();
      const int64_t room = (count + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
      int64_t& elements = used[part];
      // All sharing parts start at 0, because their gradients never exist at the same time.
      layout.offsets[i] = (wants_own ? shared : 0) + elements;
      elements += room;
      int64_t& extent = wants_own ? own : shared;
      extent = std::max(extent, elements);
    }
  }
  layout.elements = shared + own;
  return layout;
}

UpdatesInBackward::UpdatesInBackward(const AdamWSettings& settings, const GradientArena& gradients,
                                     TrainingState& state)
    : settings_(settings),
      gradients_(gradients),
      state_(state),
      ahead_(!OperationsOn(gradients.arena).in_host_memory()) {
  const std::vector<Parameter>& parameters = state.model.parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (gradients.layout.holds(i)) {
      parts_[models::PartOf(parameters[i].tensor)].push_back(i);
    }
  }
}

DeviceNumber UpdatesInBackward::NormOf(const std::vector<size_t>& parameters) const {
  std::vector<DeviceNumber> norms;
  norms.reserve(parameters.size());
  for (const size_t i : parameters) {
    norms.push_back(GradientNorm(
        ArenaView(gradients_.arena, gradients_.layout, state_.model.parameters, i).flatten()));
  }
  // On a device the norm stays there: reading it would stop the pass at every part.
  if (ahead_) {
    at::Tensor squares;
    for (const DeviceNumber& norm : norms) {
      const at::Tensor square = norm.OnDevice().square();
      squares = squares.defined() ? squares + square : square;
    }
    return DeviceNumber(squares.sqrt());
  }
  double squares = 0.0;
  for (const double norm : DeviceNumber::ReadAll(norms)) {
    squares += norm * norm;
  }
  return DeviceNumber(std::sqrt(squares));
}

absl::Status UpdatesInBackward::Update(const kernels::AdamWStep& step,
                                       const models::ModelPart& part,
                                       const DeviceNumber& loss_sum) {
  if (!ahead_) {
    // Before the first update, which could not be undone.
    WATTLE_RETURN_IF_ERROR(CheckFinite(step.step, "loss", loss_sum.Read()));
  } else if (norms_.empty()) {
    decided_by_ = loss_sum;
  }
  const auto found = parts_.find(part);
  if (found == parts_.end()) {
    return absl::OkStatus();
  }
  const DeviceNumber norm = NormOf(found->second);
  kernels::AdamWStep own = step;
  at::Tensor decided;
  if (ahead_) {
    decided = ClipScaleOnDevice(settings_, /*loss_scale=*/1.0, decided_by_, norm);
    // Any non-finite norm so far makes the sum non-finite, and so stops the updates of all later
    // parts.
    decided_by_ += norm;
    norms_.emplace_back(part, norm);
  } else {
    WATTLE_RETURN_IF_ERROR(CheckFinite(step.step, GradientOf(part), norm.Read()));
    own.gradient_scale = ClipScale(settings_, norm.Read());
  }
  const TrainedValues trained = state_.trained();
  UpdateSome(own, {trained.parameters, trained.values}, gradients_, found->second, state_.optimizer,
             decided);
  for (const size_t i : found->second) {
    // The next part adds its gradients in the same memory.
    ArenaView(gradients_.arena, gradients_.layout, trained.parameters, i).zero_();
  }
  return absl::OkStatus();
}

absl::StatusOr<double> UpdatesInBackward::End(int64_t step, const DeviceNumber& loss_sum) {
  std::vector<DeviceNumber> numbers = {loss_sum};
  for (const auto& [part, norm] : norms_) {
    numbers.push_back(norm);
  }
  // One wait for all numbers of the step.
  const std::vector<double> read = DeviceNumber::ReadAll(numbers);
  const auto norms = std::exchange(norms_, {});
  for (size_t i = 0; i < norms.size() && std::isfinite(read[0]); ++i) {
    WATTLE_RETURN_IF_ERROR(CheckFinite(step, GradientOf(norms[i].first), read[i + 1]));
  }
  return read[0];
}

}  // namespace wattle::engine
