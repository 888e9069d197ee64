// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#ifndef WATTLE_BASE_OWN_ADDRESSES_H_
#define WATTLE_BASE_OWN_ADDRESSES_H_

#include <string>
#include <vector>

namespace wattle {

// The IP addresses of this machine's interfaces, loopback included, without those that mean nothing
// without an interface (fe80::…). Empty where the system does not tell. Thread-safe.
std::vector<std::string> OwnAddresses();

}  // namespace wattle

#endif  // WATTLE_BASE_OWN_ADDRESSES_H_
