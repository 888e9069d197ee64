// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-tls-load dial ADDRESS FOLDER SECONDS: makes one connection after the other, each with a
// whole handshake and one call, with the certificate in FOLDER; prints their number, and the median
// milliseconds from the start to the answer.
// wattle-tls-load hold ADDRESS FOLDER COUNT: makes COUNT connections, each with one call, prints
// "holding", and keeps them until its input ends. bench/security.py reads both.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "base/tls/credentials.h"
#include "identity/identity.h"
#include "wattle/v1/access.grpc.pb.h"

namespace {

using wattle::identity::Identity;
namespace v1 = wattle::v1;

constexpr absl::Duration kPatience = absl::Seconds(30);

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connected(const std::string& address,
                                                         const Identity& identity) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // separate connections
  auto channel = grpc::CreateCustomChannel(
      address, wattle::identity::CredentialsOf(identity, wattle::Clock::Real()), arguments);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::WhoAmIResponse me;
  const grpc::Status status =
      v1::AccessService::NewStub(channel)->WhoAmI(&context, v1::WhoAmIRequest(), &me);
  if (!status.ok()) {
    return absl::InternalError(status.error_message());
  }
  return channel;
}

absl::Status Dial(const std::string& address, const Identity& identity, absl::Duration span) {
  std::vector<double> milliseconds;
  const absl::Time start = absl::Now();
  while (absl::Now() - start < span) {
    const absl::Time begin = absl::Now();
    WATTLE_RETURN_IF_ERROR(Connected(address, identity).status());
    milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  std::printf("count=%zu p50_ms=%.3f\n", milliseconds.size(),
              milliseconds[milliseconds.size() / 2]);
  return absl::OkStatus();
}

absl::Status Hold(const std::string& address, const Identity& identity, int count) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < count; ++i) {
    WATTLE_ASSIGN_OR_RETURN(channels.emplace_back(), Connected(address, identity));
  }
  std::printf("holding\n");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return absl::OkStatus();
}

absl::Status Run(const std::vector<std::string>& words) {
  if (words.size() != 4 || (words[0] != "dial" && words[0] != "hold")) {
    return absl::InvalidArgumentError("wanted: dial ADDRESS FOLDER SECONDS, or hold …");
  }
  WATTLE_ASSIGN_OR_RETURN(const Identity identity, wattle::identity::Load(words[2]));
  const int number = std::atoi(words[3].c_str());
  return words[0] == "dial" ? Dial(words[1], identity, absl::Seconds(number))
                            : Hold(words[1], identity, number);
}

}  // namespace

int main(int argc, char** argv) {
  wattle::tls::UseTls13Alone();
  const absl::Status done = Run({argv + 1, argv + argc});
  if (!done.ok()) {
    std::fprintf(stderr, "wattle-tls-load: %s\n", std::string(done.message()).c_str());
  }
  return done.ok() ? 0 : 1;
}
