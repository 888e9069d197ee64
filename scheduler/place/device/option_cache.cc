// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The cache of a view: by the keys of jobs, their shapes, the descriptions of devices for their
// works, and the starts that jobs share.
#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/rules/anti_affinity.h"

namespace wattle::scheduler {
namespace {

// Device descriptions that a view keeps.
constexpr size_t kDescribedKept = 100'000;
// Options whose numbers a view keeps, with or without predictions: 150 bytes each.
constexpr size_t kNumbersKept = 1'000'000;

std::string KeyOf(const PeakMemory& peak) {
  return absl::StrCat(peak.cores_bytes, ",", peak.gpu_bytes, ",", peak.beside_gpu_bytes);
}

// Jobs with equal keys have the same outcome under every prediction and every rule except that of
// the deadline.
std::string WorkKey(const JobView& job) {
  v1::JobSpec spec = job.spec;
  if (!spec.has_quality_floor()) {  // With a floor, the objective chooses the model.
    spec.clear_objective();
  }
  spec.clear_name();
  spec.clear_owner();
  spec.clear_priority();
  spec.clear_deadline_seconds();
  spec.clear_apart();  // Differs by job and changes no prediction: ShapeOf handles it.
  std::string key = spec.SerializeAsString();
  absl::StrAppend(&key, "|", KeyOf(job.peak_memory), "|", job.checkpoint_step, "|",
                  job.checkpoint_bytes);
  if (job.profile_point.has_value()) {
    absl::StrAppend(&key, "|in ", job.profile_point->power_mode());
  }
  if (job.profiled_device.has_value()) {
    absl::StrAppend(&key, "|only ", job.profiled_device->value());
  }
  if (spec.energy_budget_wh() > 0) {
    absl::StrAppend(&key, "|", job.spent.value());
  }
  for (const DeviceId& avoided : job.avoided_devices) {
    absl::StrAppend(&key, "|", avoided.value());
  }
  for (const DeviceId& avoided : job.avoided_accelerators) {
    absl::StrAppend(&key, "|accelerator ", avoided.value());
  }
  for (const InputView& input : job.inputs) {
    const std::string artifact = input.artifact.SerializeAsString();
    absl::StrAppend(&key, "|", input.field, "=", artifact.size(), ":", artifact);
  }
  for (const ModelView& model : job.models) {
    const std::string artifact = model.artifact.SerializeAsString();
    absl::StrAppend(&key, "|", model.is_parent, KeyOf(model.peak_memory), ":", model.reference, ":",
                    artifact.size(), ":", artifact);
  }
  return key;
}

// Jobs with equal work and equal keys have the same outcome under every rule, and with one
// objective also the same cost.
std::string DeadlineKey(const JobView& job) {
  return job.spec.deadline_seconds() > 0 ? absl::StrCat("|", job.spec.deadline_seconds(), " after ",
                                                        absl::ToUnixNanos(job.submitted))
                                         : "";
}

}  // namespace

std::shared_ptr<const std::vector<FleetView::Modes>> FleetView::DescribedFor(const Asked& asked) {
  const std::string& key = WorkKeyOf(asked.job);
  if (const auto known = described_.find(key); known != described_.end()) {
    return known->second;
  }
  if (!options_.uses_cache || described_.size() * snapshot_.devices.size() > kDescribedKept) {
    return nullptr;
  }
  std::vector<Modes> described;
  described.reserve(snapshot_.devices.size());
  for (size_t i = 0; i < snapshot_.devices.size(); ++i) {
    described.push_back(DescribeDevice(asked, i));
  }
  return described_[key] = std::make_shared<const std::vector<Modes>>(std::move(described));
}

const std::string& FleetView::WorkKeyOf(const JobView& job) {
  const std::vector<JobView>& queue = snapshot_.queue;
  const std::less<const JobView*> is_before;
  if (queue.empty() || is_before(&job, queue.data()) ||
      !is_before(&job, queue.data() + queue.size())) {
    return other_work_key_ = WorkKey(job);
  }
  work_keys_.resize(queue.size());
  std::string& key = work_keys_[static_cast<size_t>(&job - queue.data())];
  if (key.empty()) {
    key = WorkKey(job);
  }
  return key;
}

std::string FleetView::KeyWithoutDeadline(const JobView& job) {
  std::string key = absl::StrCat(job.spec.objective(), "|", WorkKeyOf(job));
  if (job.spec.objective() == v1::OBJECTIVE_EDP) {
    absl::StrAppend(&key, "|", absl::ToUnixNanos(job.submitted));  // The cost includes the wait.
  }
  if (job.spec.has_apart()) {  // A job's own place does not refuse it.
    absl::StrAppend(&key, "|apart ", job.id.value(), " ", AntiAffinityGroupOf(job.spec));
  }
  return key;
}

FleetView::Begun* FleetView::BegunFor(const JobView& job) {
  const size_t devices = snapshot_.devices.size();
  if (job.spec.deadline_seconds() <= 0 || !options_.uses_cache ||
      begun_.size() * devices > options_.options_kept) {
    return nullptr;
  }
  Begun& begun = begun_[KeyWithoutDeadline(job)];
  if (++begun.shapes < 2) {
    return nullptr;
  }
  begun.devices.resize(devices);
  return &begun;
}

FleetView::Shape& FleetView::NewShape(std::string key) {
  const size_t devices = snapshot_.devices.size();
  keeps_all_ = keeps_all_ && whole_shapes_ * devices <= options_.options_kept;
  whole_shapes_ += keeps_all_ ? 1 : 0;
  const bool is_kept =
      keeps_all_ || (options_.uses_cache && shapes_.size() * devices <= kNumbersKept);
  Shape& shape = is_kept ? shapes_[std::move(key)] : passing_;
  shape = {};
  shape.is_whole = keeps_all_;
  return shape;
}

FleetView::Shape& FleetView::ShapeOf(const JobView& job, const WorkAmount& work,
                                     const FleetLoads& loads, DeadlineBy deadline_by) {
  std::string key = absl::StrCat(KeyWithoutDeadline(job), DeadlineKey(job),
                                 deadline_by == DeadlineBy::kMean ? "|by mean" : "");
  const auto known = shapes_.find(key);
  const bool is_new = known == shapes_.end();
  const bool describes = is_new || known->second.described == nullptr;
  const Asked asked{job, work,
                    describes ? WorksOfModels(job, *snapshot_.profiles) : std::vector<ModelWork>()};
  Shape& shape = is_new ? NewShape(std::move(key)) : known->second;
  latest_ = &shape;
  passing_modes_.clear();
  if (is_new) {
    shape.described = DescribedFor(asked);
    shape.steps = policy::StepsOf(job.spec);
    shape.deadline_by = deadline_by;
    shape.begun = shape.is_whole ? BegunFor(job) : nullptr;
  }
  if (shape.described == nullptr) {
    passing_work_ = work;
  }
  if (!shape.is_whole) {  // Later starts are searched again.
    shape.later.clear();
  }
  PlaceChanged(asked, loads, shape);
  return shape;
}

FleetView::BegunOnDevice* FleetView::BegunAt(const JobOnDevice& on, const Modes& modes,
                                             const std::shared_ptr<const DeviceLoad>& load,
                                             Begun* begun) const {
  if (begun == nullptr || load->pack != nullptr) {  // Rests on a pack depend on the deadline.
    return nullptr;
  }
  BegunOnDevice& on_device = begun->devices[on.device];
  if (on_device.load == nullptr || (on_device.load != load && !(*on_device.load == *load))) {
    BeginOn(on, modes, on_device);
  }
  on_device.load = load;
  return &on_device;
}

void FleetView::PlaceChanged(const Asked& asked, const FleetLoads& loads, Shape& shape) {
  const bool is_new = shape.options.empty();
  std::vector<size_t> changed;
  for (size_t i = 0; i < loads.size(); ++i) {
    const bool is_same =
        !is_new && (shape.loads.Shared(i) == loads.Shared(i) || shape.loads[i] == loads[i]);
    if (!is_same) {
      shape.later.erase(i);
    }
    if (!is_same || !options_.uses_cache) {
      changed.push_back(i);
    }
  }
  shape.loads = loads;
  if (changed.empty()) {
    return;
  }
  shape.options.resize(loads.size());
  std::vector<bool> is_changed(loads.size(), false);
  for (const size_t i : changed) {
    is_changed[i] = true;
    const JobOnDevice on = On(i, asked.job, loads[i], shape);
    Option& option = shape.options[i];
    if (shape.described == nullptr) {
      option = PlaceAt(on, DescribeDevice(asked, i));
    } else {
      const Modes& modes = (*shape.described)[i];
      option = PlaceAt(on, modes, BegunAt(on, modes, loads.Shared(i), shape.begun));
    }
    if (!shape.is_whole) {
      option.prediction = nullptr;
    }
  }
  const auto before = [&](size_t a, size_t b) { return ComesBefore(shape, a, b); };
  std::erase_if(shape.order, [&is_changed](size_t i) { return is_changed[i]; });
  std::sort(changed.begin(), changed.end(), before);
  const auto middle = shape.order.insert(shape.order.end(), changed.begin(), changed.end());
  std::inplace_merge(shape.order.begin(), middle, shape.order.end(), before);
}

const FleetView::Modes& FleetView::ModesOf(const JobView& job, const Shape& shape,
                                           size_t device) const {
  if (shape.described != nullptr) {
    return (*shape.described)[device];
  }
  const auto known = passing_modes_.find(device);
  if (known != passing_modes_.end()) {
    return known->second;
  }
  const Asked asked{job, passing_work_, WorksOfModels(job, *snapshot_.profiles)};
  return passing_modes_[device] = DescribeDevice(asked, device);
}

Option FleetView::WithPrediction(const JobView& job, const Shape& shape,
                                 const Option& option) const {
  const size_t device = option.run.device;
  return option.prediction != nullptr
             ? option
             : PlaceAt(On(device, job, shape.loads[device], shape), ModesOf(job, shape, device));
}

void FleetView::CompleteChoice(const JobView& job, const EvaluatedDevices& evaluated,
                               Shape& shape) const {
  const Option* const chosen = Chosen(evaluated);
  if (chosen != nullptr && chosen->prediction == nullptr) {
    Option& option = shape.options[chosen->run.device];
    option = WithPrediction(job, shape, option);
  }
}

void FleetView::Complete(const JobView& job) {
  for (Option& option : latest_->options) {
    if (option.feasible()) {
      option = WithPrediction(job, *latest_, option);
    }
  }
}

}  // namespace wattle::scheduler
