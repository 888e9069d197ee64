// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/ways.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

#include "scheduler/fleet_plan/rules.h"

namespace wattle::fleet_plan {
namespace {

class WaysMaker {
 public:
  explicit WaysMaker(const Fleet& fleet) : fleet_(fleet), of_class_(fleet.device_classes.size()) {
    for (size_t device = 0; device < fleet.devices.size(); ++device) {
      of_class_[static_cast<size_t>(fleet.devices[device].device_class)].push_back(
          static_cast<int>(device));
    }
  }

  Ways Make() {
    ways_.of_work.resize(fleet_.work_classes.size());
    for (size_t work_class = 0; work_class < fleet_.work_classes.size(); ++work_class) {
      for (size_t device_class = 0; device_class < of_class_.size(); ++device_class) {
        AddClass(static_cast<int>(work_class), static_cast<int>(device_class));
      }
    }
    AddOwn();
    const auto cheapest_first = [](auto& ways) {
      std::stable_sort(ways.begin(), ways.end(), [](const auto& a, const auto& b) {
        return a.needs.millijoules.second < b.needs.millijoules.second;
      });
    };
    for (WaysOfWork& work : ways_.of_work) {
      cheapest_first(work.by_class);
      cheapest_first(work.own);
    }
    return std::move(ways_);
  }

 private:
  void AddClass(int work_class, int device_class) {
    const std::vector<int>& devices = of_class_[static_cast<size_t>(device_class)];
    const WorkClass& work = fleet_.work_classes[static_cast<size_t>(work_class)];
    for (const Rate& rate : fleet_.RatesOf(work_class, device_class)) {
      const Job any{.work_class = work_class};
      if (devices.empty() ||
          Check({fleet_, any, devices.front(), rate}, Scope::kClass).answer != Answer::kOk) {
        continue;
      }
      ClassWay way{.rate = &rate, .needs = Needs(rate), .device_class = device_class};
      way.with_labels = PoolOf(kLabels, device_class, work.wanted_labels);
      way.with_artifact = PoolOf(kArtifact, device_class, static_cast<uint64_t>(work.artifact));
      if (way.with_labels != ClassWay::kNoPool) {
        ways_.of_work[static_cast<size_t>(work_class)].by_class.push_back(way);
      }
    }
  }

  void AddOwn() {
    for (size_t device = 0; device < fleet_.devices.size(); ++device) {
      for (const OwnRate& own : fleet_.devices[device].own) {
        const Job any{.work_class = own.work_class};
        const Question question{fleet_, any, static_cast<int>(device), own.rate};
        if (Check(question, Scope::kDevice).answer == Answer::kOk) {
          ways_.of_work[static_cast<size_t>(own.work_class)].own.push_back(
              {.rate = &own.rate, .needs = Needs(own.rate), .device = static_cast<int>(device)});
        }
      }
    }
  }

  enum Trait { kLabels, kArtifact };
  int PoolOf(Trait trait, int device_class, uint64_t value) {
    const auto [pool, is_new] = pools_.try_emplace({trait, device_class, value}, ClassWay::kNoPool);
    if (!is_new) {
      return pool->second;
    }
    std::vector<int> devices;
    for (const int device : of_class_[static_cast<size_t>(device_class)]) {
      const Device& on = fleet_.devices[static_cast<size_t>(device)];
      if (trait == kLabels ? (value & ~on.labels) == 0 : IsCached(on, static_cast<int>(value))) {
        devices.push_back(device);
      }
    }
    if (!devices.empty()) {
      pool->second = static_cast<int>(ways_.pools.size());
      ways_.pools.push_back(std::move(devices));
    }
    return pool->second;
  }

  const Fleet& fleet_;
  std::vector<std::vector<int>> of_class_;
  std::map<std::tuple<Trait, int, uint64_t>, int> pools_;
  Ways ways_;
};

}  // namespace

bool IsMeasuredOn(const Device& device, int work_class, const Form& form) {
  return std::any_of(device.own.begin(), device.own.end(), [&](const OwnRate& own) {
    return own.work_class == work_class && own.rate.form == form;
  });
}

Ways WaysOf(const Fleet& fleet) {
  return WaysMaker(fleet).Make();
}

}  // namespace wattle::fleet_plan
