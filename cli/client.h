// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Calls to a coordinator: a request goes in, an absl::Status or a response comes out. A command
// names the call by the method of its stub; the rest of gRPC stays in this class. Every call has a
// deadline. A stream has none: it ends when its connection is dead. The interrupt cancels calls and
// streams. An error carries the coordinator's message; kUnavailable says how to reach a
// coordinator. Use it from one thread.
#ifndef WATTLE_CLI_CLIENT_H_
#define WATTLE_CLI_CLIENT_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/environment.h"
#include <grpcpp/grpcpp.h>

#include "base/status_macros.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::cli {

using JobStub = v1::JobService::Stub;
using DeviceStub = v1::DeviceService::Stub;
using PolicyStub = v1::PolicyService::Stub;
using ForecastStub = v1::ForecastService::Stub;
using UpgradeStub = v1::UpgradeService::Stub;
using ProfileStub = v1::ProfileService::Stub;
using ArtifactStub = v1::ArtifactService::Stub;
using CoordinatorStub = v1::CoordinatorService::Stub;
using AccessStub = v1::AccessService::Stub;

class Client {
 public:
  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  struct Options {
    std::string address;     // host:port
    std::string command;     // "job show": named in refusals
    absl::Duration timeout;  // of a call; also how long a watch waits for a lost coordinator
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    absl::Status problem = {};  // not OK: there are no credentials; every call returns this error
  };
  // `environment` must outlive the client. The constructor sends nothing.
  Client(Options options, const Environment& environment);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Makes one call, such as Call(&JobStub::ListJobs, request). timeout_max: for an answer that is
  // not worth a long wait.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Stub, Request, Response> method, const Request& request,
                                absl::Duration timeout_max = absl::InfiniteDuration());
  // For a request whose only field is a text: Call(&JobStub::GetJob, "j3").
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Stub, Request, Response> method, const std::string& first);
  // For an empty request.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Stub, Request, Response> method);

  // While the coordinator does not answer, the request is sent again with the same idempotency key,
  // a few times within the timeout. A submit that was accepted without an answer therefore stays
  // one job.
  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(const v1::SubmitJobRequest& request);
  // Returns when the job has ended. If the connection to the coordinator is lost, WatchJob calls
  // on_lost once and waits for the coordinator for at most `timeout`. kUnavailable: the coordinator
  // did not come back.
  absl::Status WatchJob(const std::string& job_id,
                        const std::function<void(const v1::JobUpdate&)>& on_update,
                        const std::function<void(const absl::Status&)>& on_lost);
  absl::Status GetJobLogs(const v1::GetJobLogsRequest& request,
                          const std::function<void(const v1::LogLine&)>& on_line);
  // Delivers past events first, and with `follow` also later events until the interrupt. If the
  // connection is lost, WatchEvents waits as WatchJob does; the events that were missed follow
  // after the reconnection.
  absl::Status WatchEvents(v1::WatchEventsRequest request,
                           const std::function<void(const v1::FleetEvent&)>& on_event,
                           const std::function<void(const absl::Status&)>& on_lost);

  absl::StatusOr<v1::ListArtifactsResponse> ListArtifacts(v1::ArtifactKind kind);
  // Sends a file or a directory and makes an artifact of it. Shows progress on the error stream.
  // move_name: the name may be taken from the artifact that has it. project: empty: "default".
  absl::StatusOr<v1::ArtifactInfo> PushArtifact(const std::string& path,
                                                const v1::ArtifactInfo& info, bool move_name,
                                                const std::string& project);
  // The bytes of one small file of an artifact. Each chunk is compared with its SHA-256.
  absl::StatusOr<std::string> ReadArtifactFile(const v1::ManifestFile& file);
  // Writes the artifact's files into `directory`, which must not exist yet. The directory appears
  // whole or not at all.
  absl::Status PullArtifact(const std::string& artifact_id, const std::string& directory);

  // HOST:PORT that the calls go to.
  [[nodiscard]] const std::string& address() const { return options_.address; }

 private:
  absl::Status Run(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                   absl::Duration timeout);
  // Reads the stream that `open` makes. When the coordinator is lost and comes back, Follow opens
  // the next stream.
  template <typename Message, typename Open>
  absl::Status Follow(const Open& open, const std::function<void(const Message&)>& on_message,
                      const std::function<void(const absl::Status&)>& on_lost);
  // The error of a failed call in words for the person who made the call.
  absl::Status Explain(absl::StatusCode code, const std::string& message) const;

  const Options options_;
  const Environment& environment_;
  absl::Status
      address_;  // of options.address, or options.problem; not OK: every call returns this error
  std::shared_ptr<grpc::Channel> channel_;
};

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Method<Stub, Request, Response> method,
                                      const Request& request, absl::Duration timeout_max) {
  Response response;
  WATTLE_RETURN_IF_ERROR(Run(
      [&](grpc::ClientContext* context) {
        return (Stub(channel_).*method)(context, request, &response);
      },
      std::min(options_.timeout, timeout_max)));
  return response;
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Method<Stub, Request, Response> method,
                                      const std::string& first) {
  Request request;
  request.GetReflection()->SetString(&request, request.GetDescriptor()->field(0), first);
  return Call(method, request);
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Method<Stub, Request, Response> method) {
  return Call(method, Request());
}

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CLIENT_H_
