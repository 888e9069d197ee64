// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/access/access_table.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace wattle::access {
namespace {

using enum Whose;

constexpr std::array<absl::string_view, kRoles> kNames = {
    "viewer", "submitter", "operator", "admin", "worker", "service", "unapproved"};

// The kinds of rows. The columns are those of Role.
using Columns = std::array<Whose, kRoles>;
constexpr Columns kRead = {kOwnProject, kOwnProject, kAll, kAll, kNobodys, kNobodys, kNobodys};
constexpr Columns kList = {kOwnProject, kOwnProject, kAll, kAll, kNobodys, kAll, kNobodys};
constexpr Columns kReadFleet = {kAll, kAll, kAll, kAll, kNobodys, kNobodys, kNobodys};
constexpr Columns kListFleet = {kAll, kAll, kAll, kAll, kNobodys, kAll, kNobodys};
constexpr Columns kWrite = {kNobodys, kOwnProject, kAll, kAll, kNobodys, kNobodys, kNobodys};
constexpr Columns kWriteOwn = {kNobodys, kOwn, kAll, kAll, kNobodys, kNobodys, kNobodys};
constexpr Columns kReadOwn = {kOwn, kOwn, kAll, kAll, kNobodys, kNobodys, kNobodys};
constexpr Columns kOperate = {kNobodys, kNobodys, kAll, kAll, kNobodys, kNobodys, kNobodys};
constexpr Columns kAdminister = {kNobodys, kNobodys, kNobodys, kAll, kNobodys, kNobodys, kNobodys};
// For resources about the caller itself.
constexpr Columns kSelf = {kAll, kAll, kAll, kAll, kAll, kNobodys, kAll};
constexpr Columns kFetch = {kOwnProject, kOwnProject, kAll, kAll, kOwnDevice, kNobodys, kNobodys};
constexpr Columns kUpload = {kNobodys, kOwnProject, kAll, kAll, kOwnDevice, kNobodys, kNobodys};
constexpr Columns kDevice = {kNobodys,   kNobodys, kNobodys,  kNobodys,
                             kOwnDevice, kNobodys, kOwnDevice};
// For calls between boards.
constexpr Columns kPeers = {kNobodys, kNobodys, kNobodys, kNobodys, kOwnDevice, kNobodys, kNobodys};
constexpr Columns kEverybody = {kAll, kAll, kAll, kAll, kAll, kAll, kAll};

bool IsOneOf(const std::string& value, const std::set<std::string>& values) {
  return !value.empty() && values.contains(value);
}

bool Covers(Whose whose, const Identity& identity, const Resource& resource) {
  switch (whose) {
    case kNobodys:
      return false;
    case kOwnProject:
      return IsOneOf(resource.project, identity.projects);
    case kOwn:
      return IsOneOf(resource.project, identity.projects) && !identity.id.empty() &&
             resource.owner == identity.id;
    case kOwnDevice:
      return !identity.id.empty() && resource.device == identity.id;
    case kAll:
      return true;
  }
  return false;
}

const AccessRow* FindRow(absl::string_view method) {
  for (const AccessRow& row : AccessTable()) {
    if (row.method == method) {
      return &row;
    }
  }
  return nullptr;
}

std::string NamesOf(const std::set<Role>& roles) {
  return absl::StrJoin(roles, ", ",
                       [](std::string* out, Role role) { absl::StrAppend(out, RoleName(role)); });
}

}  // namespace

absl::string_view RoleName(Role role) {
  return kNames[static_cast<size_t>(role)];
}

std::optional<Role> ParseRole(absl::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      return static_cast<Role>(i);
    }
  }
  return std::nullopt;
}

const std::vector<AccessRow>& AccessTable() {
  static const auto& table = *new std::vector<AccessRow>{
      {"/wattle.v1.JobService/SubmitJob", kWrite},
      {"/wattle.v1.JobService/GetJob", kRead},
      {"/wattle.v1.JobService/ListJobs", kList},
      {"/wattle.v1.JobService/CancelJob", kWriteOwn},
      {"/wattle.v1.JobService/WatchJob", kRead},
      {"/wattle.v1.JobService/GetJobLogs", kRead},
      {"/wattle.v1.JobService/PlanJob", kRead},
      {"/wattle.v1.JobService/GetTimetable", kReadFleet},
      {"/wattle.v1.DeviceService/ListDevices", kListFleet},
      {"/wattle.v1.DeviceService/GetDevice", kReadFleet},
      {"/wattle.v1.DeviceService/DrainDevice", kOperate},
      {"/wattle.v1.DeviceService/ResumeDevice", kOperate},
      {"/wattle.v1.DeviceService/RemoveDevice", kOperate},
      {"/wattle.v1.PolicyService/ApplyPolicy", kOperate},
      {"/wattle.v1.PolicyService/ListPolicies", kListFleet},
      {"/wattle.v1.PolicyService/DeletePolicy", kOperate},
      {"/wattle.v1.ProfileService/ListProfiles", kListFleet},
      {"/wattle.v1.ProfileService/ImportProfiles", kOperate},
      {"/wattle.v1.ProfileService/RemoveImportedProfiles", kOperate},
      {"/wattle.v1.ForecastService/PushForecast", kOperate},
      {"/wattle.v1.ForecastService/ListForecasts", kListFleet},
      {"/wattle.v1.ForecastService/RemoveForecast", kOperate},
      {"/wattle.v1.UpgradeService/PlanUpgrade", kReadFleet},
      {"/wattle.v1.UpgradeService/StartUpgrade", kOperate},
      {"/wattle.v1.UpgradeService/GetUpgrade", kReadFleet},
      {"/wattle.v1.UpgradeService/PauseUpgrade", kOperate},
      {"/wattle.v1.UpgradeService/ResumeUpgrade", kOperate},
      {"/wattle.v1.UpgradeService/AbortUpgrade", kOperate},
      {"/wattle.v1.ArtifactService/MissingChunks", kUpload},
      {"/wattle.v1.ArtifactService/PutChunks", kUpload},
      {"/wattle.v1.ArtifactService/CommitArtifact", kUpload},
      {"/wattle.v1.ArtifactService/GetManifest", kFetch},
      {"/wattle.v1.ArtifactService/GetChunks", kFetch},
      {"/wattle.v1.ArtifactService/ListArtifacts", kList},
      {"/wattle.v1.ArtifactService/ResolveArtifact", kRead},
      {"/wattle.v1.ArtifactService/RemoveArtifact", kWrite},
      {"/wattle.v1.ArtifactService/SignArtifact", kWrite},
      {"/wattle.v1.CoordinatorService/GetCoordinator", kReadFleet},
      {"/wattle.v1.CoordinatorService/WatchEvents", kRead},
      {kReadAudit, kAdminister},
      {"/wattle.v1.CoordinatorService/ReportEnergy", kRead},
      {"/wattle.v1.FleetService/Connect", kDevice},
      {"/wattle.v1.PeerDirectory/Announce", kPeers},
      {"/wattle.v1.PeerDirectory/Find", kPeers},
      {"/wattle.v1.PeerDirectory/Check", kPeers},
      {"/wattle.v1.PeerDirectory/EndFetch", kPeers},
      {"POST /enroll", kEverybody, /*for_strangers=*/true},
      {"/wattle.v1.AccessService/Renew", kSelf},
      {"/wattle.v1.AccessService/WhoAmI", kSelf},
      {"/wattle.v1.AccessService/CreateDeviceTokens", kOperate},
      {"/wattle.v1.AccessService/CreatePersonToken", kAdminister},
      {"/wattle.v1.AccessService/CreateServiceToken", kAdminister},
      {"/wattle.v1.AccessService/RevokeToken", kOperate},
      {"/wattle.v1.AccessService/RevokeDevice", kOperate},
      {"/wattle.v1.AccessService/RevokePerson", kAdminister},
      {"/wattle.v1.AccessService/ApproveDevice", kOperate},
      {"/wattle.v1.AccessService/ListIdentities", kOperate},
      {"/wattle.v1.AccessService/GetAuthority", kOperate},
      {"/wattle.v1.AccessService/RotateAuthority", kAdminister},
      {"/wattle.v1.AccessService/RetireAuthority", kAdminister},
      {"/wattle.v1.AccessService/SetQuota", kAdminister},
      {"/wattle.v1.AccessService/ListQuotas", kReadOwn},
      {"/wattle.v1.AccessService/SetProject", kAdminister},
      {"/wattle.v1.AccessService/RemoveProject", kAdminister},
      {"/wattle.v1.AccessService/ListProjects", kReadOwn},
      {"/wattle.v1.AccessService/SetMember", kAdminister},
      {"/grpc.health.v1.Health/Check", kEverybody},
      {"/grpc.health.v1.Health/Watch", kEverybody},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", kEverybody},
      {"GET /healthz", kEverybody, /*for_strangers=*/true},
      {"GET /readyz", kEverybody, /*for_strangers=*/true},
      {"GET /metrics", kListFleet},
      {"GET /sd", kListFleet},
      {"GET /api/v1/jobs", kList},
      {"GET /api/v1/jobs/{job}", kRead},
      {"GET /api/v1/devices", kListFleet},
      {"GET /api/v1/devices/{device}", kReadFleet},
      {"GET /api/v1/timetable", kReadFleet},
      {"GET /api/v1/policies", kListFleet},
      {"GET /api/v1/profiles", kListFleet},
      {"GET /api/v1/artifacts", kList},
      {"POST /api/v1/plan", kRead},
      {"POST /api/v1/jobs", kWrite},
      {"POST /api/v1/jobs/{job}/cancel", kWriteOwn},
      {"POST /api/v1/devices/{device}/drain", kOperate},
      {"POST /api/v1/devices/{device}/resume", kOperate},
  };
  return table;
}

absl::Status RequireRow(absl::string_view method) {
  if (FindRow(method) != nullptr) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      method, ": has no row in coordinator/access/access_table.cc, so nobody may call it"));
}

absl::Status DecideMethod(const Identity& identity, absl::string_view method) {
  const AccessRow* row = FindRow(method);
  if (row != nullptr) {
    for (const Role role : identity.roles) {
      if (row->whose[static_cast<size_t>(role)] != kNobodys) {
        return absl::OkStatus();  // Allowed for some resource.
      }
    }
  }
  return Decide(identity, method, {});
}

absl::Status Decide(const Identity& identity, absl::string_view method, const Resource& resource) {
  const AccessRow* row = FindRow(method);
  return row == nullptr
             ? absl::PermissionDeniedError(absl::StrCat(method, ": nobody may call this"))
             : DecideByRow(*row, identity, resource);
}

absl::Status DecideByRow(const AccessRow& row, const Identity& identity, const Resource& resource) {
  if (row.for_strangers) {
    return absl::OkStatus();
  }
  std::set<Role> wanted;
  bool foreign = false;
  for (size_t i = 0; i < row.whose.size(); ++i) {
    const auto role = static_cast<Role>(i);
    const bool has = identity.roles.contains(role);
    if (has && Covers(row.whose[i], identity, resource)) {
      return absl::OkStatus();
    }
    if (has && row.whose[i] != kNobodys) {
      foreign = true;  // The role is enough, but for another resource.
    } else if (row.whose[i] != kNobodys) {
      wanted.insert(role);
    }
  }
  return absl::PermissionDeniedError(absl::StrCat(
      row.method, ": ", identity.id.empty() ? "a stranger" : identity.id, " has ",
      identity.roles.empty() ? "no role" : absl::StrCat("the role ", NamesOf(identity.roles)),
      foreign ? ", which does not cover this one" : "", "; wanted: ", NamesOf(wanted), "; ",
      identity.how_to_get_a_role));
}

}  // namespace wattle::access
