// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The rules' functions. Only the table (rules.cc) calls them.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_RULES_INTERNAL_H_

#include <cstdint>
#include <optional>

#include "scheduler/place/rule.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// device_rules.cc
std::optional<Refusal> CheckEngine(const Consideration& on);
std::optional<Refusal> CheckWorkerVersion(const Consideration& on);
std::optional<Refusal> CheckLabels(const Consideration& on);
std::optional<Refusal> CheckAvoidedDevice(const Consideration& on);
std::optional<Refusal> CheckConnected(const Consideration& on);
std::optional<Refusal> CheckDrained(const Consideration& on);
std::optional<Refusal> CheckMaxTemperature(const Consideration& on);
std::optional<Refusal> CheckGuard(const Consideration& on);
// input_rules.cc
std::optional<Refusal> CheckCacheQuota(const Consideration& on);
std::optional<Refusal> CheckInputs(const Consideration& on);
std::optional<Refusal> CheckQualityFloor(const Consideration& on);
// memory_rule.cc
// Of the board's memory, what a runner can have; 0: not known.
int64_t UsableMemoryBytes(const v1::DeviceInfo& device);
// Of the board's memory, what a runner of this estimated peak takes: on a Jetson also what CUDA
// itself takes. 0: not known.
int64_t PeakMemoryOn(const v1::DeviceInfo& device, int64_t peak_memory_bytes);
// memory_rule.cc, battery_rule.cc, deadline_rule.cc
std::optional<Refusal> CheckMemory(const Consideration& on);
std::optional<Refusal> CheckBatteryReserve(const Consideration& on);
std::optional<Refusal> CheckDeadline(const Consideration& on);
// schedule_rules.cc
std::optional<Refusal> CheckWorkWindows(const Consideration& on);
std::optional<Refusal> CheckDailyBudget(const Consideration& on);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_INTERNAL_H_
