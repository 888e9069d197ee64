// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One task from start to its last frame: settings, engine call, result files, and the class of a
// failure. One task per process.
#ifndef WATTLE_WORKER_RUNNER_RUN_TASK_H_
#define WATTLE_WORKER_RUNNER_RUN_TASK_H_

#include "absl/status/status.h"

#include "wattle/v1/job.pb.h"
#include "wattle/v1/runner.pb.h"
#include "worker/runner/frame_sink.h"

namespace wattle::runner {

// The last frame: result, failure or stopped. At that time every result file is on disk: a kind
// that makes a model has written its Hugging Face directory, any other kind metrics.json and the
// further files listed in job_kinds.cc.
v1::RunnerFrame RunTask(const v1::RunnerTask& task, FrameSink& sink);

// Spec: the job's settings. Data: its files. Job: the run itself failed (a non-finite loss).
// Device: all else (memory, disk, a missing device).
v1::FailureClass FailureClassOf(const absl::Status& status);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_RUN_TASK_H_
