// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Upgrades: a release of the worker goes through the fleet stage by stage. Pure.
//
// One upgrade goes on at a time. Its devices and their stages are fixed when it starts. A device is
// ordered when it is reachable, and of a stage only a few at once, so that a bad release reaches
// few boards before it is stopped. Two devices of a stage that went back, or that nobody heard of
// since they were ordered, pause the upgrade. A device that was silent for an hour holds no stage:
// it is ordered when it is back.
#ifndef WATTLE_COORDINATOR_CORE_UPGRADES_H_
#define WATTLE_COORDINATOR_CORE_UPGRADES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::core {

inline constexpr size_t kUpgradesMax = 20;      // The latest ones are remembered.
inline constexpr int kUpgradeFailuresMax = 2;   // In a stage: with so many the upgrade pauses.
inline constexpr int kUpgradesAtOnceMin = 2;    // Of a stage's devices,
inline constexpr int kUpgradesAtOnceShare = 4;  // and a quarter of them where that is more.
// A device that was silent for so long holds no stage.
inline constexpr absl::Duration kUpgradeSilence = absl::Hours(1);
// A worker that knows upgrades tells its progress in its heartbeats from the order on.
inline constexpr absl::Duration kUpgradeAnswer = absl::Minutes(10);
// The test of a release takes at most 10 minutes, and its report comes soon after. A device that
// runs the release for longer without an upgrade at work passed it.
inline constexpr absl::Duration kUpgradeTest = absl::Minutes(15);

// "u12" → 12; nullopt for any other text.
std::optional<int64_t> UpgradeNumber(absl::string_view upgrade_id);
// The latest where the id is empty; null: there is none. The pointers hold until the next Apply.
const v1::Upgrade* FindUpgrade(const State& state, absl::string_view upgrade_id);
// The one that runs or is paused; null: none.
const v1::Upgrade* OpenUpgrade(const State& state);

// The upgrade as it would start now. coordinator_version: of the program; empty: not known.
// Errors: kInvalidArgument, one line, for a version that is no version, is unknown, older than what
// a device runs or not served by this coordinator, and for a stage without devices.
absl::StatusOr<v1::Upgrade> PlanUpgrade(const State& state, const v1::StartUpgradeRequest& request,
                                        const std::string& coordinator_version, const Instant& now);

// The upgrade for readers: each device that has not ended says what it waits for.
v1::Upgrade DescribeUpgrade(const State& state, const Observations& observations,
                            const v1::Upgrade& upgrade, const Instant& now);

// What the device is told to run; nullopt: nothing.
std::optional<v1::UpgradeOrder> UpgradeOrderFor(const State& state, const DeviceId& device);
// The open upgrade that needs the artifact; null: none does.
const v1::Upgrade* UpgradeWith(const State& state, const ArtifactId& artifact);
// Whether the release may be stored. Errors: kInvalidArgument for a version that is none or a
// missing architecture; kAlreadyExists where other programs have its version.
absl::Status CheckRelease(const State& state, const v1::ArtifactInfo& release);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_UPGRADES_H_
