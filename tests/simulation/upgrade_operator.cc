// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/upgrade_operator.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "coordinator/core/command.h"
#include "coordinator/core/upgrades.h"
#include "sim/release.h"

namespace wattle::sim {
namespace {

constexpr double kFirstStage = 0.5;  // share of the fleet
constexpr double kPaused = 0.3;      // share of checks at which a running upgrade is paused
constexpr double kResumed = 0.5;     // share of stopped upgrades that go on; the others end

}  // namespace

bool Upgrading::Step() {
  if (!coordinator_.alive() || coordinator_.stands_still()) {
    return false;
  }
  const v1::Upgrade* const open = core::OpenUpgrade(coordinator_.durable());
  if (open != nullptr) {
    return StepWith(*open);
  }
  Begin();
  return true;
}

bool Upgrading::StepWith(const v1::Upgrade& upgrade) {
  if (upgrade.state() == v1::UPGRADE_STATE_RUNNING) {
    if (!random_.Chance(kPaused)) {
      return false;
    }
    coordinator_.Post(core::PauseUpgrade{"wait for the weekend"}, nullptr);
  } else if (random_.Chance(kResumed)) {
    coordinator_.Post(core::ResumeUpgrade{}, nullptr);
  } else {
    coordinator_.Post(core::AbortUpgrade{"a better release comes"}, nullptr);
  }
  return true;
}

void Upgrading::Begin() {
  const int number = ++releases_;
  const std::string version = absl::StrCat("1.", number, ".0");
  coordinator_.Post(core::CommitArtifact{ReleaseArtifact(number, version)},
                    [this, version](const event_loop::Answer& answer) {
                      if (!answer.status.ok()) {
                        return;
                      }
                      core::StartUpgrade start;
                      start.request.set_version(version);
                      start.request.add_stages()->set_fleet_ratio(kFirstStage);
                      start.request.add_stages()->set_fleet_ratio(1.0);
                      coordinator_.Post(std::move(start), nullptr);
                    });
}

}  // namespace wattle::sim
