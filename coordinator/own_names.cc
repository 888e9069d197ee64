// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/own_names.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "base/host_port.h"
#include "base/own_addresses.h"

namespace wattle {
namespace {

bool Contains(const std::vector<std::string>& list, absl::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Each name once: a certificate for other names is made anew.
void AddName(const std::string& host, authority::ServerNames* names) {
  std::vector<std::string>& list = IsIpAddress(host) ? names->addresses : names->dns_names;
  if (!Contains(list, host)) {
    list.push_back(host);
  }
}

}  // namespace

authority::ServerNames OwnNames(const CoordinatorOptions& options) {
  authority::ServerNames names = {.dns_names = {"localhost"}, .addresses = {"127.0.0.1", "::1"}};
  std::array<char, 256> host = {};
  if (gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0') {
    AddName(host.data(), &names);
  }
  for (const auto& [flag, text] :
       {std::pair("--listen", options.listen_address), std::pair("--http", options.http_address)}) {
    const auto listen = ParseHostPort(flag, text);
    if (listen.ok() && !IsLoopback(*listen)) {
      AddName(listen->host, &names);
    }
  }
  for (const std::string& name : options.http_names) {
    AddName(name, &names);
  }
  if (Contains(names.addresses, "0.0.0.0") || Contains(names.addresses, "::")) {
    for (const std::string& address : OwnAddresses()) {
      AddName(address, &names);
    }
  }
  return names;
}

}  // namespace wattle
