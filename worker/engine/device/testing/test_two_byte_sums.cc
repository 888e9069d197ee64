// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: an operator of libtorch's CPU that adds up numbers of two bytes ends the program.
// Whether libtorch keeps such a sum in two bytes depends on the processor, the operator and the
// size: without AVX-512 a BF16 sum of 1,000 ones is 256. A test that passes here would fail there.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

// Without NDEBUG libtorch's header asserts what only a libtorch without NDEBUG keeps.
#ifdef NDEBUG
namespace wattle::engine {
namespace {

bool AddsUp(std::string_view name) {
  constexpr std::array<std::string_view, 13> kNames = {
      "aten::addmm",       "aten::addmv",     "aten::baddbmm",    "aten::bmm",
      "aten::dot",         "aten::index_add", "aten::index_add_", "aten::linalg_vector_norm",
      "aten::mm",          "aten::mv",        "aten::norm",       "aten::scatter_add",
      "aten::scatter_add_"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool IsOfTwoBytesOnTheHost(const c10::IValue& value) {
  if (!value.isTensor() || !value.toTensor().defined()) {
    return false;
  }
  const at::ScalarType type = value.toTensor().scalar_type();
  return value.toTensor().is_cpu() && (type == at::kBFloat16 || type == at::kHalf);
}

std::unique_ptr<at::ObserverContext> Check(const at::RecordFunction& call) {
  const auto inputs = call.inputs();
  if (AddsUp(call.name()) && std::any_of(inputs.begin(), inputs.end(), IsOfTwoBytesOnTheHost)) {
    std::fprintf(stderr, "%s adds up numbers of two bytes on libtorch's CPU: add FP32 numbers\n",
                 call.name());
    std::abort();
  }
  return nullptr;
}

[[maybe_unused]] const at::CallbackHandle kHandle = at::addGlobalCallback(
    at::RecordFunctionCallback(&Check).needsInputs(true).scopes({at::RecordScope::FUNCTION}));

}  // namespace
}  // namespace wattle::engine
#endif
