// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "int8_codes.cuh"

namespace wattle::cuda {
namespace {

using Int8Grouped = Int8Codes<true>;

}  // namespace

WATTLE_PANEL_PRODUCTS(int8g, Int8Grouped)

}  // namespace wattle::cuda
