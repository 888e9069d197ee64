// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/host_names.h"

#include <unistd.h>

#include <array>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include <climits>

#include "base/host_port.h"
#include "base/utf8.h"

namespace wattle::http {
namespace {

constexpr char kLocalhost[] = "localhost";

}  // namespace

HostNames::HostNames(const std::vector<std::string>& names) : names_({kLocalhost}) {
  for (const std::string& name : names) {
    names_.insert(absl::AsciiStrToLower(name));
  }
}

absl::Status HostNames::Check(absl::string_view host) const {
  const bool has_port = absl::StrContains(absl::StripPrefix(host, "["), "]:") ||
                        (!absl::StartsWith(host, "[") && absl::StrContains(host, ":"));
  const absl::StatusOr<HostPort> parsed =
      ParseHostPort("Host", has_port ? std::string(host) : absl::StrCat(host, ":80"));
  if (!parsed.ok()) {
    return absl::PermissionDeniedError(parsed.status().message());
  }
  std::string name = absl::AsciiStrToLower(parsed->host);
  // An address, unlike a name, cannot be redirected by the owner of a domain.
  if (IsIpAddress(name) || names_.contains(std::string(absl::StripSuffix(name, ".")))) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "Host: ", name,
      " is not a name of this coordinator, so the request may come from a foreign page; use the "
      "address, or start wattle-coordinator with --http-name ",
      name));
}

absl::Status CheckHostName(absl::string_view flag, const std::string& name) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(flag, absl::StrCat(name, ":80"));
  if (!parsed.ok() || absl::StrContains(name, ":")) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " \"", OneLine(name),
                     "\": not a host name; give the name alone, such as hub.example.org"));
  }
  return absl::OkStatus();
}

std::vector<std::string> MachineNames() {
  std::array<char, HOST_NAME_MAX + 1> buffer = {};
  if (gethostname(buffer.data(), buffer.size() - 1) != 0) {
    return {};
  }
  const std::string name = buffer.data();
  const std::string label = name.substr(0, name.find('.'));
  return {name, label, absl::StrCat(label, ".local")};
}

}  // namespace wattle::http
