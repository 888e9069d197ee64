// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/testing/host_gpu.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "worker/engine/device/cuda/kernels/arguments.h"
#include "worker/engine/device/cuda/testing/fiber.h"

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): names are CUDA's

GridPlace threadIdx = {};
GridPlace blockIdx = {};
GridPlace gridDim = {};

namespace wattle::cuda {
namespace {

// SplitMix64, by Steele, Lea and Flood ("Fast splittable pseudorandom number generators", 2014).
class Draws {
 public:
  explicit Draws(uint64_t seed) : state_(seed) {}
  uint64_t Below(uint64_t bound) {
    state_ += 0x9E3779B97F4A7C15U;
    uint64_t bits = state_;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBU;
    return (bits ^ bits >> 31) % bound;
  }

 private:
  uint64_t state_;
};

enum class ThreadState : uint8_t { kReady, kAtBarrier, kAtShuffle, kAtAwait, kDone };

void RunThread();

struct Thread {
  Fiber fiber{&RunThread};
  ThreadState state = ThreadState::kDone;
  // This lane's values in its last two shuffles: a lane is at most one shuffle ahead of another.
  std::array<uint32_t, 2> given = {};
  int shuffles = 0;
  bool awaited = false;           // AwaitKernelBefore was called
  std::array<int, 7> loads = {};  // by WeightLoad
};

// A load shared by the lanes of a warp: the nth of its kind.
struct SharedLoad {
  int warp;
  WeightLoad which;
  int number;
  uintptr_t place;
  int bytes;

  [[nodiscard]] auto Key() const { return std::tie(warp, which, number, place); }
};

// Memory whose bytes come late to a block (RunOnHost).
class LateMemory {
 public:
  explicit LateMemory(absl::Span<std::byte> memory) : memory_(memory) {}

  void Hide() {
    kept_.assign(memory_.begin(), memory_.end());
    std::fill(memory_.begin(), memory_.end(), kHidden);
    untouched_ = true;
  }
  void Show() {
    untouched_ =
        std::all_of(memory_.begin(), memory_.end(), [](std::byte byte) { return byte == kHidden; });
    std::copy(kept_.begin(), kept_.end(), memory_.begin());
  }
  [[nodiscard]] bool is_none() const { return memory_.empty(); }
  // Only between Hide and Show.
  [[nodiscard]] bool untouched() const { return untouched_; }

 private:
  static constexpr std::byte kHidden{0xFF};  // a float of these bytes is a NaN

  absl::Span<std::byte> memory_;
  std::vector<std::byte> kept_;
  bool untouched_ = true;
};

class Block {
 public:
  absl::Status Run(absl::FunctionRef<void()> kernel, int threads, Draws& draws, LateMemory& late);
  void RunThread();
  void Wait(ThreadState state);
  void AwaitKernelBefore();
  uint32_t Exchange(uint32_t value, int mask);
  void BeginShared(void* array, size_t bytes);
  void Count(WeightLoad which, const void* place, int bytes);
  int64_t TakeWeightBytes();

 private:
  struct Warp {
    std::vector<int> ready;  // threads
    int at_shuffle = 0;
  };

  void Begin(Draws& draws);
  void MakeReady(int thread);
  // Takes the next of the ready threads.
  int TakeReady(Draws& draws);
  // Releases the threads whose barrier or shuffle `thread` completes.
  void Release(int thread);

  const absl::FunctionRef<void()>* kernel_ = nullptr;
  std::array<Thread, kWideThreads> threads_;
  int thread_count_ = 0;
  int current_ = 0;
  std::array<Warp, kWarpsOfWide> warps_;
  int ready_count_ = 0;
  int at_barrier_ = 0;
  int at_await_ = 0;
  LateMemory* late_ = nullptr;
  // In every other block, on average, a warp runs as far as it can before the next one does, and so
  // reaches an array that the others have not read yet.
  bool warp_first_ = false;
  std::array<size_t, kWarpsOfWide> order_of_warps_ = {};
  std::vector<SharedLoad> loads_;
  std::vector<const void*> shared_;  // arrays already used by this block
};

Block* running = nullptr;

void RunThread() {
  running->RunThread();
}

void Block::RunThread() {
  (*kernel_)();
  threads_[static_cast<size_t>(current_)].state = ThreadState::kDone;
}

void Block::MakeReady(int thread) {
  threads_[static_cast<size_t>(thread)].state = ThreadState::kReady;
  warps_[static_cast<size_t>(thread / kWarpThreads)].ready.push_back(thread);
  ++ready_count_;
}

void Block::Begin(Draws& draws) {
  warp_first_ = draws.Below(2) == 0;
  std::iota(order_of_warps_.begin(), order_of_warps_.end(), 0);
  for (size_t i = order_of_warps_.size(); i > 1; --i) {
    std::swap(order_of_warps_[i - 1], order_of_warps_[draws.Below(i)]);
  }
  shared_.clear();
  for (Warp& warp : warps_) {
    warp.ready.clear();
    warp.at_shuffle = 0;
  }
  ready_count_ = 0;
  at_barrier_ = 0;
  at_await_ = 0;
  for (int i = 0; i < thread_count_; ++i) {
    Thread& thread = threads_[static_cast<size_t>(i)];
    if (thread.state != ThreadState::kDone) {  // left by a block that could not end
      thread.fiber.Rewind();
    }
    thread.shuffles = 0;
    thread.awaited = late_->is_none();
    thread.loads = {};
    MakeReady(i);
  }
}

void Block::Release(int thread) {
  const ThreadState state = threads_[static_cast<size_t>(thread)].state;
  if (state == ThreadState::kAtBarrier || state == ThreadState::kAtAwait) {
    int& waiting = state == ThreadState::kAtBarrier ? at_barrier_ : at_await_;
    if (++waiting == thread_count_) {
      waiting = 0;
      if (state == ThreadState::kAtAwait) {
        late_->Show();
      }
      for (int i = 0; i < thread_count_; ++i) {
        MakeReady(i);
      }
    }
    return;
  }
  const int warp = thread / kWarpThreads;
  int& at_shuffle = warps_[static_cast<size_t>(warp)].at_shuffle;
  if (++at_shuffle == kWarpThreads) {
    at_shuffle = 0;
    for (int i = 0; i < kWarpThreads; ++i) {
      MakeReady(warp * kWarpThreads + i);
    }
  }
}

int Block::TakeReady(Draws& draws) {
  auto warp = order_of_warps_.begin();
  size_t place = 0;
  if (warp_first_) {
    warp = std::find_if(warp, order_of_warps_.end(),
                        [&](size_t number) { return !warps_[number].ready.empty(); });
    place = draws.Below(warps_[*warp].ready.size());
  } else {
    place = draws.Below(static_cast<uint64_t>(ready_count_));
    for (; place >= warps_[*warp].ready.size(); ++warp) {
      place -= warps_[*warp].ready.size();
    }
  }
  std::vector<int>& ready = warps_[*warp].ready;
  std::swap(ready[place], ready.back());
  const int thread = ready.back();
  ready.pop_back();
  --ready_count_;
  return thread;
}

absl::Status Block::Run(absl::FunctionRef<void()> kernel, int threads, Draws& draws,
                        LateMemory& late) {
  kernel_ = &kernel;
  thread_count_ = threads;
  late_ = &late;
  Begin(draws);
  late.Hide();
  running = this;
  while (ready_count_ > 0) {
    current_ = TakeReady(draws);
    threadIdx.x = current_;
    Thread& thread = threads_[static_cast<size_t>(current_)];
    thread.fiber.Resume();
    if (thread.state != ThreadState::kDone) {
      Release(current_);
    }
  }
  running = nullptr;
  const bool done =
      std::all_of(threads_.begin(), threads_.begin() + thread_count_,
                  [](const Thread& thread) { return thread.state == ThreadState::kDone; });
  if (!done) {
    return absl::FailedPreconditionError("kernel: threads wait at a barrier that others leave out");
  }
  const bool awaited = std::all_of(threads_.begin(), threads_.begin() + thread_count_,
                                   [](const Thread& thread) { return thread.awaited; });
  return awaited && late.untouched()
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   "kernel: threads write, or end, and have not waited for the kernel before");
}

void Block::Wait(ThreadState state) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  thread.state = state;
  thread.fiber.Leave();
}

void Block::AwaitKernelBefore() {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  if (!thread.awaited) {
    thread.awaited = true;
    Wait(ThreadState::kAtAwait);
  }
}

uint32_t Block::Exchange(uint32_t value, int mask) {
  const int number = current_;
  Thread& thread = threads_[static_cast<size_t>(number)];
  const auto turn = static_cast<size_t>(thread.shuffles++ % 2);
  thread.given[turn] = value;
  Wait(ThreadState::kAtShuffle);
  return threads_[static_cast<size_t>(number ^ mask)].given[turn];
}

void Block::BeginShared(void* array, size_t bytes) {
  if (std::find(shared_.begin(), shared_.end(), array) == shared_.end()) {
    shared_.push_back(array);
    std::memset(array, 0xFF, bytes);  // NaN, -1
  }
}

void Block::Count(WeightLoad which, const void* place, int bytes) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  loads_.push_back({.warp = current_ / kWarpThreads,
                    .which = which,
                    .number = thread.loads[static_cast<size_t>(which)]++,
                    .place = reinterpret_cast<uintptr_t>(place),
                    .bytes = bytes});
}

int64_t Block::TakeWeightBytes() {
  const auto before = [](const SharedLoad& a, const SharedLoad& b) { return a.Key() < b.Key(); };
  const auto same = [](const SharedLoad& a, const SharedLoad& b) { return a.Key() == b.Key(); };
  std::sort(loads_.begin(), loads_.end(), before);
  loads_.erase(std::unique(loads_.begin(), loads_.end(), same), loads_.end());
  int64_t bytes = 0;
  for (const SharedLoad& load : loads_) {
    bytes += load.bytes;
  }
  loads_.clear();
  return bytes;
}

}  // namespace

absl::StatusOr<LaunchCounts> RunOnHost(const GridShape& grid, uint64_t seed,
                                       absl::FunctionRef<void()> kernel,
                                       absl::Span<std::byte> late) {
  WATTLE_CHECK(running == nullptr, "one launch at a time");
  WATTLE_CHECK(grid.threads % kWarpThreads == 0 && grid.threads <= kWideThreads, "whole warps");
  Draws draws(seed);
  std::vector<int> order(static_cast<size_t>(grid.blocks));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[draws.Below(i)]);
  }
  gridDim.x = grid.blocks;
  LaunchCounts counts;
  LateMemory memory(late);
  static Block& block = *new Block;  // its stacks are reused for every launch
  for (const int number : order) {
    blockIdx.x = number;
    if (absl::Status status = block.Run(kernel, grid.threads, draws, memory); !status.ok()) {
      return status;
    }
    counts.weight_bytes += block.TakeWeightBytes();
  }
  return counts;
}

void BeginShared(void* array, size_t bytes) {
  running->BeginShared(array, bytes);
}

void AwaitKernelBefore() {
  running->AwaitKernelBefore();
}

void CountLoad(WeightLoad which, const void* place, int bytes) {
  running->Count(which, place, bytes);
}

}  // namespace wattle::cuda

void __syncthreads() {
  wattle::cuda::running->Wait(wattle::cuda::ThreadState::kAtBarrier);
}

float __shfl_xor_sync(unsigned /*lanes*/, float value, int mask) {
  return std::bit_cast<float>(
      wattle::cuda::running->Exchange(std::bit_cast<uint32_t>(value), mask));
}

int __shfl_xor_sync(unsigned /*lanes*/, int value, int mask) {
  return std::bit_cast<int>(wattle::cuda::running->Exchange(std::bit_cast<uint32_t>(value), mask));
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
