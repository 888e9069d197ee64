// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/authority.h"
