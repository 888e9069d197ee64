// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/approval.h"

#include "absl/strings/str_cat.h"

namespace wattle {

std::string ApprovalProblem(const v1::DeviceInfo& info) {
  const std::string& name = info.name().empty() ? info.device_id() : info.name();
  return absl::StrCat(name, " waits for approval: wattle device approve ", name,
                      "; if it is no board of yours: wattle device revoke ", name);
}

}  // namespace wattle
