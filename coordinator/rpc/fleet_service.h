// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The workers' streams. Each stream is a callback reactor: it handles its worker's messages in
// order on gRPC's threads and never blocks. Messages to the worker wait in a small outbox, where a
// newer desired set or acknowledgement replaces an unsent one. A worker's newest stream closes its
// older one; a hello of another process does not replace a stream that is alive. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_FLEET_SERVICE_H_
#define WATTLE_COORDINATOR_RPC_FLEET_SERVICE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/runtime/runtime_ports.h"
#include "units/id.h"
#include "wattle/v1/fleet.grpc.pb.h"

namespace wattle::rpc {

class WorkerStream;

// The streams by device, through which the runtime reaches the workers. The table is made before
// the runtime and outlives it.
class StreamTable final : public runtime::WorkerLinks {
 public:
  void SendDesired(const DeviceId& device, v1::DesiredSet desired) override;
  void SendAcknowledgement(const DeviceId& device, v1::ReportAcknowledgement ack) override;

  // What keeps `newcomer` from becoming the device's stream. See WorkerStream::YieldsTo.
  struct Rivalry {
    std::string rival;     // For people; empty: nothing does.
    bool doubled = false;  // Both processes are alive for certain.
  };
  Rivalry RivalryOf(const DeviceId& device, const WorkerStream& newcomer, Monotonic now) const;
  // Makes `stream` the device's stream and closes the older one.
  void Install(const DeviceId& device, std::shared_ptr<WorkerStream> stream);
  // Removes `stream`. False if it was not the device's stream.
  bool Remove(const DeviceId& device, const WorkerStream* stream);
  void CloseDevice(const DeviceId& device, const std::string& reason);
  // Ends the device's stream so that the worker makes a new connection, with a new handshake.
  // False: it has no stream.
  bool AskToRedial(const DeviceId& device, const std::string& reason);
  void CloseAll(const std::string& reason);
  [[nodiscard]] size_t size() const;

 private:
  std::shared_ptr<WorkerStream> Find(const DeviceId& device) const;

  mutable absl::Mutex mutex_;
  std::map<DeviceId, std::shared_ptr<WorkerStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

class FleetService final : public v1::FleetService::CallbackService {
 public:
  // runtime, streams, gate: must outlive the server. heartbeat_interval: the interval that workers
  // are asked for.
  FleetService(runtime::Runtime& runtime, StreamTable& streams, const Gate& gate,
               absl::Duration heartbeat_interval)
      : runtime_(runtime),
        streams_(streams),
        gate_(gate),
        heartbeat_interval_(heartbeat_interval) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Connect(
      grpc::CallbackServerContext* context) override;

 private:
  runtime::Runtime& runtime_;
  StreamTable& streams_;
  const Gate& gate_;
  const absl::Duration heartbeat_interval_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_FLEET_SERVICE_H_
