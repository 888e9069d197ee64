// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the processors of each class do in a second, by the devices that measured it (DeviceInfo.
// rates). A prediction for a device of another class compares the two (scheduler/predict/
// measured_rates.h). A copy shares its entries. Thread-compatible.
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
  // Takes the device's rates in place of those that it told before. Rates that no board has, that
  // are of another engine or of another accelerator than the device's, are left out. Those of the
  // cores beside an accelerator are of the class of the cores (processor.h).
  void Put(const v1::DeviceInfo& device);

  // Forgets those of the device. device: as it was put.
  void Remove(const v1::DeviceInfo& device);

  // Of each power mode of a class the geometric means over its devices. Rates of emulated devices
  // and of real ones are apart.
  [[nodiscard]] const std::vector<v1::MeasuredRates>& OfClass(const std::string& device_class,
                                                              bool emulated) const;

  [[nodiscard]] bool empty() const { return classes_.empty(); }

 private:
  struct OfOneClass {
    std::map<std::string, std::vector<v1::MeasuredRates>> devices;  // By id.
    std::vector<v1::MeasuredRates> means;
  };
  // As Put and Remove, of one processor of the device.
  void PutProcessor(const v1::DeviceInfo& device);
  void RemoveProcessor(const v1::DeviceInfo& device);
  static std::vector<v1::MeasuredRates> MeansOf(const OfOneClass& rates);

  PersistentMap<std::pair<std::string, bool>, OfOneClass> classes_;
};

// Those of the device's rates that predictions may use.
[[nodiscard]] std::vector<v1::MeasuredRates> UsableRates(const v1::DeviceInfo& device);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_RATE_TABLE_H_
