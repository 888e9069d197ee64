#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Bugs that are planted in a copy of the tree; the tests of each must find it. Bugs for the simulation are in tests/simulation/fault_points.cc; these
are in code that no simulated world runs, or are found sooner by another test. Those of the scheduler are in tests/scheduler_bugs.py, and those
of the attacks in tests/attacks/guards_off.py.

Without arguments: builds the tests of each bug in build/planted, and runs them with it. NAME...: only these bugs. --attacks: only those of
the attacks. --check: checks that the text of each bug still exists, and that each test of an attack has a bug.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build/planted"
sys.path.insert(0, str(ROOT / "tests/attacks"))

from bug import Bug  # noqa: E402
from guards_off import GUARDS_OFF, tests_without_a_guard_off  # noqa: E402
from scheduler_bugs import SCHEDULER_BUGS  # noqa: E402

PROGRAMS = ("wattle", "wattle-coordinator", "wattle-worker", "wattle-runner", "wattle-launch", "wattle_fake_runner", "wattle_failing_files")
BUGS = (
    Bug("a caller names a connection", "coordinator/rpc/gate.cc", "const bool named = names == 1 && PeerOf(metadata) != nullptr;",
        "const bool named = names >= 1;", "wattle_rpc_test", "GateTest.WhoeverNamesAConnectionIsRefused"),
    Bug("hours between those of UTC count for the first", "formats/harvest_forecast.cc", "forecast.add_power_watts(carried + (1 - later) * mean);",
        "forecast.add_power_watts(mean);", "wattle_formats_test", "HarvestForecastTest.HoursOfAClockBetweenThoseOfUtcAreSplitByTime"),
    Bug("the sun's parts are not added", "sim/scenario/csv.cc", "sun += part;", "sun = part;", "wattle_scenario_test", "SunTest.TheColumnsOnThePanelComeFirst"),
    Bug("the sun of PVWatts rises by UTC", "sim/scenario/csv.cc", "return std::round((is_west ? -degrees : degrees) / kDegreesOfZone);",
        "return 1.0 + std::round((is_west ? -degrees : degrees) / kDegreesOfZone);", "wattle_scenario_test", "ScenarioFileTest.TheHoursOfPvWattsAreMovedToUtcAndTheAnswerSaysSo"),
    Bug("a file of spreadsheets is refused", "base/utf8.h", 'return absl::StripPrefix(text, "\\xEF\\xBB\\xBF");', "return text;",
        "wattle_formats_test", "HarvestForecastTest.AByteOrderMarkIsNoPartOfTheHead"),
    Bug("a header block without an end", "base/http2/frame_checker.cc", "if (block_.size() + fragment.size() > kHeaderBlockBytesMax) {",
        "if (fragment.size() > kHeaderBlockBytesMax) {", "wattle_http2_test", "FrameCheckerTest.ABlockWithoutAnEndIsBroken"),
    Bug("continuations without an end", "base/http2/frame_checker.cc", "if (++continuations_ > kContinuationsMax) {", "if (continuations_ > kContinuationsMax) {",
        "wattle_http2_test", "FrameCheckerTest.ABlockOfEmptyContinuationsIsBroken"),
    Bug("an integer without an end", "base/http2/header_block.cc", "constexpr int kIntegerBytesMax = 4;", "constexpr int kIntegerBytesMax = 9;",
        "wattle_http2_test", "HeaderBlockTest.AnIntegerEndsSoon"),
    Bug("a string beyond its block", "base/http2/header_block.cc", "if (length > left_.size()) {", "if (length > left_.size() && length == 0) {",
        "wattle_http2_test", "HeaderBlockTest.AStringIsWithinTheBlock"),
    Bug("fields without an end", "base/http2/header_block.cc", "if (fields == kFieldsMax) {", "if (fields == 1'000'000) {",
        "wattle_http2_test", "HeaderBlockTest.ABlockHasFewFields"),
    Bug("control frames without a rate", "base/http2/frame_checker.cc", "  left_ -= 1;\n", "",
        "wattle_http2_test", "FrameCheckerTest.FramesThatMoveNoDataHaveARate"),
    Bug("a tensor is read as a whole beside its place", "worker/engine/models/tensor_files.cc", "= RowsOfPiece(entry->size_bytes() / rows, unit);", "= rows;",
        "wattle_load_memory_test", "Forms/LoadMemoryTest.*"),
    Bug("a GPU's memory of a training pass is taken tensor by tensor", "worker/engine/train/trainer.cc", "  OperationsOn(device).MakeRoom(arena_.capacity_bytes(), device);\n", "",
        "wattle_device_test", "GuardedMemoryTest.*"),
    Bug("a GPU's memory of an evaluation is taken tensor by tensor", "worker/engine/evaluate/evaluate.cc",
        "  OperationsOn(decoder.device).MakeRoom(arena.capacity_bytes(), decoder.device);\n", "", "wattle_device_test", "GuardedMemoryTest.*"),
    Bug("windows before the first question open with the first that is kept", "policy/open_times.cc", "if (at < from_) {", "if (false) {",
        "wattle_policy_test", "OpenTimesTest.*"),
    Bug("windows that are kept end with the one before", "policy/open_times.cc", "moment < open.end", "moment <= open.end", "wattle_policy_test", "OpenTimesTest.*"),
    Bug("a tensor in pieces without its checksum", "formats/safetensors_set.cc", "  if (!checksum.has_value()) {", "  if (true) {",
        "wattle_formats_test", "SafetensorsSetTest.*"),
    Bug("the upper two bits of Q6_K are those of the neighbours", "worker/engine/kernels/isa/lanes_portable.h", "(upper.v[i] >> (2 * kQuad) & 0x3) << 4",
        "(upper.v[i] >> (2 * (3 - kQuad)) & 0x3) << 4", "wattle_kernels_test", "*MatMulTest*int6*"),
    Bug("a group's scale of Q6_K has no sign", "formats/gguf_blocks.cc", "return static_cast<float>(static_cast<int8_t>(CodeAt(block, kQ6ScalesAt + group)));",
        "return static_cast<float>(CodeAt(block, kQ6ScalesAt + group));", "wattle_formats_test", "GgufTest.*"),
    Bug("a block's scale of Q6_K that is not finite is read", "worker/engine/models/tensor_files.cc",
        "!std::all_of(read.block_scales.begin(), read.block_scales.end(), is_finite)", "false", "wattle_gguf_directory_test", "StoredFormFileTest.*"),
    Bug("each piece of GPT-2's matrix reads the whole of it", "worker/engine/models/tensor_files.cc", "if (layout.transposed && file.HasOutputRows(*entry)) {",
        "if (false) {", "wattle_gguf_directory_test", "StoredFormFileTest.AMatrixWithItsOutputs*"),
    Bug("the head of a Q4_0 file becomes FP32", "models/gguf_weights.cc", "return formats::NumberForm::kInt6Blocks;",
        "return formats::NumberForm::kFloat32;", "wattle_gguf_directory_test", "StoredForm*"),
    Bug("a profile job measures the first device of its name", "coordinator/core/profiling.cc", "if (!best.has_value() || rank > best_rank) {", "if (!best.has_value()) {",
        "wattle_core_test", "ProfilingTest.*"),
    Bug("a namesake takes the run of a profile job", "scheduler/place/rules/device_rules.cc", "profiled->value() != device.device_id()) {",
        "profiled->value().empty()) {", "wattle_core_test", "ProfilingTest.*"),
    Bug("a floor's GGUF model is FP32", "coordinator/core/model_family.cc", "inputs.estimate_memory(WithRecipe(spec, artifact), artifact", "inputs.estimate_memory(spec, artifact",
        "wattle_core_test", "ModelFamilyTest.WithAQualityFloor*"),
    Bug("connect limit 200 ms", "worker/agent/link/channel.h", "kConnectLimit = absl::Seconds(20)", "kConnectLimit = absl::Milliseconds(200)",
        "", "links_test.Links.test_slow_a_job_is_fetched_run_and_told_over_a_link_of_five_seconds_with_losses"),
    Bug("a plan of before places a job beside its mate", "coordinator/core/anti_affinity_jobs.cc", "if (!job.spec().has_apart() || record == nullptr ||",
        "if (job.spec().has_apart() || record == nullptr ||", "wattle_core_test", "AntiAffinityJobsTest.*"),
    Bug("a job holds the board of its latest attempt, wherever its result was made", "coordinator/core/anti_affinity_jobs.cc",
        "if (succeeded ? attempt->state() == v1::ATTEMPT_STATE_FINISHED\n                  : !IsTerminal(attempt->state())) {", "if (succeeded || !IsTerminal(attempt->state())) {",
        "wattle_core_test", "AntiAffinityJobsTest.*"),
    Bug("a result is awaited after its attempt failed", "coordinator/core/state.cc", "return AttemptId(report.failed().attempt_id());", "return AttemptId();",
        "wattle_core_test", "EndedAttemptTest.*"),
    Bug("a result that waits through a restore is nobody's", "coordinator/core/lineage.cc", "(IsTerminal(held.state()) && !waits_to_return)", "IsTerminal(held.state())",
        "wattle_core_test", "LineageTest.*"),
    Bug("a clock before 1970 keeps a job back for years", "coordinator/core/apply_job.cc", "event.not_before_unix_seconds() > std::max(0.0, at_)", "event.not_before_unix_seconds() > at_",
        "wattle_core_test", "ClockStepTest.*"),
    Bug("a job that waits for charge begins on its board in its turn", "coordinator/core/queueing.cc", "return turn < kTurnSoonSeconds && ", "return turn < 0 && ",
        "wattle_core_test", "ChooseQueuedTest.*"),
    Bug("a board gets no work ahead that waits for charge", "coordinator/core/queueing.cc", "return turn < kTurnSoonSeconds && ", "return ",
        "wattle_core_test", "ChooseQueuedTest.*"),
    Bug("a pack that gains by the day is never full", "telemetry/battery/forecast.cc", "missing >= missing_a_day_before", "missing <= missing_a_day_before",
        "wattle_battery_test", "BatteryForecastTest.*"),
    Bug("a rest is a stop against the plan", "coordinator/core/apply_job.cc", "  if (attempt.prediction().rest_seconds() > 0) {\n    return;\n  }\n", "",
        "wattle_core_test", "RestsTest.*"),
    Bug("a pause counts as work", "coordinator/core/moving.cc", "total - WorkedFor(state, id)", "total - SincePlaced(state, observations, id, now)",
        "wattle_core_test", "RestsTest.*"),
    Bug("a lease without the rests", "coordinator/core/lease.cc", "      prediction.rest_seconds() + slow_link_seconds;", "      slow_link_seconds;",
        "wattle_core_test", "RestsTest.*"),
    Bug("work goes on for less than a start of its runner takes", "policy/held_back.cc", "std::clamp(work, kResumeAboveStop, most)", "kResumeAboveStop",
        "wattle_policy_test", "HeldBackTest.*"),
    Bug("a run that waited keeps the plan of its wait", "coordinator/core/rests_at_begin.cc", "if (attempt.after_attempt_id().empty() ||",
        "if (!attempt.after_attempt_id().empty() ||", "wattle_core_test", "RestsTest.*"),
    Bug("a begin that is told late changes the plan", "coordinator/core/rests_at_begin.cc", "!IsCaughtUp(observations, device) ||", "",
        "wattle_core_test", "RestsTest.*"),
    Bug("a key is turned before its product ended", "worker/engine/device/cuda/kernels/rotary.cu", "  AwaitKernelBefore();\n", "",
        "wattle_cuda_test", "EarlyBeginningTest.*"),
    Bug("a norm reads its row before the kernel before it ended", "worker/engine/device/cuda/kernels/norm.cu", "  AwaitKernelBefore();\n  WATTLE_UNROLL\n  for (int k = 0; k < kKept; ++k) {\n    const int i = static_cast<int>(threadIdx.x) + k * kWideThreads;\n    kept[k] = i < a.width ? x[i] : 0.0F;\n  }\n",
        "  WATTLE_UNROLL\n  for (int k = 0; k < kKept; ++k) {\n    const int i = static_cast<int>(threadIdx.x) + k * kWideThreads;\n    kept[k] = i < a.width ? x[i] : 0.0F;\n  }\n  AwaitKernelBefore();\n", "wattle_cuda_test", "EarlyBeginningTest.*"),
    Bug("a product is added to before its row's sum is there", "worker/engine/device/cuda/kernels/panel_product.cuh", "  AwaitKernelBefore();\n  const int gate_row", "  const int gate_row",
        "wattle_cuda_test", "EarlyBeginningTest.*"),
    Bug("kernels begin early on a GPU that cannot", "worker/engine/device/cuda/driver.cc", "return architecture_.major >= kFirstMajorOfEarly && ", "return ",
        "wattle_cuda_test", "DriverLauncherTest.*"),
    Bug("a graph of early kernels that the driver refuses is none at all", "worker/engine/device/cuda/driver_launcher.cc", "if (!graph.ok() && beginning_ == Beginning::kEarly) {",
        "if (false) {", "wattle_cuda_test", "DriverLauncherTest.*"),
    Bug("a step ahead reads the tokens that the host gave", "worker/engine/device/cuda/decode_run.cc", "inputs.TakeTokensFrom(chosen_ + first);", "",
        "wattle_device_test", "KernelDecodeTest.TokensOfStepsThatCannotEndStayOnTheDevice"),
    Bug("a batch that cannot end is waited for at each step", "worker/engine/generate/generate.cc", "? session_.steps_ahead()", "? 1",
        "wattle_device_test", "KernelDecodeTest.ABatchThatCannotEndIsWaitedForOnceInSixteenSteps"),
    Bug("a matrix with quantized scales is in FP32 as a whole", "worker/engine/models/tensor_files.cc",
        "= RowsOfPiece(shape.columns * models::kFloatBytes, /*unit=*/1);\n  const int64_t row_bytes", "= shape.rows;\n  const int64_t row_bytes",
        "wattle_device_test", "StagingTest.*"),
    Bug("an Orin evaluates packed weights in FP32", "worker/engine/device/kernel_products.cc", "TileType(capability_(device)) == at::kBFloat16;", "TileType(capability_(device)) == at::kDouble;",
        "wattle_device_test", "PackedProductsTest.*"),
    Bug("the weights of QLoRA in BF16 go through FP32", "worker/engine/device/kernel_products.cc", "  if (factors != FactorType::kBf16 || gave_up_", "  if (factors != FactorType::kFp16 || gave_up_",
        "wattle_device_test", "PackedProductsTest.*"),
    Bug("a job that asks for TF32 computes in FP32", "worker/engine/train/trainer.cc", "  const Tf32Scope tf32(settings_.tf32);\n", "", "wattle_precision_test", "Tf32Test.*"),
    Bug("TF32 stays allowed after its job", "worker/engine/models/products.cc", "setAllowTF32CuBLAS(outer_);", "setAllowTF32CuBLAS(true);", "wattle_precision_test", "Tf32Test.*"),
    Bug("a segment of a GPU's memory is as large as its block", "models/caching_allocator.cc", "      segment = SegmentFor(block);", "      segment = block;", "wattle_models_test", "CachingAllocatorTest.*"),
    Bug("a container's device tree is not looked for", "worker/agent/board_probe.cc", "\"/run/device-tree\"};", "\"/proc/device-tree\"};",
        "wattle_agent_test", "BoardProbeTest.*"),
    Bug("a full GPU is a lost one", "worker/engine/device/cuda/driver.cc", "  if (result == kOutOfMemory) {", "  if (false) {",
        "wattle_cuda_test", "DriverLauncherTest.*"),
    Bug("a full GPU's work is left to libtorch", "worker/engine/device/kernel_device.cc", " && !absl::IsResourceExhausted(status)", "",
        "wattle_device_test", "KernelDeviceTest.*"),
    Bug("a file that NVRTC does not compile is the GPU's fault", "worker/engine/device/cuda/kernel_compiler.cc",
        "return absl::UnimplementedError(absl::StrCat(\n      \"NVRTC \", major_, \".\", minor_, \" does not compile",
        "return absl::InternalError(absl::StrCat(\n      \"NVRTC \", major_, \".\", minor_, \" does not compile", "wattle_cuda_test", "DriverLauncherTest.*"),
    Bug("cuBLAS without memory is a lost GPU", "worker/engine/torch_border.h", "\"STATUS_ALLOC_FAILED\"", "\"STATUS_OF_NOTHING\"",
        "wattle_device_test", "TorchBorderTest.*"),
    Bug("moments of a checkpoint stay on the host", "worker/engine/train/checkpoint.cc", "  wanted.values.copy_(host);", "  if (wanted.values.is_cpu()) {\n    wanted.values.copy_(host);\n  }",
        "wattle_device_test", "*MoveTest*"),
    Bug("a board's GPU asks for memory that is not free", "worker/engine/device/kernel_device.cc", "bytes <= *free", "bytes > 0",
        "wattle_device_test", "KernelDeviceTest.*"),
    Bug("a board's GPU gives a session what is not free", "worker/engine/device/kernel_device.cc",
        "SessionMemory(int64_t elements, const at::TensorOptions& options) const {\n  AskFor(", "SessionMemory(int64_t elements, const at::TensorOptions& options) const {\n  if (elements < 0) AskFor(",
        "wattle_device_test", "KernelDeviceTest.*:KernelDecodeTest.*"),
    Bug("a driver's crash is the job's fault", "worker/agent/core/attempt_run.cc", "exit.crashed && Processor() != \"cpu\"", "exit.crashed && Processor() == \"cpu\"",
        "wattle_agent_core_test", "ProcessorsTest.*"),
    Bug("rates of a GPU without the kernels that jobs find", "worker/agent/probe_rates.cc", "kernels = KernelsCompiledAhead(probe.state_directory);", "kernels = \"\";",
        "wattle_agent_test", "ProbeRatesTest.*"),
    Bug("room that libtorch keeps is asked for again", "worker/engine/device/kernel_device.cc", "AskFor(bytes - room_bytes_, device);", "AskFor(bytes, device);",
        "wattle_device_test", "KernelDeviceTest.*"),
    Bug("a card's memory is the board's", "worker/engine/device/cuda_capability.cc", "kIntegrated, driver).value_or(0) == 1", "kIntegrated, driver).value_or(-1) >= 0",
        "wattle_device_test", "CudaCapabilityTest.*"),
    Bug("any memory of a GPU's use", "proto/rate_bounds.cc", "bytes_of_gpu < 0 || bytes_of_gpu > kAcceleratorUseBytesMax", "bytes_of_gpu < 0",
        "wattle_rate_bounds_test", "RateBoundsTest.*"),
    Bug("an older worker is given a job with TF32", "proto/spec_revision.cc", '    {SpecPart::kField, "finetune.precision: tf32", 2},\n', "", "wattle_spec_revision_test", "SpecRevisionTest.*"),
    Bug("a job may ask for a form of files alone", "proto/quantization_recipe.cc", "return status.ok() && IsQ6(Complete(format))", "return !status.ok() && IsQ6(Complete(format))",
        "wattle_core_test", "*ValidateSpecTest.*"),
    Bug("a value after nonsense is a live one", "telemetry/meter/energy_meter.cc", "    if (after_absurd_step_) {", "    if (false) {",
        "wattle_meter_test", "CounterMeterTest.*"),
    Bug("under-voltage pauses nothing", "telemetry/battery/guard.cc", "CheckSupply(moment.now), CheckCharge", "std::string(), CheckCharge",
        "wattle_battery_test", "GuardSupplyTest.*"),
    Bug("time of under-voltage is lost with the process", "worker/agent/core/attempt_report.cc", "  to.set_under_voltage_seconds(from.under_voltage_seconds());\n", "",
        "wattle_agent_core_test", "AgentCoreTest.TheReceiptTellsHowLongAWeakSupply*"),
    Bug("a revocation forgets the history", "coordinator/rpc/access_service.cc", "std::set<int64_t> numbers(archived->begin(), archived->end());", "std::set<int64_t> numbers;",
        "wattle_rpc_test", "ServerTest.WhatEndedOnARevokedBoard*"),
    Bug("equal value trusted", "telemetry/sensors/stuck.cc", "(load == Load::kWork ? at_work_ : at_rest_) += passed;",
        "(load == Load::kWork ? at_work_ : at_rest_) += absl::ZeroDuration();", "wattle_sensors_test", "StuckPowerTest.*"),
    Bug("the first step of a counter counts", "telemetry/meter/energy_meter.cc", "if (!known && still_.empty()) {", "if (false) {", "wattle_meter_test",
        "CounterMeterTest.*"),
    Bug("fixed 50 steps", "proto/checkpoint_interval.cc", "return std::min(absl::Seconds(std::sqrt(std::max(0.0, product))), between_cuts);",
        "return product < 0 ? write : absl::Seconds(50 * 4.7);", "wattle_checkpoint_interval_test", "CheckpointIntervalTest.*"),
    Bug("a service asks the kernel alone", "worker/agent/system_time.cc", "  if (state >= 0) {", "  if (state >= -1) {", "",
        "services_test.Services.test_a_worker_in_its_units_filter_hears_of_the_time_service"),
    Bug("any synchronization is a fresh one", "worker/agent/system_time.cc", "now - synchronized < kJustSynchronized", "now - synchronized < 1000 * kJustSynchronized",
        "wattle_agent_test", "SystemTimeTest.*"),
    Bug("the worker's group is shut out", "worker/agent/storage/posix_disk.cc", "kGroupPasses = S_IRWXU | S_IXGRP;", "kGroupPasses = S_IRWXU;", "",
        "services_test.Services.test_the_workers_group_may_ask_and_reads_nothing_else"),
    Bug("a folder on a read-only disk ends the worker", "worker/agent/storage/posix_disk.cc", "return is_private ? absl::OkStatus() :", "return is_private && why == 0 ? absl::OkStatus() :",
        "", "storage_test.Storage.test_each_sickness_of_a_disk_is_named_holds_the_work_deletes_nothing_and_heals"),
    Bug("a policy that the disk refused is forgotten", "worker/agent/core/agent_core.cc", "    if (desired_unsaved_) {", "    if (false) {",
        "wattle_agent_core_test", "AgentCoreTest.ALimitThatTheDisk*"),
    Bug("a full disk takes the block in place", "worker/agent/storage_probe.cc", "fstatvfs(file, &disk) == 0 ?", "fstatvfs(file, &disk) != 0 ?", "",
        "storage_test.Storage.test_a_disk_of_the_kernel_that_is_full_or_read_only_is_named_and_heals"),
    Bug("root keeps what it enrols", "worker/agent/commands.cc", "facts.st_uid == 0) {", "facts.st_uid != 0) {", "",
        "services_test.Services.test_root_enrols_a_board_for_the_user_of_its_service"),
    Bug("own addresses by netlink", "base/own_addresses.cc", "socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)", "socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)",
        "wattle_base_test", "OwnAddressesTest.*"),
    Bug("work that a budget stopped forgets what its steps took", "worker/agent/core/agent_core_ends.cc", "seen_stop_ = run_->StopEstimateNow();", "seen_stop_ = {};",
        "wattle_agent_core_test", "AgentCoreTest.WorkThatABudgetStopped*"),
    Bug("a day's bytes wait for a clock that was ahead", "worker/agent/core/day_turn.h", "< kBelieved", "< 1000 * kBelieved",
        "wattle_agent_core_test", "LinkMeterTest.*"),
    Bug("the end of one cut ends another", "sim/scenario/schedule_faults.cc", "set(--*cuts > 0)", "set(--*cuts > 1)",
        "wattle_scenario_simulation_test", "PowerCutTest.*"),
    Bug("all boards are cut off at once", "sim/scenario/drawn_boards.cc", "SeedOf(seed, 1'000'000 + static_cast<uint64_t>(number))", "SeedOf(seed, 1'000'000 + 0 * static_cast<uint64_t>(number))",
        "wattle_scenario_simulation_test", "PowerCutTest.*"),
    Bug("the file of old samples grows for ever", "coordinator/remote_write/remote_writer.cc", "> options.old_samples_bytes_max)", "> 1000 * options.old_samples_bytes_max)",
        "wattle_remote_write_test", "RemoteWriterTest.TheFileOfOldSamples*"),
    Bug("a restart forgets how long the clock showed an earlier day", "worker/agent/core/day_turn.h", "record.set_earlier_seconds(record.earlier_seconds() +", "record.set_earlier_seconds((passed > absl::ZeroDuration() ? record.earlier_seconds() : 0) +",
        "wattle_agent_core_test", "LinkMeterTest.*:TimeTest.*"),
    Bug("a clock that is late begins a day of the link", "worker/agent/core/day_turn.h", "if (day < record.day()) {", "if (day < record.day() - 1000) {",
        "wattle_agent_core_test", "LinkMeterTest.*"),
    Bug("health check needs the link", "worker/agent/core/agent_core_upgrade.cc", "upgrader_.Step(disk_is_healthy,", "upgrader_.Step(disk_is_healthy && welcomed_,",
        "wattle_agent_core_test", "UpgradeTest.TheTestNeedsNoLink"),
    Bug("no jitter", "base/backoff.h", "return wait * (1.0 - 0.5 * drawn);", "return wait + 0 * absl::Seconds(drawn);", "wattle_base_test", "BackoffTest.*"),
    Bug("a transfer goes on after the day's bytes until the next step", "worker/agent/core/agent_core_link.cc",
        "    run_->CheckLink(now);", "    (void)now;", "wattle_agent_core_test", "LinkTest.OnceTheDaysBytes*"),
    Bug("a worker takes the coordinator's token", "base/tls/token.cc", "if (absl::StartsWith(shown, kServicePrefix)) {", "if (false) {",
        "wattle_agent_test", "MetricsServerTest.ATokenOfTheCoordinator*"),
    Bug("a service reads prompts", "coordinator/http/http_server.cc", "caller.identity.roles.contains(access::Role::kService)", "false",
        "wattle_http_test", "HttpsTest.AServiceLists*"),
    Bug("a short history is looked at every six hours", "coordinator/runtime/history_age.h", "std::min(kHistoryLookInterval, age_max / kHistoryLooks)",
        "kHistoryLookInterval", "wattle_runtime_test", "HistoryAgeTest.LooksOften*"),
    Bug("hours of the days before are not told", "worker/agent/core/agent_core_link.cc", "      AddOlderHarvest(heartbeat);", "",
        "wattle_agent_core_test", "HeartbeatTest.*"),
    Bug("link not set after a cut", "worker/upgrade/trial.cc", "return {.record = std::move(next), .release = release};", "return {.record = std::move(next), .release = {}};",
        "wattle_upgrade_trial_test", "TrialTest.*"),
    Bug("a board that fills goes off", "worker/agent/core/power_off.cc", "*moment.into_pack > Watts(0)", "*moment.into_pack > Watts(1e9)", "wattle_agent_core_test", "PowerOffTest.*"),
    Bug("off without a word", "worker/agent/core/power_off.cc", "moment.now < from + kFarewell", "moment.now < from",
        "wattle_agent_core_test", "PowerOffTest.*"),
    Bug("bytes of peers forgotten", "worker/agent/core/attempt_facts_internal.h", "receipt.peer_fetched_bytes() + result.peer_bytes", "0",
        "wattle_agent_core_test", "LinkTest.*"),
    Bug("powerd for everybody", "worker/power/powerd_main.cc", "kOwnerAlone = 0600", "kOwnerAlone = 0666", "wattle_powerd_test", "PowerdTest.*"),
    Bug("a board is switched off without consent", "worker/power/powerd_main.cc", "if (flags.allow_power_off) {", "if (true) {",
        "wattle_powerd_test", "PowerdTest.*"),
    Bug("a refusal of two lines", "coordinator/core/message_checks.cc", "OneLine(refusal.message())", "refusal.message()", "wattle_fuzz_replay_test", "*core_commands*"),
    Bug("a glitch within the gauge's error", "telemetry/battery/guard.cc", ".up = Fraction(0),", ".up = charge_error_ + reading_error,",
        "wattle_battery_test", "BatteryGuardTest.*"),
    Bug("a rise makes the charge old", "telemetry/battery/guard.cc", "charge_->at = at;", "", "wattle_battery_test", "BatteryGuardTest.*"),
    Bug("an event without its caller", "coordinator/event_loop/event_loop.cc", "*event.mutable_caller() = caller;", "event.clear_caller();",
        "wattle_event_loop_test", "EventLoopTest.EveryEventOfACommandNamesItsCallerAndTheStateDoesNot"),
    Bug("an approval that is no audit", "proto/audited_events.cc", '      "device_approved",\n', "", "wattle_kind_name_test", "AuditedEventsTest.*"),
    Bug("a restart taken for a copied card", "coordinator/core/duplicate_identity.cc", "kMessagesOfALife = 2", "kMessagesOfALife = 0", "wattle_core_test", "DuplicateIdentityTest.*"),
    Bug("work for the revoked", "coordinator/core/enrolment.cc", "return !WaitsForApproval(state, device) && !IsRevoked(state, device);",
        "return !WaitsForApproval(state, device);", "wattle_core_test", "RevocationTest.*"),
    Bug("a token in the list of processes", "base/process_privacy.cc", "std::fill(argv[i] + prefix.size(), argv[i] + length, '*');", "(void)length;",
        "wattle_base_test", "ProcessPrivacyTest.*"),
    Bug("a core file with keys", "base/process_privacy.cc", "{.rlim_cur = 1, .rlim_max = 1}", "{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY}",
        "wattle_base_test", "ProcessPrivacyTest.*"),
    Bug("a runner that floods", "worker/child/runner_process.cc", "lines_.Take(line, Clock::Real().Boottime())", "std::vector<std::string>{line}",
        "wattle_child_test", "RunnerProcessTest.AFloodOfLinesIsCounted"),
    Bug("a refusal of several lines in the log", "coordinator/runtime/event_feed.cc", "refusal.set_text(OneLine(line));", "refusal.set_text(line);",
        "wattle_runtime_test", "EventFeedTest.ARefusedCallIsOneLineOfTextForWhoeverSeesAll"),
    Bug("a refusal that nobody is told", "coordinator/rpc/server.cc", "{ overview_->feed().TellRefusal(line); }", "{ (void)line; }",
        "wattle_event_caller_test", "EventCallerTest.WhoeverSeesAllSeesARefusedCall"),
    Bug("bytes without an end", "coordinator/callers/call_limits.cc", "left -= static_cast<double>(bytes);", "left -= 0 * static_cast<double>(bytes);",
        "wattle_callers_test", "CallLimitsTest.ACallersBytes*"),
    Bug("a frame's head in pieces is none", "base/http2/frame_checker.cc", "  if (head_bytes_.size() < kHeadBytes) {", "  if (head_bytes_.size() < kHeadBytes && head_bytes_.size() != 7) {",
        "wattle_http2_test", "FrameCheckerTest.WhateverPiecesComeTheSamePasses"),
    Bug("a stranger is not told of", "base/tls_terminator/tls_terminator.cc", "if (open.connection.session().lacks_certificate()) {", "if (false) {",
        "wattle_tls_terminator_test", "TlsTerminatorTest.WhoeverWantsHttp2ShowsACertificateOfTheFleet"),
    Bug("a person with the role of a board", "coordinator/rpc/access_service.cc", "*role == access::Role::kWorker || ", "", "",
        "access_test.Access.test_a_role_that_does_not_exist_is_refused_in_one_line"),
    Bug("a certificate error ends the worker", "worker/agent/link/credentials.cc", 'note_(absl::StrCat("coordinator: refused: ", why));', "__builtin_abort();",
        "", "rotation_test.Rotation.test_a_certificate_error_ends_no_attempt_and_deletes_nothing"),
    Bug("large bodies are free", "coordinator/http/http_server.cc", "bytes <= callers::kMessageBytesOfACall", "bytes >= 0", "wattle_http_test", "HttpsTest.ALargeBody*"),
    Bug("an earlier key of a revoked name", "coordinator/revocations.cc", "(line.kind == Kind::kRevoked ||", "(line.kind == Kind::kWaits ||",
        "wattle_restore_test", "RevocationsTest.AnEarlierKeyOfARevokedNameComesNotBack"),
    Bug("a token that a restore brings back", "coordinator/revocations.cc", "return token != nullptr && !IsSpent(*token) &&", "return token != nullptr && token->token_id().empty() &&",
        "wattle_restore_test", "RevocationsTest.ATokenThatEndedAfterTheBackupEndsAgain"),
    Bug("uses that a restore gives back", "coordinator/revocations.cc", "(line.token_used == 0 || token->used() < line.token_used)", "line.token_used == 0",
        "wattle_restore_test", "RevocationsTest.ATokenForSeveralBoardsKeepsItsUses"),
    Bug("an audit for operators", "coordinator/rpc/coordinator_service.cc", "access::kReadAudit, {}).status()", "kWatchEvents, {}).status()",
        "wattle_event_caller_test", "EventCallerTest.AdminsAloneReadTheAudit"),
    Bug("counts of refusals push the audit out", "proto/audited_events.cc", '      "device_approved",\n', '      "device_approved",\n      "refusals_counted",\n',
        "wattle_runtime_test", "EventFeedTest.CountedRefusalsDisplaceNothingInTheAudit"),
    Bug("refusals that no journal has", "coordinator/callers/callers.cc", "return runtime.Post(core::CountRefusals{counted}, nullptr).ok();",
        "return runtime.Now().wall >= core::FromUnix(counted.begin_unix_seconds());", "wattle_callers_test", "CallersTest.RefusalsAreAnEventOfTheJournal"),
    Bug("callers by --http-role without a limit", "coordinator/http/http_server.cc", "return callers->Admit(*caller, route, callers::StrangerAt(request.remote_addr));",
        "return callers->Admit(*caller, route);", "wattle_http_test", "HttpsTest.CallersWithoutAProofShareTheCallsOfTheirAddress"),
    Bug("a board that waits works after a restore", "coordinator/revocations.cc", "  if (identity.revoked() || !identity.waits_for_approval()) {\n    Drop(",
        "  if (!identity.id().empty()) {\n    Drop(", "wattle_restore_test", "RevocationsTest.ABoardThatWaitsForApprovalWaitsAgain",
        (("coordinator/revocations.cc", "if (!identity.revoked() && !identity.waits_for_approval()) {", "if (!identity.revoked()) {"),)),
    Bug("a flood of refusals", "coordinator/runtime/event_feed.cc", "is_refusal ? refusals_ : events_;", "refusals_.empty() || !is_refusal ? events_ : events_;",
        "wattle_runtime_test", "EventFeedTest.AFloodOfRefusalsDisplacesNoEvent"),
    Bug("an audit of the memory alone", "coordinator/rpc/coordinator_service.cc", "  if (request->audited_alone()) {", "  if (request->audited_alone() && limit == 0) {",
        "wattle_event_caller_test", "EventCallerTest.TheAuditReachesBackBeyondTheMemory"),
    Bug("an IPv6 network of many callers", "base/address_share.cc", "std::memset(address.s6_addr + kNetworkBytes, 0, sizeof(address) - kNetworkBytes);", "(void)kNetworkBytes;",
        "wattle_base_test", "AddressShareTest.*"),
    Bug("strangers of HTTPS without an end", "coordinator/http/http_server.cc", "return callers->CountRefused(", "return true ? caller.status() : callers->CountRefused(",
        "wattle_http_test", "HttpsTest.AFloodOfRefused*"),
    Bug("a flag that nobody asks", "coordinator/callers/callers.cc", "core::AgeOf(caller.validity, now, limits_->most().renew_after_expiry)",
        "core::AgeOf(caller.validity, now)", "wattle_callers_test", "CallersTest.AnExpiredCertificate*"),
    Bug("an audit of everything", "cli/events.cc", "flags.audited_alone && !IsAudited(event.kind())", "flags.audited_alone && event.kind().empty()",
        "wattle_cli_test", "OverviewTest.TheAuditHasWhatPeopleDidAlone"),
    Bug("an audit without the caller", "cli/events.cc", "Printable(flags.audited_alone ? AuditText(event) : event.text())", "Printable(event.text())",
        "wattle_cli_test", "OverviewTest.TheAuditHasWhatPeopleDidAlone"),
    Bug("a certificate of two names", "coordinator/callers/callers.cc", 'facts.uris.size() == 1 ? facts.uris[0] : ""', 'facts.uris.empty() ? "" : facts.uris[0]',
        "wattle_callers_test", "CallersTest.ACertificateNamesOneOfThisFleet"),
    Bug("a certificate of tomorrow", "coordinator/core/certificate_age.cc", "validity.begins > now + kClockSkew", "validity.begins > absl::InfiniteFuture()",
        "wattle_callers_test", "CallersTest.ACertificateThatBeginsLaterIsRefusedWithBothTimes"),
    Bug("a new key at each try", "identity/identity.cc", 'if (absl::IsNotFound(key.status())) {', 'if (absl::IsNotFound(ReadWholeFile(PathIn(folder, "certificate.pem")).status())) {',
        "", "enrolment_test.Enrolment.test_kill_9_at_any_step_of_an_enrolment"),
    Bug("a certificate before its roots", "identity/identity.cc", 'WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(PathIn(folder, "roots.pem"), answer.roots_pem()));',
        'WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(PathIn(folder, "certificate.pem"), answer.certificate_pem()));'
        'WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(PathIn(folder, "roots.pem"), answer.roots_pem()));', "",
        "enrolment_test.Enrolment.test_kill_9_at_any_step_of_a_renewal"),
    Bug("a context that hides the login", "cli/dial.cc", "absl::IsNotFound(identity.status())", "absl::IsDataLoss(identity.status())", "wattle_cli_test", "DialTest.*"),
    Bug("a full disk is not told", "base/tls/private_file.cc", "return WriteFileDurably(path, content, {}, S_IRUSR | S_IWUSR);",
        "(void)WriteFileDurably(path, content, {}, S_IRUSR | S_IWUSR);\n  return absl::OkStatus();",
        "", "enrolment_test.Enrolment.test_a_full_disk_at_an_enrolment"),
    Bug("a board takes a person's token", "coordinator/rpc/access_service.cc", "    WATTLE_RETURN_IF_ERROR(core::CheckTaker(token, shown.device_id));\n", "",
        "", "access_test.Access.test_a_token_that_lets_nobody_in_is_told_in_one_line"),
    Bug("a root's key that others may read", "coordinator/authority/authority.cc", "return absl::IsNotFound(read) ? absl::OkStatus() : read;",
        "return read.ok() ? read : absl::OkStatus();", "wattle_authority_test", "AuthorityTest.RefusesAKeyThatOthersMayRead*"),
    Bug("a quota of less than no bytes", "coordinator/core/quota.cc", "static_cast<double>(quota.artifact_bytes_max()), kBytesMax",
        "std::max(0.0, static_cast<double>(quota.artifact_bytes_max())), kBytesMax", "wattle_core_test", "QuotaTest.BadQuotas*"),
    Bug("a job of whom it names", "coordinator/callers/callers.cc", "if (!spec.owner().empty() && spec.owner() != caller.identity.id) {",
        "if (!spec.owner().empty() && caller.identity.id.empty()) {", "wattle_rpc_test", "ServerTest.AJobBelongsToWhoeverSubmitsIt",
        (("coordinator/callers/callers.cc", "  spec.set_owner(caller.identity.id);", "  spec.set_owner(spec.owner().empty() ? caller.identity.id : spec.owner());"),)),
    Bug("the results since a theft are those since now", "cli/device_access.cc", "absl::ToDoubleSeconds(since - absl::UnixEpoch())",
        "absl::ToDoubleSeconds(session.Now() - absl::UnixEpoch()) + 0 * absl::ToDoubleSeconds(since - absl::UnixEpoch())", "",
        "access_test.Access.test_a_stolen_board_is_shut_out_and_a_new_card_comes_back"),
    Bug("a service's secret in the log and in the journal", "coordinator/rpc/access_service.cc", "    token.set_secret_sha256(tls::Sha256(secret));\n",
        "    token.set_secret_sha256(tls::Sha256(secret));\n    token.set_created_by(of_service ? secret : token.created_by());\n", "",
        "attacks_test.Attacks.test_secrets_are_in_no_log_metric_receipt_or_list_of_processes"),
    Bug("whoever is away for half of a certificate's life logs in again", "cli/dial.cc", "if (identity::RenewalIsDue(*identity, environment.clock->Now())) {",
        "if (identity->renewal_asked) {", "", "expiry_test.Expiry.test_a_person_who_works_is_renewed_and_one_who_does_not_logs_in_again"),
    Bug("a context's name leads anywhere", "cli/contexts.cc", "absl::StrContains(name, '/') || name[0] == '.'", "absl::StrContains(name, '!')", "",
        "access_test.Access.test_contexts_are_kept_chosen_and_forgotten"),
    Bug("a context that was forgotten keeps its key", "cli/contexts.cc", "std::filesystem::remove_all(FolderOf(name), error);",
        "(void)std::filesystem::exists(FolderOf(name), error);", "", "access_test.Access.test_contexts_are_kept_chosen_and_forgotten"),
    Bug("lines of the log as they come", "coordinator/log/log.cc", 'spdlog::log(level, "{}", OneLine(line));', 'spdlog::log(level, "{}", std::string(OneLine(line).empty() ? "" : line));',
        "wattle_log_test", "LogTest.*"),
    Bug("lines of a worker's log as they come", "worker/agent/worker_log.cc", "OneLine(written).c_str()", "(OneLine(written).empty() ? written : written).c_str()",
        "wattle_worker_log_test", "WorkerLogTest.*"),
    Bug("a password in the log", "coordinator/remote_write/remote_writer.cc", 'absl::UnavailableError(absl::StrCat(shown_url_, ": ", httplib::to_string(result.error()),',
        'absl::UnavailableError(absl::StrCat(shown_url_, authorization.second, ": ", httplib::to_string(result.error()),', "",
        "attacks_test.Attacks.test_secrets_are_in_no_log_metric_receipt_or_list_of_processes"),
    Bug("a board's words without an end", "coordinator/core/message_checks.cc", "kToldBytesMax = 2000;", "kToldBytesMax = size_t{1} << 30;",
        "wattle_project_attacks_test", "LeaseAttacks.WordsWithoutAnEndAreRefusedOrCut"),
    Bug("an artifact's facts without an end", "coordinator/rpc/artifact_service.cc", "kInfoBytesMax = 64 << 10;", "kInfoBytesMax = 64 << 20;",
        "wattle_project_attacks_test", "LeaseAttacks.WordsWithoutAnEndAreRefusedOrCut"),
    Bug("of equal bytes the first job alone is the maker", "coordinator/core/apply_fleet.cc", "    NoteOtherUpload(state_, event.info().job_id(), id);\n", "",
        "wattle_core_test", "UploadsTest.WhatSeveralJobsMadeIsEachOnesUntilItEnds"),
    Bug("a snapshot forgets the other jobs that made the bytes", "coordinator/core/snapshot.cc", "      NoteOtherUpload(state_, upload->job_id(), id);\n", "",
        "wattle_core_test", "UploadsTest.WhatSeveralJobsMadeIsEachOnesUntilItEnds"),
    Bug("a restore opens later jobs to the word of boards", "coordinator/core/device_artifacts.cc", "JobNumber(job.job_id()).value_or(0) < state.openings.back().next_job_number();",
        "JobNumber(job.job_id()).value_or(0) > 0;", "wattle_core_test", "UploadsTest.AfterARestoreTheBoardsWordCountsForTheJobsOfTheBackup"),
    Bug("another project's artifact is a job's output", "coordinator/core/state.cc", "if (state.artifacts.contains(output) && !IsCovered(state, scope, output)) {",
        "if (state.artifacts.contains(output) && output.value().empty()) {", "wattle_core_test", "UploadsTest.WhatIsOfAnotherProjectIsNoJobsAndNobodysOutput"),
    Bug("a worker's own label is a project's", "coordinator/core/given_labels.cc", "if (state.identities.empty()) {", "if (true) {",
        "wattle_core_test", "ProjectsTest.NoWorkersOwnLabelBringsItAProjectsWork"),
    Bug("a pusher's word for whose output it is", "coordinator/rpc/artifact_service.cc", "    if (!asker->is_device) {\n      info.clear_job_id();", "    if (asker->id.empty()) {\n      info.clear_job_id();",
        "wattle_attacks_test", "SigningAttacks.NobodysWordCounts*"),
    Bug("a cached model that others may read", "artifacts/file_cache.cc", "fs::perm_options::remove, ignored);",
        "fs::perm_options::remove, ignored);\n    fs::permissions(fs::path(FilesOf(id)) / file.path(), fs::perms::others_read, fs::perm_options::add, ignored);", "",
        "attacks_test.Attacks.test_secrets_are_in_no_log_metric_receipt_or_list_of_processes"),
    Bug("a worker below its least isolation", "worker/agent/agent_open.cc", "WATTLE_RETURN_IF_ERROR(sandbox::CheckAtLeast(isolation, config_.isolation_min));",
        "(void)sandbox::CheckAtLeast(isolation, config_.isolation_min);", "", "services_test.Services.test_a_worker_below_its_least_isolation_does_not_start"),
    Bug("a key that others may read for a moment", "base/durable_file.cc", "if (mode != kReadableByAll && fchmod(descriptor, mode) != 0) {",
        "if (mode != kReadableByAll && false) {", "wattle_base_test", "DurableFileTest.APrivateFile*"),
    Bug("a pipe kills the agent", "worker/sandbox/system_calls.cc", "kFileControls[] = {F_DUPFD,", "kFileControls[] = {F_SETOWN, F_SETSIG, F_DUPFD,",
        "wattle_sandbox_test", "HostileRunner.KillsNobody"),
    Bug("a runner pins the agent to a processor", "worker/sandbox/system_calls.cc", 'rules.Answer(SCMP_ACT_ERRNO(EPERM), "sched_setaffinity",',
        'rules.Answer(SCMP_ACT_ALLOW, "sched_setaffinity",', "wattle_sandbox_test", "HostileRunner.AttachesToNobody"),
    Bug("a runner opens the keys to all", "worker/sandbox/system_calls.cc", '"pwritev2", "creat",', '"pwritev2", "chmod", "creat",',
        "wattle_sandbox_test", "HostileRunner.OpensNothingToOthers*"),
    Bug("a runner cuts its inputs off", "worker/sandbox/system_calls.cc", "for (const unsigned int mode : {O_WRONLY, O_RDWR}) {",
        "for (const unsigned int mode : {O_RDONLY, O_WRONLY, O_RDWR}) {", "wattle_sandbox_test", "HostileRunner.OpensNothingToOthers*"),
    Bug("memory that nobody counts", "worker/sandbox/system_calls.cc", "  if (cuda) {\n    rules.Allow(\"mmap\");", "  if (cuda || true) {\n    rules.Allow(\"mmap\");",
        "wattle_sandbox_test", "HostileRunner.GetsNoMemoryThatNobodyCounts"),
    Bug("a sandbox that wants capset", "worker/sandbox/sandbox.cc", "return errno == EPERM && (geteuid()", "return errno == 0 && (geteuid()",
        "", "services_test.Services.test_the_unit_leaves_the_box_whole"),
    Bug("frames of any length", "worker/child/runner_process.cc", "constexpr size_t kFrameUpMax = size_t{1} << 20;", "constexpr size_t kFrameUpMax = size_t{1} << 30;",
        "wattle_child_test", "RunnerProcessTest.AFrameWithoutAnEndIsTheJobsFault"),
    Bug("each board of a shared pack of a scenario has one to itself", "sim/scenario/run.cc", "        if (!pack.empty()) {", "        if (pack.size() > 1000) {",
        "wattle_long_simulation_test", "SharedPackTest.*"),
    Bug("a shared pack feels the draw of one board alone", "sim/board.cc", "drawn += board->Draw(seconds);", "drawn = board->Draw(seconds);",
        "wattle_long_simulation_test", "SharedPackTest.*"),
    Bug("what a shared pack loses counts for each board", "sim/board.cc", "shared_ == nullptr || shared_->boards.front() == this ? pack()", "energy_ >= Joules(0) ? pack()",
        "wattle_long_simulation_test", "SharedPackTest.*"),
    Bug("a look at a shared pack moves its boards", "sim/board.cc", "    boards.back().shared_ = &ahead;\n    ahead.boards.push_back(&boards.back());\n",
        "    ahead.boards.push_back(&boards.back());\n", "wattle_long_simulation_test", "SharedPackTest.*"),
    Bug("a scenario's boards are in two power groups", "sim/scenario/scenario_fleet.cc", "if (policy->power_group().name() != first->power_group().name()) {",
        "if (false) {", "wattle_scenario_test", "Files/WrongFileTest.*"),
    Bug("a scenario's shared pack has two capacities", "sim/scenario/scenario_fleet.cc", "!contradiction.empty()", "false", "wattle_scenario_test", "Files/WrongFileTest.*"),
    Bug("a field of a file takes a number outside its range", "formats/number_field.cc", "stored && IsInRange(number, form)", "stored",
        "wattle_scenario_test", "Files/WrongFileTest.*"),
    Bug("a field that must be there is missing", "formats/job_file.cc", "field->is_required() && ", "false && ",
        "wattle_scenario_test", "Files/WrongFileTest.*"),
    Bug("the worst gauge tells of a shared pack of the fleet", "sim/scenario/fleet_scenario.cc", "GaugeErrorOf(*other) < GaugeErrorOf(*best)", "GaugeErrorOf(*other) > GaugeErrorOf(*best)",
        "wattle_scenario_test", "FleetScenarioTest.*"),
    Bug("a simulated site whose boards have weather of their own", "sim/scenario/drawn_boards.cc", "SunOf(scenario, panel, seed)", "SunOf(scenario, panel, seed + group.name.size())",
        "wattle_scenario_test", "ScenarioFileTest.*"),
    Bug("no attempt leaves for a job that waits on its board", "coordinator/core/placing.cc", "(waiting == nullptr || !IsQueued(state, *waiting) || waiting->released())", "true",
        "wattle_core_test", "ReleaseTest.*"),
    Bug("an answer to an older plan is used again", "coordinator/core/standing_plan.cc", "  answer_.reset();\n", "", "wattle_core_test", "StandingPlanTest.*"),
    Bug("one state is searched without end", "coordinator/core/standing_plan.cc", "rounds_ >= kRoundsMax", "rounds_ >= 1000 * kRoundsMax", "wattle_core_test", "StandingPlanTest.*"),
    Bug("the end of one fault heals a disk that has another", "sim/scenario/schedule_faults.cc", "          sick->erase(kind);", "          sick->clear();",
        "wattle_scenario_simulation_test", "ScenarioFaultsTest.*"),
    Bug("a link of a scenario has the rate of the next hour", "sim/hourly_link.cc", "std::max(0.0, hour)", "std::max(0.0, hour + 1.0)",
        "wattle_scenario_simulation_test", "HourlyLinkTest.*"),
    Bug("a board tells the rate of a link that changes", "sim/scenario/drawn_boards.cc", "  if (group.link_by_hour.empty()) {", "  if (group.name.size() < 1000) {",
        "wattle_scenario_simulation_test", "LinksTest.*"),
    Bug("a cut takes what came of a fetch before", "sim/worker_transfers.cc", "    part += more;", "    part += 0 * more;",
        "wattle_scenario_simulation_test", "LinksTest.AnHour*"),
    Bug("a forecast of a scenario knows more days than it tells", "sim/scenario/schedule_forecasts.cc", "kHoursTold = 2 * kHoursOfDay", "kHoursTold = 5 * kHoursOfDay",
        "wattle_long_simulation_test", "ForecastClairvoyanceTest.*"),
    Bug("nobody pushes the forecasts of a scenario", "sim/scenario/schedule_forecasts.cc", "if (!scenario.forecast_error.has_value()) {", "if (scenario.fleet.size() < 1000) {",
        "wattle_long_simulation_test", "ForecastsTest.AGood*"),
    Bug("a forecast that was always wrong is trusted", "coordinator/core/forecasts.cc", "static_cast<int64_t>(kOne / (1 + ratio * ratio))", "static_cast<int64_t>(kOne + 0 * ratio)",
        "wattle_long_simulation_test", "ForecastsTest.AVeryWrongOneDoes*"),
    Bug("a scenario's runners do not crash", "sim/scenario/schedule_faults.cc", "worker.BreakRunner(Worker::RunnerFault::kCrash);", "static_cast<void>(worker);",
        "wattle_scenario_simulation_test", "ScenarioFaultsTest.*"),
    Bug("a record that the disk refuses to read is replaced", "worker/agent/storage/state_directory.cc", "  WATTLE_RETURN_IF_ERROR(check(ReadEnded()));\n", "",
        "wattle_agent_core_test", "StorageTest.*"),
    Bug("a log's line goes to whoever answers", "worker/agent/core/attempt_report.cc", "line.empty() || !is_welcomed_()", "line.empty()", "wattle_agent_core_test", "AgentCoreTest.*"),
    Bug("a pause is no time of the attempt", "worker/agent/core/agent_core_limits.cc", "receipt.set_paused_seconds(receipt.paused_seconds() + seconds);", "",
        "wattle_agent_core_test", "*"),
    Bug("a policy by class leaves a board that lost its GPU", "policy/selector.cc", "return BoardClassOf(device.device_class());", "return device.device_class();",
        "wattle_policy_test", "HasLabelTest.*"),
    Bug("a paused attempt has drawn nothing", "worker/agent/core/agent_core_queue.cc", "} else if (joules > 0) {", "} else if (joules < 0) {", "wattle_agent_core_test", "*"),
    Bug("an attempt that never began has a receipt", "worker/agent/core/attempt_facts_internal.h", "!record.receipt().attempt_id().empty()", "stopped != nullptr", "wattle_agent_core_test", "*"),
    Bug("the time in which the worker was dead is lost work", "worker/agent/core/attempt_run_checkpoints.cc",
        "record_.set_run_seconds_at_checkpoint(record_.run_seconds_at_checkpoint() +\n                                        absl::ToDoubleSeconds(gap));", "",
        "wattle_agent_core_test", "CheckpointOrderTest.*"),
    Bug("a checkpoint counts only if its runner told of it", "worker/agent/core/attempt_run.cc", "record_.receipt().resumed_from_step())) {\n      NoteProgress();\n", "record_.receipt().resumed_from_step())) {\n",
        "wattle_agent_core_test", "AgentCoreTest.*"),
    Bug("the heat is not resumed", "worker/agent/core/agent_core.cc", "  ResumeHeat(now);\n", "", "wattle_agent_core_test", "HeatOverRestartsTest.*"),
    Bug("the air of a kept heat model stays", "telemetry/heat/heat_fit.cc", "return FollowTheAir();", "return;", "wattle_agent_core_test", "HeatOverRestartsTest.*"),
    Bug("simulated plans that nobody judges", "sim/plan_judge.cc", "is_looked_at && !any_leaves ?", "is_looked_at && any_leaves ?",
        "wattle_scenario_simulation_test", "PlanJudgeTest.PlansThatBreakARuleAreCounted"),
    Bug("a cap that idle boards reach", "coordinator/core/power_groups.cc", "  if (idle_watts < group.power_cap_watts()) {", "  if (true) {",
        "wattle_core_test", "PowerGroupsTest.*"),
    Bug("a scenario whose windows never open", "sim/scenario/scenario_policies.cc", "    WATTLE_RETURN_IF_ERROR(CheckWindows(place, group, limits));\n", "    (void)&CheckWindows;\n",
        "wattle_scenario_test", "*WrongFileTest.*"),
)
ALL = (*BUGS, *SCHEDULER_BUGS, *GUARDS_OFF)


def places():
    """One line for each bug whose text no longer exists."""
    for bug in ALL:
        for path, right, _ in bug.edits():
            count = (ROOT / path).read_text().count(right)
            if count != 1:
                yield f"{bug.name}: {path} has its text {count} times; look where the code went, and put the bug there"


def run(*command, **options):
    return subprocess.run([str(part) for part in command], **options)


def make_copy():
    """Copies the present tree, including uncommitted changes."""
    commit = run("git", "stash", "create", cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() or "HEAD"
    commit = run("git", "rev-parse", commit, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    if not COPY.exists():
        run("git", "clone", "-q", "--shared", "--no-checkout", ROOT, COPY, check=True)
    run("git", "checkout", "-q", "--force", "--detach", commit, cwd=COPY, check=True)


def build(target):
    run("./dev", "build", *([target] if target else PROGRAMS), cwd=COPY, check=True, stdout=subprocess.DEVNULL)


def passes(bug):
    if not bug.target:
        env = {**os.environ, "WATTLE_BIN": str(COPY / "build/release/bin"), "PYTHONPATH": str(COPY / "deploy/demo")}
        return run(sys.executable, "-m", "unittest", bug.tests, cwd=COPY / "tests/integration", env=env, capture_output=True).returncode == 0
    done = run(COPY / "build/release/bin" / bug.target, f"--gtest_filter={bug.tests}", capture_output=True, text=True, errors="replace")
    return done.returncode == 0 and "[  PASSED  ] 0 tests" not in done.stdout


def put(texts):
    for path, text in texts.items():
        (COPY / path).write_text(text)


def passes_with(bug):
    """Whether its tests pass with it; None where the tree does not build so. The tree is the right one afterwards."""
    right = {path: (COPY / path).read_text() for path, _, _ in bug.edits()}
    wrong = dict(right)
    for path, text, fault in bug.edits():
        wrong[path] = wrong[path].replace(text, fault)
    put(wrong)
    try:
        build(bug.target)
        return passes(bug)
    except subprocess.CalledProcessError:
        return None
    finally:
        put(right)


def find(bugs):
    """How many of the bugs, whose tests are of one target, their tests find: they pass in the right tree, which is built once, and fail
    with the bug."""
    build(bugs[0].target)
    without = [passes(bug) for bug in bugs]
    found = 0
    for bug, right in zip(bugs, without, strict=True):
        wrong = passes_with(bug)
        tells = "it DOES NOT BUILD" if wrong is None else f"{'PASS' if wrong else 'fail'} with it"
        print(f"{bug.name}: its tests {'pass' if right else 'FAIL'} without it, {tells}", flush=True)
        found += right and wrong is False
    return found


def main():
    problems = [*places(), *tests_without_a_guard_off()]
    if problems:
        sys.exit("\n".join(problems))
    asked = set(sys.argv[1:])
    if "--check" in asked:
        return
    known = GUARDS_OFF if "--attacks" in asked else ALL
    names = asked - {"--attacks"}
    wanted = [bug for bug in known if not names or bug.name in names]
    if unknown := names - {bug.name for bug in wanted}:
        sys.exit(f"no bug of the name {', '.join(sorted(unknown))}")
    make_copy()
    by_target = {}
    for bug in wanted:
        by_target.setdefault(bug.target, []).append(bug)
    found = sum(map(find, by_target.values()))
    print(f"{found} of {len(wanted)} planted bugs are found")
    sys.exit(0 if found == len(wanted) else 1)


if __name__ == "__main__":
    main()
