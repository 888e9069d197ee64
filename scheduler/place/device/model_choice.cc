// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "proto/job_kind.h"
#include "proto/quantization_recipe.h"
#include "scheduler/place/device/model_choice_internal.h"
#include "scheduler/place/device/objective.h"
#include "scheduler/place/rules/memory_rule_internal.h"
#include "scheduler/place/rules/quality_floor.h"
#include "scheduler/predict/job_kinds.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/same_workload.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// A model on the device, with the values that decide.
struct Looked {
  v1::ModelAlternative alternative;
  ComparablePrediction predicted;
  double cost = 0;  // Per unit of work, by the objective.
};

double CostPerUnit(v1::Objective objective, const v1::ModelAlternative& alternative) {
  const double seconds =
      alternative.units_per_second() > 0 ? 1 / alternative.units_per_second() : 0;
  return ObjectiveOf(objective).cost_per_unit(seconds, alternative.net_energy_joules_per_unit());
}

// Bits per weight that a token reads, in the form of the files.
double StoredBits(const v1::ArtifactInfo& artifact) {
  constexpr double kFloatBits = 32;
  const double floats =
      WeightBytesPerToken(artifact.model_shape(), *RecipeOfIdentity(kNoQuantization));
  return artifact.has_recipe() && floats > 0
             ? kFloatBits * WeightBytesPerToken(artifact.model_shape(), artifact.recipe()) / floats
             : kFloatBits;
}

v1::ModelAlternative Describe(const ModelView& model) {
  v1::ModelAlternative alternative;
  const v1::ArtifactInfo& artifact = model.artifact;
  alternative.set_artifact_id(artifact.artifact_id());
  alternative.set_model(model.reference);
  alternative.set_is_parent(model.is_parent);
  const std::string form = StoredForm(&artifact);
  alternative.set_quantization(form.empty() ? kNoQuantization : form);
  alternative.set_bits_per_weight(model.is_parent ? StoredBits(artifact)
                                                  : artifact.bits_per_weight());
  constexpr double kByteBits = 8;
  alternative.set_stored_bytes(
      model.is_parent ? static_cast<int64_t>(static_cast<double>(artifact.parameter_count()) *
                                             alternative.bits_per_weight() / kByteBits)
                      : artifact.stored_bytes());
  if (artifact.has_quality()) {
    *alternative.mutable_quality() = artifact.quality();
  }
  return alternative;
}

// Why the model may not run on the device; empty if it is offered.
std::string WhyNotOffered(const JobView& job, const ModelView& model, const v1::DeviceInfo& device,
                          const Looked& looked) {
  const v1::QualityFloor& floor = job.spec.quality_floor();
  const std::string& parent = ReferenceIn(job.spec, kModelInput);
  if (!model.is_parent) {
    if (!model.artifact.has_quality()) {
      return absl::StrCat("its quality was not measured; run: wattle probe ", parent,
                          " --data TEXT");
    }
    if (!Meets(model.artifact.quality(), floor)) {
      return absl::StrCat(QualityWords(model.artifact.quality(), floor), ", and the floor is ",
                          FloorWords(floor));
    }
    if (!looked.alternative.speed_measured()) {
      const KindPart* const part = KindPartOf(job.spec);
      return absl::StrCat(
          "its speed was not measured on this class; run: wattle probe ", parent,
          part != nullptr && part->probe_options != nullptr ? part->probe_options(job.spec) : "");
    }
  }
  const MemoryNeeds needs = NeedsOn(device, model.peak_memory);
  if (!needs.fit()) {
    const bool of_card = !needs.card.fits();
    const MemoryNeed& need = of_card ? needs.card : needs.host;
    return absl::StrCat("needs ", FormatBytes(need.bytes), of_card ? " of its card's" : " of",
                        " memory, ", FormatBytes(need.usable_bytes()), " are usable");
  }
  return "";
}

Looked LookAt(const JobView& job, const ModelView& model, const ModelWork& work,
              const ProfileTable& profiles, const v1::Device& device) {
  Looked looked;
  v1::ModelAlternative& alternative = looked.alternative;
  alternative = Describe(model);
  if (!work.work.ok()) {
    alternative.set_reason(std::string(work.work.status().message()));
    return looked;
  }
  looked.predicted = PredictToCompare(profiles, device, *work.work, work.inputs);
  v1::Prediction& prediction = looked.predicted.prediction;
  if (model.peak_memory.cores_bytes > 0) {
    prediction.set_peak_memory_bytes(PeakMemoryOn(device.info(), model.peak_memory));
  }
  const double units = prediction.work_units();
  const double seconds = prediction.run_seconds().mean();
  if (units > 0 && seconds > 0) {
    alternative.set_units_per_second(units / seconds);
    alternative.set_energy_joules_per_unit(prediction.run_energy_joules().mean() / units);
    alternative.set_net_energy_joules_per_unit(prediction.net_energy_joules() / units);
  }
  alternative.set_provenance(prediction.provenance());
  alternative.set_speed_measured(IsMeasured(profiles, RunQuery{device.info(), *work.work}));
  alternative.set_reason(WhyNotOffered(job, model, device.info(), looked));
  alternative.set_offered(alternative.reason().empty());
  looked.cost = CostPerUnit(job.spec.objective(), alternative);
  return looked;
}

// Offered models first, by cost; ties go to the one nearer to the parent.
bool ComesBefore(const Looked& a, const Looked& b) {
  const auto rank = [](const Looked& looked) {
    return std::make_tuple(!looked.alternative.offered(), looked.cost,
                           looked.alternative.quality().kl_divergence());
  };
  return rank(a) < rank(b);
}

std::string WordsOf(v1::Objective objective, const Looked& looked) {
  const v1::ModelAlternative& alternative = looked.alternative;
  return absl::StrFormat(
      "%s (%s): %.4g %s per unit", alternative.model(),
      alternative.quantization() == kNoQuantization ? "fp32" : alternative.quantization(),
      looked.cost, ObjectiveOf(objective).unit);
}

std::string WhyChosen(const JobView& job, const std::vector<Looked>& looked) {
  const auto offered = std::count_if(looked.begin(), looked.end(),
                                     [](const Looked& one) { return one.alternative.offered(); });
  const v1::QualityFloor& floor = job.spec.quality_floor();
  const v1::ModelAlternative& chosen = looked.front().alternative;
  std::string reason = absl::StrCat(
      "runs ", WordsOf(job.spec.objective(), looked.front()),
      chosen.is_parent() ? "" : absl::StrCat(", ", QualityWords(chosen.quality(), floor)));
  if (offered == 1) {
    absl::StrAppend(&reason, ", the only model offered of ", looked.size(), " with ",
                    FloorWords(floor));
  } else {
    absl::StrAppend(&reason, ", the least of ", offered, " models with ", FloorWords(floor),
                    "; next ", WordsOf(job.spec.objective(), looked[1]));
  }
  return reason;
}

// The inputs of the job with `model`, without the other models of its floor.
std::vector<InputView> InputsWith(const JobView& job, const v1::ArtifactInfo& model) {
  std::vector<InputView> inputs;
  for (const InputView& input : job.inputs) {
    if (input.field == kModelInput) {
      inputs.push_back({input.field, model});
    } else if (input.field != kFloorModelsField) {
      inputs.push_back(input);
    }
  }
  return inputs;
}

}  // namespace

std::vector<ModelWork> WorksOfModels(const JobView& job, const ProfileTable& profiles) {
  std::vector<ModelWork> works;
  works.reserve(job.models.size());
  for (const ModelView& model : job.models) {
    ModelWork one{InputsWith(job, model.artifact), absl::UnknownError("")};
    one.work = WorkOf(job.spec, one.inputs, profiles);
    works.push_back(std::move(one));
  }
  return works;
}

std::optional<ComparablePrediction> ChooseModel(const JobView& job,
                                                const std::vector<ModelWork>& works,
                                                const ProfileTable& profiles,
                                                const v1::Device& device, DeviceMode* mode) {
  std::vector<Looked> looked;
  looked.reserve(job.models.size());
  for (size_t i = 0; i < job.models.size(); ++i) {
    looked.push_back(LookAt(job, job.models[i], works[i], profiles, device));
  }
  std::stable_sort(looked.begin(), looked.end(), ComesBefore);
  for (const Looked& one : looked) {
    mode->alternatives.push_back(one.alternative);
  }
  if (looked.empty() || !looked.front().alternative.offered()) {
    return std::nullopt;
  }
  const v1::ModelAlternative& chosen = looked.front().alternative;
  v1::ModelChoice& choice = mode->model_choice.emplace();
  choice.set_artifact_id(chosen.artifact_id());
  choice.set_model(chosen.model());
  choice.set_quantization(chosen.quantization());
  choice.set_reason(WhyChosen(job, looked));
  return looked.front().predicted;
}

}  // namespace wattle::scheduler
