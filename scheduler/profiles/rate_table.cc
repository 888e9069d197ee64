// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/rate_table.h"

#include <cmath>

#include "proto/rate_bounds.h"
#include "scheduler/profiles/processor.h"

namespace wattle::scheduler {
namespace {

struct Rate {
  double (v1::MeasuredRates::*get)() const;
  void (v1::MeasuredRates::*set)(double);
};
constexpr Rate kRates[] = {
    {&v1::MeasuredRates::memory_bytes_per_second, &v1::MeasuredRates::set_memory_bytes_per_second},
    {&v1::MeasuredRates::fp32_flops, &v1::MeasuredRates::set_fp32_flops},
    {&v1::MeasuredRates::bf16_flops, &v1::MeasuredRates::set_bf16_flops},
    {&v1::MeasuredRates::fp16_flops, &v1::MeasuredRates::set_fp16_flops},
    {&v1::MeasuredRates::int8_weights_per_second, &v1::MeasuredRates::set_int8_weights_per_second},
    {&v1::MeasuredRates::int4_weights_per_second, &v1::MeasuredRates::set_int4_weights_per_second},
};

// The geometric mean of the rates of one power mode. A rate of 0 was not measured.
v1::MeasuredRates MeanOf(const std::vector<const v1::MeasuredRates*>& of_mode) {
  v1::MeasuredRates mean = *of_mode.front();
  for (const Rate& rate : kRates) {
    double logs = 0;
    int count = 0;
    for (const v1::MeasuredRates* const each : of_mode) {
      if (const double value = (each->*rate.get)(); value > 0) {
        logs += std::log(value);
        ++count;
      }
    }
    (mean.*rate.set)(count > 0 ? std::exp(logs / count) : 0);
  }
  return mean;
}

}  // namespace

std::vector<v1::MeasuredRates> UsableRates(const v1::DeviceInfo& device) {
  std::vector<v1::MeasuredRates> usable;
  for (const v1::MeasuredRates& rates : device.rates()) {
    const bool of_engine = rates.engine_version().empty() || device.engine_version().empty() ||
                           rates.engine_version() == device.engine_version();
    if (of_engine && rates.accelerator() == device.accelerator() && RateProblem(rates).empty()) {
      usable.push_back(rates);
    }
  }
  return usable;
}

void RateTable::Put(const v1::DeviceInfo& device) {
  PutProcessor(device);
  if (!device.accelerator().empty()) {
    PutProcessor(OnCores(device));
  }
}

void RateTable::Remove(const v1::DeviceInfo& device) {
  RemoveProcessor(device);
  if (!device.accelerator().empty()) {
    RemoveProcessor(OnCores(device));
  }
}

void RateTable::PutProcessor(const v1::DeviceInfo& device) {
  std::vector<v1::MeasuredRates> usable = UsableRates(device);
  if (usable.empty()) {
    RemoveProcessor(device);
    return;
  }
  OfOneClass& of_class = classes_.Mutable({device.device_class(), device.emulated()});
  of_class.devices[device.device_id()] = std::move(usable);
  of_class.means = MeansOf(of_class);
}

void RateTable::RemoveProcessor(const v1::DeviceInfo& device) {
  const std::pair<std::string, bool> key{device.device_class(), device.emulated()};
  const OfOneClass* const known = classes_.Find(key);
  if (known == nullptr || known->devices.count(device.device_id()) == 0) {
    return;
  }
  OfOneClass& of_class = classes_.Mutable(key);
  of_class.devices.erase(device.device_id());
  of_class.means = MeansOf(of_class);
  if (of_class.devices.empty()) {
    classes_.erase(key);
  }
}

std::vector<v1::MeasuredRates> RateTable::MeansOf(const OfOneClass& rates) {
  std::map<std::string, std::vector<const v1::MeasuredRates*>> by_mode;
  for (const auto& [id, of_device] : rates.devices) {
    for (const v1::MeasuredRates& each : of_device) {
      by_mode[each.power_mode()].push_back(&each);
    }
  }
  std::vector<v1::MeasuredRates> means;
  for (const auto& [mode, of_mode] : by_mode) {
    means.push_back(MeanOf(of_mode));
  }
  return means;
}

const std::vector<v1::MeasuredRates>& RateTable::OfClass(const std::string& device_class,
                                                         bool emulated) const {
  static const auto* const kNone = new std::vector<v1::MeasuredRates>();
  const OfOneClass* const of_class = classes_.Find({device_class, emulated});
  return of_class == nullptr ? *kNone : of_class->means;
}

}  // namespace wattle::scheduler
