// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The names by which this server may be called. A page of another site whose name was pointed to
// this machine (DNS rebinding) is to its browser a page of this server; the browser's Host header
// alone tells them apart. Thread-safe.
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
  // names: besides addresses and localhost.
  explicit HostNames(const std::vector<std::string>& names);

  // The Host header of a request, with or without a port. kPermissionDenied, with the remedy, for a
  // name that is not this server's.
  [[nodiscard]] absl::Status Check(absl::string_view host) const;

 private:
  std::set<std::string> names_;  // Lower case.
};

// Errors: kInvalidArgument for what is no host name without a port.
absl::Status CheckHostName(absl::string_view flag, const std::string& name);

// This machine's names: the one that its kernel knows, the first label of that, and the label with
// .local, which mDNS answers for.
std::vector<std::string> MachineNames();

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_HOST_NAMES_H_
