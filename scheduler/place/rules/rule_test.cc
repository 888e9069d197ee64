// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests each rule: what it refuses, with which text, whether the refusal may pass, and a
// neighbouring case that it allows.
#include "scheduler/place/rules/rule.h"

#include <functional>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "policy/guard_reason.h"
#include "proto/approval.h"
#include "proto/peak_memory.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Situation {
  DeviceView device = OrinNano();
  JobView job = RealJob("j1", 10000);
  std::vector<v1::Policy> policies;
};

struct Case {
  const char* name;
  std::function<void(Situation*)> change;
  const char* refused_by;  // "": nothing is refused.
  const char* reason;
  bool permanent;
};

v1::Policy MakePolicy(double reserve, double max_celsius, const std::string& selector) {
  v1::Policy policy;
  policy.set_name("field");
  policy.set_reserve_state_of_charge_ratio(reserve);
  policy.set_max_temperature_celsius(max_celsius);
  if (!selector.empty()) {
    policy.add_selector(selector);
  }
  return policy;
}

// A policy with a window that opens and closes this many hours after now; equal numbers: no window.
v1::Policy Scheduled(double opens_in_hours, double closes_in_hours, double budget_wh,
                     const std::string& alive_until) {
  v1::Policy policy = MakePolicy(0, 0, "");
  const auto clock = [](double hours) {
    return absl::FormatTime("%H:%M", kTestNow + absl::Hours(1) * hours, absl::UTCTimeZone());
  };
  if (opens_in_hours != closes_in_hours) {
    policy.add_work_windows(clock(opens_in_hours) + "-" + clock(closes_in_hours));
  }
  policy.set_daily_energy_budget_wh(budget_wh);
  policy.set_stay_alive_until(alive_until);
  return policy;
}

// A GPU whose use was measured to take so much of the board's memory.
void MeasureCuda(int64_t bytes, Situation* s) {
  s->device.device.mutable_info()->set_accelerator("cuda");
  v1::MeasuredRates* const rates = s->device.device.mutable_info()->add_rates();
  rates->set_accelerator("cuda");
  rates->set_accelerator_memory_bytes(bytes);
}

constexpr int64_t kGiB = int64_t{1} << 30;

// A GPU with memory of its own in a PC of 8 GiB, and a job with so much there and beside it.
void UseCard(int64_t total_bytes, const PeakMemory& peak, Situation* s) {
  v1::DeviceInfo& info = *s->device.device.mutable_info();
  info.set_accelerator("cuda");
  info.set_device_class("generic-x86-64");
  info.set_throughput_flops_datasheet(1e12);
  info.set_accelerator_total_bytes(total_bytes);
  s->job.peak_memory = peak;
}

void AddLabel(const std::string& key, const std::string& value, Situation* s) {
  v1::Label& label = *s->device.device.mutable_info()->add_labels();
  label.set_key(key);
  label.set_value(value);
}

// A job that may run only one quantized model, whose quality is unknown.
void FloorWithoutProbe(Situation* s) {
  s->job.spec.Clear();
  s->job.spec.mutable_generate()->set_model("gpt2");
  s->job.spec.mutable_generate()->add_prompts("Who?");
  s->job.spec.mutable_quality_floor()->set_kl_divergence_max(1);
  ModelView model{s->job.inputs[0].artifact, "gpt2-int8", false, {}};
  model.artifact.set_quantization("int8");
  s->job.models = {model};
}

// 10,000 examples of GPT-2 Small take about 18 Wh on the Orin Nano, and up to twice that at the
// upper quantile.
const Case kCases[] = {
    {"nothing against it", [](Situation*) {}, "", "", false},
    {"not connected", [](Situation* s) { s->device.device.set_connected(false); }, "connected",
     "not connected", false},
    {"unreachable", [](Situation* s) { s->device.device.set_unreachable(true); }, "connected",
     "unreachable", false},
    {"storage",
     [](Situation* s) {
       s->device.device.mutable_heartbeat()->set_storage_problem("disk read-only: x");
     },
     "storage", "disk read-only: x; feasible once its disk takes writes again", false},
    {"memory pressure",
     [](Situation* s) {
       s->device.device.mutable_heartbeat()->set_memory_problem("memory is short: x");
     },
     "memory_pressure", "memory is short: x; feasible after a minute without that", false},
    {"waits for approval",
     [](Situation* s) {
       s->device.device.set_waits_for_approval(true);
       s->device.device.set_problem(ApprovalProblem(s->device.device.info()));
     },
     "approval", "waits for approval; feasible after: wattle device approve orin", false},
    {"another problem of its identity",
     [](Situation* s) { s->device.device.set_problem("two boards use it"); }, "", "", false},
    {"drained",
     [](Situation* s) {
       s->device.device.set_drained(true);
       s->device.device.set_drain_reason("new panel");
     },
     "drained", "drained (new panel); feasible after: wattle device resume", false},
    {"a supply that carries no run",
     [](Situation* s) {
       s->policies = {MakePolicy(0, 0, "")};
       s->policies[0].mutable_power_group()->set_name("mast");
       s->policies[0].mutable_power_group()->set_power_cap_watts(2);
     },
     "power_cap", "and their cap is 2.00 W (policy field); feasible with a cap of", true},
    {"no engine", [](Situation* s) { s->device.device.mutable_info()->clear_engine_version(); },
     "engine", "install wattle-runner", true},
    {"a field that an older worker would skip",
     [](Situation* s) {
       s->device.device.mutable_info()->set_worker_version("0.1.0");
       s->device.device.mutable_info()->set_spec_revision(0);
       s->job.spec.mutable_finetune()->set_precision(v1::PRECISION_BF16);
     },
     "worker_version",
     "its worker 0.1.0 is too old to know finetune.precision; feasible once the worker is updated, "
     "or without that",
     true},
    {"data that an older worker cannot read",
     [](Situation* s) {
       s->device.device.mutable_info()->set_spec_revision(0);
       s->job.inputs[1].artifact.mutable_dataset()->set_format("chat");
     },
     "worker_version", "its worker is too old to know conversations as data; feasible", true},
    {"the same field and data, a present worker",
     [](Situation* s) {
       s->job.spec.mutable_finetune()->set_precision(v1::PRECISION_BF16);
       s->job.inputs[1].artifact.mutable_dataset()->set_format("chat");
     },
     "", "", false},
    {"an older worker, nothing new asked",
     [](Situation* s) { s->device.device.mutable_info()->set_spec_revision(0); }, "", "", false},
    {"label missing", [](Situation* s) { s->job.spec.add_required_labels("site=north"); }, "labels",
     "lacks the label site=north", true},
    {"label of another value",
     [](Situation* s) {
       AddLabel("site", "south", s);
       s->job.spec.add_required_labels("site=north");
     },
     "labels", "site=north", true},
    {"label there",
     [](Situation* s) {
       AddLabel("site", "north", s);
       s->job.spec.add_required_labels("site=north");
       s->job.spec.add_required_labels("site");
     },
     "", "", false},
    {"memory too small", [](Situation* s) { s->job.peak_memory.cores_bytes = int64_t{9} << 30; },
     "memory", "needs 9.0 GiB of memory, 7.6 GiB of its 8.0 GiB are usable; needs 1.4 GiB more",
     true},
    {"memory of a leaner form fits",
     [](Situation* s) {
       s->job.peak_memory.cores_bytes = int64_t{9} << 30;
       s->job.leaner_forms = {{"activation_checkpointing: true", {.cores_bytes = int64_t{8} << 30}},
                              {"batch_size: 2", {.cores_bytes = int64_t{7} << 30}},
                              {"batch_size: 1", {.cores_bytes = int64_t{6} << 30}}};
     },
     "memory", "needs 1.4 GiB more, or would fit with batch_size: 2", true},
    {"memory of no leaner form fits beside CUDA",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->job.peak_memory.cores_bytes = int64_t{9} << 30;
       s->job.leaner_forms = {{"batch_size: 2", {.cores_bytes = int64_t{8} << 30}},
                              {"batch_size: 1", {.cores_bytes = int64_t{7} << 30}}};
     },
     "memory", "needs 2.7 GiB more; it would not fit with batch_size: 1 either", true},
    {"memory, and no leaner form",
     [](Situation* s) {
       s->job.peak_memory.cores_bytes = int64_t{9} << 30;
       s->job.leaner_forms.emplace();
     },
     "memory", "needs 1.4 GiB more; the job has no leaner form", true},
    {"memory just fits", [](Situation* s) { s->job.peak_memory.cores_bytes = int64_t{7} << 30; },
     "", "", false},
    {"memory just fits without what CUDA takes of it",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->job.peak_memory.cores_bytes = int64_t{7} << 30;
     },
     "memory",
     "needs 8.2 GiB of memory (1.2 GiB of it assumed for CUDA until 'wattle-worker probe --rates' "
     "measures it), 7.6 GiB of its 8.0 GiB are usable",
     true},
    {"memory just fits beside what CUDA was measured to take",
     [](Situation* s) {
       MeasureCuda(int64_t{400} << 20, s);
       s->job.peak_memory.cores_bytes = int64_t{7} << 30;
     },
     "", "", false},
    {"memory just fits without what CUDA was measured to take",
     [](Situation* s) {
       MeasureCuda(int64_t{800} << 20, s);
       s->job.peak_memory.cores_bytes = int64_t{7} << 30;
     },
     "memory", "needs 8.0 GiB of memory, 7.6 GiB of its 8.0 GiB are usable", true},
    {"free memory just fits without what CUDA takes of it",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->device.device.mutable_info()->set_emulated(false);
       s->device.device.mutable_heartbeat()->set_memory_available_bytes(int64_t{4} << 30);
       s->job.peak_memory.cores_bytes = int64_t{3} << 30;
     },
     "memory", "needs 4.2 GiB, only 4.0 GiB are free now", false},
    {"tensors of a GPU with the board's memory, with the process and CUDA",
     [](Situation* s) {
       MeasureCuda(int64_t{400} << 20, s);
       s->device.device.mutable_info()->set_accelerator_total_bytes(8 * kGiB);
       s->device.device.mutable_info()->set_accelerator_shares_memory(true);
       s->job.peak_memory = {
           .cores_bytes = 6 * kGiB, .gpu_bytes = 7 * kGiB, .beside_gpu_bytes = kGiB / 2};
     },
     "memory", "needs 8.0 GiB of memory, 7.6 GiB of its 8.0 GiB are usable", true},
    {"the same where another board's worker says that the GPU has the board's memory",
     [](Situation* s) {
       UseCard(8 * kGiB,
               {.cores_bytes = 6 * kGiB, .gpu_bytes = 6 * kGiB, .beside_gpu_bytes = kGiB / 2}, s);
       s->device.device.mutable_info()->set_accelerator_shares_memory(true);
     },
     "memory", "needs 7.8 GiB of memory (1.2 GiB of it assumed for CUDA", true},
    {"too large for the PC and not for its card",
     [](Situation* s) {
       UseCard(24 * kGiB,
               {.cores_bytes = 21 * kGiB, .gpu_bytes = 20 * kGiB, .beside_gpu_bytes = kGiB}, s);
     },
     "", "", false},
    {"too large for the card and not for its PC",
     [](Situation* s) {
       UseCard(4 * kGiB, {.cores_bytes = 5 * kGiB, .gpu_bytes = 4 * kGiB, .beside_gpu_bytes = kGiB},
               s);
     },
     "memory",
     "needs 5.2 GiB of its card's memory (1.2 GiB of it assumed for CUDA until 'wattle-worker "
     "probe --rates' measures it), 3.8 GiB of the card's 4.0 GiB are usable; needs 1.5 GiB more",
     true},
    {"a leaner form fits the card",
     [](Situation* s) {
       UseCard(4 * kGiB, {.cores_bytes = 5 * kGiB, .gpu_bytes = 4 * kGiB, .beside_gpu_bytes = kGiB},
               s);
       s->job.leaner_forms = {
           {"batch_size: 2",
            {.cores_bytes = 4 * kGiB, .gpu_bytes = 3 * kGiB, .beside_gpu_bytes = kGiB}},
           {"batch_size: 1",
            {.cores_bytes = 3 * kGiB, .gpu_bytes = 2 * kGiB, .beside_gpu_bytes = kGiB}}};
     },
     "memory", "needs 1.5 GiB more, or would fit with batch_size: 1", true},
    {"just fits the card beside what CUDA was measured to take there",
     [](Situation* s) {
       UseCard(4 * kGiB, {.cores_bytes = 4 * kGiB, .gpu_bytes = 3 * kGiB, .beside_gpu_bytes = kGiB},
               s);
       MeasureCuda(int64_t{300} << 20, s);
       s->device.device.mutable_info()->mutable_rates(0)->set_card_memory_bytes(int64_t{600} << 20);
     },
     "", "", false},
    {"just fits the card without what CUDA was measured to take there",
     [](Situation* s) {
       UseCard(4 * kGiB, {.cores_bytes = 4 * kGiB, .gpu_bytes = 3 * kGiB, .beside_gpu_bytes = kGiB},
               s);
       MeasureCuda(int64_t{300} << 20, s);
       s->device.device.mutable_info()->mutable_rates(0)->set_card_memory_bytes(int64_t{800} << 20);
     },
     "memory", "needs 4.0 GiB of its card's memory, 3.8 GiB of the card's 4.0 GiB are usable",
     true},
    {"data beside a large card that the PC cannot hold",
     [](Situation* s) {
       UseCard(24 * kGiB,
               {.cores_bytes = 10 * kGiB, .gpu_bytes = kGiB, .beside_gpu_bytes = 9 * kGiB}, s);
     },
     "memory", "needs 9.3 GiB of memory (303.0 MiB of it assumed for CUDA", true},
    {"a PC's memory taken by others, beside a large card",
     [](Situation* s) {
       UseCard(24 * kGiB,
               {.cores_bytes = 8 * kGiB, .gpu_bytes = 6 * kGiB, .beside_gpu_bytes = 2 * kGiB}, s);
       s->device.device.mutable_info()->set_emulated(false);
       s->device.device.mutable_heartbeat()->set_memory_available_bytes(2 * kGiB);
     },
     "memory", "needs 2.3 GiB, only 2.0 GiB are free now", false},
    {"a calibration, which holds nothing on the card",
     [](Situation* s) {
       UseCard(kGiB / 4, {.cores_bytes = 7 * kGiB, .gpu_bytes = 0, .beside_gpu_bytes = 7 * kGiB},
               s);
     },
     "", "", false},
    {"an older worker's card, of unknown memory",
     [](Situation* s) {
       UseCard(0, {.cores_bytes = 9 * kGiB, .gpu_bytes = 8 * kGiB, .beside_gpu_bytes = kGiB}, s);
     },
     "memory", "needs 9.0 GiB of memory, 7.6 GiB of its 8.0 GiB are usable", true},
    {"memory just fits, and CUDA has a card of its own",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->device.device.mutable_info()->set_device_class("generic-x86-64");
       s->device.device.mutable_info()->set_throughput_flops_datasheet(1e12);
       s->job.peak_memory.cores_bytes = int64_t{7} << 30;
     },
     "", "", false},
    {"real memory taken by others",
     [](Situation* s) {
       s->device.device.mutable_info()->set_emulated(false);
       s->device.device.mutable_heartbeat()->set_memory_available_bytes(int64_t{2} << 30);
       s->job.peak_memory.cores_bytes = int64_t{3} << 30;
     },
     "memory", "only 2.0 GiB are free now", false},
    {"real memory taken by others, and a leaner form",
     [](Situation* s) {
       s->device.device.mutable_info()->set_emulated(false);
       s->device.device.mutable_heartbeat()->set_memory_available_bytes(int64_t{2} << 30);
       s->job.peak_memory.cores_bytes = int64_t{3} << 30;
       s->job.leaner_forms = {{"batch_size: 1", {.cores_bytes = int64_t{1} << 30}}};
     },
     "memory", "feasible once other programs leave 1.0 GiB more, or would fit with batch_size: 1",
     false},
    {"inputs beyond the cache",
     [](Situation* s) { s->device.device.mutable_info()->set_cache_quota_bytes(1 << 20); },
     "cache_quota", "exceed its cache quota of 1.0 MiB", true},
    {"a GPU that no board has",
     [](Situation* s) { s->job.spec.set_accelerator(v1::ACCELERATOR_CUDA); }, "processor",
     "the job has accelerator: cuda; feasible with accelerator: any", true},
    {"cores that the worker does not offer",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->job.spec.set_accelerator(v1::ACCELERATOR_CPU);
     },
     "processor", "runs its jobs on cuda alone, and the job has accelerator: cpu", true},
    {"BF16 on a GPU before Ampere",
     [](Situation* s) {
       s->device.device.mutable_info()->set_device_class("jetson-xavier-nx");
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->job.spec.mutable_finetune()->set_precision(v1::PRECISION_BF16);
     },
     "bf16", "its GPU is older than Ampere and has no BF16 products; feasible with precision: fp16",
     true},
    {"trained weights in BF16 on a GPU",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->job.spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
     },
     "", "", false},
    {"trained weights in BF16 on the GPU of an old worker",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->device.device.mutable_info()->set_spec_revision(1);
       s->job.spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
     },
     "bf16_weights",
     "its worker is too old to train weights_precision: bf16 on a GPU; feasible once the worker is "
     "updated, without that, or with lora",
     true},
    {"frozen weights in BF16 on the GPU of an old worker",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->device.device.mutable_info()->set_spec_revision(1);
       s->job.spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
       s->job.spec.mutable_finetune()->mutable_lora();
     },
     "", "", false},
    {"a GPU on which it failed, without cores that could go on",
     [](Situation* s) {
       s->device.device.mutable_info()->set_accelerator("cuda");
       s->job.avoided_accelerators.emplace_back("id-orin");
     },
     "avoided_device", "failed on its GPU", false},
    {"avoided", [](Situation* s) { s->job.avoided_devices.emplace_back("id-orin"); },
     "avoided_device", "failed on it", false},
    {"another device avoided", [](Situation* s) { s->job.avoided_devices.emplace_back("id-nx"); },
     "", "", false},
    {"held by its owner",
     [](Situation* s) { s->device.device.mutable_heartbeat()->set_owner_hold_seconds(1800); },
     "owner_hold", "held by its owner for another 30 min", false},
    {"guard",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.1, 0, ""));
       s->device.device.mutable_heartbeat()->set_guard_reason("at 12 %");
     },
     "guard", "at 12 %", false},
    {"guard by a policy that is gone",
     [](Situation* s) { s->device.device.mutable_heartbeat()->set_guard_reason("at 12 %"); }, "",
     "", false},
    {"a weak supply needs no policy",
     [](Situation* s) {
       s->device.device.mutable_heartbeat()->set_guard_reason(
           absl::StrCat(policy::kWeakSupply, "work waits until ten minutes have passed"));
     },
     "guard", "under-voltage: work waits until ten minutes have passed; feasible then", false},
    {"too hot",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0, 70, ""));
       s->device.device.mutable_heartbeat()->set_has_temperature(true);
       s->device.device.mutable_heartbeat()->set_temperature_celsius(71.5);
     },
     "max_temperature", "at 71.5 °C; policy field stops work at 70.0 °C", false},
    {"hot, but another device's policy",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0, 70, "site=north"));
       s->device.device.mutable_heartbeat()->set_has_temperature(true);
       s->device.device.mutable_heartbeat()->set_temperature_celsius(71.5);
     },
     "", "", false},
    {"outside its window", [](Situation* s) { s->policies.push_back(Scheduled(2, 6, 0, "")); },
     "work_windows", "(policy field); feasible in 2 h", false},
    {"in its window", [](Situation* s) { s->policies.push_back(Scheduled(-1, 8, 0, "")); }, "", "",
     false},
    {"windows without a common time",
     [](Situation* s) {
       s->policies.push_back(Scheduled(2, 6, 0, ""));
       s->policies.push_back(Scheduled(8, 12, 0, ""));
       for (const auto& [i, name] : {std::pair(0, "north"), {1, "south"}}) {
         s->policies[s->policies.size() - 2 + i].set_name(name);
       }
       s->policies.push_back(Scheduled(0, 7, 0, ""));
     },
     "work_windows",
     "work may never run: the windows of the policies north (10:00-14:00 UTC) and south "
     "(16:00-20:00 UTC) have no time in common; change one of them",
     true},
    {"windows of the link without a common time",
     [](Situation* s) {
       for (const auto& [name, window] :
            {std::pair("night", "01:00-05:00"), {"noon", "11:00-13:00"}}) {
         s->policies.push_back(MakePolicy(0, 0, ""));
         s->policies.back().set_name(name);
         s->policies.back().mutable_link()->add_windows(window);
       }
     },
     "link_windows",
     "artifacts may never come or leave: the windows of the policies night (01:00-05:00 UTC) and "
     "noon (11:00-13:00 UTC) have no time in common; change one of them",
     true},
    {"a window of the link outside of work's",
     [](Situation* s) {
       s->policies.push_back(Scheduled(2, 6, 0, ""));
       s->policies.back().mutable_link()->add_windows("01:00-05:00");
     },
     "link_windows",
     "artifacts may never come or leave: the windows of the policies field (01:00-05:00 UTC) and "
     "field (10:00-14:00 UTC) have no time in common; change one of them",
     true},
    {"outside the window of the link",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0, 0, ""));
       s->policies.back().mutable_link()->add_windows("01:00-05:00");
     },
     "", "", false},
    {"the day's budget is spent",
     [](Situation* s) {
       s->policies.push_back(Scheduled(0, 0, 20, ""));
       s->device.device.mutable_heartbeat()->set_has_budget_day(true);
       s->device.device.mutable_heartbeat()->set_budget_day_energy_joules(19.9 * 3600);
     },
     "daily_energy_budget",
     "work has drawn or is promised 19.90 Wh of the day's 20.00 Wh (policy field)", false},
    {"half of the day's budget is spent",
     [](Situation* s) {
       s->policies.push_back(Scheduled(0, 0, 20, ""));
       s->device.device.mutable_heartbeat()->set_has_budget_day(true);
       s->device.device.mutable_heartbeat()->set_budget_day_energy_joules(10.0 * 3600);
     },
     "", "", false},
    {"a budget that no job can be stopped within",
     [](Situation* s) { s->policies.push_back(Scheduled(0, 0, 0.1, "")); }, "daily_energy_budget",
     "that its guard holds back to stop the job in time", true},
    {"not enough to stay alive",
     [](Situation* s) {
       s->policies.push_back(Scheduled(0, 0, 0, "2030-01-01T00:00:00Z"));
       SetBattery(100, 1.0, &s->device);
       s->device.device.mutable_heartbeat()->set_idle_power_watts(2);
     },
     "battery_reserve", "(policy field, alive until 2030-01-01 00:00 UTC)", true},
    {"reserve broken",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.3, 0, ""));
       SetBattery(100, 0.5, &s->device);
     },
     "battery_reserve", "the reserve is 30 % (policy field); feasible from", false},
    {"same charge without a policy", [](Situation* s) { SetBattery(100, 0.5, &s->device); }, "", "",
     false},
    {"same reserve, full",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.3, 0, ""));
       SetBattery(100, 1.0, &s->device);
     },
     "", "", false},
    {"would be empty even without a policy", [](Situation* s) { SetBattery(100, 0.1, &s->device); },
     "battery_reserve", "empty is 0 %", false},
    {"battery too small for the job", [](Situation* s) { SetBattery(10, 1.0, &s->device); },
     "battery_reserve", "its battery of 10.00 Wh is too small", true},
    {"reserve that leaves too little for the job",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.9, 0, ""));
       SetBattery(20, 1.0, &s->device);
     },
     "battery_reserve", " beside the 18.00 Wh that it keeps", true},
    {"reserve, charge unknown",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.3, 0, ""));
       s->device.device.mutable_info()->set_battery_capacity_wh(100);
     },
     "battery_reserve", "not known yet", false},
    {"no gauge, and the policy refuses such devices",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.3, 0, ""));
       s->policies.back().set_missing_gauge(v1::MISSING_GAUGE_REFUSE);
     },
     "battery_reserve", "it has no battery gauge, and policy field refuses", true},
    {"no gauge, and the policy only warns",
     [](Situation* s) { s->policies.push_back(MakePolicy(0.3, 0, "")); }, "", "", false},
    {"a gauge without a capacity, below the guard's own threshold",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.3, 0, ""));
       SetBattery(0, 0.36, &s->device);
     },
     "battery_reserve", "feasible above 37 % of charge", false},
    {"committed to another attempt",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.2, 0, ""));
       SetBattery(100, 0.9, &s->device);
       s->device.committed_energy = FromWattHours(40);
     },
     "battery_reserve", "the reserve is 20 %", false},
    {"committed so far that no charge is enough before",
     [](Situation* s) {
       s->policies.push_back(MakePolicy(0.2, 0, ""));
       SetBattery(100, 0.9, &s->device);
       s->device.committed_energy = FromWattHours(95);
     },
     "battery_reserve",
     "the work that it has already may draw up to 95.00 Wh; feasible once that has ended", false},
    {"labels that every device has",
     [](Situation* s) {
       s->job.spec.add_required_labels("device=orin");
       s->job.spec.add_required_labels("class=jetson-orin-nano");
       s->device.device.mutable_info()->set_isolation("full");
       s->job.spec.add_required_labels("isolation=full");
     },
     "", "", false},
    {"a job that wants a better sandbox",
     [](Situation* s) {
       s->device.device.mutable_info()->set_isolation("seccomp");
       s->job.spec.add_required_labels("isolation=full");
     },
     "labels", "lacks the label isolation=full", true},
    {"another device's name", [](Situation* s) { s->job.spec.add_required_labels("device=nx"); },
     "labels", "lacks the label device=nx", true},
    {"no model of the floor was measured", FloorWithoutProbe, "quality_floor",
     "the nearest is gpt2-int8: its quality was not measured; run: wattle probe gpt2", false},
    {"deadline too early", [](Situation* s) { s->job.spec.set_deadline_seconds(60); }, "deadline",
     "the deadline is in 1 min 00 s; feasible with a deadline of", true},
    {"deadline passed",
     [](Situation* s) {
       s->job.spec.set_deadline_seconds(60);
       s->job.submitted = kTestNow - absl::Minutes(5);
     },
     "deadline", "passed 4 min 00 s ago", true},
    {"deadline far", [](Situation* s) { s->job.spec.set_deadline_seconds(86400); }, "", "", false},
    {"deadline, were it free now",
     [](Situation* s) {
       s->job.spec.set_deadline_seconds(86400);
       s->device.free_at = kTestNow + absl::Hours(23);
     },
     "deadline", "or were it free now", false},
    {"an energy budget that the run does not fit into",
     [](Situation* s) { s->job.spec.set_energy_budget_wh(2); }, "energy_budget",
     "feasible with a budget of 19", true},
    {"an energy budget of which much is spent",
     [](Situation* s) {
       s->job.spec.set_energy_budget_wh(1000);
       s->job.spent = FromWattHours(999.9);
     },
     "energy_budget", " more, after ", true},
    {"an energy budget that is enough",
     [](Situation* s) { s->job.spec.set_energy_budget_wh(1000); }, "", "", false},
    {"a probe of a device that has explored enough",
     [](Situation* s) {
       s->device.device.mutable_info()->set_device_class("board-of-nobody");
       s->device.device.mutable_heartbeat()->clear_has_battery();
       s->job.spec.set_deadline_seconds(20 * 3600);
       s->device.exploration = {Joules(50), Joules(60), kTestNow + absl::Hours(5)};
     },
     "exploration",
     "exploring may draw 50.0 J more of this device today; feasible with a policy that lets "
     "exploring draw more",
     false},
    {"declared only", [](Situation* s) { s->job = MakeJob("j1", PublishedSpec(12)); }, "inputs",
     "model_shape, which is for plans", true},
    {"a group that is apart by a label that the board lacks",
     [](Situation* s) {
       s->job.spec.mutable_apart()->set_group("folds");
       s->job.spec.mutable_apart()->set_by("rack");
     },
     "apart", "lacks the label rack, by which its group folds is apart; feasible with it", true},
    {"what never passes is told before what may",
     [](Situation* s) {
       s->device.device.set_connected(false);
       s->job.spec.set_deadline_seconds(60);
     },
     "deadline", "feasible with a deadline", true},
};

// The placements of the case's one job on its one device.
std::vector<QueuePlacement> PlacementsOf(const Case& test, const ProfileTable& priors) {
  Situation situation;
  test.change(&situation);
  Snapshot snapshot = MakeSnapshot({situation.device}, priors);
  snapshot.policies = situation.policies;
  snapshot.queue = {situation.job};
  return PlanQueue(snapshot);
}

TEST(RuleTest, EachRuleRefusesWithItsReason) {
  const ProfileTable priors = ProfileTable::Priors();
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.name);
    const std::vector<QueuePlacement> placements = PlacementsOf(test, priors);
    ASSERT_EQ(placements.size(), 1U);
    const v1::Placement& placement = placements[0].placement;
    ASSERT_EQ(placement.best_size(), 1);
    const v1::Candidate& candidate = placement.best(0);
    EXPECT_EQ(candidate.refused_by(), test.refused_by) << candidate.reason();
    // A job that is refused until a known time has a place at that time.
    const bool has_place = candidate.feasible() && !candidate.refused_by().empty();
    EXPECT_THAT(has_place ? candidate.waits_for() : candidate.reason(), HasSubstr(test.reason));
    EXPECT_EQ(candidate.feasible(), has_place || std::string(test.refused_by).empty());
    EXPECT_EQ(placements[0].refused_until_start.empty(), !has_place);
    EXPECT_EQ(candidate.permanent(), test.permanent);
    EXPECT_EQ(placements[0].never, test.permanent);
    EXPECT_EQ(placement.device_id().empty(), !candidate.feasible());
    if (!candidate.feasible()) {
      EXPECT_THAT(placement.reason(), HasSubstr(candidate.reason()));
      ASSERT_EQ(placement.refusals_size(), 1);
      EXPECT_EQ(placement.refusals(0).refused_by(), test.refused_by);
    }
  }
}

// A rule's text must make sense to people on its own: first the problem, then the remedy. The
// rule's name is only for programs.
TEST(RuleTest, EveryRefusalHasARemedyAndNoIdentifier) {
  const ProfileTable priors = ProfileTable::Priors();
  std::set<std::string> told;
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.name);
    const std::vector<QueuePlacement> placements = PlacementsOf(test, priors);
    const v1::Candidate& candidate = placements.at(0).placement.best(0);
    if (candidate.refused_by().empty()) {
      continue;
    }
    told.insert(candidate.refused_by());
    const std::string why = candidate.feasible() ? candidate.waits_for() : candidate.reason();
    for (const std::string& text : {why, placements[0].placement.reason()}) {
      EXPECT_THAT(text, HasSubstr("; ")) << "no remedy";
      for (const Rule& rule : Rules()) {
        const std::string identifier(rule.name);
        EXPECT_THAT(text, Not(HasSubstr(identifier + ":"))) << "a rule's name as a heading";
        if (identifier.find('_') != std::string::npos) {
          EXPECT_THAT(text, Not(HasSubstr(identifier)));
        }
      }
    }
  }
  EXPECT_EQ(told.size(), Rules().size()) << "a rule whose text was not looked at";
}

// Files to fetch today may be on the board tomorrow.
TEST(RuleTest, ABudgetThatOnlyTheFetchBreaksIsNoLastingRefusal) {
  const ProfileTable priors = ProfileTable::Priors();
  const Case free = {"", [](Situation*) {}, "", "", false};
  const double run_joules = PlacementsOf(free, priors).at(0).prediction.run_energy_joules().mean();
  for (const double share : {0.999, 1.001}) {
    const Case bounded = {
        "", [&](Situation* s) { s->job.spec.set_energy_budget_wh(share * run_joules / 3600); }, "",
        "", false};
    const QueuePlacement placed = PlacementsOf(bounded, priors).at(0);
    EXPECT_EQ(placed.placement.best(0).refused_by(), "energy_budget") << share;
    EXPECT_EQ(placed.never, share < 1) << share;
  }
}

TEST(RuleTest, NamesAreUniqueAndEachIsCovered) {
  std::set<std::string> covered;
  for (const Case& test : kCases) {
    covered.insert(test.refused_by);
  }
  std::set<std::string> names;
  for (const Rule& rule : Rules()) {
    EXPECT_TRUE(names.insert(std::string(rule.name)).second) << rule.name;
    EXPECT_EQ(covered.count(std::string(rule.name)), 1U) << rule.name << " has no case";
  }
}

}  // namespace
}  // namespace wattle::scheduler
