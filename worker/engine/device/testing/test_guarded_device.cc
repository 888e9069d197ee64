// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/testing/test_guarded_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include "base/check.h"
#include "models/best_fit.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {
namespace {

constexpr auto kDeviceType = c10::DeviceType::PrivateUse1;
const c10::DispatchKeySet kDeviceKeys(c10::DispatchKey::PrivateUse1);
constexpr int64_t kMemoryBytes = int64_t{1} << 30;  // address space; pages are allocated on use

DeviceWork work;
int64_t asked = 0;  // operators and copies so far
// A side stream has the work queued up to its creation; the first stream has all work.
bool beside = false;
int64_t beside_has = 0;
constexpr c10::StreamId kBeside = 1;

[[noreturn]] void Die() {
  constexpr std::string_view kLine = "the host touched memory of the guarded device\n";
  (void)!write(STDERR_FILENO, kLine.data(), kLine.size());
  std::_Exit(1);
}

// The device's memory, mapped at two places in the address space. Tensors of the device have the
// address of the first place, which must not be accessed. The device's operators use the second
// place.
class GuardedAllocator final : public at::Allocator {
 public:
  static GuardedAllocator& Get() {
    static GuardedAllocator& memory = *new GuardedAllocator;
    return memory;
  }

  // The first place, for kernels that receive its addresses.
  void Open() { Protect(PROT_READ | PROT_WRITE); }
  void Close() { Protect(PROT_NONE); }

  // The operators' address for an address of the device; host addresses stay unchanged.
  [[nodiscard]] void* ForOperators(void* place) const {
    return Holds(place, region_) ? for_operators_ + (static_cast<std::byte*>(place) - region_)
                                 : place;
  }
  // Whether an address belongs to the operators' place.
  [[nodiscard]] bool IsForOperators(const void* place) const {
    return Holds(place, for_operators_);
  }

  [[nodiscard]] int64_t in_use() const { return in_use_; }
  void Limit(int64_t bytes) { limit_ = bytes; }

  [[nodiscard]] at::DataPtr allocate(size_t bytes) WATTLE_TORCH_ALLOCATE_CONST override {
    std::byte* place = nullptr;
    if (bytes > 0) {
      GuardedAllocator& memory = Get();
      memory.Take(static_cast<int64_t>(bytes));
      const auto offset = memory.blocks_.Allocate(static_cast<int64_t>(bytes));
      WATTLE_CHECK(offset.has_value(), "tests use little memory");
      place = memory.region_ + *offset;
      memory.sizes_[place] = static_cast<int64_t>(bytes);
      c10::reportMemoryUsageToProfiler(place, static_cast<int64_t>(bytes), 0, 0, GuardedDevice());
    }
    return {place, place, &Free, GuardedDevice()};
  }
  [[nodiscard]] at::DeleterFnPtr raw_deleter() const override { return &Free; }
#ifdef WATTLE_TORCH_ALLOCATOR_COPIES
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(ForOperators(to), ForOperators(const_cast<void*>(from)), bytes);
  }
#endif

 private:
  GuardedAllocator() : blocks_(kMemoryBytes) {
    const int memory = memfd_create("guarded device", MFD_CLOEXEC);
    WATTLE_CHECK(memory >= 0 && ftruncate(memory, kMemoryBytes) == 0, "memory has a size");
    region_ = Mapped(memory, PROT_NONE);
    for_operators_ = Mapped(memory, PROT_READ | PROT_WRITE);
    close(memory);
    struct sigaction action = {};
    action.sa_sigaction = [](int /*signal*/, siginfo_t* info, void* /*context*/) {
      if (Holds(info->si_addr, Get().region_)) {
        Die();
      }
      std::signal(SIGSEGV, SIG_DFL);  // the access is repeated, and ends the program
    };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
  }

  static std::byte* Mapped(int memory, int access) {
    void* const place = mmap(nullptr, kMemoryBytes, access, MAP_SHARED | MAP_NORESERVE, memory, 0);
    WATTLE_CHECK(place != MAP_FAILED, "address space is there");
    return static_cast<std::byte*>(place);
  }

  static bool Holds(const void* place, const std::byte* region) {
    const auto* const byte = static_cast<const std::byte*>(place);
    return byte >= region && byte < region + kMemoryBytes;
  }

  static void Free(void* place) {
    if (place != nullptr) {
      GuardedAllocator& memory = Get();
      memory.blocks_.Free(static_cast<std::byte*>(place) - memory.region_);
      const auto size = memory.sizes_.extract(place);
      memory.in_use_ -= size.mapped();
      c10::reportMemoryUsageToProfiler(place, -size.mapped(), 0, 0, GuardedDevice());
    }
  }

  void Take(int64_t bytes) {
    // In the words of CUDA's allocator.
    TORCH_CHECK(in_use_ + bytes <= limit_, "CUDA out of memory. Tried to allocate ", bytes,
                " bytes");
    in_use_ += bytes;
    work.made_bytes += bytes;
    work.largest_made_bytes = std::max(work.largest_made_bytes, bytes);
    work.peak_bytes = std::max(work.peak_bytes, in_use_);
  }

  void Protect(int access) {
    WATTLE_CHECK(mprotect(region_, kMemoryBytes, access) == 0, "the region is ours");
  }

  std::byte* region_ = nullptr;
  std::byte* for_operators_ = nullptr;
  models::BestFit blocks_;
  std::map<void*, int64_t> sizes_;
  int64_t in_use_ = 0;
  int64_t limit_ = kMemoryBytes;
};

struct DeviceGuard final : public c10::impl::DeviceGuardImplInterface {
  [[nodiscard]] c10::DeviceType type() const override { return kDeviceType; }
  [[nodiscard]] c10::Device exchangeDevice(c10::Device /*device*/) const override {
    return GuardedDevice();
  }
  [[nodiscard]] c10::Device getDevice() const override { return GuardedDevice(); }
  void setDevice(c10::Device /*device*/) const override {}
  void uncheckedSetDevice(c10::Device /*device*/) const noexcept override {}
  [[nodiscard]] c10::Stream getStream(c10::Device /*device*/) const noexcept override {
    return beside ? c10::Stream(c10::Stream::UNSAFE, GuardedDevice(), kBeside)
                  : c10::Stream(c10::Stream::DEFAULT, GuardedDevice());
  }
  [[nodiscard]] c10::Stream getStreamFromGlobalPool(c10::Device /*device*/,
                                                    bool /*high*/) const override {
    return c10::Stream(c10::Stream::UNSAFE, GuardedDevice(), kBeside);
  }
  [[nodiscard]] c10::Stream exchangeStream(c10::Stream stream) const noexcept override {
    const c10::Stream before = getStream(GuardedDevice());
    beside = stream.id() == kBeside;
    return before;
  }
  void record(void** event, const c10::Stream& /*stream*/, c10::DeviceIndex /*device*/,
              c10::EventFlag /*flag*/) const override {
    if (*event == nullptr) {
      *event = new int64_t;
    }
    *static_cast<int64_t*>(*event) = asked;
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (stream.id() == kBeside) {
      beside_has = *static_cast<int64_t*>(event);
    }
  }
  void destroyEvent(void* event, c10::DeviceIndex /*device*/) const noexcept override {
    delete static_cast<int64_t*>(event);
  }
  [[nodiscard]] c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};

// A tensor with this one's sizes over a storage of either memory.
at::Tensor Over(const c10::Storage& storage, c10::DispatchKeySet keys, const at::Tensor& like) {
  at::Tensor tensor =
      at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), keys, like.dtype());
  tensor.unsafeGetTensorImpl()->set_storage_offset(like.storage_offset());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides());
  return tensor;
}

bool IsOnDevice(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kDeviceType;
}

at::Tensor EmptyOnDevice(at::IntArrayRef size, at::IntArrayRef stride, at::ScalarType type) {
  return at::Tensor(
      at::detail::empty_strided_generic(size, stride, &GuardedAllocator::Get(), kDeviceKeys, type));
}

// The tensors of one operator, as the CPU's operators see them: the same bytes.
class HostView {
 public:
  // The CPU's tensor for one of the device. Host tensors stay unchanged.
  at::Tensor Of(const at::Tensor& tensor) {
    if (!IsOnDevice(tensor)) {
      return tensor;
    }
    for (const Seen& seen : seen_) {
      if (seen.device.is_same(tensor)) {
        return seen.host;
      }
    }
    seen_.push_back(
        {tensor, Over(StorageOf(tensor), c10::DispatchKeySet(c10::DispatchKey::CPU), tensor)});
    return seen_.back().host;
  }

  // The device's tensor for a result: an argument itself, a view of one, or a new tensor.
  at::Tensor Result(const at::Tensor& host) {
    if (!host.defined()) {
      return host;
    }
    for (const Seen& seen : seen_) {
      if (seen.host.is_same(host)) {
        TakeSizes(seen);
        return seen.device;
      }
    }
    for (const Storages& pair : storages_) {
      if (pair.host.unsafeGetStorageImpl() == host.storage().unsafeGetStorageImpl()) {
        return Over(pair.device, kDeviceKeys, host);
      }
    }
    return Copied(host);
  }

 private:
  struct Seen {
    at::Tensor device;
    at::Tensor host;
  };
  struct Storages {
    c10::Storage device;
    c10::Storage host;
  };

  // The same bytes as CPU memory; two views of one storage remain two views of one.
  const c10::Storage& StorageOf(const at::Tensor& tensor) {
    const c10::Storage& device = tensor.storage();
    for (const Storages& pair : storages_) {
      if (pair.device.unsafeGetStorageImpl() == device.unsafeGetStorageImpl()) {
        return pair.host;
      }
    }
    storages_.push_back(
        {device, c10::Storage(c10::Storage::use_byte_size_t(), device.nbytes(),
                              at::DataPtr(GuardedAllocator::Get().ForOperators(
                                              device.unsafeGetStorageImpl()->data_ptr().get()),
                                          at::Device(at::kCPU)),
                              c10::GetCPUAllocator(), /*resizable=*/true)});
    return storages_.back().host;
  }

  static at::Tensor Copied(const at::Tensor& host) {
    const at::Tensor device = EmptyOnDevice(host.sizes(), host.strides(), host.scalar_type());
    HostView().Of(device).copy_(host);
    return device;
  }

  // An operator may have resized its output and so changed its memory.
  static void TakeSizes(const Seen& seen) {
    c10::TensorImpl* device = seen.device.unsafeGetTensorImpl();
    const void* memory = seen.host.storage().unsafeGetStorageImpl()->data_ptr().get();
    if (seen.host.numel() > 0 && !GuardedAllocator::Get().IsForOperators(memory)) {
      const at::Tensor moved = Copied(seen.host);
      device->set_storage_keep_dtype(moved.storage());
      device->set_storage_offset(0);
    }
    device->set_sizes_and_strides(seen.host.sizes(), seen.host.strides());
  }

  std::vector<Seen> seen_;
  std::vector<Storages> storages_;
};

at::Tensor ArgumentOnHost(const c10::FunctionSchema& schema, HostView& view,
                          const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.defined() || IsOnDevice(tensor) || tensor.dim() == 0, schema.name(),
              ": a tensor of the host among those of the device");
  return view.Of(tensor);
}

c10::IValue OnHost(const c10::FunctionSchema& schema, HostView& view, const c10::IValue& value) {
  if (value.isTensor()) {
    return ArgumentOnHost(schema, view, value.toTensor());
  }
  if (value.isTensorList()) {
    c10::List<at::Tensor> tensors;
    for (const at::Tensor& tensor : value.toTensorVector()) {
      tensors.push_back(ArgumentOnHost(schema, view, tensor));
    }
    return tensors;
  }
  if (value.isOptionalTensorList()) {
    c10::List<c10::optional<at::Tensor>> tensors;
    for (const c10::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
      tensors.push_back(tensor.has_value()
                            ? c10::optional<at::Tensor>(ArgumentOnHost(schema, view, *tensor))
                            : c10::nullopt);
    }
    return tensors;
  }
  return value.isDevice() ? c10::IValue(c10::Device(at::kCPU)) : value;
}

// Makes the host wait for the work of the current stream.
void Wait() {
  ++(beside && beside_has < asked ? work.late_waits : work.waits);
}

// Whether the host has to wait for the operator's result.
bool HostWaitsFor(const std::string& name) {
  constexpr std::array<std::string_view, 6> kNames = {"aten::_local_scalar_dense",
                                                      "aten::equal",
                                                      "aten::masked_select",
                                                      "aten::nonzero",
                                                      "aten::unique",
                                                      "aten::repeat_interleave"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool MakesAView(const c10::FunctionSchema& schema) {
  const auto& returns = schema.returns();
  return std::any_of(returns.begin(), returns.end(), [](const c10::Argument& result) {
    return result.alias_info() != nullptr && !result.alias_info()->isWrite();
  });
}

void Count(const c10::FunctionSchema& schema) {
  if (HostWaitsFor(schema.name())) {
    Wait();
    work.downloaded_bytes += static_cast<int64_t>(sizeof(double));
  }
  work.operators += MakesAView(schema) ? 0 : 1;
  asked += MakesAView(schema) ? 0 : 1;
}

bool HasTwoBytes(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 || tensor.scalar_type() == at::kHalf;
}

// Products of factors of two bytes: by FP32, rounded once, as on a GPU. libtorch's CPU adds up BF16
// products in BF16 where the processor has no AVX-512, so that 1,000 ones are 256; 1.13 lacks those
// of FP16. Whether the operator is one; then its result is on the stack.
bool MultipliedTwoBytes(const c10::FunctionSchema& schema, torch::jit::Stack* stack) {
  const size_t arguments = schema.arguments().size();
  const size_t first = stack->size() - arguments;
  const bool batch = schema.name() == "aten::bmm";
  if ((!batch && schema.name() != "aten::mm") || !HasTwoBytes((*stack)[first].toTensor())) {
    return false;
  }
  const at::ScalarType type = (*stack)[first].toTensor().scalar_type();
  const at::Tensor left = (*stack)[first].toTensor().to(at::kFloat);
  const at::Tensor right = (*stack)[first + 1].toTensor().to(at::kFloat);
  at::Tensor result = (batch ? at::bmm(left, right) : at::mm(left, right)).to(type);
  if (arguments == 3) {  // the form that writes to a tensor
    result = (*stack)[first + 2].toTensor().copy_(result);
  }
  torch::jit::drop(*stack, arguments);
  stack->emplace_back(std::move(result));
  return true;
}

// Every operator that is not defined below: the CPU's, on the device's memory.
void RunOnCpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  Count(schema);
  HostView view;
  const size_t first = stack->size() - schema.arguments().size();
  for (size_t i = first; i < stack->size(); ++i) {
    (*stack)[i] = OnHost(schema, view, (*stack)[i]);
  }
  if (!MultipliedTwoBytes(schema, stack)) {
    op.callBoxed(stack);
  }
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); ++i) {
    TORCH_CHECK(!(*stack)[i].isTensorList(), schema.name(), ": the guarded device lacks lists");
    if ((*stack)[i].isTensor()) {
      (*stack)[i] = view.Result((*stack)[i].toTensor());
    }
  }
}

at::Tensor Empty(at::IntArrayRef size, c10::optional<at::ScalarType> type,
                 c10::optional<at::Layout> /*layout*/, c10::optional<at::Device> /*device*/,
                 c10::optional<bool> /*pinned*/, c10::optional<at::MemoryFormat> format) {
  return at::Tensor(at::detail::empty_generic(size, &GuardedAllocator::Get(), kDeviceKeys,
                                              type.value_or(at::kFloat), format));
}

at::Tensor EmptyStrided(at::IntArrayRef size, at::IntArrayRef stride,
                        c10::optional<at::ScalarType> type, c10::optional<at::Layout> /*layout*/,
                        c10::optional<at::Device> /*device*/, c10::optional<bool> /*pinned*/) {
  return EmptyOnDevice(size, stride, type.value_or(at::kFloat));
}

at::Tensor& Copy(at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  const auto bytes = static_cast<int64_t>(from.numel()) * from.element_size();
  if (!IsOnDevice(to)) {
    work.downloaded_bytes += bytes;
    Wait();
  } else if (!IsOnDevice(from)) {
    work.uploaded_bytes += bytes;
    work.largest_upload_bytes = std::max(work.largest_upload_bytes, bytes);
    work.waits += non_blocking ? 0 : 1;
    ++asked;
  } else {
    ++work.operators;
    ++asked;
  }
  HostView view;
  const at::Tensor source = view.Of(from);
  at::Tensor target = view.Of(to);
  target.copy_(source);
  return to;
}

C10_REGISTER_GUARD_IMPL(PrivateUse1, DeviceGuard);

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&RunOnCpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  c10::SetAllocator(kDeviceType, &GuardedAllocator::Get());
  library.impl("empty.memory_format", &Empty);
  library.impl("empty_strided", &EmptyStrided);
  library.impl("copy_", &Copy);
}

}  // namespace

OpenedGuardedMemory::OpenedGuardedMemory() {
  GuardedAllocator::Get().Open();
}
OpenedGuardedMemory::~OpenedGuardedMemory() {
  GuardedAllocator::Get().Close();
}

at::Device GuardedDevice() {
  return {kDeviceType, 0};
}

DeviceWork WorkOfGuardedDevice() {
  return work;
}

int64_t BytesOnGuardedDevice() {
  return GuardedAllocator::Get().in_use();
}

void LimitGuardedMemory(int64_t bytes) {
  GuardedAllocator::Get().Limit(bytes);
}

void ForgetWork() {
  work = {.peak_bytes = BytesOnGuardedDevice()};
}

}  // namespace wattle::engine
