// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/host_gpu.h"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "worker/engine/device/cuda/kernels/arguments.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): names are CUDA's

GridPlace threadIdx = {};
GridPlace blockIdx = {};
GridPlace gridDim = {};

namespace wattle::cuda {
namespace {

constexpr size_t kStackBytes = 256 << 10;

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

enum class FiberState : uint8_t { kReady, kAtBarrier, kAtShuffle, kDone };

struct Fiber {
  std::unique_ptr<char[]> stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
  ucontext_t context = {};
  void* fake_stack = nullptr;  // of AddressSanitizer
  FiberState state = FiberState::kReady;
  // What this lane gave to its last two shuffles: a lane is at most one shuffle ahead of another.
  std::array<uint32_t, 2> given = {};
  int shuffles = 0;
  std::array<int, 7> loads = {};  // by WeightLoad
};

// A load as the lanes of its warp share it: the nth of its kind.
struct SharedLoad {
  int warp;
  WeightLoad which;
  int number;
  uintptr_t place;
  int bytes;

  [[nodiscard]] auto Key() const { return std::tie(warp, which, number, place); }
};

class Block {
 public:
  absl::Status Run(absl::FunctionRef<void()> kernel, int threads, Draws& draws);
  void Wait(FiberState state);
  uint32_t Exchange(uint32_t value, int mask);
  void BeginShared(void* array, size_t bytes);
  void Count(WeightLoad which, const void* place, int bytes);
  int64_t TakeWeightBytes();

 private:
  static void Enter();
  void Begin(Draws& draws);
  // Takes the next thread out of those that are ready.
  int TakeReady(Draws& draws);
  void Resume(int thread);
  void LeaveFiber(Fiber& fiber, bool forever);
  // Lets those go on whose barrier or shuffle is complete.
  void Release(int thread);

  const absl::FunctionRef<void()>* kernel_ = nullptr;
  std::array<Fiber, kWideThreads> fibers_;
  std::vector<int> ready_;
  // In every other block, on average, a warp runs as far as it can before the next one does: only
  // then does it reach an array that the others have not read yet.
  bool warp_first_ = false;
  std::array<int, kWarpsOfWide> rank_of_warp_ = {};
  std::vector<SharedLoad> loads_;
  std::vector<const void*> shared_;  // arrays that this block has begun
  int threads_ = 0;
  int current_ = 0;
  ucontext_t scheduler_ = {};
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_bytes_ = 0;
};

Block* running = nullptr;

void Block::Enter() {
  Block& block = *running;
  Fiber& fiber = block.fibers_[static_cast<size_t>(block.current_)];
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &block.scheduler_stack_, &block.scheduler_bytes_);
#endif
  (*block.kernel_)();
  fiber.state = FiberState::kDone;
  block.LeaveFiber(fiber, true);
}

void Block::LeaveFiber(Fiber& fiber, [[maybe_unused]] bool forever) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(forever ? nullptr : &fiber.fake_stack, scheduler_stack_,
                                 scheduler_bytes_);
#endif
  swapcontext(&fiber.context, &scheduler_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &scheduler_stack_, &scheduler_bytes_);
#endif
}

void Block::Resume(int thread) {
  Fiber& fiber = fibers_[static_cast<size_t>(thread)];
  current_ = thread;
  threadIdx.x = thread;
#ifdef __SANITIZE_ADDRESS__
  void* own = nullptr;
  __sanitizer_start_switch_fiber(&own, fiber.stack.get(), kStackBytes);
#endif
  swapcontext(&scheduler_, &fiber.context);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(own, nullptr, nullptr);
#endif
}

void Block::Begin(Draws& draws) {
  warp_first_ = draws.Below(2) == 0;
  std::iota(rank_of_warp_.begin(), rank_of_warp_.end(), 0);
  for (size_t i = rank_of_warp_.size(); i > 1; --i) {
    std::swap(rank_of_warp_[i - 1], rank_of_warp_[draws.Below(i)]);
  }
  shared_.clear();
  ready_.resize(static_cast<size_t>(threads_));
  std::iota(ready_.begin(), ready_.end(), 0);
  for (const int thread : ready_) {
    Fiber& fiber = fibers_[static_cast<size_t>(thread)];
    fiber.state = FiberState::kReady;
    fiber.shuffles = 0;
    fiber.loads = {};
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Block::Enter, 0);
  }
}

void Block::Release(int thread) {
  const FiberState state = fibers_[static_cast<size_t>(thread)].state;
  const bool warp = state == FiberState::kAtShuffle;
  const int first = warp ? thread / kWarpThreads * kWarpThreads : 0;
  const int end = first + (warp ? kWarpThreads : threads_);
  const auto begin = fibers_.begin();
  if (!std::all_of(begin + first, begin + end,
                   [&](const Fiber& fiber) { return fiber.state == state; })) {
    return;
  }
  for (int i = first; i < end; ++i) {
    fibers_[static_cast<size_t>(i)].state = FiberState::kReady;
    ready_.push_back(i);
  }
}

int Block::TakeReady(Draws& draws) {
  size_t place = draws.Below(ready_.size());
  if (warp_first_) {
    const auto rank = [&](size_t i) {
      return rank_of_warp_[static_cast<size_t>(ready_[i] / kWarpThreads)];
    };
    for (size_t i = 0; i < ready_.size(); ++i) {
      place = rank(i) < rank(place) ? i : place;
    }
  }
  std::swap(ready_[place], ready_.back());
  const int thread = ready_.back();
  ready_.pop_back();
  return thread;
}

absl::Status Block::Run(absl::FunctionRef<void()> kernel, int threads, Draws& draws) {
  kernel_ = &kernel;
  threads_ = threads;
  Begin(draws);
  running = this;
  while (!ready_.empty()) {
    const int thread = TakeReady(draws);
    Resume(thread);
    const FiberState state = fibers_[static_cast<size_t>(thread)].state;
    if (state == FiberState::kAtBarrier || state == FiberState::kAtShuffle) {
      Release(thread);
    }
  }
  running = nullptr;
  const bool done =
      std::all_of(fibers_.begin(), fibers_.begin() + threads_,
                  [](const Fiber& fiber) { return fiber.state == FiberState::kDone; });
  return done ? absl::OkStatus()
              : absl::FailedPreconditionError(
                    "kernel: threads wait at a barrier that others leave out");
}

void Block::Wait(FiberState state) {
  Fiber& fiber = fibers_[static_cast<size_t>(current_)];
  fiber.state = state;
  LeaveFiber(fiber, false);
}

uint32_t Block::Exchange(uint32_t value, int mask) {
  const int thread = current_;
  Fiber& fiber = fibers_[static_cast<size_t>(thread)];
  const auto turn = static_cast<size_t>(fiber.shuffles++ % 2);
  fiber.given[turn] = value;
  Wait(FiberState::kAtShuffle);
  return fibers_[static_cast<size_t>(thread ^ mask)].given[turn];
}

void Block::BeginShared(void* array, size_t bytes) {
  if (std::find(shared_.begin(), shared_.end(), array) == shared_.end()) {
    shared_.push_back(array);
    std::memset(array, 0xFF, bytes);  // NaN, -1
  }
}

void Block::Count(WeightLoad which, const void* place, int bytes) {
  Fiber& fiber = fibers_[static_cast<size_t>(current_)];
  loads_.push_back({.warp = current_ / kWarpThreads,
                    .which = which,
                    .number = fiber.loads[static_cast<size_t>(which)]++,
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
                                       absl::FunctionRef<void()> kernel) {
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
  static Block& block = *new Block;  // its stacks serve every launch
  for (const int number : order) {
    blockIdx.x = number;
    if (absl::Status status = block.Run(kernel, grid.threads, draws); !status.ok()) {
      return status;
    }
    counts.weight_bytes += block.TakeWeightBytes();
  }
  return counts;
}

void BeginShared(void* array, size_t bytes) {
  running->BeginShared(array, bytes);
}

void CountLoad(WeightLoad which, const void* place, int bytes) {
  running->Count(which, place, bytes);
}

}  // namespace wattle::cuda

void __syncthreads() {
  wattle::cuda::running->Wait(wattle::cuda::FiberState::kAtBarrier);
}

float __shfl_xor_sync(unsigned /*lanes*/, float value, int mask) {
  return std::bit_cast<float>(
      wattle::cuda::running->Exchange(std::bit_cast<uint32_t>(value), mask));
}

int __shfl_xor_sync(unsigned /*lanes*/, int value, int mask) {
  return std::bit_cast<int>(wattle::cuda::running->Exchange(std::bit_cast<uint32_t>(value), mask));
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
