// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The threads of this process's kernels. SetThreads (model_job.h) says how many.
#ifndef WATTLE_WORKER_ENGINE_THREADS_H_
#define WATTLE_WORKER_ENGINE_THREADS_H_

#include "worker/engine/kernels/thread_pool.h"

namespace wattle::engine {

// The one pool, made at the first call. One thread at a time may use it.
kernels::ThreadPool& KernelThreads();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_THREADS_H_
