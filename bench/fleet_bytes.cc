// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "bench/fleet_bytes.h"

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace wattle::bench {
namespace {

using fleet_plan::Amount;
using fleet_plan::Device;
using fleet_plan::DeviceClass;
using fleet_plan::Estimate;
using fleet_plan::Fleet;
using fleet_plan::Form;
using fleet_plan::Job;
using fleet_plan::OwnRate;
using fleet_plan::Rate;
using fleet_plan::WorkClass;

// Passes every field of a value: a writer appends it, a reader sets it.
class Writer {
 public:
  template <std::integral Number>
  void operator()(Number& number) {
    const auto wide = static_cast<int64_t>(number);
    bytes.append(reinterpret_cast<const char*>(&wide), sizeof wide);
  }

  std::string bytes;
};

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}
  template <std::integral Number>
  void operator()(Number& number) {
    int64_t wide = 0;
    WATTLE_CHECK(at_ + sizeof wide <= bytes_.size(), "the bytes are from ToBytes");
    std::memcpy(&wide, bytes_.data() + at_, sizeof wide);
    at_ += sizeof wide;
    number = static_cast<Number>(wide);
  }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
};

template <typename Archive, typename... Fields>
void PassFields(Archive& archive, Fields&... fields);

template <typename Archive, typename Value>
void Pass(Archive& archive, std::vector<Value>& values);
template <typename Archive, typename Value>
void Pass(Archive& archive, std::optional<Value>& value);

template <typename Archive, std::integral Number>
void Pass(Archive& archive, Number& number) {
  archive(number);
}
template <typename Archive>
void Pass(Archive& archive, Amount& it) {
  PassFields(archive, it.low, it.mean, it.high);
}
template <typename Archive>
void Pass(Archive& archive, Estimate& it) {
  PassFields(archive, it.seconds, it.millijoules);
}
template <typename Archive>
void Pass(Archive& archive, Form& it) {
  PassFields(archive, it.mode, it.quantization, it.batch);
}
template <typename Archive>
void Pass(Archive& archive, Rate& it) {
  PassFields(archive, it.form, it.peak_memory_bytes, it.of_a_run, it.of_1000_units);
}
template <typename Archive>
void Pass(Archive& archive, WorkClass& it) {
  PassFields(archive, it.artifact, it.artifact_bytes, it.wanted_labels);
}
template <typename Archive>
void Pass(Archive& archive, DeviceClass& it) {
  PassFields(archive, it.memory_bytes);
}
template <typename Archive>
void Pass(Archive& archive, OwnRate& it) {
  PassFields(archive, it.work_class, it.rate);
}
template <typename Archive>
void Pass(Archive& archive, timetable::Interval& it) {
  PassFields(archive, it.begin, it.end);
}
template <typename Archive>
void Pass(Archive& archive, timetable::FloorStep& it) {
  PassFields(archive, it.from, it.charge);
}
template <typename Archive>
void Pass(Archive& archive, timetable::PackSpec& it) {
  PassFields(archive, it.now, it.capacity, it.charge, it.idle, it.floor, it.first_hour, it.harvest,
             it.broken_paths_max);
}
template <typename Archive>
void Pass(Archive& archive, timetable::SupplySpec& it) {
  PassFields(archive, it.cap, it.idle);
}
template <typename Archive>
void Pass(Archive& archive, Device& it) {
  PassFields(archive, it.device_class, it.labels, it.link_bytes_per_second, it.cached, it.closed,
             it.pack, it.supply, it.own);
}
template <typename Archive>
void Pass(Archive& archive, Job& it) {
  PassFields(archive, it.work_class, it.units, it.priority, it.released, it.deadline,
             it.left_out_price);
}
template <typename Archive>
void Pass(Archive& archive, Fleet& it) {
  PassFields(archive, it.now, it.end, it.start_step, it.patience_thousandths_per_hour,
             it.device_classes, it.work_classes, it.rates, it.devices, it.packs, it.supplies,
             it.jobs);
}

template <typename Archive, typename Value>
void Pass(Archive& archive, std::vector<Value>& values) {
  size_t size = values.size();
  archive(size);
  values.resize(size);
  for (Value& value : values) {
    Pass(archive, value);
  }
}
template <typename Archive, typename Value>
void Pass(Archive& archive, std::optional<Value>& value) {
  bool has_value = value.has_value();
  archive(has_value);
  if (has_value) {
    Pass(archive, value.has_value() ? *value : value.emplace());
  }
}
template <typename Archive, typename... Fields>
void PassFields(Archive& archive, Fields&... fields) {
  (Pass(archive, fields), ...);
}

}  // namespace

std::string ToBytes(const Fleet& fleet) {
  Writer writer;
  Fleet copy = fleet;
  Pass(writer, copy);
  return std::move(writer.bytes);
}

Fleet FromBytes(const std::string& bytes) {
  Reader reader(bytes);
  Fleet fleet;
  Pass(reader, fleet);
  return fleet;
}

}  // namespace wattle::bench
