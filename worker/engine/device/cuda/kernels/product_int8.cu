// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "int8_codes.cuh"

namespace wattle::cuda {
namespace {

using Int8 = Int8Codes<false>;

}  // namespace

WATTLE_PANEL_PRODUCTS(int8, Int8)

}  // namespace wattle::cuda
