// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/power_modes.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "base/file.h"
#include "proto/board_class.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::agent {
namespace {

constexpr double kPlausibleFactor = 10;

constexpr double kKilohertzPerMegahertz = 1e3;
constexpr double kHertzPerMegahertz = 1e6;
// Bounds of the clocks of processors, GPUs and memory; other values count as unknown.
constexpr double kMegahertzMin = 10;
constexpr double kMegahertzMax = 20'000;

// The highest draw in a class's datasheet, for its strongest mode. The whole board with its peaks
// stays below four times this.
struct ClassPower {
  absl::string_view device_class;
  double watts = 0;
};
constexpr ClassPower kClassPowers[] = {
    {"jetson-nano-2gb", 10},   {"jetson-nano", 10},      {"jetson-tx2", 20},
    {"jetson-xavier-nx", 20},  {"jetson-orin-nano", 25}, {"jetson-orin-nx", 40},
    {"jetson-agx-xavier", 50}, {"jetson-agx-orin", 75},
};
constexpr double kClassFactor = 4;

std::optional<Watts> PlausibleOfClass(absl::string_view device_class) {
  for (const ClassPower& row : kClassPowers) {
    if (row.device_class == device_class) {
      return Watts(kClassFactor * row.watts);
    }
  }
  return std::nullopt;
}

// The value of `name=` in a header such as "< POWER_MODEL ID=2 NAME=MODE_15W_6CORE >"; empty:
// absent.
std::string HeaderValue(const std::vector<std::string>& words, absl::string_view name) {
  for (const std::string& word : words) {
    if (absl::StartsWith(word, name) && word.size() > name.size() && word[name.size()] == '=') {
      return word.substr(name.size() + 1);
    }
  }
  return "";
}

// The watts in names such as "MODE_15W_6CORE" and "25W"; 0 for names without watts, such as "MAXN".
double WattsInName(const std::string& name) {
  for (const absl::string_view part : absl::StrSplit(name, '_')) {
    double watts = 0;
    if (absl::EndsWith(part, "W") && absl::SimpleAtod(part.substr(0, part.size() - 1), &watts) &&
        watts > 0) {
      return watts;
    }
  }
  return 0;
}

// A line of a mode such as "GPU MAX_FREQ 612000000": parameter, argument and value.
using NvpmodelLine = std::vector<std::string>;

struct NvpmodelFile {
  std::map<std::string, std::map<std::string, std::string>> paths{};  // keys: parameter, argument
  std::map<int, PowerModeRow> modes{};                                // key: id
  std::map<int, std::vector<NvpmodelLine>> lines{};                   // lines of each mode
};

// A mode names a parameter and one of its arguments. Newer kernels have other paths for some
// arguments, under the same name with the suffix _KNEXT.
void AddSetting(const NvpmodelFile& file, const std::vector<std::string>& words,
                PowerModeRow* mode) {
  const auto parameter = file.paths.find(words[0]);
  if (parameter == file.paths.end()) {
    return;
  }
  PowerSetting setting = {.value = words[2] == "-1" ? "" : words[2]};
  for (const char* suffix : {"_KNEXT", ""}) {
    if (const auto path = parameter->second.find(words[1] + suffix);
        path != parameter->second.end()) {
      setting.paths.push_back(path->second);
    }
  }
  if (!setting.paths.empty()) {
    mode->settings.push_back(std::move(setting));
  }
}

NvpmodelFile ParseNvpmodel(const std::string& text) {
  NvpmodelFile file;
  std::string parameter;
  PowerModeRow* mode = nullptr;
  std::vector<NvpmodelLine>* lines = nullptr;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words[0][0] == '#') {
      continue;
    }
    int id = 0;
    if (words[0] == "<") {
      parameter = words.size() >= 3 && words[1] == "PARAM" ? HeaderValue(words, "NAME") : "";
      mode = nullptr;
      if (words.size() >= 3 && words[1] == "POWER_MODEL" &&
          absl::SimpleAtoi(HeaderValue(words, "ID"), &id)) {
        mode = &file.modes[id];
        lines = &file.lines[id];
        mode->name = HeaderValue(words, "NAME");
        mode->nominal_power_watts = WattsInName(mode->name);
      }
    } else if (!parameter.empty() && words.size() == 2) {
      file.paths[parameter][words[0]] = words[1];
    } else if (mode != nullptr && words.size() == 3) {
      AddSetting(file, words, mode);
      lines->push_back(words);
    }
  }
  return file;
}

// The frequencies that the driver lists, ascending; empty if it lists none.
std::vector<int64_t> Frequencies(const std::string& path) {
  std::vector<int64_t> frequencies;
  const std::string text = telemetry::ReadText(path).value_or("");
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    int64_t frequency = 0;
    if (absl::SimpleAtoi(word, &frequency) && frequency > 0) {
      frequencies.push_back(frequency);
    }
  }
  std::sort(frequencies.begin(), frequencies.end());
  return frequencies;
}

double KnownMegahertz(double megahertz) {
  return megahertz >= kMegahertzMin && megahertz <= kMegahertzMax ? megahertz : 0;
}

// The hardware's highest clock for a parameter's files; 0: unknown.
double HighestOf(const std::map<std::string, std::string>& paths, const std::string& root) {
  for (const char* const suffix : {"_KNEXT", ""}) {
    if (const auto table = paths.find(absl::StrCat("FREQ_TABLE", suffix)); table != paths.end()) {
      const std::vector<int64_t> listed = Frequencies(root + table->second);
      if (!listed.empty()) {
        return static_cast<double>(listed.back());
      }
    }
    if (const auto cap = paths.find(absl::StrCat("MAX_FREQ", suffix)); cap != paths.end()) {
      const std::string folder = cap->second.substr(0, cap->second.rfind('/'));
      const auto highest = telemetry::ReadInteger(root + folder + "/cpuinfo_max_freq");
      if (highest.ok()) {
        return static_cast<double>(*highest);
      }
    }
  }
  return 0;
}

// The cap that a mode's line sets, in the parameter's own unit; "-1" is none, so the hardware's
// highest clock counts. 0: unknown.
double CapOf(const NvpmodelFile& file, const NvpmodelLine& line, const std::string& root) {
  const auto paths = file.paths.find(line[0]);
  if (line[2] == "-1") {
    return paths == file.paths.end() ? 0 : HighestOf(paths->second, root);
  }
  double cap = 0;
  return absl::SimpleAtod(line[2], &cap) ? cap : 0;
}

// The number of cores that the mode switches on; 0: the mode does not set every core of the file.
int CoresOf(const NvpmodelFile& file, const std::vector<NvpmodelLine>& lines) {
  std::map<std::string, std::string> values;  // for each core; empty: the mode does not set it
  if (const auto paths = file.paths.find("CPU_ONLINE"); paths != file.paths.end()) {
    for (const auto& [core, path] : paths->second) {
      values[core] = "";
    }
  }
  for (const NvpmodelLine& line : lines) {
    if (line[0] == "CPU_ONLINE") {
      values[line[1]] = line[2];
    }
  }
  if (values.empty()) {
    return 0;
  }
  // The first core cannot be switched off, and some files leave it out.
  values["CORE_0"] = "1";
  int on = 0;
  for (const auto& [core, value] : values) {
    if (value != "0" && value != "1") {
      return 0;
    }
    on += value == "1" ? 1 : 0;
  }
  return on;
}

// A processor's clocks are in kHz, those of GPU and memory in Hz. If there are two kinds of cores,
// the faster kind counts.
void AddNumbers(const NvpmodelFile& file, const std::vector<NvpmodelLine>& lines,
                const std::string& root, PowerModeRow* mode) {
  for (const NvpmodelLine& line : lines) {
    if (line[1] != "MAX_FREQ") {
      continue;
    }
    const double cap = CapOf(file, line, root);
    if (line[0] == "GPU") {
      mode->gpu_mhz = KnownMegahertz(cap / kHertzPerMegahertz);
    } else if (line[0] == "EMC") {
      mode->memory_mhz = KnownMegahertz(cap / kHertzPerMegahertz);
    } else if (absl::StartsWith(line[0], "CPU")) {
      mode->cpu_mhz = std::max(mode->cpu_mhz, KnownMegahertz(cap / kKilohertzPerMegahertz));
    }
  }
  mode->cores = CoresOf(file, lines);
}

NvpmodelFile ReadNvpmodel(const std::string& root) {
  const auto text = ReadWholeFile(root + "/etc/nvpmodel.conf");
  if (!text.ok()) {
    return {};
  }
  NvpmodelFile file = ParseNvpmodel(*text);
  for (auto& [id, mode] : file.modes) {
    AddNumbers(file, file.lines[id], root, &mode);
  }
  return file;
}

constexpr char kCpuFolder[] = "/sys/devices/system/cpu";
constexpr char kDevfreqFolder[] = "/sys/class/devfreq";

// The processors whose frequency can be capped, by number, with their folders.
std::map<int, std::string> Cores(const std::string& root) {
  std::map<int, std::string> cores;
  for (const std::string& name : telemetry::ListDirectory(root + kCpuFolder)) {
    int number = 0;
    if (absl::StartsWith(name, "cpu") && absl::SimpleAtoi(name.substr(3), &number)) {
      cores[number] = absl::StrCat(kCpuFolder, "/", name);
    }
  }
  return cores;
}

// The folder of the GPU's frequencies; empty: none.
std::string GpuFolder(const std::string& root) {
  for (const std::string& name : telemetry::ListDirectory(root + kDevfreqFolder)) {
    for (const char* part : {"gpu", "gp10b", "gv11b", "ga10b", "gb10b"}) {
      if (absl::StrContains(name, part)) {
        return absl::StrCat(kDevfreqFolder, "/", name);
      }
    }
  }
  return "";
}

// The highest listed frequency that is at most this share of the highest; without a list, that
// share.
int64_t ShareOf(int64_t highest, double share, const std::vector<int64_t>& listed) {
  const auto wanted = static_cast<int64_t>(share * static_cast<double>(highest));
  const auto above = std::upper_bound(listed.begin(), listed.end(), wanted);
  if (listed.empty()) {
    return wanted;
  }
  return above == listed.begin() ? listed.front() : *(above - 1);
}

struct KernelKnobs {
  std::map<int, std::string> cores{};
  int64_t cpu_khz_max = 0;
  std::vector<int64_t> cpu_khz{};
  std::string gpu{};
  int64_t gpu_hz_max = 0;
  std::vector<int64_t> gpu_hz{};
};

// One mode with every setting, in the order cores on, frequencies, cores off, so that no frequency
// is written to a core that is off.
PowerModeRow MakeMode(const KernelKnobs& knobs, const std::string& name, int64_t cpu_khz,
                      size_t cores, int64_t gpu_hz) {
  PowerModeRow mode = {.name = name};
  mode.cpu_mhz = KnownMegahertz(static_cast<double>(cpu_khz) / kKilohertzPerMegahertz);
  mode.gpu_mhz = KnownMegahertz(static_cast<double>(gpu_hz) / kHertzPerMegahertz);
  mode.cores = static_cast<int>(cores);
  std::vector<PowerSetting> off;
  size_t place = 0;
  for (const auto& [number, folder] : knobs.cores) {
    const bool on = place++ < cores;
    if (number > 0) {  // the first core cannot be switched off
      PowerSetting online = {{folder + "/online"}, on ? "1" : "0"};
      (on ? mode.settings : off).push_back(std::move(online));
    }
    if (on) {
      off.insert(off.begin(), {{folder + "/cpufreq/scaling_max_freq"}, absl::StrCat(cpu_khz)});
    }
  }
  if (gpu_hz > 0) {
    off.insert(off.begin(), {{knobs.gpu + "/max_freq"}, absl::StrCat(gpu_hz)});
  }
  mode.settings.insert(mode.settings.end(), off.begin(), off.end());
  return mode;
}

// The number in "pmode:0002 fmode:fan_mode_quiet", here 2.
std::optional<int> ActiveMode(const std::string& root) {
  const std::string status = telemetry::ReadText(root + "/var/lib/nvpmodel/status").value_or("");
  for (const absl::string_view word : absl::StrSplit(status, ' ')) {
    int id = 0;
    if (absl::StartsWith(word, "pmode:") && absl::SimpleAtoi(word.substr(6), &id)) {
      return id;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<PowerModeRow> NvpmodelModes(const std::string& root) {
  std::vector<PowerModeRow> rows;
  for (auto& [id, mode] : ReadNvpmodel(root).modes) {
    rows.push_back(mode);
  }
  return rows;
}

std::string ActiveNvpmodelMode(const std::string& root) {
  const std::optional<int> active = ActiveMode(root);
  if (!active) {
    return "";
  }
  const NvpmodelFile file = ReadNvpmodel(root);
  const auto mode = file.modes.find(*active);
  return mode == file.modes.end() ? "" : mode->second.name;
}

std::vector<PowerModeRow> KernelModes(const std::string& root) {
  KernelKnobs knobs = {.cores = Cores(root)};
  if (knobs.cores.empty()) {
    return {};
  }
  const std::string cpufreq = root + knobs.cores.begin()->second + "/cpufreq";
  knobs.cpu_khz_max = telemetry::ReadInteger(cpufreq + "/cpuinfo_max_freq").value_or(0);
  if (knobs.cpu_khz_max <= 0 || !telemetry::ReadText(cpufreq + "/scaling_max_freq").ok()) {
    return {};
  }
  knobs.cpu_khz = Frequencies(cpufreq + "/scaling_available_frequencies");
  knobs.gpu = GpuFolder(root);
  if (!knobs.gpu.empty()) {
    knobs.gpu_hz = Frequencies(root + knobs.gpu + "/available_frequencies");
    knobs.gpu_hz_max = knobs.gpu_hz.empty() ? 0 : knobs.gpu_hz.back();
  }
  const size_t cores = knobs.cores.size();
  std::vector<PowerModeRow> modes = {
      MakeMode(knobs, "full", knobs.cpu_khz_max, cores, knobs.gpu_hz_max)};
  for (const double share : {0.75, 0.5}) {
    const int64_t khz = ShareOf(knobs.cpu_khz_max, share, knobs.cpu_khz);
    modes.push_back(
        MakeMode(knobs, absl::StrCat("cpu-", khz / 1000, "MHz"), khz, cores, knobs.gpu_hz_max));
  }
  if (cores >= 4) {
    modes.push_back(MakeMode(knobs, absl::StrCat(cores / 2, "-cores"), knobs.cpu_khz_max, cores / 2,
                             knobs.gpu_hz_max));
  }
  if (knobs.gpu_hz_max > 0) {
    const int64_t hz = ShareOf(knobs.gpu_hz_max, 0.5, knobs.gpu_hz);
    modes.push_back(
        MakeMode(knobs, absl::StrCat("gpu-", hz / 1'000'000, "MHz"), knobs.cpu_khz_max, cores, hz));
  }
  return modes;
}

std::vector<PowerModeRow> BoardModes(const std::string& root) {
  std::vector<PowerModeRow> modes = NvpmodelModes(root);
  return modes.empty() ? KernelModes(root) : modes;
}

std::string ActiveKernelMode(const std::string& root, const std::vector<PowerModeRow>& modes) {
  for (const PowerModeRow& mode : modes) {
    const bool active = std::all_of(
        mode.settings.begin(), mode.settings.end(), [&root](const PowerSetting& setting) {
          return telemetry::ReadText(root + setting.paths.front()).value_or("") == setting.value;
        });
    if (active) {
      return mode.name;
    }
  }
  return "";
}

void AddModes(const std::vector<PowerModeRow>& modes, v1::DeviceInfo* info) {
  for (const PowerModeRow& row : modes) {
    v1::PowerMode& mode = *info->add_power_modes();
    mode.set_name(row.name);
    mode.set_nominal_power_watts(row.nominal_power_watts);
    mode.set_cpu_mhz(row.cpu_mhz);
    mode.set_gpu_mhz(row.gpu_mhz);
    mode.set_memory_mhz(row.memory_mhz);
    mode.set_cores(row.cores);
  }
}

PowerModeWatch::PowerModeWatch(std::string root, std::vector<PowerModeRow> kernel_modes)
    : root_(std::move(root)),
      kernel_modes_(std::move(kernel_modes)),
      nvpmodel_(ActiveNvpmodelMode(root_)) {}

std::optional<std::string> PowerModeWatch::Look(const std::string& known) {
  const std::string nvpmodel = ActiveNvpmodelMode(root_);
  if (!nvpmodel.empty() && std::exchange(nvpmodel_, nvpmodel) != nvpmodel) {
    return nvpmodel;
  }
  const std::string active = ActiveKernelMode(root_, kernel_modes_);
  if (active.empty() || active == known) {
    kernel_mode_.clear();
    return std::nullopt;
  }
  if (kernel_mode_ != active) {
    kernel_mode_ = active;
    return std::nullopt;
  }
  kernel_mode_.clear();
  return active;
}

void AddPowerModes(const std::string& root, v1::DeviceInfo* info) {
  AddModes(NvpmodelModes(root), info);
  info->set_power_mode(ActiveNvpmodelMode(root));
}

std::optional<Watts> PlausiblePower(const v1::DeviceInfo& info) {
  double most = 0;
  for (const v1::PowerMode& mode : info.power_modes()) {
    if (mode.nominal_power_watts() <= 0) {
      // MAXN may draw more than the modes that name their watts.
      return PlausibleOfClass(BoardClassOf(info.device_class()));
    }
    most = std::max(most, mode.nominal_power_watts());
  }
  return most > 0 ? std::optional<Watts>(kPlausibleFactor * most) : std::nullopt;
}

}  // namespace wattle::agent
