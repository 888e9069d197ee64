// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chooses the model that a job with a quality floor runs on a device. A model is offered there if
// its quality meets the floor, it has run on the device or its class before, and it fits the
// memory. Of those, the choice has the least cost per unit of work: net joules for the objective
// energy, seconds for time, their product for edp. The model that the job names is offered without
// a measurement, because it is as good as itself.
//
// Quality is measured once, on any board: quantized products are identical to the last bit on every
// processor (docs/adr/0016). Speed and joules are measured per board. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_MODEL_CHOICE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_MODEL_CHOICE_INTERNAL_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"

#include "scheduler/place/device/device_mode.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// The job's work with one of its models.
struct ModelWork {
  std::vector<InputView> inputs;  // The job's inputs with only this model.
  absl::StatusOr<WorkAmount> work;
};
// In the order of JobView::models; empty for a job without a floor.
std::vector<ModelWork> WorksOfModels(const JobView& job, const ProfileTable& profiles);

// Sets the alternatives of `mode`, the choice first, and the choice if one is offered. Returns the
// prediction of the choice; nullopt if none is offered.
std::optional<ComparablePrediction> ChooseModel(const JobView& job,
                                                const std::vector<ModelWork>& works,
                                                const ProfileTable& profiles,
                                                const v1::Device& device, DeviceMode* mode);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_MODEL_CHOICE_INTERNAL_H_
