// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small fleets and jobs for the tests of this folder.
#ifndef WATTLE_SCHEDULER_PLACE_TESTING_FLEET_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_TESTING_FLEET_FOR_TEST_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "proto/spec_revision.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

inline const absl::Time kTestNow = absl::FromUnixSeconds(1800000000);

// A device that is connected and free, with an engine and without a battery.
inline DeviceView MakeDevice(const std::string& device_class, const std::string& name) {
  DeviceView view;
  v1::DeviceInfo& info = *view.device.mutable_info();
  info.set_device_id("id-" + name);
  info.set_name(name);
  info.set_device_class(device_class);
  info.set_emulated(true);
  info.set_time_scale(1);
  info.set_memory_bytes(int64_t{8} << 30);
  info.set_engine_version("wattle-0.1.0/libtorch-1.13.1");
  info.set_spec_revision(kSpecRevision);
  info.set_link_bytes_per_second(1e7);
  view.device.set_connected(true);
  return view;
}

inline DeviceView XavierNx(const std::string& name = "nx") {
  return MakeDevice("jetson-xavier-nx", name);
}
inline DeviceView OrinNano(const std::string& name = "orin") {
  return MakeDevice("jetson-orin-nano", name);
}

inline void SetBattery(double capacity_wh, double charge, DeviceView* view) {
  view->device.mutable_info()->set_battery_capacity_wh(capacity_wh);
  view->device.mutable_heartbeat()->set_has_battery(true);
  view->device.mutable_heartbeat()->set_state_of_charge_ratio(charge);
}

// The papers' workload: 10,000 examples, two epochs, unspecified batch and length.
inline v1::JobSpec PublishedSpec(int layers, v1::Objective objective = v1::OBJECTIVE_ENERGY) {
  v1::JobSpec spec;
  spec.set_objective(objective);
  *spec.mutable_finetune()->mutable_model_shape() = Gpt2Shape(layers);
  spec.mutable_finetune()->mutable_data_shape()->set_examples(10000);
  spec.mutable_finetune()->set_epochs(2);
  return spec;
}

inline JobView MakeJob(const std::string& id, v1::JobSpec spec) {
  JobView job;
  job.id = JobId(id);
  job.spec = std::move(spec);
  job.submitted = kTestNow;
  return job;
}

// A job on real files with `examples` examples of 900 bytes, which are 200 tokens.
inline JobView RealJob(const std::string& id, int64_t examples,
                       v1::Objective objective = v1::OBJECTIVE_ENERGY) {
  v1::JobSpec spec;
  spec.set_objective(objective);
  spec.mutable_finetune()->set_model("gpt2");
  spec.mutable_finetune()->set_data("squad");
  // The thresholds that tests give count so many, whatever a checkpoint costs.
  spec.mutable_finetune()->set_checkpoint_every_steps(50);
  JobView job = MakeJob(id, std::move(spec));
  job.inputs.resize(2);
  job.inputs[0].field = "model";
  job.inputs[0].artifact.set_artifact_id("m");
  job.inputs[0].artifact.set_size_bytes(500000000);
  *job.inputs[0].artifact.mutable_model_shape() = Gpt2Shape(12);
  job.inputs[1].field = "data";
  job.inputs[1].artifact.set_artifact_id("d");
  job.inputs[1].artifact.set_size_bytes(4000000);
  job.inputs[1].artifact.mutable_dataset()->set_examples(examples);
  job.inputs[1].artifact.mutable_dataset()->set_mean_byte_length(900);
  return job;
}

inline Snapshot MakeSnapshot(std::vector<DeviceView> devices, const ProfileTable& profiles) {
  Snapshot snapshot;
  snapshot.sequence = SequenceNumber(17);
  snapshot.now = kTestNow;
  snapshot.devices = std::move(devices);
  snapshot.profiles = &profiles;
  return snapshot;
}

inline const v1::Candidate* FindCandidate(const v1::PlanResponse& plan, const std::string& name) {
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (candidate.device_name() == name) {
      return &candidate;
    }
  }
  return nullptr;
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_TESTING_FLEET_FOR_TEST_H_
