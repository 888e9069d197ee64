// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an upgrade does on the machine: its files, the link `current`, and the runner's self-test.
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "worker/agent/agent.h"

namespace wattle::agent {
namespace {

// A small board loads libtorch from a slow card first.
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

// On a thread of its own: the loop feeds the watchdog meanwhile. The runner dies with its thread.
// On the device that is configured, also where it does not answer: the release may be why.
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
