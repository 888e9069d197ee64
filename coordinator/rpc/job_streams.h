// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The two streams that follow a job: its updates and its log lines. Both are reactors of gRPC's
// callback API. The runtime's watchers wake a stream; the stream then reads the news and writes one
// message at a time. A stream keeps itself alive until gRPC is done with it.
#ifndef WATTLE_COORDINATOR_RPC_JOB_STREAMS_H_
#define WATTLE_COORDINATOR_RPC_JOB_STREAMS_H_

#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"

#include "coordinator/callers/call_limits.h"
#include "coordinator/runtime/api.h"
#include "wattle/v1/service.pb.h"

namespace wattle::rpc {

// counted: of the caller, who may have so many streams; an error ends the stream at once.
using CountedStream = absl::StatusOr<callers::CallLimits::Stream>;

// Sends the job's present state, then each change; ends after the terminal state.
grpc::ServerWriteReactor<v1::JobUpdate>* OpenJobWatch(runtime::Api& api,
                                                      const v1::WatchJobRequest& request,
                                                      CountedStream counted);
// Sends the existing log lines; with `follow` also new lines until the job ends.
grpc::ServerWriteReactor<v1::LogLine>* OpenJobLogs(runtime::Api& api,
                                                   const v1::GetJobLogsRequest& request,
                                                   CountedStream counted);

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_JOB_STREAMS_H_
