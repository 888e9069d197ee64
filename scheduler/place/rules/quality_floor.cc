// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/rules/quality_floor.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "proto/job_kind.h"

namespace wattle::scheduler {
namespace {

constexpr int kModelsMax = 16;

// A quantity that a floor may bound. at_least: the model's value must reach the bound, otherwise
// not exceed it.
struct Bound {
  const char* name;
  const char* unit;
  bool at_least;
  bool wanted;  // The floor bounds it.
  double bound;
  bool known;  // The model's value was measured.
  double value;
};

std::vector<Bound> BoundsOf(const v1::ModelQuality& quality, const v1::QualityFloor& floor) {
  return {{"perplexity change", " %", false, floor.has_perplexity_change_percent_max(),
           floor.perplexity_change_percent_max(), true, quality.perplexity_change_percent()},
          {"KL divergence", " nats", false, floor.has_kl_divergence_max(),
           floor.kl_divergence_max(), true, quality.kl_divergence()},
          {"top-1 agreement", " %", true, floor.has_top1_agreement_percent_min(),
           floor.top1_agreement_percent_min(), quality.has_top1_agreement_percent(),
           quality.top1_agreement_percent()}};
}

bool Holds(const Bound& bound) {
  return bound.known && (bound.at_least ? bound.value >= bound.bound : bound.value <= bound.bound);
}

// "generate and evaluate"
std::string KindsWithFloor() {
  std::vector<absl::string_view> names;
  for (const JobKind& kind : JobKinds()) {
    if (kind.takes_quality_floor) {
      names.push_back(kind.name);
    }
  }
  return absl::StrJoin(names, " and ");
}

}  // namespace

absl::Status ValidateQualityFloor(const v1::JobSpec& spec) {
  if (!spec.has_quality_floor()) {
    return absl::OkStatus();
  }
  const JobKind& kind = KindOf(spec);
  if (!kind.takes_quality_floor) {
    return absl::InvalidArgumentError(absl::StrCat(
        "quality_floor: only ", KindsWithFloor(),
        " jobs have one; an adaptive quantize job has quantize.perplexity_change_percent_max"));
  }
  if (NamesQuantization(spec)) {
    return absl::InvalidArgumentError(
        absl::StrCat(kind.name,
                     ".quantization: stands beside quality_floor, with which the planner "
                     "chooses it; leave one of the two out"));
  }
  if (DeclaredModel(spec) != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        kind.name,
        ".model_shape: a quality_floor wants a model whose quantized copies were measured; "
        "name it in ",
        kind.name, ".model"));
  }
  const v1::QualityFloor& floor = spec.quality_floor();
  if (floor.models_size() > kModelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("quality_floor.models: ", floor.models_size(),
                                                   " entries: want at most ", kModelsMax));
  }
  if (std::any_of(floor.models().begin(), floor.models().end(),
                  [](const std::string& model) { return model.empty(); })) {
    return absl::InvalidArgumentError("quality_floor.models: one of them is empty");
  }
  const std::vector<Bound> bounds = BoundsOf(v1::ModelQuality(), floor);
  const bool any =
      std::any_of(bounds.begin(), bounds.end(), [](const Bound& bound) { return bound.wanted; });
  return any ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   "quality_floor: bounds nothing; write perplexity_change_percent_max, "
                   "kl_divergence_max or top1_agreement_percent_min");
}

std::string FloorWords(const v1::QualityFloor& floor) {
  std::vector<std::string> words;
  for (const Bound& bound : BoundsOf(v1::ModelQuality(), floor)) {
    if (bound.wanted) {
      words.push_back(absl::StrFormat("%s at %s %g%s", bound.name,
                                      bound.at_least ? "least" : "most", bound.bound, bound.unit));
    }
  }
  return absl::StrJoin(words, ", ");
}

std::string QualityWords(const v1::ModelQuality& quality, const v1::QualityFloor& floor) {
  std::vector<std::string> words;
  for (const Bound& bound : BoundsOf(quality, floor)) {
    if (bound.wanted) {
      words.push_back(bound.known
                          ? absl::StrFormat("%s %.3g%s", bound.name, bound.value, bound.unit)
                          : absl::StrCat(bound.name, " not measured"));
    }
  }
  return absl::StrJoin(words, ", ");
}

bool Meets(const v1::ModelQuality& quality, const v1::QualityFloor& floor) {
  const std::vector<Bound> bounds = BoundsOf(quality, floor);
  return std::all_of(bounds.begin(), bounds.end(),
                     [](const Bound& bound) { return !bound.wanted || Holds(bound); });
}

double Shortfall(const v1::ModelQuality& quality, const v1::QualityFloor& floor) {
  double largest = 0;
  for (const Bound& bound : BoundsOf(quality, floor)) {
    if (!bound.wanted || Holds(bound)) {
      continue;
    }
    if (!bound.known) {
      return std::numeric_limits<double>::infinity();
    }
    // For an agreement, relative to the share that is left to 100 %.
    const double scale = std::max(bound.at_least ? 100 - bound.bound : bound.bound, 1e-6);
    largest = std::max(largest, std::abs(bound.value - bound.bound) / scale);
  }
  return largest;
}

std::string WhyNoneMeets(const v1::QualityFloor& floor, const std::vector<ModelView>& models) {
  const ModelView* nearest = nullptr;
  for (const ModelView& model : models) {
    if (model.is_parent || !model.artifact.has_quality() ||
        Meets(model.artifact.quality(), floor)) {
      return "";
    }
    if (nearest == nullptr || Shortfall(model.artifact.quality(), floor) <
                                  Shortfall(nearest->artifact.quality(), floor)) {
      nearest = &model;
    }
  }
  return nearest == nullptr
             ? ""
             : absl::StrCat(
                   "quality_floor: no model has ", FloorWords(floor), "; the nearest is ",
                   nearest->reference, " with ", QualityWords(nearest->artifact.quality(), floor),
                   "; loosen the floor to that, or leave quality_floor.models out, so that "
                   "the job's own model counts too");
}

}  // namespace wattle::scheduler
