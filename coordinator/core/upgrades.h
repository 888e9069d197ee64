// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Upgrades: a release of the worker goes through the fleet stage by stage. Pure.
//
// One upgrade is open at a time. Its devices and their stages are fixed when it starts. A device is
// ordered when it is reachable, and only a few of a stage at once, so that a bad release reaches
// few boards before it is stopped. Two devices of a stage that rolled back, or stayed silent since
// their order, pause the upgrade. A device that was silent for an hour does not delay its stage: it
// is ordered when it connects again.
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

inline constexpr size_t kUpgradesMax = 20;      // Only the latest ones are kept.
inline constexpr int kUpgradeFailuresMax = 2;   // This many in a stage pause the upgrade.
inline constexpr int kUpgradesAtOnceMin = 2;    // At least this many devices of a stage,
inline constexpr int kUpgradesAtOnceShare = 4;  // or a quarter of them if that is more.
// A device that was silent for this long does not delay its stage.
inline constexpr absl::Duration kUpgradeSilence = absl::Hours(1);
// A worker that supports upgrades reports its progress in every heartbeat after the order.
inline constexpr absl::Duration kUpgradeAnswer = absl::Minutes(10);
// The test of a release takes at most 10 minutes, and its report follows soon. A device that runs
// the release for longer than this without an upgrade in progress has passed the test.
inline constexpr absl::Duration kUpgradeTest = absl::Minutes(15);

// "u12" → 12; nullopt for any other text.
std::optional<int64_t> UpgradeNumber(absl::string_view upgrade_id);
// The latest if the id is empty; null if there is none. The pointers are valid until the next
// Apply.
const v1::Upgrade* FindUpgrade(const State& state, absl::string_view upgrade_id);
// The upgrade that runs or is paused; null if there is none.
const v1::Upgrade* OpenUpgrade(const State& state);

// The upgrade as it would start now. coordinator_version: of the program; empty if unknown. Errors:
// kInvalidArgument, one line, for a version that is malformed, unknown, older than that of a device
// or not supported by this coordinator, and for a stage without devices.
absl::StatusOr<v1::Upgrade> PlanUpgrade(const State& state, const v1::StartUpgradeRequest& request,
                                        const std::string& coordinator_version, const Instant& now);

// The upgrade for readers: each device that has not finished names what it waits for.
v1::Upgrade DescribeUpgrade(const State& state, const Observations& observations,
                            const v1::Upgrade& upgrade, const Instant& now);

// The release that the device is ordered to run; nullopt: none.
std::optional<v1::UpgradeOrder> UpgradeOrderFor(const State& state, const DeviceId& device);
// The open upgrade that needs the artifact; null if none does.
const v1::Upgrade* UpgradeWith(const State& state, const ArtifactId& artifact);
// Checks that the release may be stored. Errors: kInvalidArgument for a malformed version or a
// missing architecture; kAlreadyExists if its version belongs to other programs.
absl::Status CheckRelease(const State& state, const v1::ArtifactInfo& release);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_UPGRADES_H_
