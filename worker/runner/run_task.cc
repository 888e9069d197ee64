// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/run_task.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/status_macros.h"
#include "worker/engine/model_job.h"
#include "worker/runner/job_kinds.h"

namespace wattle::runner {
namespace {

// VmHWM of this process; 0 if it cannot be read. Not ru_maxrss, which starts with the peak of the
// parent process.
int64_t PeakMemoryBytes() {
  return ReadKibibyteLine("/proc/self/status", "VmHWM").value_or(0);
}

absl::StatusOr<v1::RunnerResult> Run(const v1::RunnerTask& task, FrameSink& sink) {
  WATTLE_RETURN_IF_ERROR(engine::SetThreads(task.threads()));
  return RunJob(task, sink);
}

}  // namespace

v1::RunnerFrame RunTask(const v1::RunnerTask& task, FrameSink& sink) {
  v1::RunnerTask own = task;
  own.set_threads(std::max(1, task.threads()));
  auto result = Run(own, sink);
  v1::RunnerFrame frame;
  if (result.ok()) {
    result->set_peak_memory_bytes(PeakMemoryBytes());
    *frame.mutable_result() = *std::move(result);
  } else if (absl::IsCancelled(result.status())) {
    frame.mutable_stopped()->set_step(sink.checkpointed_step());
  } else {
    frame.mutable_failure()->set_failure_class(FailureClassOf(result.status()));
    frame.mutable_failure()->set_message(std::string(result.status().message()));
  }
  return frame;
}

v1::FailureClass FailureClassOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return v1::FAILURE_CLASS_SPEC;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnimplemented:
      return v1::FAILURE_CLASS_DATA;
    case absl::StatusCode::kAborted:
      return v1::FAILURE_CLASS_JOB;
    default:
      return v1::FAILURE_CLASS_DEVICE;
  }
}

}  // namespace wattle::runner
