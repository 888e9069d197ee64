// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator for tests, which serves real gRPC on a free port of the loopback, answers with the
// messages of sample_messages.h, and makes faults on demand. The fake decides nothing. gRPC's
// threads share the fields below `mutex`.
#ifndef WATTLE_CLI_TESTING_FAKE_COORDINATOR_H_
#define WATTLE_CLI_TESTING_FAKE_COORDINATOR_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::cli {

// The received requests and the prepared answers.
struct FakeState {
  absl::Mutex mutex;
  std::vector<v1::SubmitJobRequest> submits;
  std::vector<v1::PlanRequest> plans;
  std::vector<v1::Policy> applied;
  std::vector<v1::HarvestForecast> pushed_forecasts;
  std::vector<v1::StartUpgradeRequest> upgrades;  // planned or started
  std::vector<std::string> upgrade_reasons;       // of pauses and aborts
  std::vector<v1::ImportProfilesRequest> imports;
  grpc::Status import_status;  // of ImportProfiles
  std::vector<v1::CancelJobRequest> cancels;
  std::vector<v1::DrainDeviceRequest> drains;
  v1::PlanResponse plan;
  grpc::Status plan_status;  // of PlanJob
  v1::Timetable timetable;
  std::map<std::string, v1::Job> jobs;
  std::vector<v1::ListJobsRequest> lists;
  int jobs_of_a_page = 1000;           // at most, in one answer
  std::vector<v1::JobUpdate> updates;  // of a watch
  size_t submits_refused_from = 1000;  // the submit of this number and all after it are refused
  int submits_unavailable = 0;         // this many submits are answered UNAVAILABLE
  int watches_broken = 0;              // this many watches break after their first update
  std::function<void()> on_watch;      // called after the first update of a watch
  grpc::Status devices_status;         // of ListDevices
  std::map<std::string, std::string> chunks;  // by SHA-256
  std::map<std::string, v1::Manifest> manifests;
  std::vector<v1::ArtifactInfo> artifacts;
  std::vector<v1::CommitArtifactRequest> commits;
  std::vector<v1::RemoveArtifactRequest> artifact_removals;
  std::vector<std::string> device_removals;
  std::vector<v1::ReportEnergyRequest> energy_requests;
  v1::CoordinatorStatus coordinator;
  v1::EnergyReport energy;
  std::vector<v1::FleetEvent> events;
  std::vector<std::string> token_revocations;
  grpc::Status revoke_status;  // of RevokeToken
  v1::ListIdentitiesResponse identities;
  v1::RevokeDeviceResponse revoked_device;  // the answer of RevokeDevice
  grpc::Status quota_status;                // of SetQuota
};

class FakeCoordinator {
 public:
  FakeCoordinator();
  ~FakeCoordinator();
  [[nodiscard]] std::string address() const;
  // The lock orders what gRPC's threads wrote before what a test reads when its command has ended.
  FakeState& state() {
    const absl::MutexLock lock(&state_.mutex);
    return state_;
  }

 private:
  struct Services;
  FakeState state_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TESTING_FAKE_COORDINATOR_H_
