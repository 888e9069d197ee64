// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/fleet.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

#include "coordinator/core/enrolment.h"
#include "proto/heartbeat_changes.h"

namespace wattle::sim {
namespace {

// Share of a certificate's life between checks; a worker checks each hour of 30 days.
constexpr double kLookShare = 0.05;

}  // namespace

Fleet::Fleet(const Parts& parts, Coordinator::Planning planning,
             std::function<void(const std::string&)> gone)
    : parts_(parts),
      gone_(std::move(gone)),
      invariants_(*this, parts.options.trace),
      network_(parts.loop, parts.random, parts.options, parts.counts,
               [this](int device, int64_t stream) { OnBroken(device, stream); }),
      coordinator_(
          {parts.loop, parts.random, parts.options, parts.counts, invariants_, std::move(planning)},
          [this](const DeviceId& device, const v1::CoordinatorMessage& message) {
            SendDown(device, message);
          },
          [this] { BreakAllStreams(); }),
      certificates_(parts.loop, parts.options, coordinator_) {}

void Fleet::Start(const std::vector<Machine>& machines) {
  for (int i = 0; i < parts_.options.devices; ++i) {
    streams_.push_back(0);
    told_.emplace_back();
    const Machine* const machine = machines.empty() ? nullptr : &machines[Index(i)];
    workers_.push_back(std::make_unique<Worker>(
        i, Worker::World{parts_.loop, parts_.random, parts_.options, parts_.counts, invariants_},
        LinkOf(i), machine));
    workers_.back()->Start();
  }
  if (parts_.options.certificate_seconds > 0.0) {
    LookForRenewals();
  }
}

void Fleet::LookForRenewals() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (streams_[Index(worker->number())] != 0) {
      certificates_.Look(DeviceId(worker->device_id()), worker->Clock());
    }
  }
  parts_.loop.After(parts_.options.certificate_seconds * kLookShare, [this] { LookForRenewals(); });
}

Worker* Fleet::WorkerWith(const std::string& device_id) const {
  const auto number = numbers_.find(device_id);
  if (number == numbers_.end()) {
    return nullptr;
  }
  Worker& worker = *workers_[Index(number->second)];
  return worker.device_id() == device_id ? &worker : nullptr;
}

Joules Fleet::Drawn(const std::string& device_id) const {
  Worker* const worker = WorkerWith(device_id);
  if (worker == nullptr) {
    return Joules(std::numeric_limits<double>::infinity());
  }
  worker->AdvanceBoard();
  return worker->board().energy();
}

std::optional<Truth::WorkPower> Fleet::WorkPowerOf(const std::string& device_id) const {
  const Worker* const worker = WorkerWith(device_id);
  return worker == nullptr ? std::nullopt : worker->work_power();
}

Worker::Link Fleet::LinkOf(int device) {
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
          .gone = [this](const std::string& id) { gone_(id); }};
}

void Fleet::DialElsewhere(int device) {
  Worker& worker = WorkerOf(device);
  const bool is_stranger = addresses_.IsStranger(worker.address(), parts_.loop.now_seconds());
  // A board without a journal, or with only one address, would join another journal there. A real
  // stranger's certificate is from another fleet.
  if (is_stranger && !worker.tells_strangers()) {
    worker.Disconnected(worker.stream());
    return;
  }
  const int64_t stream = network_.Open(device);
  lives_.resize(static_cast<size_t>(stream) + 1, coordinator_.life());
  elsewhere_[stream] = is_stranger;
  worker.Connected(stream);
}

void Fleet::AnswerElsewhere(int device, const v1::WorkerMessage& message, bool by_stranger) {
  if (!message.has_hello()) {
    if (by_stranger) {
      invariants_.Break(absl::StrCat(WorkerOf(device).device_id(),
                                     " tells a stranger more than that it is there"));
    }
    return;
  }
  const int64_t stream = WorkerOf(device).stream();
  network_.Send(stream, Direction::kDown, [this, device, stream, by_stranger] {
    Worker& worker = WorkerOf(device);
    if (worker.alive() && worker.stream() == stream) {
      worker.Receive(addresses_.Answer(by_stranger));
    } else {
      network_.Break(stream);
    }
  });
}

void Fleet::Dial(int device) {
  Worker& worker = WorkerOf(device);
  if (worker.address() != addresses_.coordinator()) {
    return DialElsewhere(device);
  }
  if (!coordinator_.alive() || coordinator_.stands_still()) {
    worker.Disconnected(worker.stream());
    return;
  }
  numbers_[worker.device_id()] = device;
  const int64_t stream = network_.Open(device);
  lives_.resize(static_cast<size_t>(stream) + 1, coordinator_.life());
  worker.Connected(stream);
}

void Fleet::SendUp(int device, const v1::WorkerMessage& message) {
  Worker& worker = WorkerOf(device);
  const int64_t stream = worker.stream();
  if (const auto elsewhere = elsewhere_.find(stream); elsewhere != elsewhere_.end()) {
    return AnswerElsewhere(device, message, elsewhere->second);
  }
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
  if (message.has_report() && parts_.random.Chance(parts_.options.duplication)) {
    ++parts_.counts.duplicates;
    parts_.loop.After(parts_.random.Between(0.1, 30.0), [this, id, incarnation, message, life] {
      if (coordinator_.life() == life) {
        coordinator_.Post(core::WorkerReport{id, incarnation, message.report()}, nullptr);
      }
    });
  }
}

void Fleet::Deliver(int device, int64_t stream, const DeviceId& id, int64_t incarnation,
                    const v1::WorkerMessage& message) {
  if (message.has_hello()) {
    // Like coordinator/callers, which refuses its certificate.
    if (core::IsRevoked(coordinator_.durable(), id) ||
        !certificates_.Admits(id, WorkerOf(device).Clock())) {
      network_.Break(stream);
      return;
    }
    coordinator_.Hello(message.hello(), [this, device, stream, id](bool welcomed) {
      if (welcomed && !core::IsRevoked(coordinator_.durable(), id)) {
        // The newest stream of a device closes the older one.
        const int64_t older = std::exchange(streams_[Index(device)], stream);
        network_.Break(older);
      } else {
        network_.Break(stream);
      }
    });
    return;
  }
  const v1::Heartbeat* heartbeat = nullptr;
  if (message.has_heartbeat()) {
    told_[Index(device)] = {stream, message.heartbeat()};
    heartbeat = &told_[Index(device)].second;
  } else if (message.has_heartbeat_changes() && told_[Index(device)].first == stream) {
    ApplyChanges(message.heartbeat_changes(), told_[Index(device)].second);
    heartbeat = &told_[Index(device)].second;
  }
  coordinator_.Heard(id, heartbeat);
  if (message.has_report()) {
    coordinator_.Post(
        core::WorkerReport{id, incarnation, message.report()},
        [this, stream, id, report = message.report()](const event_loop::Answer& answer) {
          if (!answer.status.ok()) {
            network_.Break(stream);
          } else {
            coordinator_.TookReport(id, report);
          }
        });
  }
}

void Fleet::SendDown(const DeviceId& id, const v1::CoordinatorMessage& message) {
  const Worker* const addressee = WorkerWith(id.value());
  if (addressee == nullptr) {
    return;
  }
  const int device = addressee->number();
  const int64_t stream = streams_[Index(device)];
  const int64_t restores = coordinator_.restores();
  network_.Send(stream, Direction::kDown, [this, device, stream, message, restores] {
    Worker& worker = WorkerOf(device);
    if (!worker.alive() || worker.stream() != stream) {
      network_.Break(stream);  // The worker has left this stream.
      return;
    }
    worker.Receive(message);
    if (message.has_acknowledgement() && worker.alive() && restores == coordinator_.restores() &&
        message.acknowledgement().incarnation() == worker.incarnation()) {
      invariants_.OnAcknowledged(worker.device_id(), worker.incarnation(),
                                 message.acknowledgement().sequence());
    }
  });
}

void Fleet::OnBroken(int device, int64_t stream) {
  parts_.loop.After(parts_.random.Between(0.1, 8.0),
                    [this, device, stream] { WorkerOf(device).Disconnected(stream); });
  parts_.loop.After(parts_.random.Between(0.1, 8.0), [this, device, stream] {
    if (streams_[Index(device)] == stream) {
      streams_[Index(device)] = 0;
      if (coordinator_.alive()) {
        coordinator_.Disconnected(DeviceId(WorkerOf(device).device_id()));
      }
    }
  });
}

void Fleet::BreakAllStreams() {
  network_.BreakAll();
  streams_.assign(streams_.size(), 0);
}

void Fleet::Upload(int device, const v1::ArtifactInfo& info,
                   const std::function<void(const absl::Status&)>& done) {
  if (network_.partitioned(device) || !coordinator_.alive()) {
    return;  // Never answered.
  }
  if (coordinator_.disk().full()) {
    parts_.loop.After(0.1, [done] { done(absl::ResourceExhaustedError("the disk is full")); });
    return;
  }
  coordinator_.Post(
      core::CommitArtifact{.info = info, .device = DeviceId(WorkerOf(device).device_id())},
      [done](const event_loop::Answer& answer) { done(answer.status); });
}

}  // namespace wattle::sim
