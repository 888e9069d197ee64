// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "int4_codes.cuh"

namespace wattle::cuda {
namespace {

using Int4 = Int4Codes<8, false>;

}  // namespace

WATTLE_PANEL_PRODUCTS(int4, Int4)

}  // namespace wattle::cuda
