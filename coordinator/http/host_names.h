// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The names by which this server may be called. If the name of another site is redirected to this
// machine (DNS rebinding), a browser treats that site's page as a page of this server; only the
// Host header distinguishes them. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_HOST_NAMES_H_
#define WATTLE_COORDINATOR_HTTP_HOST_NAMES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::http {

class HostNames {
 public:
  // names: in addition to addresses and localhost.
  explicit HostNames(const std::vector<std::string>& names);

  // Checks the Host header of a request, with or without a port. kPermissionDenied, with the
  // remedy, for a name that is not this server's.
  [[nodiscard]] absl::Status Check(absl::string_view host) const;

 private:
  std::set<std::string> names_;  // Lower case.
};

// Errors: kInvalidArgument for a text that is not a host name without a port.
absl::Status CheckHostName(absl::string_view flag, const std::string& name);

// This machine's names: the kernel's host name, its first label, and the label with .local, for
// which mDNS answers.
std::vector<std::string> MachineNames();

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_HOST_NAMES_H_
