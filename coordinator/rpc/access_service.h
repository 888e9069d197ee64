// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Enrolment, renewal, tokens, revocation, the authority's roots, quotas and projects. Uses gRPC's
// blocking API on its own threads, because a call waits for the journal. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_ACCESS_SERVICE_H_
#define WATTLE_COORDINATOR_RPC_ACCESS_SERVICE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "coordinator/authority/authority.h"
#include "coordinator/rpc/fleet_service.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/rpc/root_rotation.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::rpc {

// The name in the access table.
inline constexpr char kEnrollMethod[] = "POST /enroll";

class AccessService final : public v1::AccessService::Service {
 public:
  // After a change: keeps outside the journal too what it now says of a "device" or a "person", or
  // of a "token", that a restore must not forget.
  using Keep = std::function<absl::Status(const std::string& kind, const std::string& id)>;

  // All must outlive the server. authority: null with plaintext, where nobody enrols. keep: may be
  // empty.
  AccessService(runtime::Runtime& runtime, StreamTable& streams, const Gate& gate,
                authority::Authority* authority, Keep keep)
      : runtime_(runtime),
        streams_(streams),
        gate_(gate),
        authority_(authority),
        keep_(std::move(keep)) {
    if (authority != nullptr) {
      rotation_.emplace(runtime, streams, *authority);
    }
  }

  // Where the server listens, once it does; before the first call.
  void set_address(const std::string& address) { address_ = address; }

  // For EnrollmentServer. host: the caller's numeric address. Errors are for the caller.
  absl::StatusOr<v1::IdentityCertificate> Enroll(const std::string& host,
                                                 const v1::EnrollRequest& request);
  grpc::Status Renew(grpc::ServerContext* context, const v1::RenewRequest* request,
                     v1::IdentityCertificate* response) override;
  grpc::Status WhoAmI(grpc::ServerContext* context, const v1::WhoAmIRequest* request,
                      v1::WhoAmIResponse* response) override;
  grpc::Status CreateDeviceTokens(grpc::ServerContext* context,
                                  const v1::CreateDeviceTokensRequest* request,
                                  v1::CreateTokensResponse* response) override;
  grpc::Status CreatePersonToken(grpc::ServerContext* context,
                                 const v1::CreatePersonTokenRequest* request,
                                 v1::CreateTokensResponse* response) override;
  grpc::Status CreateServiceToken(grpc::ServerContext* context,
                                  const v1::CreateServiceTokenRequest* request,
                                  v1::CreateTokensResponse* response) override;
  grpc::Status RevokeToken(grpc::ServerContext* context, const v1::RevokeTokenRequest* request,
                           v1::RevokeTokenResponse* response) override;
  grpc::Status ApproveDevice(grpc::ServerContext* context, const v1::ApproveDeviceRequest* request,
                             v1::ApproveDeviceResponse* response) override;
  grpc::Status RevokeDevice(grpc::ServerContext* context, const v1::RevokeDeviceRequest* request,
                            v1::RevokeDeviceResponse* response) override;
  grpc::Status ListIdentities(grpc::ServerContext* context,
                              const v1::ListIdentitiesRequest* request,
                              v1::ListIdentitiesResponse* response) override;
  grpc::Status SetQuota(grpc::ServerContext* context, const v1::SetQuotaRequest* request,
                        v1::SetQuotaResponse* response) override;
  grpc::Status ListQuotas(grpc::ServerContext* context, const v1::ListQuotasRequest* request,
                          v1::ListQuotasResponse* response) override;
  grpc::Status SetProject(grpc::ServerContext* context, const v1::SetProjectRequest* request,
                          v1::Project* response) override;
  grpc::Status RemoveProject(grpc::ServerContext* context, const v1::RemoveProjectRequest* request,
                             v1::RemoveProjectResponse* response) override;
  grpc::Status ListProjects(grpc::ServerContext* context, const v1::ListProjectsRequest* request,
                            v1::ListProjectsResponse* response) override;
  grpc::Status SetMember(grpc::ServerContext* context, const v1::SetMemberRequest* request,
                         v1::SetMemberResponse* response) override;
  grpc::Status RevokePerson(grpc::ServerContext* context, const v1::RevokePersonRequest* request,
                            v1::RevokePersonResponse* response) override;
  grpc::Status GetAuthority(grpc::ServerContext* context, const v1::GetAuthorityRequest* request,
                            v1::GetAuthorityResponse* response) override;
  grpc::Status RotateAuthority(grpc::ServerContext* context,
                               const v1::RotateAuthorityRequest* request,
                               v1::GetAuthorityResponse* response) override;
  grpc::Status RetireAuthority(grpc::ServerContext* context,
                               const v1::RetireAuthorityRequest* request,
                               v1::GetAuthorityResponse* response) override;

 private:
  [[nodiscard]] absl::Status RequireAuthority() const;
  // Who calls, for the journal.
  [[nodiscard]] std::string NameOf(const grpc::ServerContext& context) const;
  // Posts the command as the caller's, and waits for its answer.
  runtime::Answer PostFor(const grpc::ServerContext& context, core::Command command);
  struct TokenOrder {
    v1::EnrolmentToken like;
    int count;
    double ttl_seconds;
    std::string address;
  };
  absl::Status MakeTokens(const grpc::ServerContext& context, const TokenOrder& order,
                          v1::CreateTokensResponse* response);
  struct SignedUnder {
    std::string root_sha256;
    absl::Time not_after;
  };
  [[nodiscard]] absl::StatusOr<SignedUnder> SignedUnderOf(const std::string& certificate) const;
  // The change is in the journal. done: "is revoked"; again: what repeats the call.
  [[nodiscard]] absl::Status KeepDone(const std::string& kind, const std::string& id,
                                      absl::string_view done, absl::string_view again) const;
  // Ends the open streams of somebody who is revoked, beside a board's own one.
  void EndStreams(const std::string& kind, const std::string& id) const;
  // Keeps an enrolment's token, once it is spent, and its board, if it waits.
  [[nodiscard]] absl::Status KeepEnrolled(const v1::EnrolmentToken& token,
                                          const std::string& id) const;
  // The numbers of the jobs, in memory and in the history, of which an attempt ended on the device
  // since then.
  [[nodiscard]] absl::StatusOr<std::set<int64_t>> JobsEndedOn(const DeviceId& device,
                                                              double since_unix_seconds) const;
  absl::Status Answer(const std::string& certificate_pem, const std::string& kind,
                      const std::string& id, v1::IdentityCertificate* response) const;

  runtime::Runtime& runtime_;
  StreamTable& streams_;
  const Gate& gate_;
  authority::Authority* const authority_;
  const Keep keep_;
  std::optional<RootRotation> rotation_;  // None with plaintext.
  std::string address_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_ACCESS_SERVICE_H_
