// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator, its workers and the links between them in virtual time. A world with drawn faults
// (world.h) and a scenario (scenario/run.h) both run on a Fleet. Single-threaded.
#ifndef WATTLE_SIM_FLEET_H_
#define WATTLE_SIM_FLEET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/addresses.h"
#include "sim/certificates.h"
#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/invariants.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/options.h"
#include "sim/random.h"
#include "sim/worker.h"

namespace wattle::sim {

class Fleet final : public Truth {
 public:
  struct Parts {
    const Options& options;
    Random& random;
    EventLoop& loop;
    Counts& counts;
  };
  // gone: called for a device whose id will not come back, because its card was replaced.
  Fleet(const Parts& parts, Coordinator::Planning planning,
        std::function<void(const std::string& device_id)> gone);

  // Starts the workers. machines: one for each of options.devices; empty: all are drawn from the
  // seed.
  void Start(const std::vector<Machine>& machines);

  [[nodiscard]] Coordinator& coordinator() { return coordinator_; }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] Addresses& addresses() { return addresses_; }
  [[nodiscard]] Certificates& certificates() { return certificates_; }
  [[nodiscard]] Invariants& invariants() { return invariants_; }
  [[nodiscard]] std::vector<std::unique_ptr<Worker>>& workers() { return workers_; }

  // Truth.
  [[nodiscard]] double SilenceSeconds(const std::string& device_id) const override {
    return coordinator_.SilenceSeconds(device_id);
  }
  [[nodiscard]] Joules Drawn(const std::string& device_id) const override;
  [[nodiscard]] std::string WhyNoWork(const std::string& device_id) const override {
    return certificates_.WhyNoWork(DeviceId(device_id));
  }
  [[nodiscard]] std::optional<WorkPower> WorkPowerOf(const std::string& device_id) const override;

 private:
  static size_t Index(int device) { return static_cast<size_t>(device); }
  Worker& WorkerOf(int device) { return *workers_[Index(device)]; }
  // Null: the identity was lost with its disk.
  [[nodiscard]] Worker* WorkerWith(const std::string& device_id) const;
  Worker::Link LinkOf(int device);
  void Dial(int device);
  // Connects the device to a former address of the coordinator.
  void DialElsewhere(int device);
  void AnswerElsewhere(int device, const v1::WorkerMessage& message, bool by_stranger);
  // Checks at intervals whether each worker's certificate is due for renewal.
  void LookForRenewals();
  void SendUp(int device, const v1::WorkerMessage& message);
  void Deliver(int device, int64_t stream, const DeviceId& id, int64_t incarnation,
               const v1::WorkerMessage& message);
  void SendDown(const DeviceId& id, const v1::CoordinatorMessage& message);
  // Each end notices separately that the stream is dead.
  void OnBroken(int device, int64_t stream);
  void BreakStream(int device) { network_.Break(streams_[Index(device)]); }
  void BreakAllStreams();
  void Upload(int device, const v1::ArtifactInfo& info,
              const std::function<void(const absl::Status&)>& done);

  Parts parts_;
  std::function<void(const std::string&)> gone_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Invariants invariants_;
  Network network_;
  Coordinator coordinator_;
  Certificates certificates_;
  Addresses addresses_;
  std::map<int64_t, bool> elsewhere_;         // streams to former addresses; true: to a stranger
  std::map<std::string, std::string> blobs_;  // checkpoints, by artifact id
  std::vector<int64_t> lives_;  // by stream: the coordinator's process at its other end
  // By device: the stream number and the latest heartbeat on that stream.
  std::vector<std::pair<int64_t, v1::Heartbeat>> told_;
  std::unordered_map<std::string, int> numbers_;  // by id of each device that ever dialled
  std::vector<int64_t> streams_;  // by device: the coordinator's present stream; 0: none
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_FLEET_H_
