// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One worker's stream from its hello to its end; see fleet_service.h. gRPC calls the On… methods,
// with one read and one write at a time. Any thread may call Send… and Close. The stream keeps
// itself alive until gRPC is done with it.
#ifndef WATTLE_COORDINATOR_RPC_WORKER_STREAM_H_
#define WATTLE_COORDINATOR_RPC_WORKER_STREAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/support/server_callback.h"

#include "base/clock.h"
#include "coordinator/core/duplicate_identity.h"
#include "coordinator/rpc/fleet_service.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/rpc/peer.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::rpc {

class WorkerStream final
    : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>,
      public std::enable_shared_from_this<WorkerStream> {
 public:
  // Starts reading. The stream lives until OnDone. gate: tells whose hello may come, and where the
  // worker is sent after it. context: the call's.
  static WorkerStream* Open(runtime::Runtime& runtime, StreamTable& streams, const Gate& gate,
                            absl::Duration heartbeat_interval,
                            const grpc::CallbackServerContext& context);

  void SendDesired(v1::DesiredSet desired);
  void SendAcknowledgement(v1::ReportAcknowledgement ack);
  // Whether this stream, the device's own so far, may have been cut: the newcomer's hello is of the
  // same process of the worker, or this stream was silent for some heartbeats. Workers of 0.1 name
  // no process; for them the newest stream counts.
  [[nodiscard]] bool YieldsTo(const WorkerStream& newcomer, Monotonic now) const;
  // Whether both are alive for certain, so that the device's card was copied. Of a newcomer to
  // which this stream does not yield.
  [[nodiscard]] bool IsDoubledBy(const WorkerStream& newcomer, Monotonic now);
  [[nodiscard]] const std::string& peer_host() const { return peer_host_; }
  // Tells the worker the reason and where the coordinator is now ("": here), then ends the stream.
  void Close(const std::string& reason, const std::string& moved_to = "");
  // Ends the stream. The worker makes a new connection, as after every refusal of its certificate.
  void AskToRedial(const std::string& reason) { FinishWith(absl::UnauthenticatedError(reason)); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WorkerStream(runtime::Runtime& runtime, StreamTable& streams, const Gate& gate,
               absl::Duration heartbeat_interval, const grpc::CallbackServerContext& context)
      : runtime_(runtime),
        streams_(streams),
        caller_(gate.CallerOf(context)),
        counted_(gate.OpenStream(context)),
        heartbeat_interval_(heartbeat_interval),
        rivals_(heartbeat_interval / 2),
        peer_host_(gate.HostOf(context)),
        event_caller_(gate.EventCallerOf(context)),
        moved_to_(gate.moved_to()) {}

  absl::Status Handle();
  // Starts the next read, or leaves that to the answer of a report: what a worker sent and the
  // coordinator has not yet made durable is bounded for each stream.
  void ReadOn();
  void ReportAnswered(size_t size_bytes);
  [[nodiscard]] bool IsBehindLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status HandleHello();
  // Refuses the hello of another device than the certificate's.
  absl::Status CheckDevice(const v1::DeviceInfo& device) const;
  absl::Status HandleReport();
  void HandleLog(const v1::AttemptLog& log);
  void HandleMetrics();
  void HandleHeartbeat();
  void SendMetricsAcknowledgement(int64_t number);
  void Welcome(const runtime::Answer& answer);
  void FinishWith(const absl::Status& status);
  void WriteNextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  runtime::Runtime& runtime_;
  StreamTable& streams_;
  const absl::StatusOr<Caller> caller_;
  const absl::StatusOr<callers::CallLimits::Stream> counted_;  // Counts the caller until OnDone.
  const absl::Duration heartbeat_interval_;
  absl::Mutex rivals_mutex_;
  core::DuplicateIdentityDetector rivals_ ABSL_GUARDED_BY(rivals_mutex_);
  const std::string peer_host_;
  const v1::EventCaller event_caller_;
  const std::string moved_to_;                      // HOST:PORT; empty: the worker is welcome here.
  std::atomic<int64_t> last_heard_nanoseconds_{0};  // Since boot.
  std::atomic<int64_t> promised_nanoseconds_{0};    // The worker's heartbeat interval.
  std::shared_ptr<WorkerStream> self_;              // Until OnDone.

  // The reading side, with one callback at a time:
  v1::WorkerMessage incoming_;
  DeviceId device_;
  std::string process_id_;  // From the first hello; constant once the table has the stream.
  int64_t incarnation_ = 0;
  std::shared_ptr<runtime::LatestHeartbeats::Slot> slot_;  // Set once the hello is durable.
  uint64_t stream_number_ = 0;                             // This stream's number in slot_.
  v1::Heartbeat heartbeat_;                                // The worker's latest on this stream.
  int64_t last_report_sequence_ = 0;                       // The device's last report at its hello.

  absl::Mutex mutex_;
  struct Outbox {
    std::optional<v1::Welcome> welcome;
    std::optional<v1::ReportAcknowledgement> acknowledgement;
    std::optional<v1::DesiredSet> desired;
    std::deque<int64_t> metrics;  // Numbers of the batches to acknowledge.
    std::optional<v1::Closing> closing;
  };
  Outbox outbox_ ABSL_GUARDED_BY(mutex_);
  v1::CoordinatorMessage outgoing_ ABSL_GUARDED_BY(mutex_);  // In flight while writing_ is true.
  int unanswered_ ABSL_GUARDED_BY(mutex_) = 0;  // Reports of this stream that are not yet durable.
  size_t unanswered_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool read_waits_ ABSL_GUARDED_BY(mutex_) = false;  // For an answer; nothing is being read.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool greeting_ ABSL_GUARDED_BY(mutex_) = true;    // A hello waits for its welcome.
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;  // Finish once nothing is in flight.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status final_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_WORKER_STREAM_H_
