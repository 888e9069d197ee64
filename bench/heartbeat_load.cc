// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-heartbeat-load ADDRESS STREAMS SECONDS [FOLDER...]: opens that many worker streams and
// sends heartbeats as fast as they go; with folders of credentials, one for each stream, over TLS.
// Prints the number sent; the number accepted is in the coordinator's /metrics (bench/core.py and
// bench/security.py read both).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"

#include "base/clock.h"
#include "base/tls/credentials.h"
#include "identity/identity.h"
#include "wattle/v1/fleet.grpc.pb.h"

namespace {

using wattle::v1::CoordinatorMessage;
using wattle::v1::WorkerMessage;

struct Stream {
  grpc::ClientContext context;
  std::unique_ptr<wattle::v1::FleetService::Stub> stub;
  std::unique_ptr<grpc::ClientReaderWriter<WorkerMessage, CoordinatorMessage>> call;
  std::thread reader;
};

// A board's hello and its connection.
struct Board {
  std::string id;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
};

// folder: of its credentials; empty: without TLS.
std::optional<Board> BoardOf(int number, const std::string& folder) {
  if (folder.empty()) {
    return Board{absl::StrFormat("load-%04d-0000-0000", number),
                 grpc::InsecureChannelCredentials()};
  }
  const auto identity = wattle::identity::Load(folder);
  if (!identity.ok()) {
    std::fprintf(stderr, "%s\n", std::string(identity.status().message()).c_str());
    return std::nullopt;
  }
  return Board{identity->id(), wattle::identity::CredentialsOf(*identity, wattle::Clock::Real())};
}

WorkerMessage HelloOf(int number, const std::string& id) {
  WorkerMessage message;
  wattle::v1::DeviceInfo& device = *message.mutable_hello()->mutable_device();
  device.set_device_id(id);
  device.set_name(absl::StrFormat("load-%04d", number));
  device.set_device_class("raspberry-pi-5");
  device.set_architecture("aarch64");
  device.set_time_scale(1.0);
  device.set_memory_bytes(int64_t{8} << 30);
  device.set_cores(4);
  message.mutable_hello()->set_incarnation(1);
  return message;
}

WorkerMessage HeartbeatOf(int number) {
  WorkerMessage message;
  wattle::v1::Heartbeat& heartbeat = *message.mutable_heartbeat();
  heartbeat.set_power_watts(3.0 + number % 5);
  heartbeat.set_has_power(true);
  heartbeat.set_temperature_celsius(45.0);
  heartbeat.set_has_temperature(true);
  heartbeat.set_state_of_charge_ratio(0.8);
  heartbeat.set_has_battery(true);
  heartbeat.set_energy_joules_total(1000.0 * number);
  heartbeat.set_memory_available_bytes(int64_t{6} << 30);
  return message;
}

}  // namespace

int main(int argc, char** argv) {
  const int stream_count = argc < 4 ? 0 : std::atoi(argv[2]);
  if (argc < 4 || (argc > 4 && argc != 4 + stream_count)) {
    std::fprintf(stderr, "usage: wattle-heartbeat-load ADDRESS STREAMS SECONDS [FOLDER...]\n");
    return 2;
  }
  wattle::tls::UseTls13Alone();
  const absl::Duration span = absl::Seconds(std::atoi(argv[3]));
  std::vector<std::unique_ptr<Stream>> streams;
  for (int number = 0; number < stream_count; ++number) {
    const auto board = BoardOf(number, argc > 4 ? argv[4 + number] : "");
    if (!board.has_value()) {
      return 1;
    }
    auto stream = std::make_unique<Stream>();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                     1);  // separate connections, as of real workers
    stream->stub = wattle::v1::FleetService::NewStub(
        grpc::CreateCustomChannel(argv[1], board->credentials, arguments));
    stream->call = stream->stub->Connect(&stream->context);
    if (!stream->call->Write(HelloOf(number, board->id))) {
      std::fprintf(stderr, "cannot reach a coordinator at %s\n", argv[1]);
      return 1;
    }
    stream->reader = std::thread([call = stream->call.get()] {
      CoordinatorMessage message;
      while (call->Read(&message)) {
      }
    });
    streams.push_back(std::move(stream));
  }
  const absl::Time start = absl::Now();
  int64_t sent = 0;
  bool alive = true;
  while (alive && absl::Now() - start < span) {
    for (int number = 0; alive && number < stream_count; ++number) {
      alive = streams[static_cast<size_t>(number)]->call->Write(HeartbeatOf(number));
      ++sent;
    }
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  for (auto& stream : streams) {
    stream->context.TryCancel();
    stream->reader.join();
  }
  if (!alive) {
    std::fprintf(stderr, "the coordinator closed a stream\n");
    return 1;
  }
  std::printf("sent=%lld seconds=%.3f\n", static_cast<long long>(sent), seconds);
  return 0;
}
