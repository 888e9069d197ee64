// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a runtime on a real journal in a temporary directory, a recorder in place of the
// workers' streams, and valid messages.
#ifndef WATTLE_COORDINATOR_RUNTIME_TESTING_RUNTIME_FIXTURE_H_
#define WATTLE_COORDINATOR_RUNTIME_TESTING_RUNTIME_FIXTURE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "base/testing/test_directory.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/runtime/runtime_ports.h"

namespace wattle::runtime {

inline constexpr absl::Duration kPatience =
    absl::Seconds(30);  // The limit of waits that should be short.

inline v1::Hello HelloOf(const std::string& device, int64_t incarnation = 1) {
  v1::Hello hello;
  v1::DeviceInfo& info = *hello.mutable_device();
  info.set_device_id(device);
  info.set_name(absl::StrCat("name-of-", device));
  info.set_device_class("jetson-orin-nano");
  info.set_architecture("aarch64");
  info.set_emulated(true);
  info.set_time_scale(1.0);
  info.set_memory_bytes(int64_t{8} << 30);
  info.set_cores(4);
  info.set_worker_version("0.1.0");
  info.set_engine_version("wattle-0.1.0/test");
  info.set_energy_source(v1::ENERGY_SOURCE_EMULATED);
  info.set_energy_scope("module");
  info.set_cache_quota_bytes(int64_t{4} << 30);
  info.set_metrics_address("127.0.0.1:9100");
  hello.set_incarnation(incarnation);
  return hello;
}

inline v1::Policy PolicyOf(const std::string& name, double reserve_ratio = 0.2) {
  v1::Policy policy;
  policy.set_name(name);
  policy.set_reserve_state_of_charge_ratio(reserve_ratio);
  return policy;
}

inline v1::JobSpec GenerateSpecOf(const std::string& model) {
  v1::JobSpec spec;
  spec.set_name("say something");
  spec.mutable_generate()->set_model(model);
  spec.mutable_generate()->add_prompts("hello");
  spec.mutable_generate()->set_max_new_tokens(4);
  return spec;
}

inline v1::ArtifactInfo ModelInfoOf(const std::string& name) {
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_MODEL);
  info.set_name(name);
  *info.mutable_model_shape() = core::Shape();
  info.set_parameter_count(200'000);
  info.set_quantization("none");
  return info;
}

// Records the messages to each device, and waits for one.
class LinkRecorder final : public WorkerLinks {
 public:
  void SendDesired(const DeviceId& device, v1::DesiredSet desired) override {
    absl::MutexLock lock(&mutex_);
    desired_[device] = std::move(desired);
  }
  void SendAcknowledgement(const DeviceId& device, v1::ReportAcknowledgement ack) override {
    absl::MutexLock lock(&mutex_);
    acknowledged_[device] = ack.sequence();
  }
  bool WaitForAssignment(const std::string& device, v1::Assignment& assignment) {
    absl::MutexLock lock(&mutex_);
    const auto assigned = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return desired_[DeviceId(device)].assignments_size() > 0;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&assigned), kPatience)) {
      return false;
    }
    assignment = desired_[DeviceId(device)].assignments(0);
    return true;
  }
  bool WaitForAcknowledgement(const std::string& device, int64_t sequence) {
    absl::MutexLock lock(&mutex_);
    const auto acknowledged = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return acknowledged_[DeviceId(device)] >= sequence;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&acknowledged), kPatience);
  }

 private:
  absl::Mutex mutex_;
  std::map<DeviceId, v1::DesiredSet> desired_ ABSL_GUARDED_BY(mutex_);
  std::map<DeviceId, int64_t> acknowledged_ ABSL_GUARDED_BY(mutex_);
};

class RuntimeFixture : public testing::Test {
 protected:
  [[nodiscard]] std::string Path(const std::string& name) const { return directory_.File(name); }

  std::unique_ptr<Runtime> StartRuntime(RuntimeOptions options = {}, WorkerLinks* links = nullptr) {
    options.journal_path = Path("journal.db");
    absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(options, links);
    EXPECT_TRUE(runtime.ok()) << runtime.status();
    return runtime.ok() ? *std::move(runtime) : nullptr;
  }
  static Answer Ask(Runtime& runtime, core::Command command) {
    return runtime.PostAndWait(std::move(command), kPatience);
  }
  // Connects a device as its stream would.
  static void Connect(Runtime& runtime, const std::string& device, const std::string& name = "") {
    core::WorkerHello hello{HelloOf(device)};
    if (!name.empty()) {
      hello.hello.mutable_device()->set_name(name);
    }
    const Answer answer = Ask(runtime, std::move(hello));
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    runtime.heartbeats().SlotFor(DeviceId(device))->Connected(runtime.Now());
  }
  static void AddModel(Runtime& runtime, const std::string& name) {
    v1::ArtifactInfo info = ModelInfoOf(name);
    info.set_artifact_id(std::string(64, 'a'));
    info.set_size_bytes(1000);
    const Answer answer = Ask(runtime, core::CommitArtifact{info});
    ASSERT_TRUE(answer.status.ok()) << answer.status;
  }

  TestDirectory directory_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_TESTING_RUNTIME_FIXTURE_H_
