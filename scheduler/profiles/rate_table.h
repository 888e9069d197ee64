// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The measured processor rates of each class, from the devices that reported them
// (DeviceInfo.rates). A prediction for a device of another class compares the rates of both classes
// (scheduler/predict/measured_rates.h). A copy shares its entries. Thread-compatible.
#ifndef WATTLE_SCHEDULER_PROFILES_RATE_TABLE_H_
#define WATTLE_SCHEDULER_PROFILES_RATE_TABLE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/persistent_map.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

class RateTable {
 public:
  // Replaces the device's earlier rates. Impossible rates, and rates of another engine or another
  // accelerator than the device's, are left out. The rates of the cores beside an accelerator
  // belong to the class of the cores (processor.h).
  void Put(const v1::DeviceInfo& device);

  // Removes the device's rates. device: as passed to Put.
  void Remove(const v1::DeviceInfo& device);

  // The geometric means over the devices of a class, for each power mode. Emulated and real devices
  // have separate means.
  [[nodiscard]] const std::vector<v1::MeasuredRates>& OfClass(const std::string& device_class,
                                                              bool emulated) const;

  [[nodiscard]] bool empty() const { return classes_.empty(); }

 private:
  struct OfOneClass {
    std::map<std::string, std::vector<v1::MeasuredRates>> devices;  // Keyed by id.
    std::vector<v1::MeasuredRates> means;
  };
  // Put and Remove for one processor of the device.
  void PutProcessor(const v1::DeviceInfo& device);
  void RemoveProcessor(const v1::DeviceInfo& device);
  static std::vector<v1::MeasuredRates> MeansOf(const OfOneClass& rates);

  PersistentMap<std::pair<std::string, bool>, OfOneClass> classes_;
};

// The device's rates that predictions may use.
[[nodiscard]] std::vector<v1::MeasuredRates> UsableRates(const v1::DeviceInfo& device);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_RATE_TABLE_H_
