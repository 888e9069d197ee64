// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chooses the coordinator and the credentials of a command: those of a context, renewed during use,
// or plaintext for a debugger. Use it from one thread.
#ifndef WATTLE_CLI_DIAL_H_
#define WATTLE_CLI_DIAL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cli/environment.h"
#include <grpcpp/security/credentials.h>

namespace wattle::cli {

struct DialFlags {
  std::string coordinator;  // HOST:PORT; empty: the context's.
  std::string context;      // empty: the current one
  bool plaintext_loopback = false;
};
struct Dialling {
  std::string coordinator;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
};
// Errors: those of Contexts and identity::Load; kInvalidArgument for plaintext to another machine.
absl::StatusOr<Dialling> Dial(const DialFlags& flags, const Environment& environment);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_DIAL_H_
