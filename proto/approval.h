// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A device that enrolled by a token of `wattle device token --approve` may connect, and gets no
// work before an operator approves it (v1.Device.waits_for_approval). Thread-safe.
#ifndef WATTLE_PROTO_APPROVAL_H_
#define WATTLE_PROTO_APPROVAL_H_

#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle {

// The problem text of a device that waits for approval, with the remedy.
std::string ApprovalProblem(const v1::DeviceInfo& info);

}  // namespace wattle

#endif  // WATTLE_PROTO_APPROVAL_H_
