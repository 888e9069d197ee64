// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/access/access_table.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"

namespace wattle::access {
namespace {

using testing::HasSubstr;

// What each role may: viewer, submitter, operator, admin, worker, service, stranger.
// a: all; p: of its projects; o: its own jobs there; d: what is about itself; -: nothing.
const std::map<std::string, std::string>& Expected() {
  static const auto& expected = *new std::map<std::string, std::string>{
      {"/wattle.v1.JobService/SubmitJob", "-paa---"},
      {"/wattle.v1.JobService/GetJob", "ppaa---"},
      {"/wattle.v1.JobService/ListJobs", "ppaa-a-"},
      {"/wattle.v1.JobService/CancelJob", "-oaa---"},
      {"/wattle.v1.JobService/WatchJob", "ppaa---"},
      {"/wattle.v1.JobService/GetJobLogs", "ppaa---"},
      {"/wattle.v1.JobService/PlanJob", "ppaa---"},
      {"/wattle.v1.JobService/GetTimetable", "aaaa---"},
      {"/wattle.v1.DeviceService/ListDevices", "aaaa-a-"},
      {"/wattle.v1.DeviceService/GetDevice", "aaaa---"},
      {"/wattle.v1.DeviceService/DrainDevice", "--aa---"},
      {"/wattle.v1.DeviceService/ResumeDevice", "--aa---"},
      {"/wattle.v1.DeviceService/RemoveDevice", "--aa---"},
      {"/wattle.v1.PolicyService/ApplyPolicy", "--aa---"},
      {"/wattle.v1.PolicyService/ListPolicies", "aaaa-a-"},
      {"/wattle.v1.PolicyService/DeletePolicy", "--aa---"},
      {"/wattle.v1.ProfileService/ListProfiles", "aaaa-a-"},
      {"/wattle.v1.ArtifactService/MissingChunks", "-paad--"},
      {"/wattle.v1.ArtifactService/PutChunks", "-paad--"},
      {"/wattle.v1.ArtifactService/CommitArtifact", "-paad--"},
      {"/wattle.v1.ArtifactService/GetManifest", "ppaad--"},
      {"/wattle.v1.ArtifactService/GetChunks", "ppaad--"},
      {"/wattle.v1.ArtifactService/ListArtifacts", "ppaa-a-"},
      {"/wattle.v1.ArtifactService/ResolveArtifact", "ppaa---"},
      {"/wattle.v1.ArtifactService/RemoveArtifact", "-paa---"},
      {"/wattle.v1.CoordinatorService/GetCoordinator", "aaaa---"},
      {"/wattle.v1.CoordinatorService/WatchEvents", "aaaa---"},
      {"/wattle.v1.CoordinatorService/ReportEnergy", "aaaa---"},
      {"/wattle.v1.FleetService/Connect", "----d--"},
      {"/grpc.health.v1.Health/Check", "aaaaaa-"},
      {"/grpc.health.v1.Health/Watch", "aaaaaa-"},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "aaaaaa-"},
      {"GET /healthz", "aaaaaaa"},
      {"GET /readyz", "aaaaaaa"},
      {"GET /metrics", "aaaa-a-"},
      {"GET /sd", "aaaa-a-"},
      {"GET /api/v1/jobs", "ppaa-a-"},
      {"GET /api/v1/jobs/{job}", "ppaa---"},
      {"GET /api/v1/devices", "aaaa-a-"},
      {"GET /api/v1/devices/{device}", "aaaa---"},
      {"GET /api/v1/timetable", "aaaa---"},
      {"GET /api/v1/policies", "aaaa-a-"},
      {"GET /api/v1/profiles", "aaaa-a-"},
      {"GET /api/v1/artifacts", "ppaa-a-"},
      {"POST /api/v1/plan", "ppaa---"},
      {"POST /api/v1/jobs", "-paa---"},
      {"POST /api/v1/jobs/{job}/cancel", "-oaa---"},
      {"POST /api/v1/devices/{device}/drain", "--aa---"},
      {"POST /api/v1/devices/{device}/resume", "--aa---"},
  };
  return expected;
}

struct Case {
  Resource resource;
  std::string covered_by;  // Which letters of Expected cover the resource.
};

const std::map<std::string, Case>& Cases() {
  static const auto& cases = *new std::map<std::string, Case>{
      {"own job", {{"p1", "ann", ""}, "apo"}},
      {"another's job of the project", {{"p1", "bob", ""}, "ap"}},
      {"own job of a foreign project", {{"p2", "ann", ""}, "a"}},
      {"foreign job", {{"p2", "bob", ""}, "a"}},
      {"own device", {{"", "", "ann"}, "ad"}},
      {"foreign device", {{"", "", "bob"}, "a"}},
      {"nothing in particular", {{"", "", ""}, "a"}},
  };
  return cases;
}

TEST(AccessTableTest, EveryRoleMayWhatIsWrittenAndNothingElse) {
  int cells = 0;
  for (const auto& [method, letters] : Expected()) {
    for (size_t role = 0; role <= kRoles; ++role) {
      Identity identity{"ann", {}, {"p1"}, "ask an admin"};
      if (role < kRoles) {
        identity.roles.insert(static_cast<Role>(role));
      }
      for (const auto& [name, one] : Cases()) {
        const bool may = one.covered_by.find(letters[role]) != std::string::npos;
        EXPECT_EQ(Decide(identity, method, one.resource).ok(), may)
            << method << ", role " << role << ", " << name;
        ++cells;
      }
    }
  }
  EXPECT_EQ(AccessTable().size(), Expected().size()) << "a row without an expectation";
  EXPECT_EQ(static_cast<size_t>(cells), AccessTable().size() * 7 * Cases().size());
}

TEST(AccessTableTest, ANamelessCallerOwnsNothing) {
  const Identity nameless{"", {Role::kSubmitter, Role::kWorker}, {"", "p1"}, ""};
  EXPECT_FALSE(Decide(nameless, "/wattle.v1.JobService/CancelJob", {"p1", "", ""}).ok());
  EXPECT_FALSE(Decide(nameless, "/wattle.v1.JobService/GetJob", {"", "", ""}).ok());
  EXPECT_FALSE(Decide(nameless, "/wattle.v1.FleetService/Connect", {"", "", ""}).ok());
}

TEST(AccessTableTest, ARefusalNamesTheMissingRoleAndWhoGivesIt) {
  const Identity viewer{"ann", {Role::kViewer}, {"p1"}, "an admin gives roles"};
  EXPECT_THAT(Decide(viewer, "POST /api/v1/devices/{device}/drain", {}),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "POST /api/v1/devices/{device}/drain: ann has the role viewer; wanted: "
                       "operator, admin; an admin gives roles"));
  EXPECT_THAT(Decide(viewer, "GET /api/v1/jobs/{job}", {"p2", "", ""}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("does not cover this one")));
  EXPECT_THAT(Decide({}, "GET /metrics", {}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("a stranger has no role")));
}

TEST(AccessTableTest, WhatHasNoRowIsForNobody) {
  const Identity admin{"ann", {Role::kAdmin}, {}, ""};
  EXPECT_FALSE(Decide(admin, "/wattle.v1.JobService/Nonesuch", {}).ok());
  EXPECT_THAT(RequireRow("/wattle.v1.JobService/Nonesuch"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("Nonesuch: has no row")));
  EXPECT_THAT(RequireRow("GET /healthz"), IsOk());
}

TEST(AccessTableTest, RolesHaveNames) {
  for (int i = 0; i < kRoles; ++i) {
    EXPECT_EQ(ParseRole(RoleName(static_cast<Role>(i))), static_cast<Role>(i));
  }
  EXPECT_EQ(ParseRole("root"), std::nullopt);
}

}  // namespace
}  // namespace wattle::access
