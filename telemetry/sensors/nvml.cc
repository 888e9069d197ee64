// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NVIDIA's discrete GPUs by libnvidia-ml, which is loaded at run time and may be absent. Every call
// is optional, because some boards and old GPUs answer "not supported" (NVML API reference). The
// energy counter is used if there is one, because the power value of large GPUs samples only a
// quarter of the time. The scope "gpu" excludes processor, memory and board.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"

namespace wattle::telemetry {
namespace {

constexpr char kLibrary[] = "libnvidia-ml.so.1";
// Since Ampere, power is a mean over up to a second.
constexpr absl::Duration kNvmlCadence = absl::Milliseconds(500);

// The part of the library's stable C interface that is used here.
using Device = struct DeviceTag*;
using Code = int;
constexpr Code kSuccess = 0;
constexpr Code kNoPermission = 4;
constexpr unsigned kTemperatureOfGpu = 0;

struct Utilization {
  unsigned gpu;     // percent of the last period in which a kernel ran
  unsigned memory;  // percent in which memory was read or written
};

// A function that the library lacks is null, and counts as "not supported".
struct Library {
  Code (*init)() = nullptr;
  const char* (*error_string)(Code) = nullptr;
  Code (*device_count)(unsigned*) = nullptr;
  Code (*device_by_index)(unsigned, Device*) = nullptr;
  Code (*name)(Device, char*, unsigned) = nullptr;
  Code (*power)(Device, unsigned*) = nullptr;  // mW
  // NOLINTNEXTLINE(google-runtime-int): NVML's type
  Code (*energy)(Device, unsigned long long*) = nullptr;       // mJ since the driver was loaded
  Code (*temperature)(Device, unsigned, unsigned*) = nullptr;  // °C
  Code (*utilization)(Device, Utilization*) = nullptr;

  [[nodiscard]] absl::Status Check(Code code, const char* call) const {
    if (code == kSuccess) {
      return absl::OkStatus();
    }
    const std::string text = absl::StrCat(
        kLibrary, ": ", call, ": ",
        error_string != nullptr ? error_string(code) : absl::StrCat("error ", code).c_str());
    return code == kNoPermission
               ? absl::PermissionDeniedError(absl::StrCat(
                     text, "; permit the worker's user to open /dev/nvidia* (group video)"))
               : absl::UnavailableError(text);
  }
};

template <typename Function>
void Find(void* handle, const char* symbol, Function** function) {
  *function = reinterpret_cast<Function*>(dlsym(handle, symbol));
}

// nullopt: the library is absent. A loaded library stays loaded until the process ends.
std::optional<Library> Load(const std::string& root) {
  std::string path = kLibrary;
  if (!root.empty()) {
    path = absl::StrCat(root, "/usr/lib/", kLibrary);
    if (std::error_code error; !std::filesystem::exists(path, error)) {
      return std::nullopt;
    }
  }
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return std::nullopt;
  }
  Library library;
  Find(handle, "nvmlInit_v2", &library.init);
  Find(handle, "nvmlErrorString", &library.error_string);
  Find(handle, "nvmlDeviceGetCount_v2", &library.device_count);
  Find(handle, "nvmlDeviceGetHandleByIndex_v2", &library.device_by_index);
  Find(handle, "nvmlDeviceGetName", &library.name);
  Find(handle, "nvmlDeviceGetPowerUsage", &library.power);
  Find(handle, "nvmlDeviceGetTotalEnergyConsumption", &library.energy);
  Find(handle, "nvmlDeviceGetTemperature", &library.temperature);
  Find(handle, "nvmlDeviceGetUtilizationRates", &library.utilization);
  return library;
}

enum class Quantity : uint8_t { kPower, kEnergy, kTemperature, kLoad };

absl::StatusOr<Value> Ask(const Library& library, Device device, Quantity quantity) {
  unsigned number = 0;
  switch (quantity) {
    case Quantity::kPower:
      WATTLE_RETURN_IF_ERROR(library.Check(library.power(device, &number), "power"));
      return Watts(number * 1e-3);
    case Quantity::kEnergy: {
      unsigned long long millijoules = 0;  // NOLINT(google-runtime-int): NVML's type
      WATTLE_RETURN_IF_ERROR(library.Check(library.energy(device, &millijoules), "energy"));
      return EnergyCount{.value = Joules(static_cast<double>(millijoules) * 1e-3)};
    }
    case Quantity::kTemperature:
      WATTLE_RETURN_IF_ERROR(
          library.Check(library.temperature(device, kTemperatureOfGpu, &number), "temperature"));
      return Celsius(number);
    case Quantity::kLoad: {
      Utilization utilization = {};
      WATTLE_RETURN_IF_ERROR(library.Check(library.utilization(device, &utilization), "load"));
      return Level{utilization.gpu / 100.0};
    }
  }
  return absl::InternalError("no such quantity");
}

struct Item {
  Device device = nullptr;
  Quantity quantity = Quantity::kPower;
};

class Nvml final : public Source {
 public:
  explicit Nvml(const Library& library) : library_(library) {
    info_ = {.name = "nvml",
             .cadence = kNvmlCadence,
             .energy_source = v1::ENERGY_SOURCE_NVML,
             .scope = "gpu",
             .rank = 60,
             .averages = true,
             .plausible_max = Watts(0),
             .error_ratio = 0.05,
             .error_floor = Watts(5),
             // A GPU at rest stands still, whatever the processor does.
             .steady_max = absl::InfiniteDuration()};
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  [[nodiscard]] bool CountsEnergy(Device device) const {
    return Answers(device, Quantity::kEnergy);
  }

  // Adds a channel for each quantity that the GPU reports now. by_counter: every GPU counts energy,
  // so the total consists of counters; else it consists of powers. The two do not add.
  void Add(Device device, const std::string& name, bool by_counter) {
    info_.plausible_max += Watts(1500);
    AddChannel(device, Quantity::kPower,
               {.name = name,
                .metric = "wattle_gpu_power_watts",
                .help = "Power of one GPU, latest sample.",
                .in_total = !by_counter});
    AddChannel(device, Quantity::kEnergy,
               {.name = name,
                .metric = "wattle_gpu_energy_joules_total",
                .help = "Energy counter of one GPU since its driver was loaded.",
                .in_total = by_counter});
    AddChannel(device, Quantity::kTemperature,
               {.name = name,
                .metric = "wattle_gpu_temperature_celsius",
                .help = "Temperature of one GPU.",
                .thermometer = true});
    AddChannel(device, Quantity::kLoad,
               {.name = name,
                .metric = "wattle_gpu_busy_ratio",
                .help = "Share of the last period in which a GPU ran a kernel, 0 to 1."});
  }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    absl::Status failed;
    for (size_t i = 0; i < items_.size(); ++i) {
      absl::StatusOr<Value> value = Ask(library_, items_[i].device, items_[i].quantity);
      if (value.ok()) {
        readings.push_back({i, *std::move(value), now});
      } else if (info_.channels[i].in_total) {
        failed = value.status();
      }
    }
    if (!failed.ok()) {
      return failed;
    }
    return readings;
  }

 private:
  [[nodiscard]] bool Has(Quantity quantity) const {
    switch (quantity) {
      case Quantity::kPower:
        return library_.power != nullptr;
      case Quantity::kEnergy:
        return library_.energy != nullptr;
      case Quantity::kTemperature:
        return library_.temperature != nullptr;
      case Quantity::kLoad:
        return library_.utilization != nullptr;
    }
    return false;
  }
  [[nodiscard]] bool Answers(Device device, Quantity quantity) const {
    return Has(quantity) && Ask(library_, device, quantity).ok();
  }
  void AddChannel(Device device, Quantity quantity, Channel channel) {
    if (Answers(device, quantity)) {
      channel.file = kLibrary;
      info_.channels.push_back(std::move(channel));
      items_.push_back({device, quantity});
    }
  }

  Library library_;
  std::vector<Item> items_;  // one for each channel
  SourceInfo info_;
};

std::string NameOf(const Library& library, Device device, unsigned index) {
  std::array<char, 96> name = {};
  if (library.name == nullptr || library.name(device, name.data(), name.size() - 1) != kSuccess) {
    return absl::StrCat("gpu ", index);
  }
  return absl::StrCat(name.data(), " ", index);
}

// One source for all GPUs; none if the library or a GPU is absent; a problem if the library fails.
// In a tree the library is root/usr/lib/libnvidia-ml.so.1.
std::vector<Candidate> DiscoverNvml(const std::string& root,
                                    const std::vector<SourceSettings>& /*entries*/) {
  std::vector<Candidate> found;
  const std::optional<Library> library = Load(root);
  if (!library || library->init == nullptr || library->device_count == nullptr ||
      library->device_by_index == nullptr) {
    return found;
  }
  unsigned count = 0;
  absl::Status problem = library->Check(library->init(), "init");
  if (problem.ok()) {
    problem = library->Check(library->device_count(&count), "count");
  }
  std::vector<Device> devices(count);
  for (unsigned i = 0; i < count && problem.ok(); ++i) {
    problem = library->Check(library->device_by_index(i, &devices[i]), "device");
  }
  if (!problem.ok()) {
    found.push_back({.name = "nvml", .problem = problem});
    return found;
  }
  auto source = std::make_unique<Nvml>(*library);
  const bool by_counter = std::all_of(devices.begin(), devices.end(), [&source](Device device) {
    return source->CountsEnergy(device);
  });
  for (unsigned i = 0; i < count; ++i) {
    source->Add(devices[i], NameOf(*library, devices[i], i), by_counter);
  }
  if (!source->info().channels.empty()) {
    found.push_back({.name = "nvml", .source = std::move(source)});
  }
  return found;
}

}  // namespace

extern const SourceKind kNvmlKind = {"nvml", {}, DiscoverNvml};

}  // namespace wattle::telemetry
