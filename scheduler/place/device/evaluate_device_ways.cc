// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The ways in which a device may run a job: power mode and processor.
#include <optional>
#include <vector>

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/profiles/processor.h"

namespace wattle::scheduler {
namespace {

// The processors on which a device would run the job.
struct Processors {
  bool own = true;     // The device's usual one: its accelerator, if it has one.
  bool cores = false;  // On the cores beside its accelerator.
};

// A run of a profile job measures one processor. kProcessorRule refuses a device without the
// processor that the job wants.
Processors ProcessorsFor(const JobView& job, const v1::DeviceInfo& info) {
  const bool offers_both = info.offers_cpu() && !info.accelerator().empty();
  if (offers_both && job.spec.accelerator() == v1::ACCELERATOR_CPU) {
    return {.own = false, .cores = true};
  }
  return {.own = true,
          .cores = offers_both && job.spec.accelerator() != v1::ACCELERATOR_CUDA &&
                   !job.profile_point.has_value()};
}

}  // namespace

FleetView::Modes FleetView::DescribeModes(const JobView& job, const WorkAmount& work,
                                          const std::vector<ModelWork>& models,
                                          size_t index) const {
  const DeviceView& view = snapshot_.devices[index];
  const v1::DeviceInfo& info = view.device.info();
  Modes modes;
  const Processors processors = ProcessorsFor(job, info);
  const auto add = [&](const v1::Device& in_mode) {
    if (processors.own) {
      modes.push_back(Describe(job, work, models, index, in_mode));
    }
    if (processors.cores) {
      v1::Device on_cores = in_mode;
      *on_cores.mutable_info() = OnCores(in_mode.info());
      modes.push_back(Describe(job, work, models, index, on_cores));
    }
  };
  if (job.profile_point.has_value() && info.sets_power_modes()) {
    v1::Device device = view.device;
    device.mutable_info()->set_power_mode(job.profile_point->power_mode());
    add(device);
    return modes;
  }
  add(view.device);
  for (const v1::Device& in_mode : OtherModesOf(index)) {
    add(in_mode);
  }
  return modes;
}

const std::vector<v1::Device>& FleetView::OtherModesOf(size_t index) const {
  std::optional<std::vector<v1::Device>>& others = other_modes_[index];
  if (!others.has_value()) {
    others.emplace();
    const v1::Device& device = snapshot_.devices[index].device;
    const v1::DeviceInfo& info = device.info();
    for (const v1::PowerMode& mode : info.power_modes()) {
      if (info.sets_power_modes() && mode.name() != info.power_mode()) {
        others->emplace_back(device).mutable_info()->set_power_mode(mode.name());
      }
    }
  }
  return *others;
}

}  // namespace wattle::scheduler
