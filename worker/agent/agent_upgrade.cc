// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An upgrade's actions on the machine: its files, the link `current`, and the runner's self-test.
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "worker/agent/agent.h"

namespace wattle::agent {
namespace {

// On a small board the test first loads libtorch from a slow card.
constexpr absl::Duration kSelfTestTime = absl::Minutes(5);

}  // namespace

void Agent::StartReleaseFetch(const v1::UpgradeOrder& order) {
  transfers_->FetchRelease(
      order.artifact_id(), core_->NeededArtifacts(),
      [releases = releases_, version = order.version()](const std::string& directory) {
        return releases.Install(version, directory);
      });
}

std::string Agent::CurrentRelease() const {
  return releases_.Current();
}

absl::Status Agent::SwitchRelease(const std::string& version) {
  return releases_.Switch(version);
}

void Agent::KeepReleases(const std::set<std::string>& versions) {
  releases_.KeepOnly(versions);
}

// Runs on its own thread, so that the loop can feed the watchdog. The runner dies with its thread.
// Tests on the configured device even if it does not answer, because the release may be the cause.
void Agent::StartSelfTest() {
  if (self_test_.joinable()) {
    self_test_.join();
  }
  self_test_ = std::thread([this] {
    absl::StatusOr<sandbox::Sandbox> sandbox = PrepareBox({});
    const absl::Status tested =
        sandbox.ok() ? child::TestRunner({.program = config_.runner, .sandbox = &*sandbox},
                                         config_.device, kSelfTestTime)
                     : sandbox.status();
    Post([this, tested](const Instant& now) { core_->OnSelfTested(tested, now); });
  });
}

}  // namespace wattle::agent
