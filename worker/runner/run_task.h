// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One task from start to its last frame: settings, engine call, result files, and the class of a
// failure. One task a process.
#ifndef WATTLE_WORKER_RUNNER_RUN_TASK_H_
#define WATTLE_WORKER_RUNNER_RUN_TASK_H_

#include "absl/status/status.h"

#include "wattle/v1/job.pb.h"
#include "wattle/v1/runner.pb.h"
#include "worker/runner/frame_sink.h"

namespace wattle::runner {

// The last frame: result, failure or stopped. By then every result file is on disk: of a kind that
// makes a model its Hugging Face directory, of each other kind metrics.json, beside the files that
// the kind names in job_kinds.cc.
v1::RunnerFrame RunTask(const v1::RunnerTask& task, FrameSink& sink);

// Spec: the job's settings. Data: its files. Job: a run that went wrong by itself (a loss that is
// not finite). Device: all else (memory, disk, a device that is not there).
v1::FailureClass FailureClassOf(const absl::Status& status);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_RUN_TASK_H_
