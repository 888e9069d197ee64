// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-load: the clients of ./dev bench load and field. Each prints one line of name=value.
//   devices ADDRESS COUNT [SECONDS [TOKEN]]
//     connects that many workers at once, prints "connected", and beats every SECONDS (1) for each
//     of them until a line of input comes. Then all leave and come back at once, and so on until
//     the input ends. With a token of that many uses the workers enrol first and connect by TLS,
//     256 at once.
//   submit ADDRESS MODEL COUNT CALLERS [FOLDER]
//     submits COUNT jobs, CALLERS at once, latency of each. By TLS with the identity in FOLDER.
//   commit ADDRESS SECONDS
//     applies one policy after the other: each is a commit of its own
//   watch ADDRESS JOB COUNT
//     opens COUNT watches of a job, prints "watching", until its input ends
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"

#include "base/clock.h"
#include "base/deadlock_detection.h"
#include "base/tls/credentials.h"
#include "bench/enrolled_boards.h"
#include "identity/identity.h"
#include "wattle/v1/fleet.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace {

using wattle::bench::EnrolledBoard;
namespace v1 = wattle::v1;

std::shared_ptr<grpc::Channel> OwnChannel(const std::string& address,
                                          const std::shared_ptr<grpc::ChannelCredentials>&
                                              credentials = grpc::InsecureChannelCredentials()) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // separate connections
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

struct Latencies {
  absl::Mutex mutex;
  std::vector<double> milliseconds ABSL_GUARDED_BY(mutex);
  int failed ABSL_GUARDED_BY(mutex) = 0;

  void Add(absl::Duration latency, const grpc::Status& status) {
    absl::MutexLock lock(&mutex);
    if (status.ok()) {
      milliseconds.push_back(absl::ToDoubleMilliseconds(latency));
    } else if (++failed == 1) {
      std::fprintf(stderr, "%s\n", status.error_message().c_str());
    }
  }
  int count() {
    absl::MutexLock lock(&mutex);
    return static_cast<int>(milliseconds.size());
  }
  void Print(double seconds) {
    absl::MutexLock lock(&mutex);
    std::sort(milliseconds.begin(), milliseconds.end());
    const auto quantile = [this](double q) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      const auto last = static_cast<double>(milliseconds.size() - 1);
      return milliseconds[static_cast<size_t>(q * last)];
    };
    if (milliseconds.empty()) {
      milliseconds.push_back(1e9);  // nothing succeeded: no latency is good enough
    }
    std::printf("count=%zu failed=%d seconds=%.3f p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n",
                milliseconds.size(), failed, seconds, quantile(0.5), quantile(0.99),
                milliseconds.back());
  }
};

// A worker that is connected and busy: accepts every order and reports nothing.
class Device final : public grpc::ClientBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage> {
 public:
  Device(const std::string& address, int number, const EnrolledBoard& board, Latencies& welcomes)
      : stub_(v1::FleetService::NewStub(OwnChannel(address, board.credentials))),
        welcomes_(welcomes) {
    v1::DeviceInfo& device = *outgoing_.mutable_hello()->mutable_device();
    device.set_device_id(board.id);
    device.set_name(absl::StrFormat("load-%05d", number));
    const char* const classes[] = {"raspberry-pi-5", "jetson-orin-nano", "jetson-xavier-nx"};
    device.set_device_class(classes[number % 3]);
    device.set_architecture("aarch64");
    device.set_time_scale(1.0);
    device.set_memory_bytes(int64_t{8} << 30);
    device.set_cores(4);
    device.set_cache_quota_bytes(int64_t{16} << 30);
    device.set_engine_version("wattle-load/1");
    outgoing_.mutable_hello()->set_incarnation(1);
    stub_->async()->Connect(&context_, this);
    StartWrite(&outgoing_);
    StartRead(&incoming_);
    StartCall();
  }

  void Beat(int number) {
    absl::MutexLock lock(&mutex_);
    if (writing_ || ended_) {
      return;
    }
    outgoing_.Clear();
    v1::Heartbeat& heartbeat = *outgoing_.mutable_heartbeat();
    heartbeat.set_power_watts(3.0 + number % 5);
    heartbeat.set_has_power(true);
    heartbeat.set_state_of_charge_ratio(0.8);
    heartbeat.set_memory_available_bytes(int64_t{6} << 30);
    writing_ = true;
    StartWrite(&outgoing_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) {
      return;
    }
    if (incoming_.has_welcome()) {
      welcomes_.Add(absl::Now() - begun_, grpc::Status::OK);
    }
    StartRead(&incoming_);
  }
  void OnWriteDone(bool) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  void OnDone(const grpc::Status&) override {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  void End() {
    context_.TryCancel();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ended_));
  }
  bool ended() {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }

 private:
  std::unique_ptr<v1::FleetService::Stub> stub_;
  Latencies& welcomes_;
  const absl::Time begun_ = absl::Now();
  grpc::ClientContext context_;
  v1::WorkerMessage outgoing_;
  v1::CoordinatorMessage incoming_;
  absl::Mutex mutex_;
  bool writing_ = true;  // the hello is being written
  bool ended_ = false;
};

// Waits for a line of input; false: the input has ended.
bool UntilInput() {
  int character = std::getchar();
  while (character != EOF && character != '\n') {
    character = std::getchar();
  }
  return character != EOF;
}

void UntilInputEnds() {
  while (UntilInput()) {
  }
}

// Limit of concurrent TLS handshakes: real boards have a processor each, but these share one, on
// which all handshakes at once would take too long.
constexpr int kHandshakesMost = 256;

// Connects the boards, `connecting_most` at once, and sends heartbeats until a line of input or its
// end. Prints how long each waited for its welcome. False: some were never welcomed.
bool ConnectOnce(const std::string& address, const std::vector<EnrolledBoard>& boards,
                 int connecting_most, double beat_seconds, bool& again) {
  Latencies welcomes;
  const int count = static_cast<int>(boards.size());
  const absl::Time start = absl::Now();
  const absl::Time deadline = start + absl::Seconds(120);
  std::vector<std::unique_ptr<Device>> devices;
  for (int number = 0; number < count; ++number) {
    while (number - welcomes.count() >= connecting_most && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    devices.push_back(
        std::make_unique<Device>(address, number, boards[static_cast<size_t>(number)], welcomes));
  }
  while (welcomes.count() < count && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  if (welcomes.count() < count) {
    std::fprintf(stderr, "only %d of %d devices are connected\n", welcomes.count(), count);
    return false;
  }
  const double connected_seconds = absl::ToDoubleSeconds(absl::Now() - start);
  std::printf("connected\n");
  std::fflush(stdout);
  std::atomic<bool> stop = false;
  std::thread beats([&] {
    while (!stop) {
      // Spread over time, like the heartbeats of a fleet.
      for (size_t i = 0; i < devices.size() && !stop; ++i) {
        devices[i]->Beat(static_cast<int>(i));
        if (i % 50 == 49) {
          absl::SleepFor(absl::Seconds(beat_seconds * 50.0 / static_cast<double>(devices.size())));
        }
      }
    }
  });
  again = UntilInput();
  stop = true;
  beats.join();
  int lost = 0;
  for (const auto& device : devices) {
    lost += device->ended() ? 1 : 0;
    device->End();
  }
  std::printf("lost=%d connected_seconds=%.3f ", lost, connected_seconds);
  welcomes.Print(absl::ToDoubleSeconds(absl::Now() - start));
  std::fflush(stdout);
  return true;
}

std::vector<EnrolledBoard> StrangeBoards(int count) {
  std::vector<EnrolledBoard> boards;
  for (int number = 0; number < count; ++number) {
    boards.push_back(
        {absl::StrFormat("load-%05d-0000-0000", number), grpc::InsecureChannelCredentials()});
  }
  return boards;
}

int RunDevices(const std::string& address, int count, double beat_seconds,
               const std::string& token) {
  const auto boards =
      token.empty() ? StrangeBoards(count) : wattle::bench::EnrollBoards(token, count);
  if (!boards.ok()) {
    std::fprintf(stderr, "%s\n", std::string(boards.status().message()).c_str());
    return 1;
  }
  bool again = true;
  while (again) {
    if (!ConnectOnce(address, *boards, token.empty() ? count : kHandshakesMost, beat_seconds,
                     again)) {
      return 1;
    }
  }
  return 0;
}

v1::SubmitJobRequest SubmitOf(const std::string& model, const std::string& run, int number) {
  v1::SubmitJobRequest request;
  request.set_idempotency_key(absl::StrCat(run, "-", number));
  v1::JobSpec& spec = *request.mutable_spec();
  spec.set_name(absl::StrCat("load ", number));
  spec.set_objective(v1::OBJECTIVE_TIME);  // by energy, only the cheapest devices would get jobs
  spec.mutable_generate()->set_model(model);
  spec.mutable_generate()->add_prompts("How long does the battery last?");
  spec.mutable_generate()->set_max_new_tokens(16 + 16 * (number % 4));
  return request;
}

// folder: of the caller's identity; empty: without TLS.
int RunSubmit(const std::string& address, const std::string& model, int count, int callers,
              const std::string& folder) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!folder.empty()) {
    const auto identity = wattle::identity::Load(folder);
    if (!identity.ok()) {
      std::fprintf(stderr, "%s\n", std::string(identity.status().message()).c_str());
      return 1;
    }
    credentials = wattle::identity::CredentialsOf(*identity, wattle::Clock::Real());
  }
  Latencies latencies;
  std::atomic<int> next = 0;
  const std::string run = absl::StrCat("load-", absl::ToUnixNanos(absl::Now()));
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (int caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&] {
      const auto stub = v1::JobService::NewStub(OwnChannel(address, credentials));
      for (int number = next++; number < count; number = next++) {
        const v1::SubmitJobRequest request = SubmitOf(model, run, number);
        grpc::ClientContext context;
        v1::SubmitJobResponse response;
        const absl::Time asked = absl::Now();
        const grpc::Status status = stub->SubmitJob(&context, request, &response);
        latencies.Add(absl::Now() - asked, status);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  latencies.Print(absl::ToDoubleSeconds(absl::Now() - start));
  return 0;
}

int RunCommit(const std::string& address, double seconds) {
  Latencies latencies;
  const auto stub = v1::PolicyService::NewStub(OwnChannel(address));
  const absl::Time start = absl::Now();
  for (int number = 0; absl::ToDoubleSeconds(absl::Now() - start) < seconds; ++number) {
    v1::ApplyPolicyRequest request;
    request.mutable_policy()->set_name("load");
    request.mutable_policy()->add_selector("load=none");  // matches no device
    // Different each time, because a repeated policy would be no event.
    request.mutable_policy()->set_reserve_state_of_charge_ratio(0.1 + 1e-6 * number);
    grpc::ClientContext context;
    v1::Policy response;
    const absl::Time asked = absl::Now();
    const grpc::Status status = stub->ApplyPolicy(&context, request, &response);
    latencies.Add(absl::Now() - asked, status);
    absl::SleepFor(absl::Milliseconds(2));
  }
  latencies.Print(absl::ToDoubleSeconds(absl::Now() - start));
  return 0;
}

class Watch final : public grpc::ClientReadReactor<v1::JobUpdate> {
 public:
  Watch(v1::JobService::Stub& stub, const std::string& job, std::atomic<int>& updates)
      : updates_(updates) {
    request_.set_job_id(job);
    stub.async()->WatchJob(&context_, &request_, this);
    StartRead(&update_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (ok) {
      ++updates_;
      StartRead(&update_);
    }
  }
  void OnDone(const grpc::Status&) override {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  void End() {
    context_.TryCancel();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ended_));
  }

 private:
  std::atomic<int>& updates_;
  v1::WatchJobRequest request_;
  v1::JobUpdate update_;
  grpc::ClientContext context_;
  absl::Mutex mutex_;
  bool ended_ = false;
};

int RunWatch(const std::string& address, const std::string& job, int count) {
  std::atomic<int> updates = 0;
  std::vector<std::unique_ptr<v1::JobService::Stub>> stubs;
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < count; ++i) {
    if (i % 100 == 0) {
      stubs.push_back(v1::JobService::NewStub(OwnChannel(address)));
    }
    watches.push_back(std::make_unique<Watch>(*stubs.back(), job, updates));
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (updates < count && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  if (updates < count) {
    std::fprintf(stderr, "only %d of %d watches answered\n", updates.load(), count);
    return 1;
  }
  std::printf("watching\n");
  std::fflush(stdout);
  UntilInputEnds();
  for (const auto& watch : watches) {
    watch->End();
  }
  std::printf("updates=%d\n", updates.load());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  wattle::tls::UseTls13Alone();
  wattle::LeaveDeadlockDetectionToTests();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string mode = arguments.empty() ? "" : arguments[0];
  if (mode == "devices" && arguments.size() >= 3 && arguments.size() <= 5) {
    return RunDevices(arguments[1], std::atoi(arguments[2].c_str()),
                      arguments.size() > 3 ? std::atof(arguments[3].c_str()) : 1.0,
                      arguments.size() > 4 ? arguments[4] : "");
  }
  if (mode == "submit" && (arguments.size() == 5 || arguments.size() == 6)) {
    return RunSubmit(arguments[1], arguments[2], std::atoi(arguments[3].c_str()),
                     std::atoi(arguments[4].c_str()), arguments.size() == 6 ? arguments[5] : "");
  }
  if (mode == "commit" && arguments.size() == 3) {
    return RunCommit(arguments[1], std::atof(arguments[2].c_str()));
  }
  if (mode == "watch" && arguments.size() == 4) {
    return RunWatch(arguments[1], arguments[2], std::atoi(arguments[3].c_str()));
  }
  std::fprintf(
      stderr,
      "usage: wattle-load devices ADDRESS COUNT [SECONDS [TOKEN]] | submit ADDRESS MODEL COUNT "
      "CALLERS [FOLDER] | commit ADDRESS SECONDS | watch ADDRESS JOB COUNT\n");
  return 2;
}
