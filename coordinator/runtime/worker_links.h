// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The way down to connected workers, as the runtime sees it: implemented by coordinator/rpc, and by
// a recorder in tests. A message for a device without a stream is dropped: it gets everything at
// its next hello.
#ifndef WATTLE_COORDINATOR_RUNTIME_WORKER_LINKS_H_
#define WATTLE_COORDINATOR_RUNTIME_WORKER_LINKS_H_

#include "units/id.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::runtime {

class WorkerLinks {
 public:
  virtual ~WorkerLinks() = default;
  // Called by the outbound thread; must not block.
  virtual void SendDesired(const DeviceId& device, v1::DesiredSet desired) = 0;
  virtual void SendAcknowledgement(const DeviceId& device, v1::ReportAcknowledgement ack) = 0;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_WORKER_LINKS_H_
