// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The two streams that follow a job: its updates and its log lines. Reactors of gRPC's callback
// API; the runtime's watchers wake them, they read what is new and write one message at a time.
// Each keeps itself alive until gRPC is done with it.
#ifndef WATTLE_COORDINATOR_RPC_JOB_STREAMS_H_
#define WATTLE_COORDINATOR_RPC_JOB_STREAMS_H_

#include "grpcpp/support/server_callback.h"

#include "coordinator/runtime/api.h"
#include "wattle/v1/service.pb.h"

namespace wattle::rpc {

// Sends the job as it is, then each change; ends after the terminal state.
grpc::ServerWriteReactor<v1::JobUpdate>* OpenJobWatch(runtime::Api& api,
                                                      const v1::WatchJobRequest& request);
// Sends the lines that there are; with `follow` goes on until the job ends.
grpc::ServerWriteReactor<v1::LogLine>* OpenJobLogs(runtime::Api& api,
                                                   const v1::GetJobLogsRequest& request);

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_JOB_STREAMS_H_
