// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Progress of an upgrade: by commands of people, reports of devices, and time.
#include "coordinator/core/upgrades.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "base/fault_point.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "proto/upgrade_stage.h"

namespace wattle::core {
namespace {

bool HasEnded(const v1::DeviceUpgrade& device) {
  return device.state() == v1::DEVICE_UPGRADE_STATE_ACTIVE ||
         device.state() == v1::DEVICE_UPGRADE_STATE_ROLLED_BACK ||
         device.state() == v1::DEVICE_UPGRADE_STATE_REFUSED;
}

// How long the device has been silent: at most since its part in the upgrade last changed, as this
// process saw it.
absl::Duration SilentFor(const DecisionBuilder& builder, const v1::DeviceUpgrade& device) {
  const DeviceId id(device.device_id());
  Monotonic since = LastContact(builder.observations(), id);
  if (const Monotonic* const changed = builder.state().upgrade_times.Find(id)) {
    since = std::max(since, *changed);
  }
  return builder.now().monotonic - since;
}

bool IsLost(const DecisionBuilder& builder, const v1::DeviceUpgrade& device) {
  return device.state() == v1::DEVICE_UPGRADE_STATE_ORDERED &&
         SilentFor(builder, device) > kUpgradeSilence;
}

std::string ReasonText(const v1::DeviceUpgrade& device) {
  return absl::StrCat(device.device_name(), device.reason().empty() ? "" : " (", device.reason(),
                      device.reason().empty() ? "" : ")");
}

std::string StageName(const v1::Upgrade& upgrade, int stage) {
  return absl::StrCat("stage ", stage + 1, " (", StageText(upgrade.stages(stage)), ")");
}

void SetState(DecisionBuilder& builder, const v1::Upgrade& upgrade, v1::UpgradeState state,
              const std::string& reason) {
  v1::UpgradeStateChanged& changed = *builder.Add().mutable_upgrade_state_changed();
  changed.set_upgrade_id(upgrade.upgrade_id());
  changed.set_state(state);
  changed.set_reason(reason);
}

void SetDevice(DecisionBuilder& builder, const v1::Upgrade& upgrade, v1::DeviceUpgrade device,
               v1::DeviceUpgradeState state, const std::string& reason) {
  device.set_state(state);
  device.set_reason(reason);
  device.set_since_unix_seconds(ToUnix(builder.now().wall));
  v1::DeviceUpgradeChanged& changed = *builder.Add().mutable_device_upgrade_changed();
  changed.set_upgrade_id(upgrade.upgrade_id());
  *changed.mutable_device() = std::move(device);
}

// Why the upgrade pauses by itself: a stage with too many devices that rolled back or are lost; ""
// if there is none.
std::string WhyStopped(const DecisionBuilder& builder, const v1::Upgrade& upgrade) {
  for (int stage = 0; stage <= upgrade.stage(); ++stage) {
    std::vector<std::string> failed;
    for (const v1::DeviceUpgrade& device : upgrade.devices()) {
      if (device.stage() != stage) {
        continue;
      }
      if (device.state() == v1::DEVICE_UPGRADE_STATE_ROLLED_BACK) {
        failed.push_back(absl::StrCat(ReasonText(device), " went back"));
      } else if (IsLost(builder, device)) {
        failed.push_back(absl::StrCat(device.device_name(), " was not heard of since its order"));
      }
    }
    if (static_cast<int>(failed.size()) >= kUpgradeFailuresMax &&
        !WATTLE_FAULT_POINT("roll-backs of a stage")) {
      return absl::StrCat(StageName(upgrade, stage), " stopped: ", absl::StrJoin(failed, ", "));
    }
  }
  return "";
}

// Drives the devices of the stages that have begun.
class DeviceMover {
 public:
  DeviceMover(DecisionBuilder& builder, const v1::Upgrade& upgrade)
      : builder_(builder), upgrade_(upgrade) {
    for (const v1::DeviceUpgrade& device : upgrade.devices()) {
      at_work_ +=
          device.state() == v1::DEVICE_UPGRADE_STATE_ORDERED && !IsLost(builder, device) ? 1 : 0;
      of_stage_ += device.stage() == upgrade.stage() ? 1 : 0;
    }
  }

  // Whether anything changed.
  bool Move() {
    const size_t events = builder_.decision().events.size();
    for (const v1::DeviceUpgrade& device : upgrade_.devices()) {
      if (device.stage() > upgrade_.stage() || HasEnded(device)) {
        continue;
      }
      const v1::DeviceRecord* const record =
          FindDevice(builder_.state(), DeviceId(device.device_id()));
      if (record == nullptr || record->removed()) {
        SetDevice(builder_, upgrade_, device, v1::DEVICE_UPGRADE_STATE_REFUSED,
                  "was removed from the fleet");
      } else if (device.state() == v1::DEVICE_UPGRADE_STATE_WAITING) {
        Begin(device, record->info());
      } else {
        Judge(device, record->info());
      }
    }
    return builder_.decision().events.size() > events;
  }

 private:
  void Begin(const v1::DeviceUpgrade& device, const v1::DeviceInfo& info) {
    const int most =
        std::max(kUpgradesAtOnceMin, (of_stage_ + kUpgradesAtOnceShare - 1) / kUpgradesAtOnceShare);
    if (info.worker_version() == upgrade_.version()) {
      SetDevice(builder_, upgrade_, device, v1::DEVICE_UPGRADE_STATE_ACTIVE, "ran it before");
    } else if (at_work_ < most && Reaches(device)) {
      SetDevice(builder_, upgrade_, device, v1::DEVICE_UPGRADE_STATE_ORDERED, "");
      ++at_work_;
    }
  }

  // Ends the part of an ordered device that neither works on the upgrade nor reported its end.
  void Judge(const v1::DeviceUpgrade& device, const v1::DeviceInfo& info) {
    const auto seen = builder_.observations().devices.find(DeviceId(device.device_id()));
    if (!Reaches(device) ||
        seen->second.heartbeat.upgrade().upgrade_id() == upgrade_.upgrade_id()) {
      return;
    }
    const absl::Duration connected = builder_.now().monotonic - seen->second.connected_since;
    const absl::Duration quiet = std::min(connected, SinceChange(device));
    if (info.worker_version() == upgrade_.version()) {
      if (connected > kUpgradeTest) {
        SetDevice(builder_, upgrade_, device, v1::DEVICE_UPGRADE_STATE_ACTIVE, "runs it");
      }
    } else if (quiet > kUpgradeAnswer) {
      SetDevice(
          builder_, upgrade_, device, v1::DEVICE_UPGRADE_STATE_REFUSED,
          absl::StrCat("its worker ", info.worker_version(), " does not know upgrades; install ",
                       upgrade_.version(), " on the board by hand"));
    }
  }

  [[nodiscard]] bool Reaches(const v1::DeviceUpgrade& device) const {
    return IsReachable(builder_.observations(), DeviceId(device.device_id()),
                       builder_.now().monotonic);
  }
  [[nodiscard]] absl::Duration SinceChange(const v1::DeviceUpgrade& device) const {
    const Monotonic* const changed =
        builder_.state().upgrade_times.Find(DeviceId(device.device_id()));
    return builder_.now().monotonic -
           (changed == nullptr ? builder_.observations().started.monotonic : *changed);
  }

  DecisionBuilder& builder_;
  const v1::Upgrade& upgrade_;
  int at_work_ = 0;
  int of_stage_ = 0;
};

// Begins the next stage, or ends the upgrade, once no device delays the present stage.
void EndStage(DecisionBuilder& builder, const v1::Upgrade& upgrade) {
  bool silent = false;
  bool all_ended = true;
  std::vector<std::string> active;
  std::vector<std::string> others;
  for (const v1::DeviceUpgrade& device : upgrade.devices()) {
    all_ended = all_ended && HasEnded(device);
    if (device.stage() != upgrade.stage()) {
      continue;
    }
    if (!HasEnded(device)) {
      if (SilentFor(builder, device) <= kUpgradeSilence) {
        return;
      }
      silent = true;
    }
    (device.state() == v1::DEVICE_UPGRADE_STATE_ACTIVE ? active : others)
        .push_back(ReasonText(device));
  }
  if (active.empty()) {
    if (!silent) {
      SetState(builder, upgrade, v1::UPGRADE_STATE_PAUSED,
               absl::StrCat("no device of ", StageName(upgrade, upgrade.stage()), " runs ",
                            upgrade.version(), ": ", absl::StrJoin(others, ", ")));
    }
    return;  // No device has proved the release yet.
  }
  if (upgrade.stage() + 1 < upgrade.stages_size()) {
    v1::UpgradeStageBegan& began = *builder.Add().mutable_upgrade_stage_began();
    began.set_upgrade_id(upgrade.upgrade_id());
    began.set_stage(upgrade.stage() + 1);
  } else if (all_ended) {
    SetState(builder, upgrade, v1::UPGRADE_STATE_FINISHED, "");
  }
}

// Null if no upgrade is open; the command is then refused.
const v1::Upgrade* NamedOpenUpgrade(DecisionBuilder& builder) {
  const v1::Upgrade* const open = OpenUpgrade(builder.state());
  if (open == nullptr) {
    builder.Refuse(absl::FailedPreconditionError(
        "no upgrade goes on; 'wattle upgrade status' tells how the latest one ended"));
  } else {
    builder.decision().id = open->upgrade_id();
  }
  return open;
}

}  // namespace

std::optional<int64_t> UpgradeNumber(absl::string_view upgrade_id) {
  int64_t number = 0;
  if (!absl::ConsumePrefix(&upgrade_id, "u") || upgrade_id.empty() ||
      !absl::ascii_isdigit(static_cast<unsigned char>(upgrade_id[0])) ||
      !absl::SimpleAtoi(upgrade_id, &number) || number < 1) {
    return std::nullopt;
  }
  return number;
}

const v1::Upgrade* FindUpgrade(const State& state, absl::string_view upgrade_id) {
  if (upgrade_id.empty()) {
    return state.upgrades.empty() ? nullptr : &state.upgrades.rbegin()->second;
  }
  return state.upgrades.Find(UpgradeNumber(upgrade_id).value_or(0));
}

const v1::Upgrade* OpenUpgrade(const State& state) {
  const v1::Upgrade* const latest = FindUpgrade(state, "");
  return latest != nullptr && (latest->state() == v1::UPGRADE_STATE_RUNNING ||
                               latest->state() == v1::UPGRADE_STATE_PAUSED)
             ? latest
             : nullptr;
}

void Decide(DecisionBuilder& builder, const StartUpgrade& command) {
  absl::StatusOr<v1::Upgrade> upgrade =
      PlanUpgrade(builder.state(), command.request, command.coordinator_version, builder.now());
  if (!upgrade.ok()) {
    builder.Refuse(upgrade.status());
    return;
  }
  if (const v1::Upgrade* const open = OpenUpgrade(builder.state()); open != nullptr) {
    builder.Refuse(absl::FailedPreconditionError(absl::StrCat(
        "upgrade ", open->upgrade_id(), " to ", open->version(),
        " goes on, and there is one at a time; wait for its end or run 'wattle upgrade abort'")));
    return;
  }
  const v1::Upgrade* const latest = FindUpgrade(builder.state(), "");
  const int64_t number =
      latest == nullptr ? 1 : UpgradeNumber(latest->upgrade_id()).value_or(0) + 1;
  upgrade->set_upgrade_id(absl::StrCat("u", number));
  upgrade->set_state(v1::UPGRADE_STATE_RUNNING);
  upgrade->set_started_unix_seconds(ToUnix(builder.now().wall));
  builder.decision().id = upgrade->upgrade_id();
  *builder.Add().mutable_upgrade_started()->mutable_upgrade() = *std::move(upgrade);
}

void Decide(DecisionBuilder& builder, const PauseUpgrade& command) {
  const v1::Upgrade* const open = NamedOpenUpgrade(builder);
  if (open == nullptr) {
    return;
  }
  if (open->state() == v1::UPGRADE_STATE_RUNNING) {
    SetState(builder, *open, v1::UPGRADE_STATE_PAUSED, command.reason);
  } else if (open->reason() != command.reason) {  // A repetition of the same call succeeds.
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat("upgrade ", open->upgrade_id(), " is paused already",
                     open->reason().empty() ? "" : absl::StrCat(": ", open->reason()),
                     "; its reason stays, and 'wattle upgrade resume' goes on")));
  }
}

void Decide(DecisionBuilder& builder, const ResumeUpgrade&) {
  const v1::Upgrade* const open = NamedOpenUpgrade(builder);
  if (open == nullptr || open->state() != v1::UPGRADE_STATE_PAUSED) {
    return;
  }
  for (const v1::DeviceUpgrade& device : open->devices()) {
    if (HasEnded(device) && device.state() != v1::DEVICE_UPGRADE_STATE_ACTIVE &&
        std::any_of(open->builds().begin(), open->builds().end(), [&](const auto& build) {
          const v1::DeviceRecord* const record =
              FindDevice(builder.state(), DeviceId(device.device_id()));
          return record != nullptr && !record->removed() &&
                 record->info().architecture() == build.architecture();
        })) {
      SetDevice(builder, *open, device, v1::DEVICE_UPGRADE_STATE_WAITING, "");
    }
  }
  SetState(builder, *open, v1::UPGRADE_STATE_RUNNING, "");
}

void Decide(DecisionBuilder& builder, const AbortUpgrade& command) {
  const v1::Upgrade* const open = NamedOpenUpgrade(builder);
  if (open != nullptr) {
    SetState(builder, *open, v1::UPGRADE_STATE_ABORTED, command.reason);
  }
}

// At most one kind of change per tick; the next tick works on the changed state.
void DecideUpgradeTick(DecisionBuilder& builder) {
  const v1::Upgrade* const open = OpenUpgrade(builder.state());
  if (open == nullptr || open->state() != v1::UPGRADE_STATE_RUNNING) {
    return;
  }
  if (const std::string why = WhyStopped(builder, *open); !why.empty()) {
    SetState(builder, *open, v1::UPGRADE_STATE_PAUSED, why);
  } else if (!DeviceMover(builder, *open).Move()) {
    EndStage(builder, *open);
  }
}

std::string DecideUpgradeEnded(DecisionBuilder& builder, const DeviceId& device,
                               const v1::UpgradeEnded& fact) {
  const v1::Upgrade* const found =
      fact.upgrade_id().empty() ? nullptr : FindUpgrade(builder.state(), fact.upgrade_id());
  if (found == nullptr || found->version() != fact.version()) {
    return absl::StrCat("unknown upgrade ", fact.upgrade_id(), " to ", fact.version());
  }
  v1::Upgrade upgrade = *found;
  const auto known =
      std::find_if(upgrade.mutable_devices()->begin(), upgrade.mutable_devices()->end(),
                   [&](const v1::DeviceUpgrade& one) { return one.device_id() == device.value(); });
  if (known == upgrade.mutable_devices()->end()) {
    return absl::StrCat("the device has no part in upgrade ", fact.upgrade_id());
  }
  const v1::DeviceUpgradeState state = fact.active()    ? v1::DEVICE_UPGRADE_STATE_ACTIVE
                                       : fact.refused() ? v1::DEVICE_UPGRADE_STATE_REFUSED
                                                        : v1::DEVICE_UPGRADE_STATE_ROLLED_BACK;
  const std::string reason = ToldText(fact.reason());
  if (known->state() == state && known->reason() == reason) {
    return "";
  }
  SetDevice(builder, *found, *known, state, reason);
  known->set_state(state);
  known->set_reason(reason);
  if (upgrade.state() == v1::UPGRADE_STATE_RUNNING) {
    if (const std::string why = WhyStopped(builder, upgrade); !why.empty()) {
      SetState(builder, *found, v1::UPGRADE_STATE_PAUSED, why);
    }
  }
  return "";
}

std::optional<v1::UpgradeOrder> UpgradeOrderFor(const State& state, const DeviceId& device) {
  const v1::Upgrade* const open = OpenUpgrade(state);
  const v1::DeviceRecord* const record = FindDevice(state, device);
  if (open == nullptr || open->state() != v1::UPGRADE_STATE_RUNNING || record == nullptr) {
    return std::nullopt;
  }
  const bool ordered = std::any_of(
      open->devices().begin(), open->devices().end(), [&](const v1::DeviceUpgrade& one) {
        return one.device_id() == device.value() && one.state() == v1::DEVICE_UPGRADE_STATE_ORDERED;
      });
  for (const v1::ReleaseBuild& build : open->builds()) {
    if (ordered && build.architecture() == record->info().architecture()) {
      v1::UpgradeOrder order;
      order.set_upgrade_id(open->upgrade_id());
      order.set_version(open->version());
      order.set_artifact_id(build.artifact_id());
      order.set_allow_downgrade(open->allow_downgrade());
      return order;
    }
  }
  return std::nullopt;
}

const v1::Upgrade* UpgradeWith(const State& state, const ArtifactId& artifact) {
  const v1::Upgrade* const open = OpenUpgrade(state);
  return open != nullptr && std::any_of(open->builds().begin(), open->builds().end(),
                                        [&](const v1::ReleaseBuild& build) {
                                          return build.artifact_id() == artifact.value();
                                        })
             ? open
             : nullptr;
}

void Applier::On(const v1::UpgradeStarted& event) {
  state_.upgrades.Mutable(UpgradeNumber(event.upgrade().upgrade_id()).value_or(0)) =
      event.upgrade();
  while (state_.upgrades.size() > kUpgradesMax) {
    state_.upgrades.erase(state_.upgrades.begin()->first);
  }
}

void Applier::On(const v1::UpgradeStageBegan& event) {
  const int64_t number = UpgradeNumber(event.upgrade_id()).value_or(0);
  if (state_.upgrades.contains(number)) {
    state_.upgrades.Mutable(number).set_stage(event.stage());
  }
}

void Applier::NoteUpgradeTime(const DeviceId& device) {
  if (now_.has_value()) {
    state_.upgrade_times.Mutable(device) = *now_;
  }
}

void Applier::On(const v1::DeviceUpgradeChanged& event) {
  const int64_t number = UpgradeNumber(event.upgrade_id()).value_or(0);
  if (!state_.upgrades.contains(number)) {
    return;
  }
  for (v1::DeviceUpgrade& device : *state_.upgrades.Mutable(number).mutable_devices()) {
    if (device.device_id() == event.device().device_id()) {
      device = event.device();
    }
  }
  const DeviceId device(event.device().device_id());
  NoteUpgradeTime(device);
  effects_.emplace_back(DesiredSetChanged{device});
}

void Applier::On(const v1::UpgradeStateChanged& event) {
  const int64_t number = UpgradeNumber(event.upgrade_id()).value_or(0);
  if (!state_.upgrades.contains(number)) {
    return;
  }
  v1::Upgrade& upgrade = state_.upgrades.Mutable(number);
  upgrade.set_state(event.state());
  upgrade.set_reason(event.reason());
  if (event.state() == v1::UPGRADE_STATE_FINISHED || event.state() == v1::UPGRADE_STATE_ABORTED) {
    upgrade.set_ended_unix_seconds(at_);
  }
  // Orders are withdrawn or repeated, and silence counts from now.
  for (const v1::DeviceUpgrade& device : upgrade.devices()) {
    if (device.state() == v1::DEVICE_UPGRADE_STATE_ORDERED) {
      NoteUpgradeTime(DeviceId(device.device_id()));
      effects_.emplace_back(DesiredSetChanged{DeviceId(device.device_id())});
    }
  }
}

}  // namespace wattle::core
