// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chooses the devices and stages of an upgrade, and refuses invalid requests.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/crc32c.h"
#include "base/status_macros.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/message_checks_internal.h"
#include "coordinator/core/upgrades.h"
#include "policy/selector.h"
#include "proto/release_version.h"
#include "proto/upgrade_stage.h"

namespace wattle::core {
namespace {

constexpr int kStagesMax = 20;
constexpr size_t kVersionsListedMax = 8;
constexpr size_t kArchitectureCharactersMax = 20;

absl::StatusOr<ReleaseVersion> CheckVersion(absl::string_view field, const std::string& text) {
  const std::optional<ReleaseVersion> version = ParseReleaseVersion(text);
  if (!version.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": \"", text, "\": want a version such as 1.4.0 or 1.5.0-rc.1"));
  }
  return *version;
}

// The versions with a stored release, for a message.
std::string KnownVersions(const State& state) {
  std::set<std::string> versions;
  for (const auto& [id, info] : state.artifacts) {
    if (info.kind() == v1::ARTIFACT_KIND_RELEASE) {
      versions.insert(info.release_version());
    }
  }
  if (versions.empty()) {
    return "no release is here yet";
  }
  std::vector<std::string> newest(versions.rbegin(), versions.rend());
  const bool more = newest.size() > kVersionsListedMax;
  newest.resize(std::min(newest.size(), kVersionsListedMax));
  return absl::StrCat("known: ", absl::StrJoin(newest, ", "), more ? ", …" : "");
}

// By architecture.
std::map<std::string, std::string> BuildsOf(const State& state, const std::string& version) {
  std::map<std::string, std::string> builds;
  for (const auto& [id, info] : state.artifacts) {
    if (info.kind() == v1::ARTIFACT_KIND_RELEASE && info.release_version() == version) {
      builds[info.release_architecture()] = id.value();
    }
  }
  return builds;
}

absl::Status CheckStages(const v1::StartUpgradeRequest& request) {
  if (request.stages_size() > kStagesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("stages: ", request.stages_size(), ": want at most ", kStagesMax));
  }
  for (const v1::UpgradeStage& stage : request.stages()) {
    if (!(stage.fleet_ratio() >= 0 && stage.fleet_ratio() <= 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("stages.fleet_ratio: ", stage.fleet_ratio(), ": want 0 to 1"));
    }
    if (stage.labels_size() > kLabelsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("stages.labels: ", stage.labels_size(), ": want at most ", kLabelsMax));
    }
  }
  return absl::OkStatus();
}

// Draws the devices of each stage from the fleet.
class StageDrawer {
 public:
  StageDrawer(const State& state, const std::string& version) {
    for (const auto& [id, record] : state.devices) {
      if (!record.removed() && MayWork(state, id)) {
        // A hash order mixes sites and racks, whose names are alike, and differs between releases.
        // The order is the same each time.
        rest_.emplace_back(Crc32c(absl::StrCat(version, " ", id.value())), &record);
      }
    }
    fleet_ = static_cast<double>(rest_.size());
    std::sort(rest_.begin(), rest_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first, a.second->info().device_id()) <
             std::pair(b.first, b.second->info().device_id());
    });
  }

  // By name.
  std::vector<const v1::DeviceRecord*> Draw(const v1::UpgradeStage& stage) {
    // The small subtraction keeps 20 % of 5 devices at one despite rounding.
    const double most =
        stage.fleet_ratio() > 0 ? std::ceil(stage.fleet_ratio() * fleet_ - 1e-9) : fleet_;
    std::vector<const v1::DeviceRecord*> drawn;
    std::vector<std::pair<uint32_t, const v1::DeviceRecord*>> rest;
    for (const auto& candidate : rest_) {
      if (static_cast<double>(drawn_) < most && Selects(stage, candidate.second->info())) {
        drawn.push_back(candidate.second);
        ++drawn_;
      } else {
        rest.push_back(candidate);
      }
    }
    rest_ = std::move(rest);
    std::sort(drawn.begin(), drawn.end(), [](const auto* a, const auto* b) {
      return std::pair(a->info().name(), a->info().device_id()) <
             std::pair(b->info().name(), b->info().device_id());
    });
    return drawn;
  }

 private:
  static bool Selects(const v1::UpgradeStage& stage, const v1::DeviceInfo& device) {
    return std::all_of(stage.labels().begin(), stage.labels().end(), [&](const v1::Label& label) {
      return policy::HasLabel(device, LabelText(label));
    });
  }

  std::vector<std::pair<uint32_t, const v1::DeviceRecord*>> rest_;
  double fleet_ = 0;
  int64_t drawn_ = 0;
};

absl::Status WithoutDevices(int stage, const v1::UpgradeStage& wanted) {
  const std::string what = absl::StrCat("stage ", stage + 1, " (", StageText(wanted), ")");
  return absl::InvalidArgumentError(
      wanted.labels().empty()
          ? absl::StrCat(what,
                         ": adds no device, the stages before have that share of the fleet; "
                         "leave it out or make it larger")
          : absl::StrCat(what,
                         ": no device that is in no earlier stage has this label; 'wattle "
                         "device show DEVICE' tells a device's labels"));
}

// Refuses a downgrade without permission, naming the devices concerned.
absl::Status CheckDowngrade(const v1::Upgrade& upgrade, const ReleaseVersion& wanted) {
  std::vector<std::string> newer;
  for (const v1::DeviceUpgrade& device : upgrade.devices()) {
    const std::optional<ReleaseVersion> runs = ParseReleaseVersion(device.from_version());
    if (runs.has_value() && IsOlderRelease(wanted, *runs)) {
      newer.push_back(absl::StrCat(device.device_name(), " (", device.from_version(), ")"));
    }
  }
  if (newer.empty() || upgrade.allow_downgrade()) {
    return absl::OkStatus();
  }
  const size_t more = newer.size() - 1;
  return absl::InvalidArgumentError(
      absl::StrCat("version ", upgrade.version(), " is older than what ", newer.front(),
                   more > 0 ? absl::StrCat(" and ", more, " more run") : " runs",
                   "; add --allow-downgrade to go back, or choose another version"));
}

v1::DeviceUpgrade DeviceOf(const v1::Upgrade& upgrade, const v1::DeviceRecord& record, int stage,
                           const Instant& now) {
  const v1::DeviceInfo& info = record.info();
  v1::DeviceUpgrade device;
  device.set_device_id(info.device_id());
  device.set_device_name(info.name());
  device.set_stage(stage);
  device.set_from_version(info.worker_version());
  device.set_since_unix_seconds(ToUnix(now.wall));
  const bool built =
      std::any_of(upgrade.builds().begin(), upgrade.builds().end(),
                  [&](const auto& build) { return build.architecture() == info.architecture(); });
  if (info.worker_version() == upgrade.version()) {
    device.set_state(v1::DEVICE_UPGRADE_STATE_ACTIVE);
    device.set_reason("ran it before");
  } else if (!built) {
    device.set_state(v1::DEVICE_UPGRADE_STATE_REFUSED);
    device.set_reason(absl::StrCat("no build of ", upgrade.version(), " for ", info.architecture(),
                                   "; push it with 'wattle release push' and upgrade again"));
  } else {
    device.set_state(v1::DEVICE_UPGRADE_STATE_WAITING);
  }
  return device;
}

}  // namespace

absl::StatusOr<v1::Upgrade> PlanUpgrade(const State& state, const v1::StartUpgradeRequest& request,
                                        const std::string& coordinator_version,
                                        const Instant& now) {
  WATTLE_RETURN_IF_ERROR(CheckTexts(request, ""));
  WATTLE_RETURN_IF_ERROR(CheckStages(request));
  WATTLE_ASSIGN_OR_RETURN(const ReleaseVersion version, CheckVersion("version", request.version()));
  const std::optional<ReleaseVersion> coordinator = ParseReleaseVersion(coordinator_version);
  if (coordinator.has_value() && !IsServedBy(version, *coordinator)) {
    return absl::InvalidArgumentError(
        absl::StrCat("version ", request.version(), ": this coordinator is ", coordinator_version,
                     " and serves workers from two releases before to one after; ",
                     IsOlderRelease(version, *coordinator) ? "choose a newer version"
                                                           : "update the coordinator first"));
  }
  v1::Upgrade upgrade;
  upgrade.set_version(request.version());
  upgrade.set_allow_downgrade(request.allow_downgrade());
  for (const auto& [architecture, artifact] : BuildsOf(state, request.version())) {
    v1::ReleaseBuild& build = *upgrade.add_builds();
    build.set_architecture(architecture);
    build.set_artifact_id(artifact);
  }
  if (upgrade.builds().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("version ", request.version(),
                                                   ": no release of it is here; push it with "
                                                   "'wattle release push DIR --version ",
                                                   request.version(), "'; ", KnownVersions(state)));
  }
  *upgrade.mutable_stages() = request.stages();
  if (upgrade.stages().empty()) {
    upgrade.add_stages()->set_fleet_ratio(1);
  }
  StageDrawer drawer(state, request.version());
  for (int stage = 0; stage < upgrade.stages_size(); ++stage) {
    const std::vector<const v1::DeviceRecord*> drawn = drawer.Draw(upgrade.stages(stage));
    if (drawn.empty()) {
      return WithoutDevices(stage, upgrade.stages(stage));
    }
    for (const v1::DeviceRecord* record : drawn) {
      *upgrade.add_devices() = DeviceOf(upgrade, *record, stage, now);
    }
  }
  WATTLE_RETURN_IF_ERROR(CheckDowngrade(upgrade, version));
  return upgrade;
}

absl::Status CheckRelease(const State& state, const v1::ArtifactInfo& release) {
  WATTLE_RETURN_IF_ERROR(CheckVersion("info.release_version", release.release_version()).status());
  const std::string& architecture = release.release_architecture();
  if (architecture.empty() || architecture.size() > kArchitectureCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat("info.release_architecture: \"", architecture,
                                                   "\": want one such as aarch64 or x86_64"));
  }
  const std::map<std::string, std::string> builds = BuildsOf(state, release.release_version());
  const auto known = builds.find(architecture);
  if (known != builds.end() && known->second != release.artifact_id()) {
    return absl::AlreadyExistsError(
        absl::StrCat("release ", release.release_version(), " for ", architecture, " is ",
                     known->second.substr(0, 12),
                     ", other programs than these; a version never changes: "
                     "choose another one"));
  }
  return absl::OkStatus();
}

}  // namespace wattle::core
