// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "int4_codes.cuh"

namespace wattle::cuda {
namespace {

// Int4 with a minimum: scale code + minimum.
using Int4a = Int4Codes<0, true>;

}  // namespace

WATTLE_PANEL_PRODUCTS(int4a, Int4a)

}  // namespace wattle::cuda
