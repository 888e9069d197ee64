// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/fleet_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "coordinator/rpc/worker_stream.h"

namespace wattle::rpc {

std::shared_ptr<WorkerStream> StreamTable::Find(const DeviceId& device) const {
  absl::MutexLock lock(&mutex_);
  const auto it = streams_.find(device);
  return it == streams_.end() ? nullptr : it->second;
}

void StreamTable::SendDesired(const DeviceId& device, v1::DesiredSet desired) {
  if (const std::shared_ptr<WorkerStream> stream = Find(device)) {
    stream->SendDesired(std::move(desired));
  }
}

void StreamTable::SendAcknowledgement(const DeviceId& device, v1::ReportAcknowledgement ack) {
  if (const std::shared_ptr<WorkerStream> stream = Find(device)) {
    stream->SendAcknowledgement(std::move(ack));
  }
}

StreamTable::Rivalry StreamTable::RivalryOf(const DeviceId& device, const WorkerStream& newcomer,
                                            Monotonic now) const {
  const std::shared_ptr<WorkerStream> stream = Find(device);
  if (stream == nullptr || stream.get() == &newcomer || stream->YieldsTo(newcomer, now)) {
    return {};
  }
  return {.rival = absl::StrCat("a worker at ", stream->peer_host(),
                                " is connected with it, and one at ", newcomer.peer_host(),
                                " says hello with it too"),
          .doubled = stream->IsDoubledBy(newcomer, now)};
}

void StreamTable::Install(const DeviceId& device, std::shared_ptr<WorkerStream> stream) {
  std::shared_ptr<WorkerStream> older;
  {
    absl::MutexLock lock(&mutex_);
    older = std::exchange(streams_[device], std::move(stream));
  }
  if (older != nullptr) {
    older->Close("a newer stream of this device took over");
  }
}

bool StreamTable::Remove(const DeviceId& device, const WorkerStream* stream) {
  absl::MutexLock lock(&mutex_);
  const auto it = streams_.find(device);
  if (it == streams_.end() || it->second.get() != stream) {
    return false;
  }
  streams_.erase(it);
  return true;
}

void StreamTable::CloseDevice(const DeviceId& device, const std::string& reason) {
  if (const std::shared_ptr<WorkerStream> stream = Find(device)) {
    stream->Close(reason);
  }
}

bool StreamTable::AskToRedial(const DeviceId& device, const std::string& reason) {
  const std::shared_ptr<WorkerStream> stream = Find(device);
  if (stream == nullptr) {
    return false;
  }
  stream->AskToRedial(reason);
  return true;
}

void StreamTable::CloseAll(const std::string& reason) {
  std::vector<std::shared_ptr<WorkerStream>> all;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [device, stream] : streams_) {
      all.push_back(stream);
    }
  }
  for (const std::shared_ptr<WorkerStream>& stream : all) {
    stream->Close(reason);
  }
}

size_t StreamTable::size() const {
  absl::MutexLock lock(&mutex_);
  return streams_.size();
}

grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* FleetService::Connect(
    grpc::CallbackServerContext* context) {
  return WorkerStream::Open(runtime_, streams_, gate_, heartbeat_interval_, *context);
}

}  // namespace wattle::rpc
