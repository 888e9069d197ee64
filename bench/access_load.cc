// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-access-load gate DIRECTORY CALLS: prints the microseconds in which the gate checks one
// call, with 1,000 boards in the journal.
// wattle-access-load revoke HOST:PORT ADMIN BOARD...: revokes each board, whose folder of
// credentials is BOARD, and prints the milliseconds from the start of the revocation until the
// board's call is refused, and until its open stream has ended. bench/security.py reads both.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "coordinator/authority/authority.h"
#include "coordinator/callers/callers.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/runtime/runtime.h"
#include "identity/identity.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/fleet.grpc.pb.h"

namespace {

using wattle::Clock;
namespace v1 = wattle::v1;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr int kBoards = 1000;

// Enrols a board as the coordinator would, and returns its certificate.
absl::StatusOr<std::string> Enrolled(wattle::runtime::Runtime& runtime,
                                     const wattle::authority::Authority& authority,
                                     const std::string& id) {
  WATTLE_ASSIGN_OR_RETURN(const std::string key, wattle::tls::NewKey());
  WATTLE_ASSIGN_OR_RETURN(const std::string pem, wattle::tls::NewSigningRequest(key));
  WATTLE_ASSIGN_OR_RETURN(const auto request, wattle::tls::ReadSigningRequest(pem));
  WATTLE_ASSIGN_OR_RETURN(const std::string chain, authority.SignClient(request, "device", id));
  wattle::core::Enrol enrol;
  enrol.identity.set_id(id);
  enrol.identity.set_token_id("bench");
  enrol.identity.set_public_key_sha256(request.public_key_sha256);
  enrol.identity.set_certificate_pem(chain);
  WATTLE_RETURN_IF_ERROR(runtime.PostAndWait(enrol, kPatience).status);
  return chain;
}

absl::Status MeasureGate(const std::string& directory, int calls) {
  WATTLE_ASSIGN_OR_RETURN(const auto authority, wattle::authority::Authority::Open(
                                                    directory + "/authority", {}, Clock::Real()));
  wattle::runtime::RuntimeOptions options;
  options.journal_path = directory + "/journal.db";
  WATTLE_ASSIGN_OR_RETURN(const auto runtime,
                          wattle::runtime::Runtime::Start(options, /*links=*/nullptr));
  v1::EnrolmentToken token;
  token.set_token_id("bench");
  token.set_kind(wattle::core::kDeviceKind);
  token.set_uses(kBoards);
  token.set_expires_unix_seconds(wattle::core::ToUnix(absl::Now() + absl::Hours(1)));
  WATTLE_RETURN_IF_ERROR(
      runtime->PostAndWait(wattle::core::CreateTokens{{token}}, kPatience).status);
  std::vector<std::string> certificates;
  for (int i = 0; i < kBoards; ++i) {
    WATTLE_ASSIGN_OR_RETURN(certificates.emplace_back(),
                            Enrolled(*runtime, *authority, absl::StrCat("board-", i)));
  }
  const wattle::callers::Callers callers(
      *runtime, authority->fleet(),
      std::make_shared<wattle::callers::CallLimits>(wattle::callers::CallLimits::Most{
          .calls_per_second = 1e9, .calls_at_once = 1e9, .streams = 1}));
  const auto judge = [&](const std::string& certificate) -> absl::Status {
    WATTLE_ASSIGN_OR_RETURN(const auto caller, callers.OfCertificate(certificate));
    return callers.Admit(caller, "/wattle.v1.ArtifactService/GetChunks");
  };
  for (const std::string& certificate : certificates) {
    WATTLE_RETURN_IF_ERROR(judge(certificate));  // read once for each connection
  }
  const absl::Time begin = absl::Now();
  for (int i = 0; i < calls; ++i) {
    WATTLE_RETURN_IF_ERROR(judge(certificates[static_cast<size_t>(i) % certificates.size()]));
  }
  std::printf("microseconds=%.3f\n", absl::ToDoubleMicroseconds(absl::Now() - begin) / calls);
  runtime->Stop();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address,
                                                    const std::string& folder) {
  WATTLE_ASSIGN_OR_RETURN(const auto identity, wattle::identity::Load(folder));
  return grpc::CreateChannel(address, wattle::identity::CredentialsOf(identity, Clock::Real()));
}

grpc::Status WhoAmI(v1::AccessService::Stub& stub) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::WhoAmIResponse me;
  return stub.WhoAmI(&context, v1::WhoAmIRequest(), &me);
}

// Revokes one board whose stream is open and whose calls are answered at the start.
absl::Status RevokeOne(const std::string& address, v1::AccessService::Stub& admin,
                       const std::string& folder) {
  WATTLE_ASSIGN_OR_RETURN(const auto identity, wattle::identity::Load(folder));
  WATTLE_ASSIGN_OR_RETURN(const auto channel, Dial(address, folder));
  const auto fleet = v1::FleetService::NewStub(channel);
  const auto access = v1::AccessService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = fleet->Connect(&context);
  v1::WorkerMessage hello;
  v1::DeviceInfo& info = *hello.mutable_hello()->mutable_device();
  info.set_device_id(identity.id());
  info.set_name(identity.id());
  info.set_device_class("raspberry-pi-5");
  info.set_time_scale(1);
  info.set_memory_bytes(int64_t{8} << 30);
  info.set_cores(4);
  hello.mutable_hello()->set_incarnation(1);
  v1::CoordinatorMessage message;
  if (!stream->Write(hello) || !stream->Read(&message) || !WhoAmI(*access).ok()) {
    return absl::InternalError(
        absl::StrCat(identity.id(), ": is not let in: ", stream->Finish().error_message()));
  }
  absl::Time ended;
  std::thread reader([&] {
    while (stream->Read(&message)) {
    }
    ended = absl::Now();
  });
  v1::RevokeDeviceRequest request;
  request.set_device(identity.id());
  v1::RevokeDeviceResponse revoked;
  grpc::ClientContext revoking;
  const absl::Time begin = absl::Now();
  const grpc::Status status = admin.RevokeDevice(&revoking, request, &revoked);
  while (WhoAmI(*access).ok() && absl::Now() - begin < kPatience) {
  }
  const absl::Time refused = absl::Now();
  reader.join();
  if (!status.ok()) {
    return absl::InternalError(status.error_message());
  }
  std::printf("call_ms=%.3f stream_ms=%.3f\n", absl::ToDoubleMilliseconds(refused - begin),
              absl::ToDoubleMilliseconds(ended - begin));
  return absl::OkStatus();
}

absl::Status MeasureRevocations(const std::vector<std::string>& words) {
  WATTLE_ASSIGN_OR_RETURN(const auto channel, Dial(words[0], words[1]));
  const auto admin = v1::AccessService::NewStub(channel);
  for (size_t i = 2; i < words.size(); ++i) {
    WATTLE_RETURN_IF_ERROR(RevokeOne(words[0], *admin, words[i]));
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  wattle::tls::UseTls13Alone();
  const std::vector<std::string> words(argv + 1, argv + argc);
  absl::Status done = absl::InvalidArgumentError("wanted: gate DIRECTORY CALLS, or revoke ...");
  if (words.size() == 3 && words[0] == "gate") {
    done = MeasureGate(words[1], std::atoi(words[2].c_str()));
  } else if (words.size() > 3 && words[0] == "revoke") {
    done = MeasureRevocations({words.begin() + 1, words.end()});
  }
  if (!done.ok()) {
    std::fprintf(stderr, "wattle-access-load: %s\n", std::string(done.message()).c_str());
  }
  return done.ok() ? 0 : 1;
}
