// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/updates_in_backward.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include <ATen/core/Tensor.h>

namespace wattle::engine {
namespace {

std::string NameOf(const models::ModelPart& part) {
  switch (part.kind) {
    case models::PartKind::kHead:
      return "the head";
    case models::PartKind::kBlock:
      return absl::StrCat("layer ", part.layer);
    case models::PartKind::kTables:
      break;
  }
  return "the embedding";
}

}  // namespace

ArenaLayout SharedGradientLayout(const std::vector<Parameter>& parameters, bool tied_head) {
  const ArenaLayout apart = TrainableLayout(parameters);
  ArenaLayout layout;
  layout.offsets.assign(parameters.size(), ArenaLayout::kAbsent);
  std::map<models::ModelPart, int64_t> used;  // elements of each part so far
  int64_t shared = 0;
  int64_t own = 0;
  for (const bool wants_own : {false, true}) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      const models::ModelPart part = models::PartOf(parameters[i].tensor);
      if (!apart.holds(i) || models::HasOwnBuffer(part, tied_head) != wants_own) {
        continue;
      }
      const int64_t count = parameters[i].tensor.element_count();
      const int64_t room = (count + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
      int64_t& elements = used[part];
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
    : settings_(settings), gradients_(gradients), state_(state) {
  const std::vector<Parameter>& parameters = state.model.parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (gradients.layout.holds(i)) {
      parts_[models::PartOf(parameters[i].tensor)].push_back(i);
    }
  }
}

double UpdatesInBackward::NormOf(const std::vector<size_t>& parameters) const {
  std::vector<DeviceNumber> norms;
  norms.reserve(parameters.size());
  for (const size_t i : parameters) {
    norms.push_back(GradientNorm(
        ArenaView(gradients_.arena, gradients_.layout, state_.model.parameters, i).flatten()));
  }
  double squares = 0.0;
  for (const double norm : DeviceNumber::ReadAll(norms)) {
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

absl::Status UpdatesInBackward::Update(const kernels::AdamWStep& step,
                                       const models::ModelPart& part, double loss) {
  if (!std::isfinite(loss)) {
    return absl::AbortedError(absl::StrCat(
        "step ", step.step, ": the loss is not finite; use a lower learning_rate or a warm-up"));
  }
  const auto found = parts_.find(part);
  if (found == parts_.end()) {
    return absl::OkStatus();
  }
  const double norm = NormOf(found->second);
  if (!std::isfinite(norm)) {
    return absl::AbortedError(absl::StrCat("step ", step.step, ": the gradient of ", NameOf(part),
                                           " is not finite; use a lower learning_rate or a "
                                           "warm-up"));
  }
  kernels::AdamWStep own = step;
  own.gradient_scale = ClipScale(settings_, norm);
  const TrainedValues trained = state_.trained();
  for (const size_t i : found->second) {
    UpdateParameter(own, {trained.parameters, trained.values}, gradients_, i, state_.optimizer);
    ArenaView(gradients_.arena, gradients_.layout, trained.parameters, i).zero_();
  }
  return absl::OkStatus();
}

}  // namespace wattle::engine
