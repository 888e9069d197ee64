// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Identifiers as types: a job's id cannot be passed as a device's. Ordered, hashable, printable.
#ifndef WATTLE_UNITS_ID_H_
#define WATTLE_UNITS_ID_H_

#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace wattle {

template <typename Tag, typename Value>
class Id {
 public:
  Id() = default;
  explicit Id(Value value) : value_(std::move(value)) {}
  [[nodiscard]] const Value& value() const { return value_; }

  friend bool operator==(const Id& a, const Id& b) = default;
  // NOLINTNEXTLINE(modernize-use-nullptr): the check mistakes the generated comparison with 0.
  friend auto operator<=>(const Id& a, const Id& b) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Id& id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Value value_{};
};

using JobId = Id<struct JobIdTag, std::string>;          // "j12"
using AttemptId = Id<struct AttemptIdTag, std::string>;  // "j12.1": the first attempt of job j12
using DeviceId =
    Id<struct DeviceIdTag, std::string>;  // stable over reboots, made once by the worker
using ArtifactId =
    Id<struct ArtifactIdTag, std::string>;  // SHA-256 of the manifest, lower-case hex
using SequenceNumber = Id<struct SequenceNumberTag, int64_t>;  // of an event in the journal, from 1
// Fencing token of an attempt: higher for each later attempt of a job. Messages with a lower token
// than the job's current attempt are refused.
using FencingToken = Id<struct FencingTokenTag, int64_t>;

}  // namespace wattle

#endif  // WATTLE_UNITS_ID_H_
