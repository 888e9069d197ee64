// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The credentials for a remote-write receiver: a user with a password, or a bearer token. The
// secret is in a file, because `ps` shows a command line to everybody and logs keep a URL. The file
// is read for each request, so a new secret takes effect without a restart. No message contains any
// part of the secret.
#ifndef WATTLE_COORDINATOR_REMOTE_WRITE_CREDENTIALS_H_
#define WATTLE_COORDINATOR_REMOTE_WRITE_CREDENTIALS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wattle::remote_write {

struct Credentials {
  std::string user{};
  std::string password_file{};  // with user
  std::string bearer_file{};    // instead of both

  [[nodiscard]] bool none() const { return password_file.empty() && bearer_file.empty(); }
};

// kInvalidArgument: a user without a password or the reverse, both kinds, a URL with a user or
// password in it, or a file that SecretIn refuses. Names the flag.
absl::Status CheckCredentials(const std::string& url, const Credentials& credentials);

// Whether everybody on the way to the receiver can read the secret: the URL is http:// and its host
// is not this machine (base/host_port.h, IsLoopback).
bool IsReadOnTheWay(const std::string& url);

// The file's first line. kInvalidArgument: the file cannot be read, others may read or change it,
// it is empty, or has more than one line. Names the file and what to do.
absl::StatusOr<std::string> SecretIn(const std::string& path);

// Name and value of the header Authorization; an empty name if there are no credentials.
// kInvalidArgument: see SecretIn.
absl::StatusOr<std::pair<std::string, std::string>> AuthorizationHeader(
    const Credentials& credentials);

}  // namespace wattle::remote_write

#endif  // WATTLE_COORDINATOR_REMOTE_WRITE_CREDENTIALS_H_
