// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The threads of this process's kernels. SetThreads (model_job.h) sets their number.
// at::parallel_for cannot be used: in files compiled without OpenMP, such as ours, its body runs on
// one thread.
#ifndef WATTLE_WORKER_ENGINE_THREADS_H_
#define WATTLE_WORKER_ENGINE_THREADS_H_

#include <algorithm>
#include <cstdint>

#include "absl/functional/function_ref.h"

#include "worker/engine/kernels/thread_pool.h"

namespace wattle::engine {

// The only pool, made at the first call. Only one thread at a time may use it.
kernels::ThreadPool& KernelThreads();

// Calls body(begin, end) for the pieces [0, grain), [grain, 2 grain) … of [0, count), on all
// threads of the pool. The pieces do not depend on the number of threads.
inline void ForEachPiece(int64_t count, int64_t grain,
                         absl::FunctionRef<void(int64_t begin, int64_t end)> body) {
  KernelThreads().ParallelFor((count + grain - 1) / grain, [&](int64_t piece, int /*thread*/) {
    body(piece * grain, std::min(count, (piece + 1) * grain));
  });
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_THREADS_H_
