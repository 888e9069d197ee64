// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "base/host_port.h"
#include "coordinator/http/host_names.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(http_host, bytes) {
  const auto address = ParseHostPort("--listen", bytes);
  if (address.ok()) {
    const auto again = ParseHostPort("--listen", FormatHostPort(*address));
    WATTLE_CHECK(again.ok() && again->host == address->host && again->port == address->port,
                 "an address has one form");
  }
  (void)http::CheckHostName("--http-name", std::string(bytes)).ok();  // any answer is right
  return http::HostNames({"fleet.example.org"}).Check(bytes);
}
