// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of a world and the links between them.
#include "sim/world.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/fault_points.h"
#include "sim/faults.h"
#include "sim/invariants.h"
#include "sim/network.h"
#include "sim/random.h"
#include "sim/rest_check.h"
#include "sim/users.h"
#include "sim/worker.h"

namespace wattle::sim {
namespace {

class World final : public Truth {
 public:
  explicit World(const Options& options)
      : options_(options),
        random_(options.seed),
        invariants_(*this, options.trace),
        network_(loop_, random_, options_, counts_,
                 [this](int device, int64_t stream) { OnBroken(device, stream); }),
        coordinator_(
            {loop_, random_, options_, counts_, invariants_},
            [this](const DeviceId& device, const v1::CoordinatorMessage& message) {
              SendDown(device, message);
            },
            [this] { BreakAllStreams(); }),
        users_(loop_, random_, options_, coordinator_),
        faults_({loop_, random_, options_, counts_, network_, coordinator_, workers_, users_}) {}

  Outcome Run() {
    TurnOnFaultPoint(options_.mutant);
    for (int i = 0; i < options_.devices; ++i) {
      streams_.push_back(0);
      workers_.push_back(std::make_unique<Worker>(
          i, Worker::World{loop_, random_, options_, counts_, invariants_}, LinkOf(i)));
      workers_.back()->Start();
    }
    users_.Start();
    faults_.Start();
    const auto broken = [this] { return !invariants_.breach().empty(); };
    loop_.RunUntil(options_.fault_seconds, broken);
    faults_.Stop();
    const Resting resting{coordinator_, workers_, users_};
    const double look_seconds = std::max(60.0, 2.0 * options_.heartbeat_seconds);
    while (loop_.now_seconds() < options_.end_seconds && !broken() && !IsAtRest(resting)) {
      loop_.RunUntil(loop_.now_seconds() + look_seconds, broken);
    }
    if (!broken()) {
      CheckAtRest(resting, invariants_);
      coordinator_.CheckHistory();
    }
    Outcome outcome;
    outcome.breach = invariants_.breach();
    outcome.counts = counts_;
    outcome.steps = loop_.steps();
    outcome.virtual_seconds = loop_.now_seconds();
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->AdvanceBoard();
      outcome.device_seconds += worker->board().powered_seconds();
    }
    outcome.fingerprint = invariants_.chain();
    TurnOnFaultPoint("");
    return outcome;
  }

  // Truth.
  [[nodiscard]] double SilenceSeconds(const std::string& device_id) const override {
    return coordinator_.SilenceSeconds(device_id);
  }
  [[nodiscard]] Joules Drawn(const std::string& device_id) const override {
    for (const std::unique_ptr<Worker>& worker : workers_) {
      if (worker->device_id() == device_id) {
        worker->AdvanceBoard();
        return worker->board().energy();
      }
    }
    // The identity was lost with its disk.
    return Joules(std::numeric_limits<double>::infinity());
  }

 private:
  static size_t Index(int device) { return static_cast<size_t>(device); }
  Worker& WorkerOf(int device) { return *workers_[Index(device)]; }

  Worker::Link LinkOf(int device) {
    return {.dial = [this, device] { Dial(device); },
            .send = [this, device](const v1::WorkerMessage& message) { SendUp(device, message); },
            .upload =
                [this, device](const v1::ArtifactInfo& info,
                               const std::function<void(const absl::Status&)>& done) {
                  Upload(device, info, done);
                },
            .blob = [this](const std::string& id) -> const std::string* {
              const auto found = blobs_.find(id);
              return found == blobs_.end() ? nullptr : &found->second;
            },
            .keep_blob = [this](const std::string& id,
                                const std::string& content) { blobs_[id] = content; },
            .stopped = [this, device] { BreakStream(device); },
            .gone = [this](const std::string& id) { users_.RemoveDevice(DeviceId(id)); }};
  }

  void Dial(int device) {
    Worker& worker = WorkerOf(device);
    if (!coordinator_.alive() || coordinator_.stands_still()) {
      worker.Disconnected(worker.stream());
      return;
    }
    const int64_t stream = network_.Open(device);
    lives_.resize(static_cast<size_t>(stream) + 1, coordinator_.life());
    worker.Connected(stream);
  }

  void SendUp(int device, const v1::WorkerMessage& message) {
    Worker& worker = WorkerOf(device);
    const int64_t stream = worker.stream();
    const DeviceId id(worker.device_id());
    const int64_t incarnation = worker.incarnation();
    const int64_t life = lives_[static_cast<size_t>(stream)];
    network_.Send(stream, Direction::kUp, [this, device, stream, id, incarnation, message, life] {
      if (coordinator_.alive() && coordinator_.life() == life) {
        Deliver(device, stream, id, incarnation, message);
      } else {
        network_.Break(stream);
      }
    });
    if (message.has_report() && random_.Chance(options_.duplication)) {
      ++counts_.duplicates;
      loop_.After(random_.Between(0.1, 30.0), [this, id, incarnation, message, life] {
        if (coordinator_.life() == life) {
          coordinator_.Post(core::WorkerReport{id, incarnation, message.report()}, nullptr);
        }
      });
    }
  }

  void Deliver(int device, int64_t stream, const DeviceId& id, int64_t incarnation,
               const v1::WorkerMessage& message) {
    if (message.has_hello()) {
      coordinator_.Hello(message.hello(), [this, device, stream](bool welcomed) {
        if (welcomed) {
          // The newest stream of a device closes the older one.
          const int64_t older = std::exchange(streams_[Index(device)], stream);
          network_.Break(older);
        } else {
          network_.Break(stream);
        }
      });
      return;
    }
    coordinator_.Heard(id, message.has_heartbeat() ? &message.heartbeat() : nullptr);
    if (message.has_report()) {
      coordinator_.Post(core::WorkerReport{id, incarnation, message.report()},
                        [this, stream, id, report = message.report()](const shell::Answer& answer) {
                          if (!answer.status.ok()) {
                            network_.Break(stream);
                          } else {
                            coordinator_.TookReport(id, report);
                          }
                        });
    }
  }

  void SendDown(const DeviceId& id, const v1::CoordinatorMessage& message) {
    for (int device = 0; device < options_.devices; ++device) {
      if (WorkerOf(device).device_id() != id.value()) {
        continue;
      }
      const int64_t stream = streams_[Index(device)];
      const int64_t restores = coordinator_.restores();
      network_.Send(stream, Direction::kDown, [this, device, stream, message, restores] {
        Worker& worker = WorkerOf(device);
        if (!worker.alive() || worker.stream() != stream) {
          network_.Break(stream);  // The worker has left this stream.
          return;
        }
        worker.Receive(message);
        if (message.has_acknowledgement() && worker.alive() &&
            restores == coordinator_.restores() &&
            message.acknowledgement().incarnation() == worker.incarnation()) {
          invariants_.OnAcknowledged(worker.device_id(), worker.incarnation(),
                                     message.acknowledgement().sequence());
        }
      });
    }
  }

  // Each end notices separately that the stream is dead.
  void OnBroken(int device, int64_t stream) {
    loop_.After(random_.Between(0.1, 8.0),
                [this, device, stream] { WorkerOf(device).Disconnected(stream); });
    loop_.After(random_.Between(0.1, 8.0), [this, device, stream] {
      if (streams_[Index(device)] == stream) {
        streams_[Index(device)] = 0;
        if (coordinator_.alive()) {
          coordinator_.Disconnected(DeviceId(WorkerOf(device).device_id()));
        }
      }
    });
  }
  void BreakStream(int device) { network_.Break(streams_[Index(device)]); }
  void BreakAllStreams() {
    network_.BreakAll();
    streams_.assign(streams_.size(), 0);
  }

  void Upload(int device, const v1::ArtifactInfo& info,
              const std::function<void(const absl::Status&)>& done) {
    if (network_.partitioned(device) || !coordinator_.alive()) {
      return;  // Never answered.
    }
    if (coordinator_.disk().full()) {
      loop_.After(0.1, [done] { done(absl::ResourceExhaustedError("the disk is full")); });
      return;
    }
    coordinator_.Post(core::CommitArtifact{info},
                      [done](const shell::Answer& answer) { done(answer.status); });
  }

  const Options options_;
  Random random_;
  EventLoop loop_;
  Counts counts_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Invariants invariants_;
  Network network_;
  Coordinator coordinator_;
  Users users_;
  Faults faults_;
  std::map<std::string, std::string> blobs_;  // checkpoints, by artifact id
  std::vector<int64_t> lives_;    // by stream: the coordinator's process at its other end
  std::vector<int64_t> streams_;  // by device, as the coordinator sees them; 0: none
};

}  // namespace

Outcome RunWorld(const Options& options) {
  return World(options).Run();
}

}  // namespace wattle::sim
