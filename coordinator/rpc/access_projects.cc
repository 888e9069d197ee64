// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The access service's calls for projects, their members, and quotas.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/quota.h"
#include "coordinator/rpc/access_service.h"
#include "coordinator/runtime/unknown_fields.h"

namespace wattle::rpc {

grpc::Status AccessService::SetQuota(grpc::ServerContext* context,
                                     const v1::SetQuotaRequest* request, v1::SetQuotaResponse*) {
  const auto set = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    return PostFor(*context, core::SetQuota{request->quota(), NameOf(*context)}).status;
  };
  return ToGrpc(set());
}

// Who may see every quota sees all that were set; everybody sees what holds for themselves.
grpc::Status AccessService::ListQuotas(grpc::ServerContext* context,
                                       const v1::ListQuotasRequest* request,
                                       v1::ListQuotasResponse* response) {
  constexpr char kMethod[] = "/wattle.v1.AccessService/ListQuotas";
  const auto list = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(*context));
    const std::string& own = caller.identity.id;
    const std::shared_ptr<const core::State> state = runtime_.Version();
    const core::Observations observations = runtime_.heartbeats().Snapshot();
    const core::Scope scope = callers::ScopeOf(caller, kMethod);
    std::vector<core::Counted> counted;
    for (const auto& [key, quota] : state->quotas) {
      const bool is_others = !quota.project().empty() ? !scope.Covers(quota.project())
                                                      : quota.owner() != own && !scope.all();
      if (!is_others) {
        counted.push_back({.owner = quota.owner(), .project = quota.project()});
      }
    }
    if (!own.empty() && !state->quotas.contains(own) && core::QuotaOf(*state, own) != nullptr) {
      counted.push_back({.owner = own});  // Everybody's holds for the caller.
    }
    for (const core::Counted& one : counted) {
      *response->add_quotas() = core::DescribeQuota(*state, observations, one, runtime_.Now());
    }
    return absl::OkStatus();
  };
  return ToGrpc(list());
}

grpc::Status AccessService::SetProject(grpc::ServerContext* context,
                                       const v1::SetProjectRequest* request,
                                       v1::Project* response) {
  const auto set = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(
        PostFor(*context, core::SetProject{request->project(), NameOf(*context)}).status);
    *response = core::DescribeProject(*runtime_.Version(), request->project().name());
    return absl::OkStatus();
  };
  return ToGrpc(set());
}

grpc::Status AccessService::RemoveProject(grpc::ServerContext* context,
                                          const v1::RemoveProjectRequest* request,
                                          v1::RemoveProjectResponse*) {
  const auto remove = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    return PostFor(*context, core::RemoveProject{request->name(), NameOf(*context)}).status;
  };
  return ToGrpc(remove());
}

// A project's members see its other members.
grpc::Status AccessService::ListProjects(grpc::ServerContext* context,
                                         const v1::ListProjectsRequest* request,
                                         v1::ListProjectsResponse* response) {
  const auto list = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const core::Scope scope,
                            gate_.ScopeOf(*context, "/wattle.v1.AccessService/ListProjects"));
    const std::shared_ptr<const core::State> state = runtime_.Version();
    std::set<std::string> names = {kDefaultProject};
    for (const auto& [name, project] : state->projects) {
      names.insert(name);
    }
    for (const std::string& name : names) {
      if (scope.Covers(name)) {
        *response->add_projects() = core::DescribeProject(*state, name);
      }
    }
    return absl::OkStatus();
  };
  return ToGrpc(list());
}

grpc::Status AccessService::SetMember(grpc::ServerContext* context,
                                      const v1::SetMemberRequest* request, v1::SetMemberResponse*) {
  const auto set = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    return PostFor(*context,
                   core::SetMember{request->person(),
                                   {request->projects().begin(), request->projects().end()},
                                   NameOf(*context)})
        .status;
  };
  return ToGrpc(set());
}

}  // namespace wattle::rpc
