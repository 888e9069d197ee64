// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The expected access rules, with which tests compare the access table and the gate over real TLS.
#ifndef WATTLE_COORDINATOR_ACCESS_TESTING_EXPECTED_ACCESS_FOR_TEST_H_
#define WATTLE_COORDINATOR_ACCESS_TESTING_EXPECTED_ACCESS_FOR_TEST_H_

#include <map>
#include <string>

namespace wattle::access {

// The rights of each role: viewer, submitter, operator, admin, worker, service, unapproved device,
// stranger. a: all; p: its projects; o: its own jobs there; d: resources about itself; -: nothing.
inline const std::map<std::string, std::string>& Expected() {
  static const auto& expected = *new std::map<std::string, std::string>{
      {"/wattle.v1.JobService/SubmitJob", "-paa----"},
      {"/wattle.v1.JobService/GetJob", "ppaa----"},
      {"/wattle.v1.JobService/ListJobs", "ppaa-a--"},
      {"/wattle.v1.JobService/CancelJob", "-oaa----"},
      {"/wattle.v1.JobService/WatchJob", "ppaa----"},
      {"/wattle.v1.JobService/GetJobLogs", "ppaa----"},
      {"/wattle.v1.JobService/PlanJob", "ppaa----"},
      {"/wattle.v1.JobService/GetTimetable", "aaaa----"},
      {"/wattle.v1.DeviceService/ListDevices", "aaaa-a--"},
      {"/wattle.v1.DeviceService/GetDevice", "aaaa----"},
      {"/wattle.v1.DeviceService/DrainDevice", "--aa----"},
      {"/wattle.v1.DeviceService/ResumeDevice", "--aa----"},
      {"/wattle.v1.DeviceService/RemoveDevice", "--aa----"},
      {"/wattle.v1.PolicyService/ApplyPolicy", "--aa----"},
      {"/wattle.v1.PolicyService/ListPolicies", "aaaa-a--"},
      {"/wattle.v1.PolicyService/DeletePolicy", "--aa----"},
      {"/wattle.v1.ProfileService/ListProfiles", "aaaa-a--"},
      {"/wattle.v1.ProfileService/ImportProfiles", "--aa----"},
      {"/wattle.v1.ProfileService/RemoveImportedProfiles", "--aa----"},
      {"/wattle.v1.ForecastService/PushForecast", "--aa----"},
      {"/wattle.v1.ForecastService/ListForecasts", "aaaa-a--"},
      {"/wattle.v1.ForecastService/RemoveForecast", "--aa----"},
      {"/wattle.v1.UpgradeService/PlanUpgrade", "aaaa----"},
      {"/wattle.v1.UpgradeService/StartUpgrade", "--aa----"},
      {"/wattle.v1.UpgradeService/GetUpgrade", "aaaa----"},
      {"/wattle.v1.UpgradeService/PauseUpgrade", "--aa----"},
      {"/wattle.v1.UpgradeService/ResumeUpgrade", "--aa----"},
      {"/wattle.v1.UpgradeService/AbortUpgrade", "--aa----"},
      {"/wattle.v1.ArtifactService/MissingChunks", "-paad---"},
      {"/wattle.v1.ArtifactService/PutChunks", "-paad---"},
      {"/wattle.v1.ArtifactService/CommitArtifact", "-paad---"},
      {"/wattle.v1.ArtifactService/GetManifest", "ppaad---"},
      {"/wattle.v1.ArtifactService/GetChunks", "ppaad---"},
      {"/wattle.v1.ArtifactService/ListArtifacts", "ppaa-a--"},
      {"/wattle.v1.ArtifactService/ResolveArtifact", "ppaa----"},
      {"/wattle.v1.ArtifactService/RemoveArtifact", "-paa----"},
      {"/wattle.v1.ArtifactService/SignArtifact", "-paa----"},
      {"/wattle.v1.CoordinatorService/GetCoordinator", "aaaa----"},
      {"/wattle.v1.CoordinatorService/WatchEvents", "ppaa----"},
      {"/wattle.v1.CoordinatorService/WatchEvents audited_alone", "---a----"},
      {"/wattle.v1.CoordinatorService/ReportEnergy", "ppaa----"},
      {"/wattle.v1.FleetService/Connect", "----d-d-"},
      {"/wattle.v1.PeerDirectory/Announce", "----d---"},
      {"/wattle.v1.PeerDirectory/Find", "----d---"},
      {"/wattle.v1.PeerDirectory/Check", "----d---"},
      {"/wattle.v1.PeerDirectory/EndFetch", "----d---"},
      {"POST /enroll", "aaaaaaaa"},
      {"/wattle.v1.AccessService/Renew", "aaaaa-a-"},
      {"/wattle.v1.AccessService/WhoAmI", "aaaaa-a-"},
      {"/wattle.v1.AccessService/CreateDeviceTokens", "--aa----"},
      {"/wattle.v1.AccessService/CreatePersonToken", "---a----"},
      {"/wattle.v1.AccessService/CreateServiceToken", "---a----"},
      {"/wattle.v1.AccessService/RevokeToken", "--aa----"},
      {"/wattle.v1.AccessService/RevokeDevice", "--aa----"},
      {"/wattle.v1.AccessService/RevokePerson", "---a----"},
      {"/wattle.v1.AccessService/ApproveDevice", "--aa----"},
      {"/wattle.v1.AccessService/ListIdentities", "--aa----"},
      {"/wattle.v1.AccessService/GetAuthority", "--aa----"},
      {"/wattle.v1.AccessService/RotateAuthority", "---a----"},
      {"/wattle.v1.AccessService/RetireAuthority", "---a----"},
      {"/wattle.v1.AccessService/SetQuota", "---a----"},
      {"/wattle.v1.AccessService/ListQuotas", "ooaa----"},
      {"/wattle.v1.AccessService/SetProject", "---a----"},
      {"/wattle.v1.AccessService/RemoveProject", "---a----"},
      {"/wattle.v1.AccessService/ListProjects", "ooaa----"},
      {"/wattle.v1.AccessService/SetMember", "---a----"},
      {"/grpc.health.v1.Health/Check", "aaaaaaa-"},
      {"/grpc.health.v1.Health/Watch", "aaaaaaa-"},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "aaaaaaa-"},
      {"GET /healthz", "aaaaaaaa"},
      {"GET /readyz", "aaaaaaaa"},
      {"GET /metrics", "aaaa-a--"},
      {"GET /sd", "aaaa-a--"},
      {"GET /api/v1/jobs", "ppaa-a--"},
      {"GET /api/v1/jobs/{job}", "ppaa----"},
      {"GET /api/v1/devices", "aaaa-a--"},
      {"GET /api/v1/devices/{device}", "aaaa----"},
      {"GET /api/v1/timetable", "aaaa----"},
      {"GET /api/v1/policies", "aaaa-a--"},
      {"GET /api/v1/profiles", "aaaa-a--"},
      {"GET /api/v1/artifacts", "ppaa-a--"},
      {"POST /api/v1/plan", "ppaa----"},
      {"POST /api/v1/jobs", "-paa----"},
      {"POST /api/v1/jobs/{job}/cancel", "-oaa----"},
      {"POST /api/v1/devices/{device}/drain", "--aa----"},
      {"POST /api/v1/devices/{device}/resume", "--aa----"},
  };
  return expected;
}

}  // namespace wattle::access

#endif  // WATTLE_COORDINATOR_ACCESS_TESTING_EXPECTED_ACCESS_FOR_TEST_H_
